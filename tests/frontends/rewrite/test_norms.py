from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.frontends.rewrite.pairs import built, check, ramp, unchanged

from drawloom.graph.build import GraphBuilder

Step = Callable[[GraphBuilder, str], str]


def number(b: GraphBuilder, value: float) -> str:
    return b.constant("n", np.array(value, np.float32))


def squared(b: GraphBuilder, x: str, spelled: str) -> str:
    return b.add("Mul", [x, x]) if spelled == "Mul" else b.add("Pow", [x, number(b, 2.0)])


def over_root(b: GraphBuilder, x: str, under: str, spelled: str) -> str:
    if spelled == "Div":
        return b.add("Div", [x, b.add("Sqrt", [under])])
    if spelled == "Pow":
        return b.add("Mul", [x, b.add("Pow", [under, number(b, -0.5)])])
    if spelled == "half":
        return b.add("Div", [x, b.add("Pow", [under, number(b, 0.5)])])
    if spelled == "one":
        return b.add("Mul", [b.add("Div", [number(b, 1.0), b.add("Sqrt", [under])]), x])
    return b.add("Mul", [x, b.add("Reciprocal", [b.add("Sqrt", [under])])])


def norm(
    b: GraphBuilder, x: str, centre: bool, square: str, root: str, axes: tuple[int, ...] = (-1,)
) -> str:
    attrs = {"axes": axes}
    if centre:
        x = b.add("Sub", [x, b.add("ReduceMean", [x], attrs)])
    mean = b.add("ReduceMean", [squared(b, x, square)], attrs)
    return over_root(b, x, b.add("Add", [mean, number(b, 1e-3)]), root)


@pytest.mark.parametrize("square", ["Mul", "Pow"])
@pytest.mark.parametrize("root", ["Div", "Pow", "half", "one", "Reciprocal"])
@pytest.mark.parametrize("affine", ["", "Mul", "Mul Add"])
def test_layernorm(square: str, root: str, affine: str) -> None:
    def build(b: GraphBuilder, x: str) -> str:
        y = norm(b, x, True, square, root)
        for op in affine.split():
            y = b.add(op, [b.constant("c", ramp(6)), y])
        return y

    after = check("fuse-layernorm", built(build), "LayerNormalization")
    assert after.nodes[0].attrs["axis"] == -1
    assert len(after.nodes[0].inputs) == (3 if "Add" in affine else 2)


@pytest.mark.parametrize("square", ["Mul", "Pow"])
@pytest.mark.parametrize("root", ["Div", "Reciprocal"])
def test_rmsnorm(square: str, root: str) -> None:
    def build(b: GraphBuilder, x: str) -> str:
        y = norm(b, x, False, square, root)
        return b.add("Mul", [y, b.constant("c", ramp(1, 6))])

    check("fuse-rmsnorm", built(build), "RMSNormalization")


def test_norms_over_several_axes() -> None:
    for centre, word in ((True, "layernorm"), (False, "rmsnorm")):
        op = {"layernorm": "LayerNormalization", "rmsnorm": "RMSNormalization"}[word]
        graph = built(lambda b, x, c=centre: norm(b, x, c, "Mul", "Div", (-2, -1)))
        assert check(f"fuse-{word}", graph, op).nodes[0].attrs["axis"] == -2
        unchanged(f"fuse-{word}", built(lambda b, x, c=centre: norm(b, x, c, "Mul", "Div", (1,))))


def test_one_is_not_the_other() -> None:
    unchanged("fuse-rmsnorm", built(lambda b, x: norm(b, x, True, "Mul", "Div")))
    unchanged("fuse-layernorm", built(lambda b, x: norm(b, x, False, "Mul", "Div")))


@pytest.mark.parametrize("scale", [ramp(4, 1), ramp(4, 6), ramp(2, 1, 1)])
def test_a_scale_for_other_axes_stays_outside(scale: Any) -> None:
    def build(b: GraphBuilder, x: str) -> str:
        return b.add("Mul", [norm(b, x, True, "Mul", "Div"), b.constant("c", scale)])

    check("fuse-layernorm", built(build), "LayerNormalization Mul")


def instance(b: GraphBuilder, x: str, op: str = "InstanceNormalization", **attrs: int) -> str:
    affine = [b.constant(w, ramp(b.types[x].shape[1]) - i) for i, w in enumerate(("scale", "bias"))]
    return b.add(op, [x, *affine], {"epsilon": 1e-3, **attrs})


def group(b: GraphBuilder, x: str) -> str:
    return instance(b, x, "GroupNormalization", num_groups=2)


@pytest.mark.parametrize("make", [instance, group])
def test_instance_and_group_norms_are_layernorms(make: Step) -> None:
    spelled = "Reshape LayerNormalization Reshape Mul Add"
    # Chips sum the pixels of an image as they lie, whatever the groups.
    images = spelled if make is instance else "GroupNormalization"
    check("decompose-norms", built(make, (2, 4, 3, 5)), images)
    lone = "LayerNormalization Mul Add" if make is instance else spelled
    check("decompose-norms", built(make, (2, 4, 7)), lone)


@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalization(p: int) -> None:
    def build(b: GraphBuilder, x: str) -> str:
        zeros = b.add("Mul", [x, b.constant("c", np.array([1, 0, 2, 0], np.float32).reshape(4, 1))])
        return b.add("LpNormalization", [zeros], {"axis": 2, "p": p})

    check("decompose-norms", built(build), f"Mul ReduceL{p} Equal Where Div")


@pytest.mark.parametrize("size", [1, 4, 5])
@pytest.mark.parametrize("shape", [(2, 6, 3, 3), (2, 6)])
def test_lrn(size: int, shape: tuple[int, ...]) -> None:
    attrs = {"size": size, "alpha": 0.7, "beta": 0.6, "bias": 2.0}
    ops = "Mul Mul Conv Pow Mul" if len(shape) > 2 else "Mul Mul Reshape Conv Reshape Pow Mul"
    check("decompose-lrn", built(lambda b, x: b.add("LRN", [x], attrs), shape), ops)


def test_lrn_with_a_negative_factor_stays() -> None:
    unchanged("decompose-lrn", built(lambda b, x: b.add("LRN", [x], {"size": 3, "alpha": -0.1})))
