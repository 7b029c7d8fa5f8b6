"""Any legal mapping computes what the graph computes.

How far a float may lie from the graph's own value is derived, not tuned: ``graph/bounds`` gives
for each element a bound on every evaluation that rounds each step to nearest in the tensor's
own format or better, sums in float32 in any order, and makes float32 products of three shorter
ones. That is what the engines do.

Integers and truth values that depend on no float have a bound of zero: bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mapping.drawing import graphs, inputs_of

from drawloom.chip.files import load_chip
from drawloom.execute.machine import execute
from drawloom.graph.bounds import Bounded, bounds, local_bounds
from drawloom.graph.ir import Array, Graph
from drawloom.mapping.options import MapOptions
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble

TX81 = load_chip("tx81")
OPTIONS = st.builds(MapOptions, fuse=st.booleans(), multicast=st.booleans(), resident=st.booleans())


def computed(graph: Graph, inputs: Mapping[str, Array], options: MapOptions) -> dict[str, Array]:
    return execute(assemble(map_graph(graph, TX81, options)), inputs)


def hold(graph: Graph, found: Mapping[str, Array], wanted: Mapping[str, Bounded]) -> None:
    for name in graph.outputs:
        kind, want = graph.types[name], wanted[name]
        got = found[name]
        assert (got.dtype, got.shape) == (kind.dtype.numpy, kind.shape), name
        inside = want.holds(got)
        assert inside.all(), (name, np.argwhere(~inside)[0].tolist(), got[~inside][0])


@settings(max_examples=25)
@given(graphs(max_nodes=6), OPTIONS, st.integers(0, 99))
def test_a_mapped_graph_computes_what_the_graph_computes(
    graph: Graph, options: MapOptions, seed: int
) -> None:
    inputs = inputs_of(graph, seed)
    hold(graph, computed(graph, inputs, options), bounds(graph, inputs))


@settings(max_examples=25)
@given(graphs(max_nodes=5, everything=True), OPTIONS, st.integers(0, 99))
def test_each_node_computes_what_it_says_of_what_it_was_given(
    graph: Graph, options: MapOptions, seed: int
) -> None:
    """Sharper for deep graphs: each node's bound is taken at the operands the chip itself had."""
    inputs = inputs_of(graph, seed)
    found = computed(graph, inputs, options)
    known = {**inputs, **graph.constants, **found}
    wanted: dict[str, Bounded] = {}
    for node in graph.nodes:
        operands = tuple(known[v] if v else None for v in node.inputs)
        wanted.update(zip(node.outputs, local_bounds(node, operands), strict=True))
    hold(graph, found, wanted)


@pytest.mark.slow
@settings(max_examples=400)
@given(graphs(max_nodes=12), OPTIONS, st.integers(0, 99))
def test_large_graphs_compute_what_they_say(graph: Graph, options: MapOptions, seed: int) -> None:
    inputs = inputs_of(graph, seed)
    hold(graph, computed(graph, inputs, options), bounds(graph, inputs))
