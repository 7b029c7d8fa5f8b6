"""A program that the checker leaves alone gives the same values in every legal order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.check.test_check import BY_HAND, TX81, compiled
from tests.execute.drawn import drawn_inputs
from tests.mapping.drawing import graphs

from drawloom.check import check
from drawloom.execute.hang import Hang
from drawloom.execute.orders import execute_orders
from drawloom.graph.ir import Graph
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.parse import parse

X = {"x": np.arange(8, dtype=np.float16).reshape(2, 4)}


@settings(max_examples=10, deadline=None)
@given(graphs(), st.integers(0, 1000))
def test_programs_of_random_graphs_give_the_same_in_all_orders(graph: Graph, seed: int) -> None:
    program = assemble(map_graph(graph, TX81))
    assert check(program, TX81) == ()
    found = execute_orders(program, drawn_inputs(program), 4, seed=seed, chip=TX81)
    assert [one.text() for one in found.partings] == []


@pytest.mark.parametrize("name", ["decode", "experts", "resnet", "vit"])
def test_compiled_networks_give_the_same_in_all_orders(name: str) -> None:
    program = compiled(name)
    found = execute_orders(program, drawn_inputs(program), 2, chip=TX81)
    assert [one.text() for one in found.partings] == []


def test_the_same_seed_draws_the_same_orders() -> None:
    program = parse(BY_HAND.replace("  join engines=vector\n", ""))
    several = [execute_orders(program, X, 20, seed=3).partings for _ in range(2)]
    assert [one.text() for one in several[0]] == [one.text() for one in several[1]]


@pytest.mark.parametrize(
    "line", ["  join engines=vector\n", "  wait flag=3\n"], ids=["join", "wait"]
)
def test_a_race_shows_in_values(line: str) -> None:
    found = execute_orders(parse(BY_HAND.replace(line, "")), X, 20, chip=TX81)
    assert {one.output for one in found.partings} == {"y"}
    assert len(found.partings) < 20  # and not in each order


def test_a_send_that_may_come_too_early_hangs_in_some_order() -> None:
    found = execute_orders(parse(BY_HAND.replace("  barrier tiles=0..1\n", "")), X, 20, chip=TX81)
    faults = [one.fault for one in found.partings]
    assert faults
    assert all(isinstance(fault, Hang) for fault in faults)
    assert "waits for  flag 3 armed on tile 1" in str(faults[0])


def test_a_value_that_nobody_wrote_shows() -> None:
    unwritten = BY_HAND.replace("a=0x0 dst", "a=0x400 dst")
    assert len(execute_orders(parse(unwritten), X, 4, chip=TX81).partings) == 3
