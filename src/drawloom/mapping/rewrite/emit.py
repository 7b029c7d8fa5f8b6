"""Putting nodes in the place of one while a graph is rewritten for the chip."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr, Node, TensorType
from drawloom.graph.lazy import derive


class Emit:
    """Adds nodes in the place of one, all named after it.

    ``made`` remembers the constants that were made along the way: one serves all nodes that
    want the same.
    """

    def __init__(self, builder: GraphBuilder, node: Node, made: dict[object, str]) -> None:
        """Start at a node."""
        self.builder, self.node, self.made = builder, node, made

    def __call__(self, op: str, *inputs: str, **attrs: Attr) -> str:
        """Add a node; return its result."""
        return self.builder.add(
            op, inputs, attrs, name=self.node.name, layer=self.node.layer or self.node.name
        )

    def shape(self, value: str) -> tuple[int, ...]:
        """Return a value's shape."""
        return self.builder.types[value].shape

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Return a value in another shape."""
        if self.shape(value) == tuple(shape):
            return value
        return self("Reshape", value, shape=tuple(shape))

    def derive(
        self,
        value: str,
        what: str,
        change: Callable[[Array], Array],
        shape: tuple[int, ...],
        dtype: DType | None = None,
    ) -> str:
        """Return the constant of a shape (and format) that ``change`` makes of a constant."""
        key = (value, what, shape)
        if key not in self.made:
            kind = TensorType(dtype or self.builder.types[value].dtype, shape)
            held = derive(self.builder.constants.held[value], change, kind)
            self.made[key] = self.builder.constant(f"{value}.{what}", held)
        return self.made[key]

    def constant(self, what: str, key: object, make: Callable[[], Array]) -> str:
        """Return a constant that ``make`` gives: one for all nodes that ask with one key."""
        if (what, key) not in self.made:
            self.made[what, key] = self.builder.constant(what, make())
        return self.made[what, key]
