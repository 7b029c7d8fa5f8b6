"""Attention in one piece lies within its bound, whatever its sizes, edges, mask and scratchpad."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mapping.test_flash import attention, small
from tests.reference import nodewise

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.mapping.pieces import FlashPiece
from drawloom.mapping.plan import map_graph
from drawloom.program.lower.parts import Act, acts, parts
from drawloom.program.lower.turns import shares, teams, turns

CHIPS = [nodewise.TX81, small(512)]
Sizes = tuple[int, int, int, int, int, int, int]


@st.composite
def sizes(draw: st.DrawFn) -> Sizes:
    groups = draw(st.integers(1, 3))
    return (
        draw(st.integers(1, 2)),
        groups * draw(st.integers(1, 3)),
        groups,
        draw(st.integers(2, 150)),
        draw(st.integers(1, 260)),
        draw(st.sampled_from([4, 10, 64, 96])),
        draw(st.sampled_from([6, 64, 80])),
    )


@st.composite
def edges(draw: st.DrawFn, queries: int, keys: int) -> dict[str, Any]:
    """Bounds by which every query still sees a key: the last key at the least."""
    offset = draw(st.integers(0, keys - 1))
    attrs: dict[str, Any] = {"offset": offset, "is_causal": draw(st.integers(0, 1))}
    least = max(0, queries - 1 + offset - (keys - 1))
    attrs["left_window"] = draw(st.one_of(st.just(-1), st.integers(least, least + keys)))
    attrs["right_window"] = draw(st.one_of(st.just(-1), st.integers(0, keys)))
    return attrs


@settings(max_examples=15)
@given(st.data(), sizes(), st.sampled_from([DType.F16, DType.BF16]), st.sampled_from(CHIPS))
def test_it_computes_what_the_graph_computes(
    data: st.DataObject, size: Sizes, dtype: DType, chip: Any
) -> None:
    batch, heads, _, queries, keys, _, _ = size
    attrs = data.draw(edges(queries, keys))
    whole = (batch, heads, queries, keys)
    shape = tuple(data.draw(st.sampled_from([1, n])) for n in whole[:3])
    kinds = data.draw(st.sampled_from([[], [DType.BOOL], [dtype]]))
    masks = [TensorType(kind, (*shape, keys)) for kind in kinds]
    graph = attention(size, dtype, attrs, *masks)
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    given = {
        name: (rng.normal(size=graph.types[name].shape) * 2).astype(graph.types[name].dtype.numpy)
        for name in graph.inputs
    }
    assert any(isinstance(p, FlashPiece) for p in map_graph(graph, chip).pieces)
    found = nodewise.judge(graph, given, chip=chip)
    assert [j.text() for j in found if j.broken] == []


@settings(max_examples=12)
@given(
    st.sampled_from([1, 2, 4, 8, 16]),
    st.integers(1, 4),
    st.integers(2, 500),
    st.integers(0, 300),
    st.sampled_from([None, 0, 70]),
    st.sampled_from([{}, {"is_causal": 1}]),
    st.sampled_from(CHIPS),
)
def test_no_tiles_of_a_team_wait_for_each_other_in_a_circle(
    groups: int, share: int, queries: int, more: int, left: int | None, causal: Any, chip: Any
) -> None:
    attrs = causal | {"offset": more} | ({} if left is None else {"left_window": left})
    graph = attention(
        (1, groups * share, groups, queries, queries + more, 16, 16), DType.F16, attrs
    )
    (piece,) = (p for p in map_graph(graph, chip).pieces if isinstance(p, FlashPiece))
    mine = shares(piece, chip.n_tiles)
    for team in teams(piece, chip.n_tiles):
        stays, visits = turns(piece, [mine[tile] for tile in team])
        found = parts(stays, len(team))
        numbers = {part: number for number, part in enumerate(found)}
        for own in visits:
            due = acts(found, own, len(team), 64)
            order = [(act, numbers[part]) for at in sorted(due) for act, part in due[at]]
            at = {event: place for place, event in enumerate(order)}
            assert len(order) == len(at) == 3 * len(found)
            for number in range(len(found)):
                begun, delivered, expected = (
                    at[act, number] for act in (Act.BEGIN, Act.DELIVER, Act.EXPECT)
                )
                assert begun < delivered < expected
                if number:
                    assert at[Act.BEGIN, number - 1] < min(delivered, expected)
                    assert at[Act.DELIVER, number - 1] < min(delivered, expected)
