"""Graph to simpler graph with the same meaning: one class a pass, one line a pass here.

Every pass is a function of the graph alone; it returns the graph itself where
it has nothing to do. Values read by users keep their names: graph inputs and
outputs always, others where they still exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from drawloom.frontends.rewrite.activations import FuseActivations
from drawloom.frontends.rewrite.decompose import DecomposeLRN, DecomposeNorms
from drawloom.frontends.rewrite.fold import FoldBatchNorm, FoldPad, FoldScale
from drawloom.frontends.rewrite.moves import (
    GatherToSlice,
    MergeReshapes,
    MergeTransposes,
    TransposeIntoMatMul,
)
from drawloom.frontends.rewrite.norms import FuseLayerNorm, FuseRMSNorm
from drawloom.frontends.rewrite.tidy import DropCopies, DropDead, FoldConstants, MergeDuplicates
from drawloom.graph.ir import Graph


class Pass(Protocol):
    """Takes a graph, gives one with the same meaning."""

    name: ClassVar[str]
    """Its word in texts and on the command line."""

    def __call__(self, graph: Graph, /) -> Graph:
        """Return the graph rewritten, or itself."""
        ...


_ORDER: tuple[Pass, ...] = (
    DropDead(),
    FoldConstants(),
    DropCopies(),
    MergeDuplicates(),
    MergeTransposes(),
    MergeReshapes(),
    FuseActivations(),
    FuseLayerNorm(),
    FuseRMSNorm(),
    DecomposeNorms(),
    DecomposeLRN(),
    FoldBatchNorm(),
    FoldPad(),
    FoldScale(),
    TransposeIntoMatMul(),
    GatherToSlice(),
)

PASSES: dict[str, Pass] = {step.name: step for step in _ORDER}
"""Every pass with its default options, in the order ``simplify`` runs them."""

_MOST_ROUNDS = 50


def simplify(graph: Graph, passes: Sequence[Pass] = _ORDER) -> Graph:
    """Return the graph after running the passes over and over until none changes it."""
    for _ in range(_MOST_ROUNDS):
        before = graph
        for step in passes:
            graph = step(graph)
        if graph is before:
            return graph
    names = ", ".join(step.name for step in passes)
    raise AssertionError(f"'{graph.name}' never settles under {names}")


__all__ = ["PASSES", "Pass", "simplify"]
