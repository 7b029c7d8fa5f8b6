"""Every value that a program makes, held to its node's own bound.

A bound on a whole network grows with its depth until it says nothing. So each node is judged
by itself: its operands are what the chip had, its reference is float64, its bound is derived
(``graph/bounds``). Nothing is tuned, and a fault in one node cannot hide behind another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.execute.machine import execute
from drawloom.frontends.rewrite import simplify
from drawloom.graph.bounds import Bounded, local_bounds
from drawloom.graph.ir import Array, Graph, Node
from drawloom.graph.rounding import wide
from drawloom.mapping.options import MapOptions
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.quantize.precision import to_precision

TX81 = load_chip("tx81")
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Judged:
    """One output of one node: the largest share of its bound that its error took."""

    node: Node
    value: str
    share: float  # max |error| / bound; inf where the bound is broken
    unbounded: int  # elements of which the bound says nothing
    broken: str  # the worst element outside its bound, in words; empty where none is

    def text(self) -> str:
        return f"{self.node.op} '{self.node.name}': {self.share:.3f} of its bound{self.broken}"


def in_format(graph: Graph, precision: str) -> Graph:
    """Return what is computed: simplified, every float in one format."""
    return to_precision(simplify(graph), precision)


def laid_open(graph: Graph) -> Graph:
    """Return the graph with every node's values among its outputs, so that the chip stores them."""
    made = tuple(v for node in graph.nodes for v in node.outputs if v)
    return replace(graph, outputs=made)


def run(
    graph: Graph, inputs: Arrays, options: MapOptions | None = None, chip: Chip = TX81
) -> dict[str, Array]:
    """Map, assemble, execute."""
    return execute(assemble(map_graph(graph, chip, options)), inputs)


def judge(
    graph: Graph, inputs: Arrays, options: MapOptions | None = None, chip: Chip = TX81
) -> list[Judged]:
    """Execute a graph with everything stored, and hold each node to its bound."""
    known = dict(graph.constants) | dict(inputs) | run(laid_open(graph), inputs, options, chip)
    found: list[Judged] = []
    for node in graph.nodes:
        operands = tuple(known[v] if v else None for v in node.inputs)
        for value, bound in zip(node.outputs, local_bounds(node, operands), strict=True):
            if value:
                found.append(_judged(node, value, bound, known[value]))
    return found


def _judged(node: Node, value: str, bound: Bounded, got: Array) -> Judged:
    assert got.shape == bound.value.shape, (node.name, got.shape, bound.value.shape)
    held = np.asarray(bound.holds(got))
    with np.errstate(all="ignore"):
        away = np.where(wide(got) == wide(bound.value), 0.0, np.abs(wide(got) - wide(bound.value)))
        share = np.where(away == 0, 0.0, away / bound.error)
    share = np.where(held, share, np.inf)
    broken = "" if held.all() else _worst(bound, got, held)
    unbounded = int(np.count_nonzero(np.isinf(bound.error)))
    return Judged(node, value, float(share.max(initial=0.0)), unbounded, broken)


def _worst(bound: Bounded, got: Array, held: Array) -> str:
    with np.errstate(all="ignore"):
        excess = np.where(held, 0.0, np.abs(wide(got) - wide(bound.value)) / bound.error)
    at = np.unravel_index(np.argmax(np.nan_to_num(excess, nan=np.inf)), excess.shape)
    return (
        f"; {np.count_nonzero(~held)} of {held.size} outside, worst at {tuple(map(int, at))}: "
        f"got {got[at]}, reference {bound.value[at]}, bound {bound.error[at]:.3g}"
    )
