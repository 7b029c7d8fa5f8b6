"""A graph cut into one graph a chip, with exchanges between: products by columns and rows, attention by heads.

    lie      how chips hold a value: whole, part (a slice along an axis), sum (to be added up)
    stage    what every chip computes by itself, then exchanges that all chips take part in

Going through the nodes in order, a product of a whole value and a weight is cut by its outputs, the
product behind it by its inputs; what it gives are sums, which are added up where they are used. All
other operators pass a cut on where it is along an axis that they do not mix, and else ask for whole
values. Nothing here is told which model it is.

A part need not be a chip's alone: where an axis has fewer parts than there are chips, as key heads
may, neighbours hold the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import gcd, prod

import numpy as np

from drawloom.errors import Fault, InputError
from drawloom.graph.build import infer_node
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr, Graph, Node
from drawloom.graph.lazy import Constants, Held, derive
from drawloom.graph.tensor import TensorType
from drawloom.plans import coded
from drawloom.plans.lie import FREE, SUM, WHOLE, Lie


@dataclass(frozen=True, slots=True)
class Exchange:
    """What all chips do between two stages with one value.

    Attributes:
        kind: ``sum``; ``scatter``, a sum of which each chip gets a slice; ``gather`` along ``axis``;
            ``spread`` and ``join``, in which chips that look at one key head go over from parts of
            the heads to parts of the rows, and back.
        source: what is exchanged.
        target: what comes of it.
        axis: of the parts.
        shape: of ``target`` on a chip.
        among: how many chips do it with each other; 0: all.
        addend: what is added to a sum or scatter; none: nothing.
    """

    kind: str
    source: str
    target: str
    axis: int = 0
    shape: tuple[int, ...] = ()
    among: int = 0
    addend: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the values that it reads."""
        return (self.source, self.addend) if self.addend else (self.source,)


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A graph for each chip, and the exchanges behind them."""

    graphs: tuple[Graph, ...]
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A graph cut for ``chips`` chips; ``lies`` says how inputs and outputs are held."""

    chips: int
    stages: tuple[Stage, ...]
    lies: Mapping[str, Lie]


def cut(
    graph: Graph, chips: int, held: int = 0, apart: int = 1, *, whole_experts: bool = False,
    context: bool = False, sliced: bool = False,
) -> Cut:  # fmt: skip
    """Return a graph cut for a number of chips.

    Args:
        graph: what to cut.
        chips: among how many.
        held: of how many chips, from the first on, the graphs are wanted; 0: of all.
        apart: how many chips share a key head and part the rows of its cache among them; 1: chips
            that share one hold all of it.
        whole_experts: whether chips have whole experts of a mixture, and not a slice of each.
        context: whether caches are cut along the context, and not by heads.
        sliced: whether each chip has some rows of what sums are added to, and not all of them.

    Raises:
        InputError: (``plan.cut``) an exchange would be needed that there is not.
    """
    cutter = Cutter(graph, chips, held or chips, apart, whole_experts, context, sliced)
    from drawloom.plans.cut_rules import apply

    for node in graph.nodes:
        apply(cutter, node)
    return cutter.finish()


@dataclass(slots=True)
class Cutter:
    """The cut in the making. Values keep their names; sums and slices of them get new ones."""

    graph: Graph
    chips: int
    held: int
    apart: int = 1
    whole_experts: bool = False
    context: bool = False
    sliced: bool = False
    types: dict[str, TensorType] = field(default_factory=dict[str, TensorType])  # of a chip's share
    lies: dict[str, Lie] = field(default_factory=dict[str, Lie])
    levels: dict[str, int] = field(default_factory=dict[str, int])
    constants: dict[str, tuple[Held, ...]] = field(default_factory=dict[str, tuple[Held, ...]])
    nodes: list[tuple[int, tuple[Node, ...]]] = field(
        default_factory=list[tuple[int, tuple[Node, ...]]]
    )
    exchanges: list[tuple[int, Exchange]] = field(default_factory=list[tuple[int, Exchange]])
    made: dict[tuple[str, Lie], str] = field(default_factory=dict[tuple[str, Lie], str])
    # Weights that are decoded: the nodes of the graph, of chips' parts, and where these stand.
    unpacks: dict[str, Node] = field(default_factory=dict[str, Node])
    decoders: dict[str, coded.Decoder] = field(default_factory=dict[str, coded.Decoder])
    pending: dict[str, coded.Pending] = field(default_factory=dict[str, coded.Pending])
    placed: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    # Of mixtures: what is picked of stacks of experts, and which places of a value are a chip's own.
    picks: dict[str, Node] = field(default_factory=dict[str, Node])
    owners: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Begin with inputs that lie nowhere yet, and whole constants."""
        for value in (*self.graph.inputs, *self.graph.constants):
            self.types[value] = self.graph.types[value]
            self.levels[value] = 0
        self.lies |= dict.fromkeys(self.graph.inputs, FREE)
        for name, held in self.graph.constants.held.items():
            self.lies[name] = WHOLE
            self.constants[name] = (held,) * self.held

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the whole shape of a value of the graph."""
        return self.graph.types[value].shape

    def lie(self, value: str) -> Lie:
        """Return how a value lies; an absent one is whole."""
        return self.lies[value] if value else WHOLE

    def part(self, axis: int, ways: int) -> Lie:
        """Return the lie of parts along an axis, which may be counted from behind."""
        return Lie("part", axis, ways)

    def need(self, value: str, want: Lie) -> str:
        """Return the name under which the chips hold a value as is wanted, made so if it is not."""
        if value in self.decoders:
            return coded.part(self, value, want)
        have = self.lie(value)
        if not value or have == want:
            return value
        if have is FREE:
            self.lies[value] = want
            if want.kind == "part":
                self.types[value] = self.share(self.graph.types[value], want)
            return value
        key = value, want
        if key not in self.made:
            self.made[key] = self._make(value, have, want)
        return self.made[key]

    def _make(self, value: str, have: Lie, want: Lie) -> str:
        if have.rows != want.rows and have.axis == want.axis:
            return self._turned(value, have, want)
        if want == WHOLE:
            if have.kind == "part" and (have.ways != self.chips or have.rows > 1):
                fault = Fault(value, f"{have.ways} parts on {self.chips} chips", "a part each")
                raise InputError("plan.cut", f"'{self.graph.name}' cannot be cut so", [fault])
            kind = "sum" if have == SUM else "gather"
            shape = self.graph.types[value].shape
            return self.exchange(value, Exchange(kind, value, f"{value}.{kind}", have.axis, shape))
        whole = self.need(value, WHOLE)
        name = f"{value}.part{want.axis}.{want.ways}.{want.rows}"
        kind = self.share(self.types[whole], want)
        if whole in self.constants and want.rows == 1:
            size = kind.shape[want.axis]
            cuts = [
                derive(held, partial(_slice, want.axis, self.index(chip, want) * size, size), kind)
                for chip, held in enumerate(self.constants[whole])
            ]
            self.constants[name] = tuple(cuts)
            self.types[name], self.levels[name], self.lies[name] = kind, 0, want
            return name
        self._sliced(whole, name, want, kind.shape)
        return name

    def sum(self, value: str, target: str, addend: str) -> None:
        """Add the exchange that adds up a value and something whole."""
        shape = self.graph.types[target].shape
        self.exchange(value, Exchange("sum", value, target, 0, shape, 0, addend))

    def scatter(self, value: str, target: str, addend: str) -> None:
        """Add the exchange that adds up a value and something that lies by rows, each chip's its own."""
        rows = self.rows
        shape = self.share(self.graph.types[target], rows).shape
        self.exchange(value, Exchange("scatter", value, target, 0, shape, 0, addend), rows)

    @property
    def rows(self) -> Lie:
        """Return the lie of what has some rows on each chip."""
        return self.part(0, self.chips)

    def _turned(self, value: str, have: Lie, want: Lie) -> str:
        """Add the exchange between parts of heads and parts of rows."""
        kind, rows = "spread" if have.rows == 1 else "join", self.shape(value)[0]
        if self.chips % self.apart or rows % self.apart:
            found = f"{self.apart} chips of {self.chips} for {rows} rows"
            fault = Fault("apart", found, "a number that divides both")
            raise InputError("plan.cut", f"'{self.graph.name}' cannot be cut so", [fault])
        name = f"{value}.{kind}"
        shape = self.share(self.graph.types[value], want).shape
        exchange = Exchange(kind, value, name, want.axis, shape, self.apart)
        return self.exchange(value, exchange, want)

    def _sliced(self, whole: str, name: str, want: Lie, shape: tuple[int, ...]) -> None:
        """Add a slice of a whole value, another one on each chip."""
        axes = sorted({want.axis, 0} if want.rows > 1 else {want.axis})
        nodes: list[Node] = []
        for chip in range(self.held):
            at = {want.axis: self.index(chip, want) * shape[want.axis]}
            if want.rows > 1:
                at[0] = chip % want.rows * shape[0]
            attrs: dict[str, Attr] = {
                "starts": tuple(at[axis] for axis in axes),
                "ends": tuple(at[axis] + shape[axis] for axis in axes), "axes": tuple(axes),
            }  # fmt: skip
            nodes.append(Node(name, "Slice", (whole,), (name,), attrs))
        self.add(tuple(nodes), want)

    def exchange(self, value: str, exchange: Exchange, lie: Lie = WHOLE) -> str:
        """Add an exchange of a value; return the name of what comes of it."""
        level = max(self.levels[each] for each in exchange.reads)
        self.exchanges.append((level, exchange))
        name = exchange.target
        self.types[name] = replace(self.types[value], shape=exchange.shape)
        self.levels[name], self.lies[name] = level + 1, lie
        return name

    def share(self, kind: TensorType, lie: Lie) -> TensorType:
        """Return the type of a chip's share."""
        if lie.kind != "part":
            return kind
        shape = kind.shape
        for axis, ways in ((lie.axis, lie.ways), (0, lie.rows)):
            assert shape[axis] % ways == 0, (kind, lie)
            shape = _with(shape, axis, shape[axis] // ways)
        return replace(kind, shape=shape)

    def index(self, chip: int, lie: Lie) -> int:
        """Return which part a chip has."""
        return chip * lie.ways // self.chips

    def ways(self, size: int) -> int:
        """Return into how many parts an axis can be cut."""
        return gcd(size, self.chips)

    def add(self, nodes: tuple[Node, ...], *lies: Lie) -> None:
        """Add a node, as each chip has it; ``lies`` are its outputs'."""
        first = nodes[0]
        known = (v for v in first.inputs if v and v not in self.pending)
        level = max((self.levels[v] for v in known), default=0)
        names = {v: self._decoded(v, level) for v in first.inputs if v in self.pending}
        if names:
            nodes = tuple(
                replace(node, inputs=tuple(names.get(v, v) for v in node.inputs)) for node in nodes
            )
            first = nodes[0]
        self.nodes.append((level, nodes))
        for value, kind, lie in zip(
            first.outputs, infer_node(first, self.types), lies, strict=True
        ):
            if value:
                self.types[value], self.levels[value], self.lies[value] = kind, level, lie

    def _decoded(self, value: str, level: int) -> str:
        """Return the name of a decoded weight where it is used, decoded there."""
        key = value, level
        if key not in self.placed:
            taken = any(name == value for name, _ in self.placed)
            name = self.placed[key] = f"{value}.at{level}" if taken else value
            for node in self.pending[value].named(name):
                self.nodes.append((level, (node,) * self.held))
                made = node.outputs[0]
                (self.types[made],) = infer_node(node, self.types)
                self.levels[made], self.lies[made] = level, self.lies[value]
        return self.placed[key]

    def hold(self, name: str, arrays: Sequence[Array]) -> None:
        """Add a constant, as each chip has it."""
        if name not in self.constants:
            self.constants[name] = tuple(arrays)
            self.types[name] = TensorType(DType.of(arrays[0].dtype), arrays[0].shape)
            self.levels[name], self.lies[name] = 0, WHOLE

    def is_weight(self, value: str) -> bool:
        """Whether a value is a constant, as it is or decoded."""
        return value in self.constants or value in self.decoders

    def keep(self, node: Node, inputs: tuple[str, ...], *lies: Lie, **attrs: object) -> None:
        """Add a node of the graph with other inputs, and some other attributes."""
        changed = replace(node, inputs=inputs, attrs={**node.attrs, **attrs})
        self.add((changed,) * self.held, *lies)

    def finish(self) -> Cut:
        """Return the cut: outputs that are sums are added up."""
        outputs = {v: self.need(v, WHOLE) if self.lie(v) == SUM else v for v in self.graph.outputs}
        for value, held in outputs.items():
            if held != value:
                self._rename(held, value)
        for value in self.graph.inputs:
            self.need(value, WHOLE if self.lies[value] is FREE else self.lies[value])
        top = max((*self.levels.values(), 0))
        stages = tuple(self._stage(level) for level in range(top + 1))
        ends = (*self.graph.inputs, *self.graph.outputs)
        return Cut(self.chips, stages, {value: self.lies[value] for value in ends})

    def _rename(self, held: str, value: str) -> None:
        """Give an output the sum of what has its name so far."""
        inner = f"{value}.addend"
        self.nodes = [
            (level, tuple(_renamed(node, value, inner) for node in nodes))
            for level, nodes in self.nodes
        ]
        self.exchanges = [
            (level, replace(e, source=inner, target=value) if e.target == held else e)
            for level, e in self.exchanges
        ]
        self.types[inner], self.levels[inner] = self.types[value], self.levels[value]
        self.types[value], self.levels[value] = self.types[held], self.levels[held]
        self.lies[value] = WHOLE

    def _stage(self, level: int) -> Stage:
        mine = [nodes for at, nodes in self.nodes if at == level]
        exchanges = tuple(e for at, e in self.exchanges if at == level)
        made = {v for nodes in mine for v in nodes[0].outputs if v}
        later = {v for at, nodes in self.nodes if at > level for v in nodes[0].inputs}
        later |= {v for _, e in self.exchanges for v in e.reads} | set(self.graph.outputs)
        read = dict.fromkeys(v for nodes in mine for v in nodes[0].inputs if v)
        constants = [v for v in read if v in self.constants]
        inputs = tuple(v for v in read if v not in made and v not in self.constants)
        outputs = tuple(
            v for v in dict.fromkeys(x for n in mine for x in n[0].outputs) if v in later
        )
        known = (*inputs, *constants, *made)
        graphs = tuple(
            Graph(
                f"{self.graph.name}.{level}", inputs, outputs, tuple(n[chip] for n in mine),
                {v: self.types[v] for v in known},
                Constants({v: self.constants[v][chip] for v in constants}),
            )
            for chip in range(self.held)
        )  # fmt: skip
        return Stage(graphs, exchanges)


def _renamed(node: Node, value: str, other: str) -> Node:
    if value not in node.inputs and value not in node.outputs:
        return node
    inputs = tuple(other if v == value else v for v in node.inputs)
    return replace(
        node, inputs=inputs, outputs=tuple(other if v == value else v for v in node.outputs)
    )


def _slice(axis: int, start: int, size: int, array: Array) -> Array:
    return np.ascontiguousarray(np.take(array, range(start, start + size), axis))


def _with(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def leading(before: tuple[int, ...], axis: int, after: tuple[int, ...], ways: int) -> int:
    """Return the axis of a reshaped value along which parts along ``axis`` lie; -1 if along none."""
    ahead = prod(before[:axis])
    for at, size in enumerate(after):
        if prod(after[:at]) == ahead and size % ways == 0:
            return at
    return -1
