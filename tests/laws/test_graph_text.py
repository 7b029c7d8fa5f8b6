"""Printing a graph and reading it back changes nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.strategies import graphs, inputs_of

from drawloom.errors import InputError
from drawloom.graph.build import rebuild
from drawloom.graph.evaluate import evaluate
from drawloom.graph.files import read_graph, write_graph
from drawloom.graph.ir import Graph
from drawloom.graph.text import parse, text


def same(a: Graph, b: Graph) -> bool:
    plain = (a.name, a.inputs, a.outputs, a.types) == (b.name, b.inputs, b.outputs, b.types)
    return plain and a.nodes == b.nodes and a.constants.keys() == b.constants.keys()


@given(graphs(names=True))
def test_parse_undoes_print(graph: Graph) -> None:
    again = parse(text(graph), graph.constants)
    assert same(graph, again)
    assert again.text() == graph.text()


@settings(max_examples=20)
@given(graphs(names=True))
def test_a_file_holds_the_graph_in_the_same_bytes(graph: Graph) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "a.graph", Path(folder) / "b.graph"
        write_graph(graph, first)
        again = read_graph(first)
        write_graph(again, second)
        assert same(graph, again)
        for name, array in graph.constants.items():
            assert array.tobytes() == again.constants[name].tobytes()
        assert first.read_bytes() == second.read_bytes()
        assert sorted(p.name for p in Path(folder).iterdir()) == ["a.graph", "b.graph"]


@settings(max_examples=30)
@given(graphs(max_nodes=2), st.data())
def test_a_damaged_file_is_refused_or_read_right(graph: Graph, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.graph"
        write_graph(graph, path)
        whole = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(whole) - 1))
        if data.draw(st.booleans()):
            del whole[at:]
        else:
            whole[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(whole)
        try:
            again = read_graph(path)
        except InputError:
            return
        assert again.text() == graph.text()


@settings(max_examples=20)
@given(graphs())
def test_rebuilding_without_change_computes_the_same(graph: Graph) -> None:
    again = rebuild(graph, lambda builder, node, inputs: None)
    inputs = inputs_of(graph, 1)
    before, after = evaluate(graph, inputs), evaluate(again, inputs)
    assert list(again.outputs) == list(graph.outputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(before[name], after[name])
