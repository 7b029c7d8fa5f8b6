"""A graph rewritten node by node, operands first.

A rule looks at one node, and back at what makes its operands, all in the
graph as rewritten so far. It may add nodes and say which values stand for the
node's outputs; the node is dropped then. What nothing needs any more goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from drawloom.frontends.draft import Draft, renamed
from drawloom.graph.ir import Array, Attr, Graph, Node, TensorType
from drawloom.graph.lazy import Held


class Edit:
    """A graph while it is rewritten."""

    def __init__(self, graph: Graph) -> None:
        """Start from a graph's inputs and constants."""
        self.graph = graph
        self._draft = Draft(graph.name)
        for value in graph.inputs:
            self._draft.builder.input(value, graph.types[value])
        for value, array in graph.constants.held.items():
            self._draft.constant(value, array)
        self._now = {v: v for v in ("", *graph.inputs, *graph.constants)}
        self._producers: dict[str, Node] = {}
        self._titles: dict[str, str] = {}
        self._uses: dict[str, int] = dict.fromkeys(graph.types, 0)
        for node in graph.nodes:
            for value in node.inputs:
                self._uses[value] = self._uses.get(value, 0) + 1
        for value in graph.outputs:
            self._uses[value] += 1
        self._next: dict[str, int] = {}
        self.changed = False

    def type(self, value: str) -> TensorType:
        """Return a value's type."""
        return self._draft.type(value)

    def shape(self, value: str) -> tuple[int, ...]:
        """Return a value's shape."""
        return self._draft.type(value).shape

    def result(self, node: Node) -> TensorType:
        """Return the type of a node's first output, which may stand before its turn."""
        value = node.outputs[0]
        made = self._producers.get(value) is node
        return self._draft.type(value) if made else self.graph.types[value]

    def array(self, value: str) -> Array | None:
        """Return a value's array where it is a constant that has values."""
        return self._draft.array(value)

    def held(self, value: str) -> Held | None:
        """Return a constant as it is held, not read where it is lazy."""
        return self._draft.builder.constants.held.get(value)

    def producer(self, value: str, *ops: str) -> Node | None:
        """Return the node that makes a value, where it is one of ``ops`` (any if none given)."""
        node = self._producers.get(value)
        return node if node is not None and (not ops or node.op in ops) else None

    def uses(self, value: str) -> int:
        """Return how many operands and outputs a value stands for."""
        return self._uses.get(value, 0)

    def now(self, value: str) -> str:
        """Return what stands for a value of the graph as it was."""
        return self._now[value]

    def constant(self, array: Held, like: Node, what: str) -> str:
        """Add a constant named after a node; returns its name."""
        return self._draft.constant(self._free(f"{like.name}.{what}"), array)

    def emit(self, op: str, inputs: Sequence[str], like: Node, **attrs: Attr) -> str:
        """Add a node in the place (and the layer) of another; returns its output."""
        return self.emit_many(op, inputs, like, 1, attrs)[0]

    def emit_many(
        self, op: str, inputs: Sequence[str], like: Node, count: int, attrs: dict[str, Attr]
    ) -> tuple[str, ...]:
        """Add a node with ``count`` outputs; returns them."""
        before = len(self._draft.builder.nodes)
        name = self._free(like.name)
        made = self._draft.emit(op, inputs, attrs, name, like.layer, count)
        for node in self._draft.builder.nodes[before:]:
            self._titles[node.name] = like.name
            self._producers.update(dict.fromkeys(node.outputs, node))
        return made

    def _free(self, word: str) -> str:
        """Return a name no value has, in this graph or the one before."""
        name = word
        while name in self.graph.types or name in self._draft.builder.types:
            self._next[word] = self._next.get(word, 0) + 1
            name = f"{word}_{self._next[word]}"
        return name

    def visit(self, node: Node, rule: Rule) -> None:
        """Apply a rule to the next node."""
        inputs = tuple(self._now[v] for v in node.inputs)
        current = node if inputs == node.inputs else replace(node, inputs=inputs)
        made = rule(self, current)
        if made is None:
            made = self._kept(node, current)
        else:
            self.changed = True
        for old, new in zip(node.outputs, made, strict=True):
            if not old:
                continue
            self._now[old] = new
            if old != new:
                self._uses[new] = self._uses.get(new, 0) + self._uses.get(old, 0)

    def _kept(self, node: Node, current: Node) -> Sequence[str]:
        """Add a node no rule replaced; its types are known where it reads what it read."""
        builder = self._draft.builder
        is_new = node.name not in builder.node_names and not any(
            v in builder.types for v in node.outputs
        )
        if is_new and "" not in node.outputs and current.inputs == node.inputs:
            builder.types.update((v, self.graph.types[v]) for v in node.outputs)
            builder.node_names.add(node.name)
            builder.nodes.append(node)
        else:
            builder.keep(current, current.inputs)
        made = builder.nodes[-1]
        self._titles[made.name] = node.name
        self._producers.update(dict.fromkeys(made.outputs, made))
        return made.outputs

    def finish(self) -> Graph:
        """Return the graph: outputs and values under their old names, nodes under theirs."""
        builder = self._draft.builder
        wanted = {v: v for v in self.graph.inputs}
        for output in dict.fromkeys(self.graph.outputs):
            value = self._now[output]
            if wanted.get(value, output) != output:
                value = builder.add("Identity", (value,), name=output)
                self._titles[builder.nodes[-1].name] = output
            wanted[value] = output
        ends = {output: value for value, output in wanted.items()}
        for old, value in self._now.items():
            if value and value not in wanted and old not in ends:
                wanted[value] = old
        made = builder.finish([ends[o] for o in self.graph.outputs], prune=True)
        return renamed(self._titled(made), wanted)

    def _titled(self, graph: Graph) -> Graph:
        taken: set[str] = set()
        nodes: list[Node] = []
        for node in graph.nodes:
            title = self._titles[node.name]
            name, count = title, 1
            while name in taken:
                count += 1
                name = f"{title}.{count}"
            taken.add(name)
            nodes.append(replace(node, name=name))
        return replace(graph, nodes=tuple(nodes))


Rule = Callable[[Edit, Node], Sequence[str] | None]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Return the graph with a rule applied to every node; itself where no rule applied."""
    edit = Edit(graph)
    for node in graph.nodes:
        edit.visit(node, rule)
    return edit.finish() if edit.changed else graph
