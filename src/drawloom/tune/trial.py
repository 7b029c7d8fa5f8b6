"""One piece of a graph by itself: mapped with a given cut, assembled, timed."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from drawloom.bound import bound
from drawloom.chip.model import Chip
from drawloom.errors import DoesNotFit
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, Node
from drawloom.graph.lazy import Constants, LazyTensor
from drawloom.mapping.cut.sizes import Cut, Work
from drawloom.mapping.options import MapOptions
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.timing import time

_DECODERS = ("DequantizeLinear", "UnpackInt4")
# Products of codes, which are done as they are only where no sum can be too large: that is in the values.
_CODED = ("QLinearConv", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True, slots=True)
class Bench:
    """Where trials are made: on which chip, for which software, by which mapper."""

    chip: Chip
    profile: str
    options: MapOptions


@dataclass(frozen=True, slots=True)
class Trial:
    """A piece that can be timed by itself.

    Attributes:
        graph: the nodes of the piece, under names that are alike for pieces that are alike.
        work: what the mapper makes of them; a graph of which it makes something else is no trial.
        bench: where it is made.
        bound_ps: what no program of the piece can go below.
    """

    graph: Graph
    work: Work
    bench: Bench
    bound_ps: int

    def time_ps(self, cut: Cut) -> int | None:
        """Return how long the piece takes when it is cut so; None where the mapper would not."""
        asked: list[Work] = []

        def choose(work: Work, *_: object) -> Cut:
            asked.append(work)
            return cut

        try:
            mapping = map_graph(self.graph, self.bench.chip, self.bench.options, choose)
        except DoesNotFit:
            return None
        if asked != [self.work]:
            return None
        return time(assemble(mapping), self.bench.chip, self.bench.profile).total_ps


def trial_of(
    bench: Bench, work: Work, nodes: Sequence[Node], stored: Container[str], graph: Graph
) -> Trial | None:
    """Return the trial of a piece; None where it cannot stand by itself.

    So it is where tiles hold values from piece to piece, or weights are picked by number: what such
    a piece costs depends on others.
    """
    if work.by_batch or work.by_rows or work.reserved or work.a_local or work.picked:
        return None
    alone = _alone([*_decoders(nodes[0], graph), *nodes], stored, graph)
    options = replace(bench.options, fold=False, resident=False, effort=1, tune_seed=0)
    return Trial(alone, work, replace(bench, options=options), bound(alone, bench.chip).ps)


def _decoders(node: Node, graph: Graph) -> list[Node]:
    """Return the nodes that make numbers of a product's codes, in order."""
    made = graph.producers()
    found: list[Node] = []
    value = node.inputs[1]
    while (maker := made.get(value)) is not None and maker.op in _DECODERS:
        found.insert(0, maker)
        value = maker.inputs[0]
    return found


def _alone(nodes: Sequence[Node], stored: Container[str], graph: Graph) -> Graph:
    """Return nodes as a graph of their own: values that others make are its inputs."""
    names: dict[str, str] = {"": ""}
    inputs: list[str] = []
    constants: dict[str, Array | LazyTensor] = {}
    inside = {value for node in nodes for value in node.outputs}
    renamed: list[Node] = []
    for number, node in enumerate(nodes):
        for value in (*node.inputs, *node.outputs):
            if value not in names:
                names[value] = f"v{len(names)}"
                if value in graph.constants:
                    constants[names[value]] = _constant(graph, value, whole=node.op in _CODED)
                elif value not in inside:
                    inputs.append(names[value])
        read, made = (tuple(names[v] for v in values) for values in (node.inputs, node.outputs))
        renamed.append(Node(f"n{number}", node.op, read, made, node.attrs))
    outputs = [v for n in nodes for v in n.outputs if v in stored] or list(nodes[-1].outputs)
    return Graph(
        "piece",
        tuple(inputs),
        tuple(names[v] for v in outputs),
        tuple(renamed),
        {name: graph.types[value] for value, name in names.items() if value},
        Constants(constants),
    )


def _constant(graph: Graph, value: str, *, whole: bool) -> Array | LazyTensor:
    """Return a constant for a trial: single numbers stand in commands, of others the type may be enough."""
    kind, held = graph.types[value], graph.constants.held[value]
    few = whole or kind.size == 1 or kind.dtype in (DType.I32, DType.I64)
    return held if few and (whole or not isinstance(held, LazyTensor)) else LazyTensor.meta(kind)
