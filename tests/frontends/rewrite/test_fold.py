from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.frontends.rewrite.pairs import built, check, ramp, unchanged

from drawloom.graph.build import GraphBuilder

IMAGE = (2, 4, 5, 5)


def norm(b: GraphBuilder, x: str) -> str:
    channels = b.types[x].shape[1]
    affine = [
        b.constant(w, ramp(channels) + i) for i, w in enumerate(("scale", "bias", "mean", "var"))
    ]
    return b.add(
        "BatchNormalization", [x, *affine], {"epsilon": 1e-3}, name="norm", output="normal"
    )


def conv(b: GraphBuilder, x: str, bias: bool, op: str = "Conv", group: int = 1) -> str:
    shape = (6, 4 // group, 3, 3) if op == "Conv" else (4, 6 // group, 3, 3)
    w = np.sin(np.arange(np.prod(shape))).reshape(shape).astype(np.float32)
    inputs = [x, b.constant("w", w), *([b.constant("b", ramp(6))] if bias else [])]
    return b.add(op, inputs, {"pads": (1,) * 4, "group": group}, name="conv", layer="first")


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_batchnorm_goes_into_the_convolution_before_it(op: str, group: int, bias: bool) -> None:
    before = built(lambda b, x: b.add("Relu", [norm(b, conv(b, x, bias, op, group))]), IMAGE)
    after = check("fold-batchnorm", before, f"{op} Relu")
    assert (after.nodes[0].name, after.nodes[0].layer, after.nodes[0].outputs) == (
        "conv",
        "first",
        ("normal",),
    )


def test_batchnorm_elsewhere_is_mul_and_add() -> None:
    check("fold-batchnorm", built(lambda b, x: norm(b, b.add("Relu", [x])), IMAGE), "Relu Mul Add")
    check("fold-batchnorm", built(norm, (3, 4)), "Mul Add")


def test_batchnorm_leaves_a_convolution_others_read() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        y = conv(b, x, True)
        return b.add("Add", [norm(b, y), y])

    check("fold-batchnorm", built(build, IMAGE), "Conv Mul Add Add")


@pytest.mark.parametrize(
    ("op", "constant"),
    [
        ("Mul", ramp(6, 1, 1)),
        ("Mul", ramp(1, 6, 1, 1)),
        ("Mul", ramp()),
        ("Div", ramp(6, 1, 1)),
        ("Add", ramp(6, 1, 1)),
        ("Sub", ramp(1)),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_factors_and_shifts_go_into_a_convolution(op: str, constant: Any, bias: bool) -> None:
    def build(b: GraphBuilder, x: str) -> str:
        return b.add("Relu", [b.add(op, [conv(b, x, bias), b.constant("c", constant)])])

    check("fold-scale", built(build, IMAGE), "Conv Relu")


@pytest.mark.parametrize("constant", [ramp(5), ramp(5, 5), ramp(2, 1, 1, 1), ramp(3, 1, 1, 1, 1)])
def test_other_constants_stay_outside(constant: Any) -> None:
    def build(b: GraphBuilder, x: str) -> str:
        return b.add("Mul", [conv(b, x, True), b.constant("c", constant)])

    unchanged("fold-scale", built(build, IMAGE))


def test_a_constant_divided_stays() -> None:
    unchanged(
        "fold-scale",
        built(lambda b, x: b.add("Div", [b.constant("c", ramp()), conv(b, x, True)]), IMAGE),
    )


@pytest.mark.parametrize("turned", [0, 1])
def test_factors_go_into_the_columns_of_a_matmul(turned: int) -> None:
    def build(b: GraphBuilder, x: str) -> str:
        w = b.constant("w", ramp(3, 6) if turned else ramp(6, 3))
        y = b.add("MatMul", [x, w], {"trans_b": turned} if turned else {})
        return b.add("Relu", [b.add("Mul", [b.constant("c", ramp(3)), y])])

    check("fold-scale", built(build), "MatMul Relu")


def test_factors_and_shifts_merge() -> None:
    """What DenseNet holds: two affine maps in a row are one."""

    def build(b: GraphBuilder, x: str) -> str:
        y = b.add("Relu", [x])
        for i in range(3):
            y = b.add("Mul", [y, b.constant("a", ramp(4, 1) + i)])
            y = b.add("Sub" if i == 1 else "Add", [y, b.constant("b", ramp(4, 1) - i)])
        return b.add("Relu", [y])

    check("fold-scale", built(build), "Relu Mul Add Relu", 5e-6)


def test_infinite_constants_are_left_alone() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        mask = np.where(np.eye(6, dtype=bool), 0, -np.inf).astype(np.float32)
        return b.add("Add", [b.add("Add", [x, b.constant("a", ramp(6))]), b.constant("m", mask)])

    unchanged("fold-scale", built(build, (2, 6, 6)))


def test_padding_with_zeros_goes_into_the_convolution() -> None:
    def build(
        b: GraphBuilder, x: str, pads: tuple[int, ...], fill: float, mode: str = "constant"
    ) -> str:
        value = [b.constant("v", np.array(fill, np.float32))] if mode == "constant" else []
        return conv(b, b.add("Pad", [x, *value], {"pads": pads, "mode": mode}), True)

    around = (0, 0, 1, 0, 0, 0, 2, 3)
    after = check("fold-pad", built(lambda b, x: build(b, x, around, 0.0), IMAGE), "Conv")
    assert after.nodes[0].attrs["pads"] == (2, 1, 3, 4)
    unchanged("fold-pad", built(lambda b, x: build(b, x, around, 1.0), IMAGE))
    unchanged("fold-pad", built(lambda b, x: build(b, x, around, 0.0, "edge"), IMAGE))
    unchanged("fold-pad", built(lambda b, x: build(b, x, (0, 0, -1, 0, 0, 0, 0, 0), 0.0), IMAGE))
