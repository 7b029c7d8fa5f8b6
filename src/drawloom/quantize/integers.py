"""Products of codes: where a model says what codes mean, they are multiplied as they are.

A model that was quantized has codes that are made numbers of just before each convolution or
product, and numbers that are made codes of behind it:

    Q(Relu?(Conv(DQ(x), DQ(w)) + b))   QLinearConv, sums in 32 bits, scaled once; Relu on codes
    Conv(DQ(x), DQ(w)) + b             ConvInteger, its sums made numbers of, then the bias
    MatMul(DQ(x), DQ(w))               MatMulInteger, its sums made numbers of
    DQ(x) elsewhere                    numbers that are rounded once
    sums that become codes             numbers in the unit of these codes (``sums``)

Only codes of i8 without a zero point, the weights constants with a scale for all or one for each
output. What changes is where numbers round: products and sums are exact; of the scales one
product is taken, rounded to f32; a bias is rounded to a whole number of the sums' unit where the
result becomes codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drawloom.graph.build import GraphBuilder, rebuild
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, Node
from drawloom.graph.rounding import wide
from drawloom.quantize.sums import Units, find_units

Floats = NDArray[np.float64]
MOST_NUMBER = 2.0**12  # of a bias in the unit of codes: far from the end of every format
MOST_BIAS = 2.0**30  # of the sums' unit: what is larger is left as it was
_WINDOW = ("strides", "pads", "dilations", "kernel_shape")


def to_integers(graph: Graph) -> Graph:
    """Return the graph with products of numbers that are codes done on the codes."""
    if not any(node.op == "DequantizeLinear" for node in graph.nodes):
        return graph
    return rebuild(graph, _Rewriting(graph))


@dataclass(frozen=True, slots=True)
class _Codes:
    """Codes with their scales, one for all or one for each output; without a zero point."""

    value: str
    scale: Floats


@dataclass(slots=True)
class _Rewriting:
    graph: Graph
    made: dict[str, Node] = field(init=False)
    readers: dict[str, list[Node]] = field(init=False)
    now: dict[str, str] = field(default_factory=dict[str, str])  # names in the new graph
    absorbed: set[str] = field(default_factory=set[str])  # nodes whose work is done before them
    units: Units = field(init=False)

    def __post_init__(self) -> None:
        """Look up who makes and who reads each value, and what is summed in which unit."""
        self.made = {value: node for node in self.graph.nodes for value in node.outputs}
        self.readers = self.graph.consumers()
        self.units = find_units(self.graph, self._scales, self._is_numbers)

    def __call__(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[str]
    ) -> Sequence[str] | None:
        """Return what stands for a node's outputs; None to keep it."""
        self.now |= dict(zip(node.inputs, inputs, strict=True))
        if node.name in self.absorbed:
            return (inputs[0],)
        if node.name in self.units.sums:
            return self._summed(builder, node, inputs, self.units.sums[node.name])
        if node.name in self.units.codes:
            one = builder.constant(f"{node.name}.one", np.ones((), np.float32))
            given = (inputs[0], one, *inputs[2:])
            return (builder.add(node.op, given, node.attrs, name=node.name, layer=node.layer),)
        if node.op == "DequantizeLinear":
            return self._numbered(builder, node, inputs)
        if node.op == "Conv":
            found = self._operands(node, 0)
            return self._convolved(builder, node, *found) if found else None
        return self._multiplied(builder, node) if node.op == "MatMul" else None

    def _numbered(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[str]
    ) -> Sequence[str] | None:
        """Codes that are made numbers of for other work: these round once, to their format."""
        if not self._is_numbers(node):
            return None
        attrs = {**node.attrs, "output_dtype": self.graph.types[node.outputs[0]].dtype.value}
        return (builder.add(node.op, inputs[:2], attrs, name=node.name, layer=node.layer),)

    def _summed(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[str], unit: float
    ) -> Sequence[str]:
        """A sum in the unit of the codes that are made of it."""
        given: list[str] = []
        for at, (value, now) in enumerate(zip(node.inputs, inputs, strict=True)):
            before = self.made[value]
            if before.name in self.units.made:
                given.append(now)
                continue
            scale = wide(self.graph.constants[before.inputs[1]]).reshape(()) / unit
            name = f"{node.name}.numbers{at}"
            held = builder.constant(f"{name}.scale", scale.astype(np.float32))
            attrs = {**before.attrs, "output_dtype": self.graph.types[value].dtype.value}
            codes = (self.now[before.inputs[0]], held)
            given.append(builder.add(before.op, codes, attrs, name=name, layer=node.layer))
        return (builder.add("Add", given, name=node.name, layer=node.layer),)

    # What is found.

    def _is_numbers(self, node: Node) -> bool:
        """Whether a node makes numbers of computed codes, with one scale for all."""
        if node.op != "DequantizeLinear" or node.int("block_size"):
            return False
        kind, scale = self.graph.types[node.inputs[0]], node.inputs[1]
        plain = kind.dtype is DType.I8 and node.inputs[0] not in self.graph.constants
        known = scale in self.graph.constants and self.graph.types[scale].size == 1
        return plain and known and self._is_zero(node)

    def _scales(self, node: Node, unit: float) -> bool:
        """Whether a node is a convolution of codes whose result stays numbers, which may be in a unit."""
        shape = self.graph.types[node.inputs[0]].shape if node.op == "Conv" else ()
        if len(shape) != 4 or self._operands(node, 0) is None:
            return False
        held = self._bias(node.inputs[2]) if "".join(node.inputs[2:]) else np.zeros(1)
        return held is not None and bool(np.all(np.abs(held) < MOST_NUMBER * unit))

    def _operands(self, node: Node, outs: int) -> tuple[_Codes, _Codes] | None:
        """Return the codes that a product multiplies, of data and weights."""
        x = self._codes(node.inputs[0], 0)
        if x is None or x.scale.size != 1 or x.value in self.graph.constants:
            return None
        w = self._codes(node.inputs[1], outs)
        alone = node.int("group", 1) == 1
        return (x, w) if w is not None and alone and w.value in self.graph.constants else None

    def _codes(self, value: str, axis: int) -> _Codes | None:
        """Return what codes a value is made of; a scale for each index must be along ``axis``."""
        node = self.made.get(value)
        if node is None or node.op != "DequantizeLinear" or node.int("block_size"):
            return None
        kind = self.graph.types[node.inputs[0]]
        scale = self._array(node.inputs[1])
        if kind.dtype is not DType.I8 or scale is None or not self._is_zero(node):
            return None
        along = node.int("axis", 1) % max(1, len(kind.shape)) == axis
        return _Codes(node.inputs[0], wide(scale).reshape(-1)) if scale.size == 1 or along else None

    def _is_zero(self, node: Node) -> bool:
        """Whether codes stand for multiples of the scale: no zero point, or 0."""
        if len(node.inputs) < 3 or not node.inputs[2]:
            return True
        zero = self._array(node.inputs[2])
        return zero is not None and not np.any(zero)

    def _array(self, value: str) -> Array | None:
        return self.graph.constants.get(value)

    def _only(self, value: str) -> bool:
        return len(self.readers.get(value, ())) == 1 and value not in self.graph.outputs

    # What is put in its place.

    def _becomes(self, node: Node) -> Node | None:
        """Return the node that makes codes of a convolution's result, or of what Relu leaves of it."""
        value = node.outputs[0]
        after = self.readers[value][0] if self._only(value) else None
        if after is not None and after.op == "Relu":
            value = after.outputs[0]
            after = self.readers[value][0] if self._only(value) else None
        if after is None or after.op != "QuantizeLinear" or not self._is_zero(after):
            return None
        scale = self._array(after.inputs[1])
        coded = self.graph.types[after.outputs[0]].dtype is DType.I8
        return after if coded and scale is not None and scale.size == 1 else None

    def _convolved(
        self, builder: GraphBuilder, node: Node, x: _Codes, w: _Codes
    ) -> Sequence[str] | None:
        """A convolution; where its result becomes codes, that is done along with it."""
        if len(self.graph.types[node.inputs[0]].shape) != 4:
            return None
        after, unit = self._becomes(node), x.scale * w.scale
        bias = self._whole_bias(node, unit)
        if after is None or bias is None:
            return self._scaled(builder, node, x, w)
        factor = (unit / wide(self.graph.constants[after.inputs[1]]).reshape(())).astype(np.float32)
        held = {
            "one": np.ones((), np.float32),
            "zero": np.zeros((), np.int8),
            "factor": factor.reshape(-1 if factor.size > 1 else ()),
            "none": np.zeros(factor.size if factor.size > 1 else (), np.int8),
        }
        at = {n: builder.constant(f"{node.name}.{n}", v) for n, v in held.items()}
        operands = [
            self.now[x.value], at["one"], at["zero"], self.now[w.value], at["factor"], at["none"],
            at["one"], at["zero"],
        ]  # fmt: skip
        if bias.size:
            operands.append(builder.constant(f"{node.name}.bias", bias))
        self.absorbed.add(after.name)
        return (self._add(builder, node, "QLinearConv", operands),)

    def _whole_bias(self, node: Node, unit: Floats) -> NDArray[np.int32] | None:
        """Return a convolution's bias in the unit of its sums; empty without, None where too large."""
        if len(node.inputs) < 3 or not node.inputs[2]:
            return np.zeros(0, np.int32)
        bias = self._bias(node.inputs[2])
        if bias is None:
            return None
        whole = np.rint(bias / unit)
        if not np.all(np.abs(whole) < MOST_BIAS):
            return None
        return whole.astype(np.int32)

    def _bias(self, value: str) -> Floats | None:
        """Return a bias: a constant, or codes of it with a scale each."""
        held = self._array(value)
        if held is not None:
            return wide(held)
        node = self.made.get(value)
        if node is None or node.op != "DequantizeLinear" or not self._is_zero(node):
            return None
        codes, scale = self._array(node.inputs[0]), self._array(node.inputs[1])
        return None if codes is None or scale is None else wide(codes) * wide(scale).reshape(-1)

    def _scaled(
        self, builder: GraphBuilder, node: Node, x: _Codes, w: _Codes
    ) -> Sequence[str] | None:
        """A convolution whose result stays numbers."""
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        held = self._bias(bias) if bias else None
        if bias and held is None:
            return None
        held = self._joined(node, held)
        unit = self.units.made.get(node.name, 1.0)
        sums = self._add(builder, node, "ConvInteger", [self.now[x.value], self.now[w.value]])
        made = self._numbers(builder, node, sums, x.scale * w.scale / unit)
        if held is not None:
            dtype = builder.types[made].dtype.numpy
            tall = (held / unit).astype(dtype).reshape(1, -1, 1, 1)
            at = builder.constant(f"{node.name}.bias", tall)
            made = builder.add("Add", (made, at), name=f"{node.name}.biased", layer=node.layer)
        return (made,)

    def _joined(self, node: Node, held: Floats | None) -> Floats | None:
        """Return what is added to a convolution: its bias, and that of another that it is added to."""
        if node.name in self.units.gives:
            return None
        other = self.units.takes.get(node.name)
        more = self._bias(other.inputs[2]) if other and "".join(other.inputs[2:]) else None
        if held is None or more is None:
            return more if held is None else held
        return held + more

    def _multiplied(self, builder: GraphBuilder, node: Node) -> Sequence[str] | None:
        """A product of data with constant weights."""
        rank = len(self.graph.types[node.inputs[1]].shape)
        found = self._operands(node, 1)
        if found is None or rank != 2 or node.int("trans_a") or node.int("trans_b"):
            return None
        x, w = found
        names = [self.now[x.value], self.now[w.value]]
        sums = builder.add("MatMulInteger", names, name=node.name, layer=node.layer)
        return (self._numbers(builder, node, sums, x.scale * w.scale),)

    def _add(self, builder: GraphBuilder, node: Node, op: str, operands: Sequence[str]) -> str:
        attrs = {key: node.attrs[key] for key in _WINDOW if key in node.attrs}
        return builder.add(op, operands, attrs, name=node.name, layer=node.layer)

    def _numbers(self, builder: GraphBuilder, node: Node, sums: str, scale: Floats) -> str:
        """Make numbers of sums, in the format that the product had."""
        shape, channel = builder.types[sums].shape, 1 if node.op == "Conv" else -1
        each = np.broadcast_to(scale, (shape[channel],)).astype(np.float32)
        at = builder.constant(f"{node.name}.scale", np.ascontiguousarray(each))
        to = self.graph.types[node.outputs[0]].dtype.value
        attrs = {"axis": channel % len(shape), "output_dtype": to}
        name = f"{node.name}.numbers"
        return builder.add("DequantizeLinear", (sums, at), attrs, name=name, layer=node.layer)
