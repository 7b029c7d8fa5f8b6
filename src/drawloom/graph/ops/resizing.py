"""Resize: each axis by itself, as one small matrix of weights (or one index per cell)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.operator import (
    ANY,
    FLOATS,
    Arrays,
    Operator,
    Types,
    need_dtype,
    need_word,
    refuse_attr,
    tensor,
)
from drawloom.graph.rounding import Wide, is_float, narrow, wide

_COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _rule(node: Node, types: Types) -> tuple[TensorType, ...]:
    mode = need_word(node, types, "mode", ("nearest", "linear", "cubic"))
    x = need_dtype(node, types, 0, ANY if mode == "nearest" else FLOATS)
    place = need_word(node, types, "coordinate_transformation_mode", _COORDINATES)
    need_word(node, types, "nearest_mode", _NEAREST)
    sizes, rank = node.ints("sizes"), len(x.shape)
    if len(sizes) != rank or any(s < 1 for s in sizes) or not x.size:
        refuse_attr(node, types, "sizes", f"{rank} numbers of at least 1, from an x not empty")
    if len(_floats(node, "scales")) not in (0, rank):
        refuse_attr(node, types, "scales", f"{rank} numbers, or none")
    if len(_floats(node, "roi")) != 2 * rank and place == "tf_crop_and_resize":
        refuse_attr(node, types, "roi", f"{2 * rank} numbers: starts, then ends")
    return (TensorType(x.dtype, sizes),)


def _floats(node: Node, key: str) -> tuple[float, ...]:
    value = node.attrs.get(key, ())
    assert isinstance(value, tuple)
    return tuple(float(v) for v in value)


def _scale(node: Node, axis: int, size: int, out: int) -> float:
    scales = _floats(node, "scales")
    return scales[axis] if scales else out / size


def source_positions(node: Node, axis: int, size: int, out: int) -> Wide:
    """Return where in the input each output cell of an axis lies."""
    place = node.str("coordinate_transformation_mode", _COORDINATES[0])
    cell = np.arange(out, dtype=np.float64)
    if place == "align_corners":
        # A stated scale makes a length that need not be whole, as in ONNX's own evaluator.
        scales = _floats(node, "scales")
        length = scales[axis] * size if scales else out
        return cell * (size - 1) / (length - 1) if length != 1 else np.zeros(out)
    if place == "tf_crop_and_resize":
        return _cropped(node, axis, size, out)
    if place == "pytorch_half_pixel" and out == 1:
        return np.zeros(1)
    scale = _scale(node, axis, size, out)
    exact = not _floats(node, "scales")
    base = 0.0
    if place == "half_pixel_symmetric":
        base = size / 2 * (1 - out / (scale * size))
    half = 0.0 if place == "asymmetric" else 0.5
    # one division of whole numbers keeps whole results whole; a stated scale is used as it is
    shrunk = (cell + half) * size / out if exact else (cell + half) / scale
    return base + shrunk - half


def _cropped(node: Node, axis: int, size: int, out: int) -> Wide:
    roi = _floats(node, "roi")
    start, end = roi[axis], roi[axis + len(roi) // 2]
    if out == 1:
        return np.array([0.5 * (start + end) * (size - 1)])
    step = (end - start) * (size - 1) / (out - 1)
    return start * (size - 1) + np.arange(out, dtype=np.float64) * step


def nearest_cells(node: Node, axis: int, size: int, out: int) -> NDArray[np.intp]:
    """Return the input cell each output cell of an axis copies."""
    at = source_positions(node, axis, size, out)
    ways = {
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
        "floor": np.floor(at),
        "ceil": np.ceil(at),
    }
    return np.clip(ways[node.str("nearest_mode", _NEAREST[0])], 0, size - 1).astype(np.intp)


def _tent(t: Wide) -> Wide:
    return np.clip(1.0 - np.abs(t), 0.0, 1.0)


def _keys(t: Wide, a: float) -> Wide:
    """Keys' cubic convolution kernel with parameter ``a``."""
    d = np.abs(t)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def axis_weights(node: Node, axis: int, size: int, out: int) -> Wide:
    """Return the (out, size) matrix that resizes one axis, linear or cubic."""
    cubic = node.str("mode") == "cubic"
    at = source_positions(node, axis, size, out)
    shrink = min(_scale(node, axis, size, out), 1.0) if node.int("antialias") else 1.0
    reach = math.floor(-(2 if cubic else 1) / shrink) + 1
    base = np.floor(at).astype(np.intp)
    taps = base[:, None] + np.arange(reach, 2 - reach)[None, :]
    distance = (taps - at[:, None]) * shrink
    value = _keys(distance, node.float("cubic_coeff_a", -0.75)) if cubic else _tent(distance)
    if node.int("exclude_outside"):
        value = np.where((taps >= 0) & (taps < size), value, 0.0)
    value = value / value.sum(axis=1, keepdims=True)
    matrix = np.zeros((out, size))
    np.add.at(matrix, (np.arange(out)[:, None], np.clip(taps, 0, size - 1)), value)
    return matrix


def _evaluate(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = tensor(arrays, 0)
    sizes = node.ints("sizes")
    result: Array = x
    nearest = node.str("mode", "nearest") == "nearest"
    for axis in resized_axes(node, x.shape):
        if nearest:
            result = result.take(nearest_cells(node, axis, x.shape[axis], sizes[axis]), axis)
        else:
            matrix = axis_weights(node, axis, x.shape[axis], sizes[axis])
            result = np.moveaxis(np.tensordot(matrix, wide(result), (1, axis)), 0, axis)
    if is_float(x.dtype):
        result = narrow(result, x.dtype)
    return (_extrapolated(node, x.shape, result),)


def resized_axes(node: Node, shape: tuple[int, ...]) -> list[int]:
    """Return the axes that are not copied cell by cell."""
    sizes, scales = node.ints("sizes"), _floats(node, "scales") or (1.0,) * len(shape)
    crop = node.str("coordinate_transformation_mode") == "tf_crop_and_resize"
    rows = enumerate(zip(shape, sizes, scales, strict=True))
    return [i for i, (old, new, scale) in rows if crop or old != new or scale != 1.0]


def _extrapolated(node: Node, shape: tuple[int, ...], result: Array) -> Array:
    """A crop's cells that lie outside the input get ``extrapolation_value``."""
    if node.str("coordinate_transformation_mode") != "tf_crop_and_resize":
        return result
    outside = np.zeros(result.shape, dtype=bool)
    for axis, (size, out) in enumerate(zip(shape, result.shape, strict=True)):
        at = source_positions(node, axis, size, out)
        beyond = (at < 0) | (at > size - 1)
        outside |= beyond.reshape((-1,) + (1,) * (result.ndim - 1 - axis))
    fill = np.asarray(node.float("extrapolation_value")).astype(result.dtype)
    return np.where(outside, fill, result)


OPERATORS = {
    "Resize": Operator(
        "Resize",
        "x",
        _rule,
        _evaluate,
        {
            "sizes": "ints!",
            "scales": "floats",
            "roi": "floats",
            "mode": "str",
            "coordinate_transformation_mode": "str",
            "nearest_mode": "str",
            "cubic_coeff_a": "float",
            "exclude_outside": "int",
            "antialias": "int",
            "extrapolation_value": "float",
        },
    ),
}
