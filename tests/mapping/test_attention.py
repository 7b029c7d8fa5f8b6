"""Attention on engines: heads that share keys, masks, windows, queries that see nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.reference import nodewise

from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.mapping.pieces import CpuPiece
from drawloom.mapping.plan import map_graph

TX81 = load_chip("tx81")
RNG = np.random.default_rng(3)


def masked(shape: tuple[int, ...], share: float = 0.6) -> Array:
    """A random mask of truth values; the last query of all sees nothing."""
    mask = RNG.random(shape) < share
    mask[..., -1, :] = False
    return mask


# name: batch, heads, key heads, queries, keys, features; attributes; mask
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any], Array | None]] = {
    "plain": ((2, 3, 3, 5, 7, 8), {}, None),
    "shared keys": ((2, 8, 2, 5, 9, 16), {}, None),
    "causal": ((1, 4, 2, 6, 6, 8), {"is_causal": 1}, None),
    "causal, behind a cache": ((2, 4, 2, 3, 10, 8), {"is_causal": 1, "offset": 7}, None),
    "causal, no key for the first": ((1, 2, 2, 5, 3, 8), {"is_causal": 1, "offset": -2}, None),
    "window": ((1, 2, 1, 9, 9, 8), {"left_window": 2, "right_window": 1}, None),
    "capped": ((1, 2, 1, 4, 6, 8), {"softcap": 3.0}, None),
    "scaled": ((1, 2, 2, 4, 6, 8), {"scale": 0.7}, None),
    "one query": ((3, 8, 2, 1, 33, 16), {}, masked((3, 1, 2, 33))[:, :, :1]),
    "a mask for each entry": ((3, 4, 2, 5, 7, 8), {}, masked((3, 1, 5, 7))),
    "a mask for each head": ((2, 4, 2, 5, 7, 8), {}, masked((1, 4, 5, 7))),
    "a mask for all": ((2, 4, 2, 5, 7, 8), {}, masked((5, 7))),
    "a mask of keys": ((2, 4, 2, 5, 7, 8), {}, masked((2, 1, 2, 7))[:, :, :1]),
    "a mask and a window that leave nothing": (
        (2, 4, 2, 5, 5, 8),
        {"is_causal": 1},
        np.broadcast_to(np.arange(5) > 1, (2, 1, 5, 5)).copy(),
    ),
    "a mask of queries, causal": ((2, 2, 2, 4, 6, 8), {"is_causal": 1}, masked((2, 1, 4, 1))),
    "a float mask": (
        (2, 4, 2, 5, 7, 8),
        {"is_causal": 1, "offset": 2},
        np.where(masked((2, 1, 5, 7)), RNG.normal(size=(2, 1, 5, 7)), -np.inf).astype(np.float32),
    ),
}


def graph_of(name: str, *, mask_is_constant: bool) -> tuple[Graph, dict[str, Array]]:
    (batch, heads, groups, queries, keys, size), attrs, mask = CASES[name]
    builder = GraphBuilder("attention")
    shapes = {
        "q": (batch, heads, queries, size),
        "k": (batch, groups, keys, size),
        "v": (batch, groups, keys, size + 2),
    }
    given = {v: RNG.normal(size=shape).astype(np.float32) for v, shape in shapes.items()}
    operands = [builder.input(v, TensorType(DType.F32, shape)) for v, shape in shapes.items()]
    if mask is not None and mask_is_constant:
        operands.append(builder.constant("mask", mask))
    elif mask is not None:
        operands.append(builder.input("mask", TensorType(DType.of(mask.dtype), mask.shape)))
        given["mask"] = mask
    return builder.finish([builder.add("Attention", operands, attrs, output="y")]), given


FORMS = [(name, False) for name in CASES] + [
    (name, True) for name, (_, _, mask) in CASES.items() if mask is not None
]


@pytest.mark.parametrize("precision", ["f32", "f16", "bf16"])
@pytest.mark.parametrize(("name", "mask_is_constant"), FORMS)
def test_attention_lies_within_its_bound(name: str, precision: str, mask_is_constant: bool) -> None:
    graph, given = graph_of(name, mask_is_constant=mask_is_constant)
    inside = nodewise.in_format(graph, precision)
    found = nodewise.judge(inside, given)
    assert [j.text() for j in found if j.broken] == []
    assert any(j.node.op == "Attention" for j in found)


@pytest.mark.parametrize("name", CASES)
def test_no_tile_processor_takes_part(name: str) -> None:
    graph, _ = graph_of(name, mask_is_constant=False)
    pieces = map_graph(nodewise.in_format(graph, "f16"), TX81).pieces
    assert [piece.op for piece in pieces if isinstance(piece, CpuPiece)] == []
