"""One float format for everything inside a graph; its inputs and outputs stay as they are.

Constants are rounded to nearest even, once. What is too large for the format
saturates where it only masks (it is added to scores, or picked by a Where),
and is an error elsewhere. Integers and booleans are untouched, and so are the
scales of integer codes: they say what codes mean and may be too small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError, nearest
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr, Graph, Node, TensorType
from drawloom.graph.lazy import LazyTensor
from drawloom.graph.rounding import LARGEST, Wide, narrow, narrow_weight, wide

_FORMATS = {d.value: d for d in (DType.F16, DType.BF16, DType.F32)}

# Operands that are scales of integer codes, by operator.
_SCALES: dict[str, tuple[int, ...]] = {
    "QuantizeLinear": (1,),
    "DequantizeLinear": (1,),
    "QLinearConv": (1, 4, 6),
    "QLinearMatMul": (1, 4, 6),
}

# Operands for which "as low as can be" is as good as lower, and "as high" as higher.
_LOW: dict[str, tuple[int, ...]] = {"Add": (0, 1), "Attention": (3,), "Sub": (0,)}
_HIGH: dict[str, tuple[int, ...]] = {"Sub": (1,)}
_EITHER: dict[str, tuple[int, ...]] = {"Max": (0, 1), "Min": (0, 1), "Pad": (1,), "Where": (1, 2)}
_CARRIERS = frozenset(
    {"Concat", "Expand", "Gather", "Mul", "Reshape", "Slice", "Tile", "Transpose"}
)

Note = Callable[[str], None]
Readers = dict[str, list[tuple[Node, int]]]
Flags = NDArray[np.bool_]


def _silent(_text: str) -> None:
    """Take a note and lose it."""


def to_precision(graph: Graph, precision: str, note: Note = _silent) -> Graph:
    """Return the graph with every float inside it in one format.

    Inputs and outputs keep their dtype; a Cast stands behind an input and
    before an output that differs.

    Args:
        graph: the graph.
        precision: ``f16``, ``bf16`` or ``f32``.
        note: is told, in a sentence each, which constants saturate and which
            become 0.

    Raises:
        InputError: no such format (``quantize.precision``), or constants are
            too large for it (``quantize.range``, all at once).
    """
    if precision not in _FORMATS:
        fault = Fault("precision", f"'{precision}'", nearest(precision, _FORMATS))
        raise InputError("quantize.precision", "there is no such precision", [fault])
    to = _FORMATS[precision]
    floats = [k for k in graph.types.values() if k.dtype.is_float]
    if all(kind.dtype is to for kind in floats):
        return graph
    return _Narrowing(graph, to, note).run()


@dataclass(slots=True)
class _Narrowing:
    graph: Graph
    to: DType
    note: Note
    builder: GraphBuilder = field(init=False)
    now: dict[str, str] = field(default_factory=dict[str, str])
    faults: list[Fault] = field(default_factory=list[Fault])
    readers: Readers = field(default_factory=dict[str, list[tuple[Node, int]]])

    def run(self) -> Graph:
        """Return the graph in the new format."""
        self.builder = GraphBuilder(self.graph.name)
        for node in self.graph.nodes:
            for i, value in enumerate(node.inputs):
                self.readers.setdefault(value, []).append((node, i))
        for value in self.graph.inputs:
            self._input(value)
        self._constants()
        for node in self.graph.nodes:
            self._node(node)
        outputs = [self._output(value) for value in self.graph.outputs]
        return self.builder.finish(outputs, prune=True)

    def _narrows(self, value: str) -> bool:
        kind = self.graph.types[value]
        return kind.dtype.is_float and kind.dtype is not self.to

    def _inside(self, value: str) -> str:
        """Return the name a value has inside the graph, where an edge keeps its own."""
        at_edge = value in self.graph.inputs or value in self.graph.outputs
        return f"{value}.{self.to.value}" if at_edge and self._narrows(value) else value

    def _input(self, value: str) -> None:
        self.now[value] = self.builder.input(value, self.graph.types[value])
        if self._narrows(value) and self.readers.get(value):
            inside = self._inside(value)
            self.now[value] = self.builder.add(
                "Cast", (value,), {"to": self.to.value}, name=inside, output=inside
            )

    def _constants(self) -> None:
        for value, array in self.graph.constants.held.items():
            if self._narrows(value) and (value in self.graph.outputs or self._is_number(value)):
                if isinstance(array, LazyTensor):
                    kind = TensorType(self.to, array.shape)
                    array = array.map(partial(narrow_weight, value, self.to), kind)
                else:
                    array = self._rounded(value, array)
            self.now[value] = self.builder.constant(self._inside(value), array)
        if self.faults:
            summary = f"constants of '{self.graph.name}' are too large for {self.to.value}"
            raise InputError("quantize.range", summary, self.faults)

    def _is_number(self, value: str) -> bool:
        """Whether something reads a constant as other than a scale."""
        return any(i not in _SCALES.get(n.op, ()) for n, i in self.readers.get(value, ()))

    def _rounded(self, value: str, array: Array) -> Array:
        limit = LARGEST[self.to]
        exact = wide(array)
        made = narrow(exact, self.to.numpy)
        over = np.isfinite(exact) & ~np.isfinite(wide(made))
        if np.any(over):
            made = self._saturated(value, exact, over, limit)
        if np.any((wide(made) == 0) & (exact != 0)) and array.size == 1:
            self.note(f"constant '{value}' is {float(exact.reshape(())):.3g}: 0 in {self.to.value}")
        return made

    def _saturated(self, value: str, exact: Wide, over: Flags, limit: float) -> Array:
        largest = float(np.abs(exact[over]).max())
        signs = {bool(v < 0) for v in exact[over]}
        if not all(only_masks(self.readers, value, low=low) for low in signs):
            other = "" if self.to is DType.BF16 else "; bf16 holds it"
            allowed = f"at most {limit:.6g} in {self.to.value}{other}"
            self.faults.append(Fault(f"constant '{value}'", f"{largest:.6g}", allowed))
        else:
            self.note(
                f"constant '{value}' masks with {largest:.3g}: {limit:.6g} in {self.to.value}"
            )
        bounded = np.where(over, np.clip(exact, -limit, limit), exact)
        return narrow(bounded, self.to.numpy)

    def _node(self, node: Node) -> None:
        scales = _SCALES.get(node.op, ())
        inputs = [
            self._scale(v) if i in scales and v in self.graph.constants else self._operand(v)
            for i, v in enumerate(node.inputs)
        ]
        attrs = dict(self._attrs(node))
        if node.op == "Cast" and self.builder.types[inputs[0]].dtype.value == attrs["to"]:
            self.now[node.outputs[0]] = inputs[0]
            return
        names = [self._inside(v) if v else "" for v in node.outputs]
        made = self.builder.add_many(
            node.op, inputs, attrs, name=node.name, layer=node.layer, outputs=names
        )
        for value, new in zip(node.outputs, made, strict=True):
            self.now[value] = self._fitting(value, new, node)

    def _operand(self, value: str) -> str:
        return self.now[value] if value else ""

    def _scale(self, value: str) -> str:
        """Return a scale as the model gives it."""
        if not self._narrows(value):
            return self.now[value]
        key = f"{value}.scale"
        if key not in self.now:
            self.now[key] = self.builder.constant(key, self.graph.constants.held[value])
        return self.now[key]

    def _attrs(self, node: Node) -> Iterator[tuple[str, Attr]]:
        """Yield attributes, with the format in place of other float dtypes."""
        floats = {d.value for d in DType if d.is_float}
        for key, attr in node.attrs.items():
            yield (
                key,
                self.to.value
                if key in ("to", "dtype", "output_dtype") and attr in floats
                else attr,
            )

    def _fitting(self, value: str, made: str, node: Node) -> str:
        """Return what a node gives in the format it should have (dequantized codes have not)."""
        kind = self.builder.types[made].dtype
        if not value or not kind.is_float or kind is self.to:
            return made
        attrs: dict[str, Attr] = {"to": self.to.value}
        return self.builder.add(
            "Cast", (made,), attrs, name=f"{node.name}.{self.to.value}", layer=node.layer
        )

    def _output(self, value: str) -> str:
        inside = self.now[value]
        wanted = self.graph.types[value].dtype
        if self.builder.types[inside].dtype is wanted:
            return inside if value in self.graph.inputs else self._named(inside, value)
        if value in self.graph.inputs:
            return value
        if value in self.builder.types:
            return value
        return self.builder.add("Cast", (inside,), {"to": wanted.value}, name=value, output=value)

    def _named(self, inside: str, value: str) -> str:
        if inside == value or value in self.builder.types:
            return value
        return self.builder.add("Identity", (inside,), name=value, output=value)


def only_masks(readers: Readers, value: str, *, low: bool) -> bool:
    """Return whether a value only ever masks, so that its size does not matter.

    A mask is added to scores and far below them (``low``), or subtracted and
    far above; or a Where, Max, Min or Pad picks it.
    """
    signed = _LOW if low else _HIGH
    found = readers.get(value, [])
    return bool(found) and all(
        i in signed.get(node.op, ())
        or i in _EITHER.get(node.op, ())
        or (node.op in _CARRIERS and only_masks(readers, node.outputs[0], low=low))
        for node, i in found
    )
