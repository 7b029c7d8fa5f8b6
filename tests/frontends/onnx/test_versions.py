"""Early forms of operators mean what they meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.frontends.onnx.one import ints, model_of, node, ramp, run, run_one

X = ramp(2, 3, 4)


def padded(*widths: tuple[int, int], fill: float) -> Any:
    return np.pad(X, widths, constant_values=fill)


def replaced() -> Any:
    return np.concatenate([ramp(2, 1, 4), X[:, 1:]], 1)


def softmax(x: Any, axis: int) -> Any:
    grown = np.exp(x - x.max(axis=axis, keepdims=True))
    return grown / grown.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize(
    ("op", "opset", "constants", "attrs", "expected"),
    [
        ("Slice", 1, {}, {"starts": [1, -3], "ends": [9, -1], "axes": [1, 2]}, X[:, 1:, -3:-1]),
        ("Slice", 9, {}, {"starts": [1], "ends": [2]}, X[1:2]),
        ("Slice", 10, {"s": ints(-1), "e": ints(-99), "a": ints(2), "t": ints(-2)}, {}, X[..., ::-2]),
        ("Clip", 6, {}, {"min": -0.5, "max": 1.5}, np.clip(X, -0.5, 1.5)),
        ("Clip", 6, {}, {}, X),
        ("Clip", 11, {"lo": np.float32(-0.5), "hi": np.float32(1)}, {}, np.clip(X, -0.5, 1)),
        ("Reshape", 1, {}, {"shape": [0, -1]}, X.reshape(2, 12)),
        ("Reshape", 5, {"shape": ints(4, 0, -1)}, {}, X.reshape(4, 3, 2)),
        ("Flatten", 9, {}, {"axis": 2}, X.reshape(6, 4)),
        ("Unsqueeze", 1, {}, {"axes": [0, 3]}, X[None, :, :, None]),
        ("Unsqueeze", 13, {"axes": ints(-1, 0)}, {}, X[None, ..., None]),
        ("Softmax", 1, {}, {}, softmax(X.reshape(2, 12), 1).reshape(2, 3, 4)),
        ("Softmax", 11, {}, {"axis": 2}, softmax(X, 2)),
        ("Softmax", 13, {}, {"axis": 1}, softmax(X, 1)),
        ("ReduceSum", 11, {}, {"axes": [1], "keepdims": 0}, X.sum(1)),
        ("ReduceSum", 13, {"axes": ints(-1)}, {}, X.sum(2, keepdims=True)),
        ("ReduceSum", 13, {"axes": ints()}, {"noop_with_empty_axes": 1}, X),
        ("ReduceSumSquare", 18, {"axes": ints()}, {"noop_with_empty_axes": 1}, X * X),
        ("ReduceMax", 17, {}, {"axes": [0, 2]}, X.max((0, 2), keepdims=True)),
        ("Pad", 1, {}, {"paddings": [0, 0, 1, 0, 0, 2], "value": 3.0}, padded((0, 0), (0, 0), (1, 2), fill=3)),
        ("Pad", 2, {}, {"pads": [0, 1, 0, 0, 0, 0], "mode": "edge"}, np.pad(X, ((0, 0), (1, 0), (0, 0)), mode="edge")),
        ("Pad", 11, {"p": ints(0, 0, 0, 1, 0, 0), "v": np.float32(2)}, {}, padded((0, 1), (0, 0), (0, 0), fill=2)),
        ("Add", 6, {"b": ramp(3)}, {"broadcast": 1, "axis": 1}, X + ramp(3)[:, None]),
        ("Mul", 1, {"b": ramp(4)}, {"broadcast": 1}, X * ramp(4)),
        ("Sub", 7, {"b": ramp(3, 1)}, {}, X - ramp(3, 1)),
        ("PRelu", 6, {"slope": ramp(3)}, {}, np.where(X < 0, X * ramp(3)[:, None], X)),
        ("Tile", 1, {"tiles": np.float32(2), "axis": np.float32(1)}, {}, np.tile(X, (1, 2, 1))),
        ("Tile", 6, {"repeats": ints(1, 2, 1)}, {}, np.tile(X, (1, 2, 1))),
        ("TopK", 1, {}, {"k": 2, "axis": 2}, X[..., :-3:-1]),
        ("Cast", 1, {}, {"to": "INT32"}, X.astype(np.int32)),
        ("Cast", 13, {}, {"to": 7}, X.astype(np.int64)),
        ("Concat", 3, {"b": ramp(2, 1, 4)}, {}, np.concatenate([X, ramp(2, 1, 4)], 1)),
        ("Dropout", 1, {}, {"ratio": 0.5}, X),
        ("Dropout", 12, {"ratio": np.float32(0.5)}, {}, X),
        ("Upsample", 7, {}, {"scales": [1.0, 2.0, 1.0]}, X.repeat(2, 1)),
        ("Upsample", 9, {"scales": np.array([1, 1, 2], np.float32)}, {}, X.repeat(2, 2)),
        ("Resize", 10, {"scales": np.array([1, 2, 0.5], np.float32)}, {}, X.repeat(2, 1)[..., ::2]),
        ("Scatter", 9, {"i": np.zeros((2, 1, 4), np.int64), "u": ramp(2, 1, 4)}, {"axis": 1}, replaced()),
        ("Squeeze", 1, {}, {}, X),
        ("Sum", 6, {"b": X, "c": X}, {}, 3 * X),
        ("Mean", 13, {"b": 3 * X}, {}, 2 * X),
        ("Max", 8, {"b": -X, "c": ramp(1)}, {}, np.maximum(np.abs(X), ramp(1))),
        ("Selu", 1, {}, {}, 1.0507 * np.where(X > 0, X, 1.6732 * np.expm1(X))),
        ("Swish", 24, {}, {"alpha": 2.0}, X / (1 + np.exp(-2 * X))),
    ],
)  # fmt: skip
def test_early_and_late_forms(
    op: str, opset: int, constants: dict[str, Any], attrs: dict[str, Any], expected: Any
) -> None:
    constants = {k: np.asarray(v) for k, v in constants.items()}
    outputs = "y i" if op == "TopK" else "y"
    model = model_of(
        [node(op, " ".join(["x", *constants]), outputs, **attrs)], {"x": X}, constants, opset=opset
    )
    (y,) = run(model, {"x": X})
    np.testing.assert_allclose(y, expected, rtol=2e-6)
    assert y.shape == expected.shape


def test_gemm_is_matmul_and_add() -> None:
    a, b, c = ramp(4, 2), ramp(3, 4), ramp(3)
    y = run_one(
        "Gemm", 6, {"a": a}, {"b": b, "c": c}, alpha=0.5, beta=2.0, transA=1, transB=1, broadcast=1
    )
    np.testing.assert_allclose(y, 0.5 * a.T @ b.T + 2 * c, rtol=1e-6)


@pytest.mark.parametrize("opset", [1, 6, 7, 9, 14])
def test_batch_normalization_of_every_version(opset: int) -> None:
    attrs: dict[str, Any] = {"epsilon": 1e-3}
    if opset < 6:
        attrs["consumed_inputs"] = [0, 0, 0, 1, 1]
    if opset < 7:
        attrs["is_test"] = 1
    if 6 <= opset < 9:
        attrs["spatial"] = 1
    scale, bias, mean, var = (ramp(3) + i for i in range(1, 5))
    constants = {"scale": scale, "bias": bias, "mean": mean, "var": var}
    y = run_one("BatchNormalization", opset, {"x": X}, constants, **attrs)
    columns = [v[:, None] for v in (scale, bias, mean, var)]
    expected = (X - columns[2]) / np.sqrt(columns[3] + 1e-3) * columns[0] + columns[1]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization_scales_groups_then_channels(opset: int) -> None:
    x = ramp(2, 4, 3)
    scale = np.array([1, 2], np.float32) if opset == 18 else np.array([1, 1, 2, 2], np.float32)
    y = run_one("GroupNormalization", opset, {"x": x}, {"s": scale, "b": scale}, num_groups=2)
    parts = x.reshape(2, 2, 6)
    normal = (parts - parts.mean(2, keepdims=True)) / np.sqrt(parts.var(2, keepdims=True) + 1e-5)
    each = np.array([1, 1, 2, 2])[:, None]
    np.testing.assert_allclose(y, normal.reshape(x.shape) * each + each, rtol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bij,bkj->bik", [(2, 3, 4), (2, 5, 4)]),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]),
        ("bhqk,bkhd->bqhd", [(2, 2, 3, 4), (2, 4, 2, 5)]),
        ("...ij,...jk", [(2, 3, 4), (1, 4, 5)]),
        ("ij->ji", [(2, 3)]),
        ("ij->", [(2, 3)]),
        ("i,j->ij", [(2,), (3,)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("bi,bi->b", [(2, 3), (2, 3)]),
        ("abc,cd,a->db", [(2, 3, 4), (4, 5), (2,)]),
    ],
)
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [np.random.default_rng(i).random(s, np.float32) for i, s in enumerate(shapes)]
    y = run_one("Einsum", 12, {f"x{i}": a for i, a in enumerate(arrays)}, equation=equation)
    np.testing.assert_allclose(y, np.einsum(equation, *arrays), rtol=1e-5)


def test_unknown_bounds_of_clip_become_max_and_min() -> None:
    low, high = np.float32(-0.25), np.float32(0.5)
    inputs = {"x": X, "lo": np.asarray(low), "hi": np.asarray(high)}
    model = model_of([node("Clip", "x lo hi")], inputs, opset=13)
    np.testing.assert_array_equal(run(model, inputs)[0], np.clip(X, low, high))


def test_resize_keeps_the_aspect_ratio() -> None:
    x = ramp(1, 1, 4, 8)
    model = model_of(
        [node("Resize", "x - - sizes", axes=[2, 3], keep_aspect_ratio_policy="not_larger")],
        {"x": x},
        {"sizes": ints(8, 8)},
        opset=18,
    )
    assert run(model, {"x": x})[0].shape == (1, 1, 4, 8)


@pytest.mark.parametrize(
    ("auto_pad", "pads"),
    [("SAME_UPPER", [0, 0, 1, 1]), ("SAME_LOWER", [1, 1, 0, 0]), ("VALID", [0] * 4)],
)
def test_automatic_padding_is_spelled_out(auto_pad: str, pads: list[int]) -> None:
    x, w = ramp(1, 2, 4, 4), ramp(3, 2, 3, 3)
    automatic = run_one("Conv", 11, {"x": x}, {"w": w}, auto_pad=auto_pad, strides=[2, 2])
    stated = run_one("Conv", 11, {"x": x}, {"w": w}, pads=pads, strides=[2, 2])
    np.testing.assert_array_equal(automatic, stated)
