"""What repeats in a graph: stretches of nodes that are alike but for names.

A deep model is one layer many times over. Nodes are alike when operator, attributes and types
are; a run of them repeats when, beside that, each operand is made at the same place of its own
repetition or of the one before it, or comes from outside: the same value for all, or constants
and inputs that differ by repetition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, Node
from drawloom.graph.lazy import LazyTensor, values

FEWEST_SAVED = 48
"""Nodes that a fold must save: a loop keeps layers apart, which short graphs do not gain by."""

LARGE_CODES = 1 << 10
"""Whole numbers from this many on are weights, not shapes, indices or axes."""

Slot = tuple[int, int]  # node of the body, output of the node


@dataclass(frozen=True, slots=True)
class Run:
    """``count`` times ``period`` nodes of a graph from node ``start`` on."""

    start: int
    period: int
    count: int

    @property
    def end(self) -> int:
        """The node behind the last repetition."""
        return self.start + self.period * self.count


@dataclass(frozen=True, slots=True)
class Found:
    """A run whose repetitions differ in names alone."""

    run: Run
    first: Mapping[Slot, str]  # what the first repetition reads in the place of a carried value
    reads: Mapping[tuple[int, int], Slot]  # which operands of which nodes are carried values
    twins: Mapping[str, tuple[str, ...]]


def find_runs(graph: Graph) -> list[Found]:
    """Return the runs of a graph that are worth a loop, in their order, none within another."""
    return sorted(_find(graph), key=lambda each: each.run.start)


def _find(graph: Graph) -> Iterator[Found]:
    kinds = _kinds(graph)
    index = _Index(graph)
    rest = [(0, len(graph.nodes))]
    while rest:
        low, high = rest.pop()
        found = next(
            (it for run in _candidates(index, kinds, low, high) if (it := _checked(index, run))),
            None,
        )
        if found:
            yield found
            rest += [(low, found.run.start), (found.run.end, high)]


# Candidates: runs of nodes that look alike.


def _kinds(graph: Graph) -> NDArray[np.int64]:
    """Return a number for each node, equal for nodes that look alike but for names."""
    known: dict[object, int] = {}
    types = graph.types

    def looks(node: Node) -> object:
        ins = tuple((types[v], v in graph.constants) if v else None for v in node.inputs)
        outs = tuple(types[v] if v else None for v in node.outputs)
        return node.op, repr(sorted(node.attrs.items())), ins, outs

    numbers = [known.setdefault(looks(node), len(known)) for node in graph.nodes]
    return np.array(numbers, np.int64)


def _candidates(index: _Index, kinds: NDArray[np.int64], low: int, high: int) -> Iterator[Run]:
    """Iterate over runs between two nodes worth a try: the longest, cut where least is carried."""
    part = kinds[low:high]
    best = (FEWEST_SAVED - 1, 0, 0, 0)
    for period in range(1, part.size // 2 + 1):
        start, length = _longest(part[period:] == part[:-period])
        saved = (length // period) * period
        if saved > best[0]:
            best = (saved, low + start, period, length + period)
    _, start, period, length = best
    if not period:
        return
    ways = range(start, start + period)
    for at in sorted(ways, key=lambda at: (index.carried_bytes(at, period), at))[:4]:
        count = (start + length - at) // period
        for skip, drop in ((0, 0), (1, 0), (0, 1), (1, 1)):
            run = Run(at + skip * period, period, count - skip - drop)
            if run.count >= 2 and (run.count - 1) * period >= FEWEST_SAVED:
                yield run


def _longest(true: NDArray[np.bool_]) -> tuple[int, int]:
    """Return where the longest stretch of true values starts, and its length."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], true, [False]))))
    if not edges.size:
        return 0, 0
    lengths = edges[1::2] - edges[::2]
    at = int(np.argmax(lengths))
    return int(edges[2 * at]), int(lengths[at])


class _Index:
    """Where each value of a graph is made and last read."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.made = {
            v: (i, k) for i, n in enumerate(graph.nodes) for k, v in enumerate(n.outputs) if v
        }
        self.last: dict[str, int] = {}
        for i, node in enumerate(graph.nodes):
            for value in node.inputs:
                self.last[value] = i

    def carried_bytes(self, at: int, period: int) -> int:
        """Bytes made in the repetition that begins at a node and read behind it."""
        end = at + period
        return sum(
            self.graph.types[v].bytes
            for node in self.graph.nodes[at:end]
            for v in node.outputs
            if self.last.get(v, -1) >= end
        )


# Checking: the repetitions must differ in names alone.


@dataclass(slots=True)
class _Check:
    index: _Index
    run: Run
    first: dict[Slot, str] = field(default_factory=dict[Slot, str])
    reads: dict[tuple[int, int], Slot] = field(default_factory=dict[tuple[int, int], Slot])
    twins: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def names(self, node: int, operand: int) -> list[str]:
        """An operand of a node of the body, in every repetition."""
        nodes = self.index.graph.nodes[self.run.start + node : self.run.end : self.run.period]
        return [n.inputs[operand] for n in nodes]

    def place(self, repetition: int, value: str) -> tuple[int, int, int] | None:
        """Return how many repetitions ago, and by which output of which node, a value was made."""
        made = self.index.made.get(value)
        if made is None or not self.run.start <= made[0] < self.run.end:
            return None
        ago, node = divmod(made[0] - self.run.start, self.run.period)
        return repetition - ago, node, made[1]

    def operand(self, node: int, operand: int) -> bool:
        """Take an operand as the repetitions read it; False where they do not agree."""
        names = self.names(node, operand)
        places = [self.place(i, name) for i, name in enumerate(names)]
        head, tail = places[0], set(places[1:])
        if len(tail) != 1:
            return False
        other = tail.pop()
        if head is not None:
            return head == other and head[0] == 0
        if other is not None:
            self.reads[node, operand] = other[1:]
            known = self.first.setdefault(other[1:], names[0])
            return other[0] == 1 and known == names[0]
        return len(set(names)) == 1 or self.twin(tuple(names))

    def twin(self, names: tuple[str, ...]) -> bool:
        """Take constants or inputs that stand in the same place of each repetition."""
        graph = self.index.graph
        if self.twins.get(names[0], names) != names:
            return False
        if all(name in graph.inputs for name in names):
            fresh = len(set(names)) == len(names)
            self.twins[names[0]] = names
            return fresh
        if not all(name in graph.constants for name in names):
            return False
        if _steers(graph, names[0]):
            return _equal(graph, names)
        self.twins[names[0]] = names
        return True

    def outputs(self) -> bool:
        """Take outputs of the graph that every repetition makes; False where only some do."""
        graph, run = self.index.graph, self.run
        results = set(graph.outputs)
        for node in range(run.period):
            nodes = graph.nodes[run.start + node : run.end : run.period]
            for k in range(len(nodes[0].outputs)):
                names = tuple(n.outputs[k] for n in nodes)
                shown = [bool(name) and name in results for name in names]
                if all(shown):
                    self.twins[names[0]] = names
                elif any(shown[:-1]):
                    return False
        return True

    def closed(self) -> bool:
        """Whether nothing outside the run reads what one repetition made, or its own inputs."""
        graph, run = self.index.graph, self.run
        inner = graph.nodes[run.start : run.end - run.period]
        own = {v for names in self.twins.values() for v in names if v in graph.inputs}
        others = (*graph.nodes[: run.start], *graph.nodes[run.end :])
        return all(
            self.index.last.get(v, -1) < run.end for node in inner for v in node.outputs
        ) and not any(own.intersection(node.inputs) for node in others)


def _checked(index: _Index, run: Run) -> Found | None:
    """Return the run with its names, or None where its repetitions are not alike."""
    it = _Check(index, run)
    body = index.graph.nodes[run.start : run.start + run.period]
    alike = all(
        it.operand(node, k) for node, first in enumerate(body) for k in range(len(first.inputs))
    )
    if not alike or not it.outputs() or not it.closed():
        return None
    carried = {body[node].outputs[k] for node, k in it.first}
    if carried & it.twins.keys():
        return None
    return Found(run, it.first, it.reads, it.twins)


def _steers(graph: Graph, name: str) -> bool:
    """Whether a constant's values decide what is done, not only what comes out."""
    kind = graph.types[name]
    codes = kind.dtype in (DType.I8, DType.U8) and kind.size >= LARGE_CODES
    return kind.size == 1 or not (kind.dtype.is_float or codes)


def _equal(graph: Graph, names: Sequence[str]) -> bool:
    held = [graph.constants.held[name] for name in dict.fromkeys(names)]
    if any(isinstance(each, LazyTensor) and each.is_meta for each in held):
        return False
    first = values(held[0]).tobytes()
    return all(values(each).tobytes() == first for each in held[1:])
