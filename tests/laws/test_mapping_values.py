"""Any legal mapping computes what the graph computes.

How far a float may lie from the graph's own value is derived, not tuned. ``graph/bounds`` gives
for each element a bound on every evaluation that rounds each step to nearest in the tensor's
own format and sums in float32 in any order; that is what the engines do, with one exception.
The matrix engine has no float32: a product of f32 operands is made of three tf32 products.
An operand is split as x = h + l with h = x rounded to 11 significant bits, so |l| <= 2^-11 |x|;
on entry l is rounded to 11 bits as well, which loses at most 2^-11 |l| <= 2^-22 |x|. What is left
out is l l', at most 2^-22 |x x'|, and the roundings of l and l' in h' l and h l' lose at most
2^-22 |x x'| each. In all a term is off by at most 3 x 2^-22 = 12 x 2^-24 of its size, beside the
one float32 rounding of 2^-24: hence 13 x 2^-24 for float32 nodes below.

Steps inside an activation that round to f16 may land among f16's subnormals, which are 2^-24
apart: the sigmoid of Silu at -16 is a few of them, and Silu multiplies its error by 16. The
relative bound of such a step says nothing there. GRAIN, 2^-20, pays for it: 32 half steps, far
below one step of any result above 2^-10.

Integers and truth values that depend on no float have a bound of zero: bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mapping.drawing import graphs, inputs_of

from drawloom.chip.files import load_chip
from drawloom.execute.machine import execute
from drawloom.graph.bounds import Bounded, Machine, bounds, local_bounds
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph
from drawloom.mapping.options import MapOptions
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble

TX81 = load_chip("tx81")
OPTIONS = st.builds(MapOptions, fuse=st.booleans(), multicast=st.booleans())

GRAIN = 2.0**-20


@dataclass(frozen=True, slots=True)
class Tx81(Machine):
    """Float32 products are three tf32 products; see above."""

    def inner(self, dtype: DType) -> float:
        return 13.0 * 2.0**-24 if dtype is DType.F32 else Machine.inner(self, dtype)


def computed(graph: Graph, inputs: Mapping[str, Array], options: MapOptions) -> dict[str, Array]:
    return execute(assemble(map_graph(graph, TX81, options)), inputs)


def hold(graph: Graph, found: Mapping[str, Array], wanted: Mapping[str, Bounded]) -> None:
    for name in graph.outputs:
        kind, want = graph.types[name], wanted[name]
        got = found[name]
        assert got.dtype == kind.dtype.numpy and got.shape == kind.shape, name
        inside = want.holds(got)
        if kind.dtype is DType.F16:
            inside |= np.abs(got.astype(np.float64) - want.value) <= want.error + GRAIN
        assert inside.all(), (name, np.argwhere(~inside)[0].tolist(), got[~inside][0])


@settings(max_examples=25)
@given(graphs(max_nodes=6), OPTIONS, st.integers(0, 99))
def test_a_mapped_graph_computes_what_the_graph_computes(
    graph: Graph, options: MapOptions, seed: int
) -> None:
    inputs = inputs_of(graph, seed)
    hold(graph, computed(graph, inputs, options), bounds(graph, inputs, Tx81()))


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
        wanted.update(zip(node.outputs, local_bounds(node, operands, Tx81()), strict=True))
    hold(graph, found, wanted)


@pytest.mark.slow
@settings(max_examples=400)
@given(graphs(max_nodes=12), OPTIONS, st.integers(0, 99))
def test_large_graphs_compute_what_they_say(graph: Graph, options: MapOptions, seed: int) -> None:
    inputs = inputs_of(graph, seed)
    hold(graph, computed(graph, inputs, options), bounds(graph, inputs, Tx81()))
