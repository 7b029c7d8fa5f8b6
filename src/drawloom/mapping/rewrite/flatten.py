"""Entries of few or ragged rows become many rows: products with one weight for a whole batch.

A decode step multiplies (batch, 1, channels) by a weight. Taken entry by entry the weight is
moved for each; taken as (batch, channels) it is moved once. Of 197 rows an entry, the last block
of a matrix engine's rows is nearly empty; of all entries together only the very last is. The
products, and the work between them that goes row by row, are done on rows; what else reads or
makes such a value gets a reshape.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from drawloom.graph.build import GraphBuilder, rebuild
from drawloom.graph.ir import Graph, Node, TensorType
from drawloom.mapping.fuse.rules import ROW_OPS, RULES
from drawloom.units import align_up

FEW_ROWS = 64
"""Entries with this many rows keep a matrix engine busy by themselves: it takes so many at a time."""
RAGGED = 1.1
"""What padding every entry's rows may cost over padding those of all together."""
MANY_ENTRIES = 16
"""With so many, tiles work through entries of their own, and hold what is between two products."""

_BY_ROW = frozenset({"Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization"})
_ELEMENTWISE = RULES.keys() - ROW_OPS


def flatten(graph: Graph) -> Graph:
    """Return the graph with products of few rows in many entries done on all rows at once."""
    chosen = _chosen(graph)
    return rebuild(graph, _Flattening(graph, chosen)) if chosen else graph


def _chosen(graph: Graph) -> set[str]:
    """Return the values that are wanted as rows: those of products, and what is next to them."""
    chosen: set[str] = set()
    for node in graph.nodes:
        if _is_product(node, graph):
            chosen.update((node.inputs[0], node.outputs[0]))
    by_row = [(node, _full(node, graph)) for node in graph.nodes if _goes_by_row(node, graph)]
    before = 0
    while chosen and len(chosen) != before:
        before = len(chosen)
        for _, values in by_row:
            if not chosen.isdisjoint(values):
                chosen.update(values)
    return chosen


def _is_product(node: Node, graph: Graph) -> bool:
    if node.op != "MatMul" or any(node.inputs[2:]):
        return False
    a, b = (graph.types[v].shape for v in node.inputs)
    plain = not node.int("trans_a") and len(b) >= 2 and prod(b[:-2]) == 1
    return plain and _gains(a) and len(graph.types[node.outputs[0]].shape) == len(a)


def _gains(shape: tuple[int, ...]) -> bool:
    """Whether the rows of all entries keep the matrix engines busier than those of each."""
    if len(shape) < 3 or 0 in shape or prod(shape[:-2]) == 1:
        return False
    rows, entries = shape[-2], prod(shape[:-2])
    padded = entries * align_up(rows, FEW_ROWS)
    ragged = padded >= RAGGED * align_up(entries * rows, FEW_ROWS)
    return rows < FEW_ROWS or (ragged and entries < MANY_ENTRIES)


def _goes_by_row(node: Node, graph: Graph) -> bool:
    """Whether each row of a node's result comes of the same row of its operands."""
    shape = graph.types[node.outputs[0]].shape if node.outputs else ()
    if len(node.outputs) != 1 or not _gains(shape):
        return False
    if node.op in _BY_ROW:
        last = node.int("axis", -1) in (-1, len(shape) - 1)
        return last and all(len(graph.types[v].shape) == 1 for v in node.inputs[1:] if v)
    return node.op in _ELEMENTWISE and all(_fits(graph.types[v], shape) for v in node.inputs if v)


def _fits(kind: TensorType, shape: tuple[int, ...]) -> bool:
    """Whether an operand is the same for all rows, or has a row (or a value) for each."""
    return prod(kind.shape[:-1]) == 1 or (
        kind.shape[:-1] == shape[:-1] and kind.shape[-1] in (1, shape[-1])
    )


def _full(node: Node, graph: Graph) -> list[str]:
    shape = graph.types[node.outputs[0]].shape
    values = (*node.inputs, *node.outputs)
    return [v for v in values if v and graph.types[v].shape == shape]


class _Flattening:
    """Puts nodes on rows in the place of the chosen ones."""

    def __init__(self, graph: Graph, chosen: set[str]) -> None:
        self.graph, self.chosen = graph, chosen
        self.rows: dict[str, str] = {}  # value of the new graph -> the same as rows
        self.reshaped: dict[str, str] = {}  # result of a reshape -> what was reshaped

    def __call__(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[str]
    ) -> Sequence[str] | None:
        if node.op == "Reshape":
            return self._reshape(builder, node, inputs[0])
        is_chosen = node.outputs and node.outputs[0] in self.chosen
        if not is_chosen or not (_is_product(node, self.graph) or _goes_by_row(node, self.graph)):
            return None
        shape = self.graph.types[node.outputs[0]].shape
        operands = [self._operand(builder, node, v, shape[:-1]) for v in inputs]
        attrs = {**node.attrs, **({"axis": -1} if node.op in _BY_ROW else {})}
        layer = node.layer or node.name
        name = node.outputs[0]
        rows = builder.add(
            node.op, operands, attrs, name=node.name, layer=layer, output=f"{name}.rows"
        )
        made = builder.add(
            "Reshape",
            (rows,),
            {"shape": shape},
            name=node.name,
            layer=layer,
            output=name,
        )
        self.rows[made] = self.reshaped[made] = rows
        return (made,)

    def _reshape(self, builder: GraphBuilder, node: Node, x: str) -> Sequence[str]:
        """Keep a reshape, of what was reshaped before it where it follows another."""
        source = self.reshaped.get(x, x)
        (made,) = builder.keep(node, (source,))
        self.reshaped[made] = source
        return (made,)

    def _operand(self, builder: GraphBuilder, node: Node, value: str, lead: tuple[int, ...]) -> str:
        """Return an operand as rows; one that is the same for all rows as it is."""
        if not value or builder.types[value].shape[:-1] != lead:
            return value
        if value not in self.rows:
            source, flat = (
                self.reshaped.get(value, value),
                (prod(lead), builder.types[value].shape[-1]),
            )
            made = builder.add(
                "Reshape", (source,), {"shape": flat}, name=f"{node.name}.rows",
                layer=node.layer or node.name,
            )  # fmt: skip
            self.rows[value], self.reshaped[made] = made, source
        return self.rows[value]
