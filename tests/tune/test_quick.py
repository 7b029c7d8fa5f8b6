"""Effort 1: a few trials of products of middling size, none of others."""

from __future__ import annotations

import numpy as np
import pytest

from drawloom.chip.files import load_chip
from drawloom.flow import compile
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.cut.ranked import ranked
from drawloom.mapping.cut.sizes import Cut, Work
from drawloom.mapping.options import MapOptions
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble
from drawloom.timing import time
from drawloom.tune import memory, quick
from drawloom.tune.trial import Trial

TX81 = load_chip("tx81")


def product(m: int, k: int, n: int) -> Graph:
    builder = GraphBuilder("product")
    a = builder.input("a", TensorType(DType.F16, (m, k)))
    b = builder.constant("b", np.ones((k, n), np.float16))
    return builder.finish([builder.add("MatMul", (a, b))])


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    time_ps = Trial.time_ps

    def watched(self: Trial, cut: Cut) -> int | None:
        made.append(memory.word(cut))
        return time_ps(self, cut)

    monkeypatch.setattr(Trial, "time_ps", watched)
    monkeypatch.setattr(quick, "_CHOSEN", {})
    return made


def test_finalists_are_tried_and_the_quickest_wins(timed: list[str]) -> None:
    graph = product(512, 256, 512)
    build = compile(graph)
    assert 2 <= len(timed) == len(set(timed)) <= 5
    by_prices = assemble(map_graph(graph, TX81))
    assert build.time().total_ps <= time(by_prices, TX81).total_ps
    tried = len(timed)
    assert mapping_text(compile(graph).mapping) == mapping_text(build.mapping)
    assert len(timed) == tried  # nothing is tried twice
    compile(graph, mapping=MapOptions(multicast=False))
    assert len(timed) > tried


@pytest.mark.parametrize(("rows", "effort"), [(64, 1), (512, 0)])
def test_small_products_and_no_effort_take_no_trial(
    rows: int, effort: int, timed: list[str]
) -> None:
    compile(product(rows, 256, 512), mapping=MapOptions(effort=effort))
    assert timed == []


def test_panels_are_among_the_ranked_ways() -> None:
    works: list[Work] = []

    def choose(work: Work, *_: object) -> None:
        works.append(work)

    map_graph(product(512, 512, 512), TX81, None, choose)
    ways = ranked(works[0], TX81, multicast=True)
    assert {way.panel is None for way in ways} == {True, False}
    kinds = [(way.grid, way.chunk[:2], way.panel) for way in ways if way.panel]
    assert len(kinds) == len(set(kinds))


def test_a_convolution_of_codes_is_tried_with_its_values(
    timed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether codes are done as they are is in the values: a trial without them would be another piece."""
    monkeypatch.setattr(quick, "FINALISTS", 1)
    builder = GraphBuilder("codes")
    x = builder.input("x", TensorType(DType.I8, (1, 256, 32, 32)))
    one, none = np.ones((), np.float32), np.zeros((), np.int8)
    held = {
        "one": one, "zero": none, "w": np.ones((256, 256, 1, 1), np.int8),
        "scales": np.full(256, 2.0**-9, np.float32), "zeros": np.zeros(256, np.int8),
    }  # fmt: skip
    at = {name: builder.constant(name, value) for name, value in held.items()}
    given = (x, at["one"], at["zero"], at["w"], at["scales"], at["zeros"], at["one"], at["zero"])
    compile(builder.finish([builder.add("QLinearConv", given)]), TX81)
    assert len(timed) == 2
