"""Products of one operand with several weights, as one product with all of them side by side.

Queries, keys and values are made of the same rows. One product of all their channels loads these rows
once, and has one beginning and one end where three would have three. Its parts are slices of whole
blocks of channels, which lie where heads are read: nothing moves. So are all that the embedding of a time
step adds to images, a value a channel: each by itself is a single row, and little but a beginning and an end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from math import prod

import numpy as np

from drawloom.chip.model import Blocking
from drawloom.graph.build import GraphBuilder, rebuild
from drawloom.graph.ir import Graph, Node, TensorType
from drawloom.graph.lazy import Array, Held, LazyTensor, values

LEAST_ROWS = 128
"""Fewer rows wait for their weights, which come one after the other in any case."""
MOST_RESULTS = 1 << 22
"""Elements of a product: beginning and end of a larger one are little beside what lies between."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A product of those that become one, with the bias behind it if it has one."""

    product: Node
    bias: Node | None

    @property
    def last(self) -> Node:
        """The node that gives the result."""
        return self.bias or self.product


def joint(graph: Graph, blocking: Blocking) -> Graph:
    """Return the graph with products of one operand, whose results go to heads or pixels, done together."""
    found = {part.product.name: parts for parts in _found(graph, blocking) for part in parts[:1]}
    return rebuild(graph, _Joining(graph, found)) if found else graph


def _found(graph: Graph, blocking: Blocking) -> Iterator[list[_Part]]:
    users = graph.consumers()
    by_operand: dict[object, list[_Part]] = {}
    for node in graph.nodes:
        part = _part(graph, users, node, blocking)
        if part is not None:
            key = node.inputs[0], graph.types[node.inputs[1]].dtype, part.bias is None
            by_operand.setdefault(key, []).append(part)
    yield from (parts for parts in by_operand.values() if len(parts) > 1)


def _part(
    graph: Graph, users: Mapping[str, Sequence[Node]], node: Node, blocking: Blocking
) -> _Part | None:
    """Return a product with a weight whose result, biased or not, only goes to heads."""
    if node.op != "MatMul" or node.attrs or node.inputs[1] not in graph.constants:
        return None
    weight, out = graph.types[node.inputs[1]], graph.types[node.outputs[0]]
    if len(weight.shape) != 2 or len(out.shape) < 2 or weight.dtype.bytes != 2:
        return None
    rows, (before, channels) = prod(out.shape[:-1]), out.shape[-2:]
    if rows != before or channels % blocking.of(weight.dtype.bytes):
        return None
    if 1 < rows < LEAST_ROWS or out.size > MOST_RESULTS:
        return None
    part = _Part(node, _bias(graph, users, node))
    goes = _goes_to_heads if rows > 1 else _goes_to_pixels
    return part if goes(graph, users, part.last.outputs[0]) else None


def _bias(graph: Graph, users: Mapping[str, Sequence[Node]], node: Node) -> Node | None:
    made = node.outputs[0]
    readers = users.get(made, ())
    if len(readers) != 1 or readers[0].op != "Add" or made in graph.outputs:
        return None
    (other,) = [v for v in readers[0].inputs if v != made] or [made]
    is_bias = other in graph.constants and graph.types[other].shape == graph.types[made].shape[-1:]
    return readers[0] if is_bias else None


def _goes_to_heads(graph: Graph, users: Mapping[str, Sequence[Node]], value: str) -> bool:
    """Whether a value is only reshaped and turned."""
    for op in ("Reshape", "Transpose"):
        readers = users.get(value, ())
        if len(readers) != 1 or readers[0].op != op or value in graph.outputs:
            return False
        value = readers[0].outputs[0]
    return True


def _goes_to_pixels(graph: Graph, users: Mapping[str, Sequence[Node]], value: str) -> bool:
    """Whether a row is only made one value a channel of an image."""
    readers = users.get(value, ())
    if len(readers) != 1 or readers[0].op != "Reshape" or value in graph.outputs:
        return False
    made = graph.types[readers[0].outputs[0]].shape
    return made == (1, graph.types[value].shape[-1], 1, 1)


class _Joining:
    """Puts one product, and a slice for each result, in the place of several."""

    def __init__(self, graph: Graph, found: Mapping[str, list[_Part]]) -> None:
        self.graph, self.found = graph, found
        self.results: dict[str, str] = {}  # by name of the node that gave it

    def __call__(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[str]
    ) -> Sequence[str] | None:
        if node.name in self.found:
            self._join(builder, self.found[node.name], inputs[0])
        if node.name in self.results:
            return (self.results[node.name],)
        return None

    def _join(self, builder: GraphBuilder, parts: list[_Part], operand: str) -> None:
        products = [part.product for part in parts]
        name, layer = products[0].name, _together([n.layer or n.name for n in products])
        weight = self._side_by_side(builder, [n.inputs[1] for n in products])
        made = builder.add("MatMul", (operand, weight), name=name, layer=layer)
        if parts[0].bias is not None:
            held = [
                next(v for v in part.last.inputs if v in self.graph.constants) for part in parts
            ]
            bias = self._side_by_side(builder, held)
            made = builder.add("Add", (made, bias), name=parts[0].bias.name, layer=layer)
        start, axis = 0, len(builder.types[made].shape) - 1
        for part in parts:
            end = start + self.graph.types[part.last.outputs[0]].shape[-1]
            attrs = {"starts": (start,), "ends": (end,), "axes": (axis,)}
            value = part.last.outputs[0]
            one = builder.add(
                "Slice", (made,), attrs, name=f"{part.last.name}.part", layer=layer, output=value
            )
            # The product itself is read by its bias alone, which is not built either.
            self.results |= {part.product.name: one, part.last.name: one}
            start = end

    def _side_by_side(self, builder: GraphBuilder, names: list[str]) -> str:
        """Return the constant of several, one beside the other along their last axis."""
        held = [builder.constants.held[name] for name in names]
        kinds = [builder.types[name] for name in names]
        shape = (*kinds[0].shape[:-1], sum(kind.shape[-1] for kind in kinds))
        return builder.constant(
            f"{names[0]}.joint", beside(held, TensorType(kinds[0].dtype, shape))
        )


def beside(held: Sequence[Held], kind: TensorType) -> Held:
    """Return constants one beside the other, lazy where one of them is."""
    lazy = [each for each in held if isinstance(each, LazyTensor)]
    if any(each.is_meta for each in lazy):
        return LazyTensor.meta(kind, lazy[0].source)
    join = partial(_join_values, held)
    return LazyTensor(kind, lazy[0].source, join) if lazy else join()


def _join_values(held: Sequence[Held]) -> Array:
    return np.concatenate([values(each) for each in held], axis=-1)


def _together(names: Sequence[str]) -> str:
    """Return the name of several layers: what they share, and in braces what each goes on with."""
    words = [name.split(".") for name in names]
    shared = list(takewhile(lambda same: len(set(same)) == 1, zip(*words, strict=False)))
    start = "".join(f"{same[0]}." for same in shared)
    return f"{start}{{{','.join(name[len(start) :] for name in names)}}}" if start else names[0]
