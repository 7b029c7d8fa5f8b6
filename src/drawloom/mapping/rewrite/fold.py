"""A graph in which what repeats stands once.

A stretch of nodes that repeats with other constants, inputs and outputs is mapped once and
becomes a loop of the program: the graph is folded to its first repetition, and a ``Fold`` says
what the others are called.

    folded graph ::= before*, enter*, body*, leave*, after*

A value that each repetition takes from the one before it (the residual stream) is *carried*:
``enter`` is its name as the body reads it, ``leave`` as what follows the last repetition does.
Both are Identity nodes here; the mapper gives them bytes, not work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from drawloom.graph.ir import Graph, Node
from drawloom.mapping.rewrite.repeat import Found, Run, Slot, find_runs


@dataclass(frozen=True, slots=True)
class Carried:
    """A value that goes from repetition to repetition.

    Attributes:
        enter: its name as a repetition reads it.
        made: its name as a repetition makes it.
        leave: its name behind the last repetition.
    """

    enter: str
    made: str
    leave: str


@dataclass(frozen=True, slots=True)
class Fold:
    """A stretch of a folded graph that stands for ``count`` repetitions.

    Attributes:
        nodes: names of the body's nodes.
        count: how often they run.
        carried: what goes from repetition to repetition.
        twins: for each constant, input and output of the body that differs by repetition, its
            names in all of them, the first included.
    """

    nodes: frozenset[str]
    count: int
    carried: tuple[Carried, ...]
    twins: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Folded:
    """A graph in which what repeats stands once, and the folds in their order."""

    graph: Graph
    folds: tuple[Fold, ...] = ()

    @property
    def carries(self) -> dict[str, tuple[int, str, Carried]]:
        """For each node that enters or leaves a fold: the fold's number, which of both, what."""
        return {
            name: (at, way, each)
            for at, fold in enumerate(self.folds)
            for each in fold.carried
            for way, name in (("enter", each.enter), ("leave", each.leave))
        }

    @property
    def segments(self) -> dict[str, int]:
        """Where each node stands: 2i + 1 in the body of fold i, 2i outside before it."""
        bodies = {name: at for at, fold in enumerate(self.folds) for name in fold.nodes}
        out: dict[str, int] = {}
        now = 0
        for node in self.graph.nodes:
            at = bodies.get(node.name)
            now = now + now % 2 if at is None else 2 * at + 1
            out[node.name] = now
        return out

    @property
    def twins(self) -> dict[str, tuple[str, ...]]:
        """The names in all repetitions of each constant, input and output that has several."""
        return {name: names for fold in self.folds for name, names in fold.twins.items()}


def fold(graph: Graph) -> Folded:
    """Return the graph with its repeated stretches folded."""
    found = find_runs(graph)
    return _folded(graph, found) if found else Folded(graph)


def _folded(graph: Graph, found: Sequence[Found]) -> Folded:
    nodes: list[Node] = []
    types = dict(graph.types)
    now: dict[str, str] = {}
    folds: list[Fold] = []
    done = 0
    for it in found:
        nodes += (_reading(node, now) for node in graph.nodes[done : it.run.start])
        enters, body, leaves, one = _body(graph, it, now)
        nodes += [*enters, *body, *leaves]
        types |= {
            v: types[one_in]
            for n in (*enters, *leaves)
            for v, one_in in [(n.outputs[0], n.inputs[0])]
        }
        folds.append(one)
        done = it.run.end
    nodes += (_reading(node, now) for node in graph.nodes[done:])
    dropped = {name for one in folds for names in one.twins.values() for name in names[1:]}
    outputs = tuple(now.get(v, v) for v in graph.outputs if v not in dropped)
    inputs = tuple(v for v in graph.inputs if v not in dropped)
    kept = {v for node in nodes for v in node.outputs} | set(inputs) | set(graph.constants)
    small = Graph(
        graph.name,
        inputs,
        outputs,
        tuple(nodes),
        {v: kind for v, kind in types.items() if v in kept},
        graph.constants,
    )
    return Folded(small, tuple(folds))


def _reading(node: Node, now: Mapping[str, str]) -> Node:
    if not any(v in now for v in node.inputs):
        return node
    return replace(node, inputs=tuple(now.get(v, v) for v in node.inputs))


def _body(
    graph: Graph, it: Found, now: dict[str, str]
) -> tuple[list[Node], list[Node], list[Node], Fold]:
    """Return the nodes of a fold, and the fold; ``now`` learns the names that follow it."""
    run = it.run
    first = graph.nodes[run.start : run.start + run.period]
    last = graph.nodes[run.end - run.period : run.end]
    # What follows reads the last repetition's values where the body leaves them.
    pairs = zip(last, first, strict=True)
    now.update((v, w) for a, b in pairs for v, w in zip(a.outputs, b.outputs, strict=True) if v)
    enters: list[Node] = []
    leaves: list[Node] = []
    carried: dict[Slot, Carried] = {}
    for (node, k), source in it.first.items():
        made, layer = first[node].outputs[k], first[node].layer
        each = carried[node, k] = Carried(f"{made}.enter", made, f"{made}.leave")
        for name, operand, place in (
            (each.enter, now.get(source, source), enters),
            (each.leave, made, leaves),
        ):
            place.append(Node(name, "Identity", (operand,), (name,), {}, layer))
        now[last[node].outputs[k]] = each.leave
    body = [_body_node(graph, it, j, carried, now) for j in range(run.period)]
    names = frozenset(node.name for node in body)
    fold = Fold(names, run.count, tuple(carried.values()), dict(it.twins))
    return enters, body, leaves, fold


def _body_node(
    graph: Graph, it: Found, j: int, carried: Mapping[Slot, Carried], now: Mapping[str, str]
) -> Node:
    """Return a node of the first repetition as it stands for all."""
    node = graph.nodes[it.run.start + j]
    inputs = tuple(
        carried[it.reads[j, k]].enter if (j, k) in it.reads else now.get(v, v)
        for k, v in enumerate(node.inputs)
    )
    return replace(node, inputs=inputs, layer=_joined_layers(graph, it.run, j))


def _joined_layers(graph: Graph, run: Run, node: int) -> str:
    """Return the layer's name with the numbers that differ as a range: ``layers.0-31.mlp``."""
    nodes = graph.nodes[run.start + node : run.end : run.period]
    first, last = (n.layer or n.name for n in (nodes[0], nodes[-1]))
    parts = [first.split("."), last.split(".")]
    if len(parts[0]) != len(parts[1]):
        return first
    return ".".join(a if a == b else f"{a}-{b}" for a, b in zip(*parts, strict=True))
