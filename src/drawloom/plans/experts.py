"""A chip's share of a decode step whose mixtures have whole experts: a part of them on each chip.

    here   all chips have all tokens, behind a layer's first sum: each runs its own experts on all of
           them, weighted by gates that are 0 but for the chosen, and the second sum adds up what they give
    sent   each chip attends to its own sequences and chooses their experts; tokens go to the chips that
           have these, and what they make of them comes back: two all-to-alls a layer and no sum

What a chip does is here as a graph for its time: its experts are the first ones, and of what is sent
each is taken to get as much. So this graph is never run for values.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from drawloom.frontends.hf.config import Config
from drawloom.graph.build import GraphBuilder
from drawloom.graph.ir import Attr, Graph, Node
from drawloom.graph.lazy import LazyTensor

HERE, SENT = "here", "sent"
_COUNTS = ("n_routed_experts", "num_local_experts", "num_experts")


def experts_of(config: Config) -> int:
    """Return how many experts a mixture of a model has; 0 where it has none."""
    return next((int(n) for key in _COUNTS if (n := getattr(config.figures, key, None))), 0)


def chosen_of(config: Config) -> int:
    """Return how many experts a token chooses; 0 where there are none."""
    return int(getattr(config.figures, "num_experts_per_tok", 0) or 0)


def mixed_layers(config: Config, layers: int) -> int:
    """Return how many of a stage's layers are mixtures, if its first ones are not."""
    return layers - min(layers, int(getattr(config.figures, "first_k_dense_replace", 0) or 0))


def own_experts(graph: Graph, ways: int, kind: str) -> Graph:
    """Return a step's share with one of ``ways`` parts of the experts.

    Args:
        graph: the step, its experts whole.
        ways: chips that have different experts.
        kind: ``here`` or ``sent``.
    """
    stacks = {
        v
        for n in graph.nodes
        for v in n.inputs
        if v in graph.constants and len(graph.types[v].shape) == 3 and n.op in ("Gather", "MatMul")
    }
    stacks = {v for v in stacks if graph.types[v].shape[0] % ways == 0 and "experts" in v}
    shared = _shared(graph, ways) if kind == HERE else {}
    maker = _Maker(graph, GraphBuilder(f"{graph.name}.experts{ways}"), ways, kind)
    for value in graph.inputs:
        maker.builder.input(value, graph.types[value])
    for value, held in graph.constants.held.items():
        if value in stacks:
            whole = graph.types[value]
            part = replace(whole, shape=(whole.shape[0] // ways, *whole.shape[1:]))
            maker.builder.constant(value, LazyTensor.meta(part))
        elif value in shared:
            part = replace(graph.types[value], shape=shared[value])
            maker.builder.constant(value, LazyTensor.meta(part))
        else:
            maker.builder.constant(value, held)
    maker.now = {value: value for value in (*graph.inputs, *graph.constants, "")}
    for node in graph.nodes:
        maker.node(node, stacks)
    return maker.builder.finish([maker.now[value] for value in graph.outputs])


def _shared(graph: Graph, ways: int) -> dict[str, tuple[int, int]]:
    """Return the weights of experts that every token goes to, cut as an MLP is, by their shapes."""
    made: dict[str, tuple[int, int]] = {}
    for node in graph.nodes:
        name = node.inputs[1] if node.op == "MatMul" else ""
        if ".shared_experts." in name and name in graph.constants:
            rows, columns = graph.types[name].shape
            last = ".down_proj." in name
            made[name] = (rows // ways, columns) if last else (rows, columns // ways)
    return made


@dataclass(slots=True)
class _Maker:
    """The share in the making.

    ``picked`` has the stack of what is picked, ``chosen`` the experts and ``made`` the results of a
    mixture in another form than they had.
    """

    graph: Graph
    builder: GraphBuilder
    ways: int
    kind: str
    now: dict[str, str] = field(default_factory=dict[str, str])
    picked: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    made: set[str] = field(default_factory=set[str])

    def node(self, node: Node, stacks: set[str]) -> None:
        """Add a node of the step, as the share has it."""
        value, graph = node.outputs[0], self.graph
        if node.op == "Gather" and node.inputs[0] in stacks:
            self.picked[value] = node.inputs[0], node.inputs[1]
        elif node.op == "MatMul" and node.inputs[1] in self.picked:
            self._product(node)
        elif node.op == "Reshape" and node.inputs[0] in self.made:
            self._results(node)
        elif node.op == "MatMul" and node.inputs[1] in self.made and self.kind == HERE:
            self._sum(node)
        elif self._is_gates_of_all(node, stacks):
            first = self._first(
                self.now[node.inputs[0]], graph.types[value].shape[0] // self.ways, 0
            )
            shape = (graph.types[value].shape[0] // self.ways, *graph.types[value].shape[1:])
            self.now[value] = self._add("Reshape", (first,), value, shape=shape)
        else:
            made = self.builder.keep(node, [self.now[v] for v in node.inputs])
            self.now |= zip(node.outputs, made, strict=True)
            if any(v in self.made for v in node.inputs):
                self.made.add(value)

    def _product(self, node: Node) -> None:
        """Multiply rows by the chip's own experts: all rows by each, or those that came for it."""
        (stack, experts), operand = self.picked[node.inputs[1]], node.inputs[0]
        x = self.now[operand]
        if operand not in self.made:
            x = self._rows(x, stack, experts)
        held = self.builder.types[stack].shape[0]
        used = min(held, self.builder.types[x].shape[0]) if self.kind == SENT else held
        name = stack if used == held else self._first(stack, used, 0)
        self.now[node.outputs[0]] = self._add("MatMul", (x, name), node.outputs[0])
        self.made.add(node.outputs[0])

    def _rows(self, x: str, stack: str, experts: str) -> str:
        """Return the rows that the chip's experts work on."""
        tokens, chosen = self.graph.types[experts].shape
        width = self.builder.types[x].shape[-1]
        name = f"{x}.rows"
        if name in self.builder.types:
            return name
        if self.kind == HERE:
            return self._add("Reshape", (x,), name, shape=(tokens, width))
        each = self._add("Reshape", (x,), f"{name}.one", shape=(tokens, 1, width))
        copies = self._add("Concat", (each,) * chosen, f"{name}.each", axis=1)
        places, held = tokens * chosen, self.builder.types[stack].shape[0]
        used = next(n for n in range(min(held, places), 0, -1) if places % n == 0)
        return self._add("Reshape", (copies,), name, shape=(used, places // used, width))

    def _results(self, node: Node) -> None:
        """Give what experts make the form of the step's results, or keep it as it is."""
        value = node.outputs[0]
        if self.kind == HERE:
            self.now[value] = self.now[node.inputs[0]]
            self.made.add(value)
            return
        shape = self.graph.types[value].shape
        self.now[value] = self._add("Reshape", (self.now[node.inputs[0]],), value, shape=shape)

    def _sum(self, node: Node) -> None:
        """Weigh what own experts make of all tokens: the gates of those that were not chosen are 0."""
        gates, y = self.now[node.inputs[0]], self.now[node.inputs[1]]
        tokens, _, chosen = self.builder.types[gates].shape
        held = self.builder.types[y].shape[0]
        name = node.outputs[0]
        flat = self._add("Reshape", (gates,), f"{name}.flat", shape=(tokens, chosen))
        wide = self._add("Concat", (flat,) * -(-held // chosen), f"{name}.wide", axis=1)
        turned = self._add("Transpose", (self._first(wide, held, 1),), f"{name}.turn", perm=(1, 0))
        each = self._add("Reshape", (turned,), f"{name}.gate", shape=(held, tokens, 1))
        weighed = self._add("Mul", (y, each), f"{name}.weighed")
        self.now[name] = self._add("ReduceSum", (weighed,), name, axes=(0,), keepdims=0)

    def _is_gates_of_all(self, node: Node, stacks: set[str]) -> bool:
        """Whether a node gives gates of every expert, where each runs on every token."""
        if node.op != "Reshape" or self.kind != HERE or not node.name.endswith("gates.each"):
            return False
        experts = {self.graph.types[stack].shape[0] for stack in stacks}
        return self.graph.types[node.inputs[0]].shape[0] in experts

    def _first(self, value: str, size: int, axis: int) -> str:
        name = f"{value}.first{size}.{axis}"
        if self.builder.types[value].shape[axis] == size:
            return value
        if name not in self.builder.types:
            self._add("Slice", (value,), name, starts=(0,), ends=(size,), axes=(axis,))
        return name

    def _add(self, op: str, inputs: tuple[str, ...], name: str, **attrs: Attr) -> str:
        return self.builder.add(op, inputs, attrs, name=name)
