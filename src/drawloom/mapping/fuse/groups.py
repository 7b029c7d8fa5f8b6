"""Which nodes share a piece, and which layout each value lives in.

Nodes are taken in order. A matrix, norm or pool node opens a group; a body node joins the group
that makes one of its operands when everything else it needs comes from earlier groups and
the data has the same geometry, else it opens a strip. Groups run one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from drawloom.chip.model import Blocking
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Node
from drawloom.mapping.fuse.coded import Coded, find_coded
from drawloom.mapping.fuse.kinds import Kinds
from drawloom.mapping.fuse.quantized import is_convolution, keeps_blocks
from drawloom.mapping.fuse.rules import ROW_OPS
from drawloom.mapping.rewrite.fold import Folded
from drawloom.mapping.rewrite.legalise import broadcast_kind, is_flat
from drawloom.mapping.rewrite.picked import Picked, find_picked

_TURNS = ("Reshape", "Transpose", "Slice")  # moves that may be one with the move before
MAX_STEPS = 24  # nodes in a group: bounds the buffers of its body


@dataclass(slots=True)
class Group:
    """Nodes that become one piece; ``shape`` and ``layout`` are of its full-size data."""

    kind: str
    nodes: list[Node]
    layout: str
    shape: tuple[int, ...]
    made: set[str] = field(default_factory=set[str])
    segment: int = 0  # of the folded graph: only nodes of one segment share a piece
    by_batch: bool = False  # tiles share the work by batch alone
    by_rows: int = 0  # so many tiles share the work, by rows alone


@dataclass(slots=True)
class Plan:
    """Groups in order and the layout each value is stored in."""

    groups: list[Group]
    home: dict[str, str]
    coded: dict[str, Coded]  # weights that products decode, by the value they read
    picked: dict[str, Picked]  # weights that products pick by index, by the value they read


def group_nodes(folded: Folded, blocking: Blocking, *, fuse: bool) -> Plan:
    """Return the groups of a legal graph.

    A carried value enters a fold in the layout in which the fold makes it. What that is shows
    when the fold has been grouped, so a graph with folds is grouped twice.
    """
    entered: dict[str, str] = {}
    coded = find_coded(folded.graph, blocking)
    while True:
        plan = _Grouping(folded, blocking, coded, fuse, entered).run()
        made = {c.enter: plan.home[c.made] for fold in folded.folds for c in fold.carried}
        if entered or made == entered:
            return plan
        entered = made


class _Grouping:
    def __init__(
        self, folded: Folded, blocking: Blocking, coded: dict[str, Coded], fuse: bool,
        entered: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.blocking = blocking
        graph = self.graph = folded.graph
        self.fuse, self.entered = fuse, entered
        self.segments, self.first = folded.segments, 0
        self.coded = coded
        self.picked = find_picked(graph)
        decoders = {name for each in coded.values() for name in each.nodes}
        decoders |= {each.node for each in self.picked.values()}
        kinds = Kinds(graph, blocking, folded.carries, decoders)
        self.types, self.constants = graph.types, graph.constants
        self.kind = {node.name: kinds.of(node) for node in graph.nodes}
        self.home = dict.fromkeys(graph.inputs, "dense")
        self.group_of: dict[str, int] = {}
        self.groups: list[Group] = []
        self.users = graph.consumers()
        self.readers = Counter(v for node in graph.nodes for v in node.inputs)
        self.want = self._wanted()

    def run(self) -> Plan:
        for node in self.graph.nodes:
            kind = self.kind[node.name]
            if self.groups and self.groups[-1].segment != self.segments[node.name]:
                self.first = len(self.groups)
            if kind == "body":
                self._body(node)
            elif kind != "decoder":
                self._open(node, kind, self._layout_of(node, kind))
        return Plan(self.groups, self.home, self.coded, self.picked)

    def _wanted(self) -> dict[str, str]:
        """Which layout the readers of each value would like, found from the end backwards."""
        votes: dict[str, Counter[str]] = {}
        want: dict[str, str] = {}
        for node in reversed(self.graph.nodes):
            out = node.outputs[0]
            want[out] = _winner(votes.get(out))
            kind = self.kind[node.name]
            for position, value in enumerate(node.inputs):
                if value and value not in self.constants:
                    vote = self._vote(node, kind, position, want[out])
                    votes.setdefault(value, Counter())[vote] += 1
        return want

    def _vote(self, node: Node, kind: str, position: int, after: str) -> str:
        if kind == "matrix":
            return "image" if is_convolution(node) else "rows"
        if kind in ("pool", "norm"):
            return "image"
        if kind == "flash":
            return self._heads(node.inputs[position]) if position < 3 else "rows"
        if kind == "body":
            return self._needed(node) or ("rows" if after == "heads" else after)
        if kind == "carry":
            return after
        return "dense" if kind == "cpu" else ""

    def _layout_of(self, node: Node, kind: str) -> str:
        if kind == "matrix":
            return "image" if is_convolution(node) else "rows"
        if kind == "flash":
            out = node.outputs[0]
            kinds = {self.kind[user.name] for user in self.users.get(out, ())}
            return (
                self._heads(out) if kinds == {"move"} and out not in self.graph.outputs else "rows"
            )
        if kind in ("pool", "norm"):
            return "image"
        if kind == "cpu":
            return "dense"
        if kind == "carry" and node.name in self.entered:
            return self.entered[node.name]
        if kind == "carry":
            return self.home.get(node.inputs[0], "dense")
        layout = self._legal(self.want[node.outputs[0]], node.outputs[0])
        return "dense" if layout == "rows" and self._lies_well(node) else layout

    def _heads(self, value: str) -> str:
        """Return the layout in which heads are turned out of rows, and back in, for nothing.

        That of ``rows`` is the same where each matrix ends at a line.
        """
        kind = self.types[value]
        entries, _, rows, features = kind.shape
        whole = features % self.blocking.of(kind.dtype.bytes) == 0
        apart = entries > 1 or rows * features * kind.dtype.bytes % self.blocking.align
        return "heads" if whole and apart else "rows"

    def _lies_well(self, node: Node) -> bool:
        """Whether a reshape leaves rows of whole blocks, which are read as they lie."""
        kind, maker = self.types[node.outputs[0]], self.group_of.get(node.inputs[0])
        if maker is not None and self.groups[maker].kind == "move":
            # Several moves are one, which may leave all bytes where they are.
            return False
        block = self.blocking.of(kind.dtype.bytes)
        dense = node.op == "Reshape" and self.home.get(node.inputs[0]) == "dense"
        return dense and kind.shape[-1] % block == 0

    def _legal(self, layout: str, value: str) -> str:
        """Return the layout, or dense where a value cannot have it."""
        kind = self.types[value]
        if layout == "image" and len(kind.shape) < 3:
            return "dense"
        if layout == "rows" and len(kind.shape) < 2:
            return "dense"
        return layout if kind.dtype.bytes in (1, 2, 4) and layout else "dense"

    def _open(
        self, node: Node, kind: str, layout: str, shape: tuple[int, ...] | None = None
    ) -> None:
        out = self.types[node.outputs[0]].shape if shape is None else shape
        if kind == "move" and self._turns(node):
            group = self.groups[self.group_of[node.inputs[0]]]
            group.layout, group.shape = layout, out
            self._add(node, self.group_of[node.inputs[0]])
            return
        self.groups.append(Group(kind, [], layout, out, segment=self.segments[node.name]))
        self._add(node, len(self.groups) - 1)

    def _turns(self, node: Node) -> bool:
        """Whether a move goes on with what one before it gives to it alone."""
        value = node.inputs[0]
        index = self.group_of.get(value, -1)
        return (
            self.fuse and node.op in _TURNS and len(node.inputs) == 1 and index >= self.first
            and self.groups[index].kind == "move" and self.readers[value] == 1
            and value not in self.graph.outputs
        )  # fmt: skip

    def _add(self, node: Node, index: int) -> None:
        group = self.groups[index]
        group.nodes.append(node)
        for value in node.outputs:
            if value:
                group.made.add(value)
                self.group_of[value] = index
                self.home[value] = group.layout

    # Bodies.

    def _needed(self, node: Node) -> str:
        """The layout a body node cannot do without, or nothing."""
        shape = self._full_shape(node)
        if keeps_blocks(node, self.types, self.blocking):
            return "image"
        if node.op == "DequantizeLinear":
            return "image" if len(shape) == 4 else "rows"
        if is_flat(node, self.types) or len(shape) < 2:
            return "dense"
        if node.op in ROW_OPS:
            return "rows"
        for value in node.inputs:
            have = self.types[value].shape
            if have != shape:
                kind = broadcast_kind(have, shape, value in self.constants, flat=False)
                if kind in ("last", "stat", "batch"):
                    return "rows"
                if kind == "image":
                    return "image"
        return ""

    def _full_shape(self, node: Node) -> tuple[int, ...]:
        return self.types[node.inputs[0] if node.op in ROW_OPS else node.outputs[0]].shape

    def _body(self, node: Node) -> None:
        shape, needed = self._full_shape(node), self._needed(node)
        live = [v for v in node.inputs if v not in self.constants]
        index = max((self.group_of.get(v, -1) for v in live), default=-1)
        for at in (
            self._beside(node),
            index,
            len(self.groups) - 1 if self._reads_alike(live, shape) else -1,
        ):
            if self.fuse and at >= self.first and self._joins(node, self.groups[at], shape, needed):
                self._add(node, at)
                return
        layouts = Counter(self.home[v] for v in live if self.types[v].shape == shape)
        layout = needed or self._legal(_winner(layouts), node.outputs[0])
        layout = "rows" if layout == "heads" else layout
        if shape != self.types[node.outputs[0]].shape and not needed:
            layout = "rows"
        self._open(node, "strip", layout, shape)

    def _beside(self, node: Node) -> int:
        """Return the group in which numbers that a node makes of codes are used, where it stands.

        There the codes are read, which are fewer bytes.
        """
        out = node.outputs[0]
        coded = node.op == "DequantizeLinear" and self.types[node.inputs[0]].dtype is DType.I8
        users = self.users.get(out, []) if coded else []
        if len(users) != 1 or out in self.graph.outputs or self.kind[users[0].name] != "body":
            return -1
        others = [self.group_of.get(v, -1) for v in users[0].inputs if v != out]
        return max(others, default=-1)

    def _reads_alike(self, live: list[str], shape: tuple[int, ...]) -> bool:
        """Whether the latest group is a strip that loads the same data."""
        if not self.groups or self.groups[-1].kind != "strip":
            return False
        read = {v for node in self.groups[-1].nodes for v in node.inputs}
        return any(v in read and self.types[v].shape == shape for v in live)

    def _joins(self, node: Node, group: Group, shape: tuple[int, ...], needed: str) -> bool:
        if group.kind not in ("matrix", "norm", "strip") or len(group.nodes) >= MAX_STEPS:
            return False
        if needed not in ("", group.layout):
            return False
        if shape != group.shape:
            # Work on one value a row stays with the rows it was reduced from.
            rows = (*group.shape[:-1], 1)
            return (
                group.kind == "strip"
                and group.layout == "rows"
                and shape == rows
                and self._stats_only(node, rows)
            )
        if group.kind in ("matrix", "norm"):
            return node.op not in ROW_OPS and not self._has_stat(node, shape)
        return True

    def _stats_only(self, node: Node, rows: tuple[int, ...]) -> bool:
        return node.op not in ROW_OPS and all(
            self.types[v].shape == rows or (v in self.constants and self.types[v].size == 1)
            for v in node.inputs
        )

    def _has_stat(self, node: Node, shape: tuple[int, ...]) -> bool:
        return any(
            self.types[v].shape != shape
            and broadcast_kind(self.types[v].shape, shape, v in self.constants, flat=False)
            == "stat"
            for v in node.inputs
        )


def _winner(votes: Counter[str] | None) -> str:
    if not votes:
        return "dense"
    real = [(count, layout) for layout, count in votes.items() if layout]
    return max(real)[1] if real else "dense"
