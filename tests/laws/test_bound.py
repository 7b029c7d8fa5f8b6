"""The bound is one: no compiled program is quicker, and a part of a graph has no higher bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.laws.strategies import graphs as small_graphs
from tests.mapping.drawing import graphs as drawn_graphs

from drawloom.bound import bound, layer_bounds
from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.options import MapOptions
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.timing import time

TX81 = load_chip("tx81")
OPTIONS = st.builds(MapOptions, fuse=st.booleans(), multicast=st.booleans(), resident=st.booleans())
SIZES = st.sampled_from((1, 3, 17, 64, 100, 128, 300))


@st.composite
def products(draw: st.DrawFn) -> Graph:
    """A product, and perhaps a function of it."""
    builder = GraphBuilder("product")
    m, k, n = (draw(SIZES) for _ in range(3))
    dtype = draw(st.sampled_from((DType.F16, DType.BF16, DType.F32)))
    a = builder.input("a", TensorType(dtype, (m, k)))
    b = builder.input("b", TensorType(dtype, (k, n)))
    made = builder.add("MatMul", [a, b])
    if draw(st.booleans()):
        made = builder.add(draw(st.sampled_from(("Exp", "Tanh", "Gelu", "Sigmoid"))), [made])
    return builder.finish([made])


@given(st.one_of(products(), drawn_graphs(), small_graphs()), OPTIONS)
def test_no_program_is_quicker_than_the_bound(graph: Graph, options: MapOptions) -> None:
    least = bound(graph, TX81)
    program = assemble(map_graph(graph, TX81, options))
    for profile in TX81.profiles:
        assert time(program, TX81, profile).total_ps >= least.ps


@given(st.one_of(products(), drawn_graphs()))
def test_layers_need_no_more_than_the_whole(graph: Graph) -> None:
    names = {node.layer or node.name: node.layer or node.name for node in graph.nodes}
    whole, parts = bound(graph, TX81), layer_bounds(graph, TX81, names).values()
    assert sum(part.read_bytes for part in parts) <= whole.read_bytes
    assert sum(part.functions for part in parts) == whole.functions
    assert all(part.busiest_ps <= whole.busiest_ps for part in parts)
