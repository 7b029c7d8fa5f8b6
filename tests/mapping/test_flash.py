"""Attention as one piece: what it computes, what it holds, and how its work is shared out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.reference import nodewise

from drawloom.check import check
from drawloom.chip.files import load_chip, parse_chip
from drawloom.chip.model import Chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.pieces import FlashPiece, Piece
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble
from drawloom.program.commands import Read
from drawloom.program.extents import moved_bytes
from drawloom.program.lower.turns import shares, teams, turns
from drawloom.program.roll import unroll

TX81 = load_chip("tx81")
RNG = np.random.default_rng(5)
Sizes = tuple[int, int, int, int, int, int, int]

# batch, heads, key heads, queries, keys, features, features of a value; attributes
CASES: dict[str, tuple[Sizes, dict[str, Any]]] = {
    "causal, a tail of queries": ((1, 2, 2, 150, 150, 64, 64), {"is_causal": 1}),
    "shared keys, behind a cache": ((1, 4, 2, 70, 200, 64, 80), {"is_causal": 1, "offset": 130}),
    "few of everything": ((2, 3, 3, 5, 7, 10, 12), {}),
    "a window": ((1, 2, 1, 200, 200, 32, 32), {"left_window": 70, "right_window": 3}),
    "a causal window": ((1, 2, 2, 130, 130, 16, 16), {"is_causal": 1, "left_window": 20}),
    "two queries": ((2, 8, 2, 2, 300, 64, 64), {"is_causal": 1, "offset": 298}),
    "looking ahead alone": ((1, 1, 1, 70, 90, 16, 16), {"right_window": 9, "scale": 0.3}),
}


def small(kib: int) -> Chip:
    """A chip whose tiles hold too little for all keys."""
    return parse_chip(f"extends: tx81\nscratchpad: {{bytes: {kib} KiB}}\n", "small.chip.yaml")


def attention(sizes: Sizes, dtype: DType, attrs: dict[str, Any], *mask: TensorType) -> Graph:
    batch, heads, groups, queries, keys, features, values = sizes
    builder = GraphBuilder("attention")
    kinds = {
        "q": TensorType(dtype, (batch, heads, queries, features)),
        "k": TensorType(dtype, (batch, groups, keys, features)),
        "v": TensorType(dtype, (batch, groups, keys, values)),
    }
    kinds |= dict(zip(("mask",), mask, strict=False))
    operands = [builder.input(name, kind) for name, kind in kinds.items()]
    return builder.finish([builder.add("Attention", operands, attrs, output="y")])


def drawn(graph: Graph) -> dict[str, Array]:
    """Random inputs; a few queries and keys stand out, so that some weights are sharp."""
    out: dict[str, Array] = {}
    for name in graph.inputs:
        kind = graph.types[name]
        given = RNG.normal(size=kind.shape)
        if kind.dtype is DType.BOOL:
            out[name] = given < 0.5
            out[name][..., 0] = True
        else:
            out[name] = (given * np.where(RNG.random(kind.shape) < 0.1, 3.0, 1.0)).astype(
                kind.dtype.numpy
            )
    return out


def pieces(graph: Graph, chip: Chip = TX81) -> tuple[Piece, ...]:
    return map_graph(graph, chip).pieces


def flash(graph: Graph, chip: Chip = TX81) -> FlashPiece:
    (piece,) = (p for p in pieces(graph, chip) if isinstance(p, FlashPiece))
    return piece


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16])
@pytest.mark.parametrize("name", CASES)
def test_one_piece_computes_attention_within_its_bound(name: str, dtype: DType) -> None:
    sizes, attrs = CASES[name]
    graph = attention(sizes, dtype, attrs)
    assert [type(p) for p in pieces(graph)] == [FlashPiece] or sizes[5] % 64
    found = nodewise.judge(graph, drawn(graph))
    assert [j.text() for j in found if j.broken] == []
    assert [j.node.op for j in found if not j.unbounded] == ["Attention"]


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16])
@pytest.mark.parametrize(
    ("sizes", "attrs", "kib", "units"),
    [
        ((1, 2, 2, 300, 300, 64, 64), {"is_causal": 1}, 384, 1),
        ((1, 2, 2, 700, 700, 64, 64), {"is_causal": 1}, 720, 8),
        ((1, 4, 1, 2, 700, 64, 64), {}, 384, 16),
        ((1, 2, 1, 600, 900, 64, 32), {"left_window": 350, "offset": 200}, 704, 16),
    ],
)
def test_keys_that_do_not_fit_at_once_are_gone_over_in_spans(
    sizes: Sizes, attrs: dict[str, Any], kib: int, units: int, dtype: DType
) -> None:
    graph, chip = attention(sizes, dtype, attrs), small(kib)
    piece = flash(graph, chip)
    assert piece.span < sizes[4]
    assert piece.units == units
    found = nodewise.judge(graph, drawn(graph), chip=chip)
    assert [j.text() for j in found if j.broken] == []


@pytest.mark.parametrize(
    "shape", [(1, 1, 70, 130), (2, 1, 1, 130), (1, 4, 70, 130), (2, 4, 70, 130), (130,)]
)
def test_masks_of_any_shape(shape: tuple[int, ...]) -> None:
    graph = attention((2, 4, 2, 70, 130, 64, 64), DType.BF16, {}, TensorType(DType.BOOL, shape))
    assert flash(graph).mask is not None
    found = nodewise.judge(graph, drawn(graph))
    assert [j.text() for j in found if j.broken] == []


def test_numbers_as_a_mask_are_added_to_the_scores_over_several_spans() -> None:
    sizes, kind = (1, 2, 2, 100, 300, 64, 64), TensorType(DType.F16, (1, 1, 100, 300))
    graph, chip = attention(sizes, DType.F16, {"is_causal": 1, "offset": 200}, kind), small(384)
    piece = flash(graph, chip)
    assert piece.span < 300
    found = nodewise.judge(graph, drawn(graph), chip=chip)
    assert [j.text() for j in found if j.broken] == []


@pytest.mark.parametrize(
    ("sizes", "dtype", "attrs"),
    [
        ((1, 1, 1, 4, 4, 8, 8), DType.F32, {}),
        ((1, 1, 1, 4, 4, 8, 8), DType.F16, {"softcap": 3.0}),
        ((1, 1, 1, 5, 3, 8, 8), DType.F16, {"is_causal": 1, "offset": -2}),
        ((1, 1, 1, 4, 4, 300, 8), DType.F16, {}),
        ((1, 4, 1, 1, 700, 64, 64), DType.F16, {}),
    ],
)
def test_what_one_piece_does_not_do_stays_in_parts(
    sizes: Sizes, dtype: DType, attrs: dict[str, Any]
) -> None:
    found = pieces(attention(sizes, dtype, attrs))
    assert not any(isinstance(p, FlashPiece) for p in found)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("chip", [TX81, small(384)], ids=["tx81", "small"])
def test_each_query_meets_each_of_its_keys_once(name: str, chip: Chip) -> None:
    sizes, attrs = CASES[name]
    piece = flash(attention(sizes, DType.F16, attrs), chip)
    batch, heads, _, queries, keys, _, _ = sizes
    met = np.zeros((batch * heads, queries, keys), dtype=np.int64)
    mine = shares(piece, chip.n_tiles)
    for team in teams(piece, chip.n_tiles):
        stays, found = turns(piece, [mine[tile] for tile in team])
        for visit in (v for own in found for v in own if not v.pauses):
            unit, stay = visit.unit, stays[visit.stay]
            assert stay.held == unit.matrix // (piece.heads // piece.groups)
            assert stay.first <= visit.low < visit.high <= stay.end <= stay.first + piece.span
            met[unit.matrix, unit.first : unit.end, visit.low : visit.high] += 1
    assert met.max() == 1
    at, key = np.arange(queries)[:, None], np.arange(keys)
    sees = np.ones((queries, keys), dtype=bool)
    if piece.ahead is not None:
        sees &= key <= at + piece.ahead
    if piece.behind is not None:
        sees &= key >= at - piece.behind
    assert np.all(met[:, sees] == 1)


@pytest.mark.parametrize(
    ("sizes", "attrs", "kib", "team"),
    [
        ((1, 4, 4, 520, 520, 16, 16), {"is_causal": 1}, 3072, 4),
        ((1, 16, 8, 130, 330, 32, 64), {"offset": 200, "is_causal": 1}, 3072, 2),
        ((1, 2, 2, 1000, 1000, 8, 8), {"left_window": 300, "right_window": 70}, 384, 8),
        ((1, 9, 1, 250, 700, 64, 64), {}, 768, 16),
    ],
)
def test_a_team_loads_keys_together(
    sizes: Sizes, attrs: dict[str, Any], kib: int, team: int
) -> None:
    graph, chip = attention(sizes, DType.BF16, attrs), small(kib)
    piece = flash(graph, chip)
    assert piece.team == team
    program = assemble(map_graph(graph, chip))
    read = [c for stream in program.streams for c in unroll(stream) if isinstance(c, Read)]
    held = range(piece.k.address, piece.k.address + piece.k.bytes)
    keys = [c for c in read if c.dram in held]
    if piece.span >= sizes[4]:
        assert sum(moved_bytes(c.inner, c.dims) for c in keys) == piece.k.bytes
    # A select leaves what its mask does not choose: scores under it are not lost.
    kept = [f for f in check(program, chip) if f.rule != "lost" or "Select" not in str(f.other)]
    assert kept == []
    found = nodewise.judge(graph, drawn(graph), chip=chip)
    assert [j.text() for j in found if j.broken] == []


def test_tiles_have_about_the_same_to_do() -> None:
    piece = flash(attention((1, 7, 7, 1024, 1024, 64, 64), DType.BF16, {"is_causal": 1}))
    work = [sum(u.high - u.low for u in mine) for mine in shares(piece, TX81.n_tiles)]
    assert sum(work) == 7 * sum(64 * (i + 1) for i in range(16))
    assert max(work) <= 1.25 * sum(work) / TX81.n_tiles


def test_a_mapping_with_it_reads_back() -> None:
    kind = TensorType(DType.BF16, (1, 1, 70, 130))
    graph = attention((2, 4, 2, 70, 130, 64, 64), DType.BF16, {"left_window": 9}, kind)
    mapping = map_graph(graph, TX81)
    text = mapping_text(mapping)
    again = parse_mapping(text, mapping.graph, TX81)
    assert again.pieces == mapping.pieces
    assert mapping_text(again) == text
