"""Weights as small integers, decoded as a part of the graph; what is computed stays in floats.

    weight -> MatMul    becomes    codes -> (UnpackInt4) -> DequantizeLinear -> MatMul

A scale serves one output channel, or a group of inputs of one: ``scale = largest magnitude / 127``
(7 for four bits), ``code = round half to even(weight / scale)``. Two 4-bit codes lie in a byte: row r
of the codes holds input r in its low nibble and input r + in/2 in its high one, 8 added to each.
A weight picked by index (an expert's) is picked as codes and scales, and then decoded. What has no
values keeps none; what is read late is coded late.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from drawloom.errors import Fault, InputError
from drawloom.graph.build import GraphBuilder, rebuild
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr, Graph, Node, TensorType
from drawloom.graph.lazy import Held, derive
from drawloom.graph.rounding import narrow, wide

BITS = (4, 8)
GROUPS = (0, 32, 128)
SMALLEST = 4096
"""Weights of fewer elements stay as they are: their scales would weigh as much."""

_CHUNK = 1 << 22  # elements that are coded at a time


def quantize_weights(graph: Graph, bits: int, group: int = 0, *, smallest: int = SMALLEST) -> Graph:
    """Return the graph with the weights of its products as integer codes.

    A weight is a float constant of rank 2 or more that only MatMuls read, as their second operand,
    or only a Gather along its first axis whose result only they read. Norms, biases, tables of
    embeddings, and a head tied to one, are none. A weight with an odd number of inputs stays as it
    is where codes have four bits. Scales have the weight's own format.

    Args:
        graph: any graph; convert its floats (``to_precision``) before, not after.
        bits: of a code, 8 or 4.
        group: inputs that share a scale, 32 or 128; 0 is all inputs of an output channel.
        smallest: elements that a weight has at least.

    Raises:
        InputError: no such bits or group (``quantize.weights``).
    """
    faults = [
        Fault(key, str(value), "one of " + ", ".join(map(str, legal)))
        for key, value, legal in (("bits", bits, BITS), ("group", group, GROUPS))
        if value not in legal
    ]
    if faults:
        raise InputError("quantize.weights", "weights cannot be quantized so", faults)
    chosen = _chosen(graph, bits, smallest)
    if not chosen:
        return graph
    return rebuild(graph, _Coding(graph, bits, group, chosen))


def _chosen(graph: Graph, bits: int, smallest: int) -> dict[str, int]:
    """Return the weights to code, and for each the axis of its inputs."""
    readers = graph.consumers()
    found: dict[str, int] = {}
    for name in graph.constants:
        kind = graph.types[name]
        if not kind.dtype.is_float or len(kind.shape) < 2 or kind.size < smallest:
            continue
        axes = {_axis(graph, readers, node, name) for node in readers[name]}
        axis = axes.pop() if len(axes) == 1 and name not in graph.outputs else None
        if axis is not None and not (bits == 4 and kind.shape[axis] % 2):
            found[name] = axis
    return found


def _axis(graph: Graph, readers: dict[str, list[Node]], node: Node, value: str) -> int | None:
    """Return which axis of ``value`` holds the inputs of the products that read it; None if not so."""
    rank = len(graph.types[value].shape)
    if node.op == "MatMul" and node.inputs.index(value) == node.inputs.count(value) == 1:
        return rank - 1 if node.int("trans_b") else rank - 2
    if node.op != "Gather" or node.inputs[0] != value or node.int("axis") % rank or rank < 3:
        return None
    picked = node.outputs[0]
    if picked in graph.outputs:
        return None
    axes = {_axis(graph, readers, reader, picked) for reader in readers[picked]}
    axis = axes.pop() if len(axes) == 1 else None
    return None if axis is None else axis - (len(graph.types[picked].shape) - rank)


@dataclass(slots=True)
class _Coding:
    """Puts codes in the place of weights, node by node."""

    graph: Graph
    bits: int
    group: int
    chosen: dict[str, int]
    decoded: dict[str, str] = field(default_factory=dict[str, str])

    def __call__(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[str]
    ) -> Sequence[str] | None:
        """Return the new outputs of a node that reads a weight, None for any other."""
        weight = next((v for v in node.inputs if v in self.chosen), None)
        if weight is None:
            return None
        axis = self.chosen[weight]
        if node.op == "Gather":
            parts = [
                builder.add(
                    "Gather",
                    (part, inputs[1]),
                    node.attrs,
                    name=f"{node.name}.{word}",
                    layer=node.layer,
                )
                for part, word in zip(self._stored(builder, weight), _WORDS, strict=True)
            ]
            deeper = len(builder.types[parts[0]].shape) - len(self.graph.types[weight].shape)
            return (self._decode(builder, node, parts, weight, axis + deeper),)
        if weight not in self.decoded:
            parts = self._stored(builder, weight)
            self.decoded[weight] = self._decode(builder, node, parts, weight, axis)
        return builder.keep(node, (inputs[0], self.decoded[weight]))

    def _stored(self, builder: GraphBuilder, weight: str) -> list[str]:
        """Return the constants that hold a weight's codes and scales."""
        held, axis = self.graph.constants.held[weight], self.chosen[weight]
        codes, scale = coded(held, self.bits, self._block(weight), axis)
        if self._is_flat(weight):
            scale = derive(
                scale, np.ravel, TensorType(DType.of(scale.dtype), (held.shape[1 - axis],))
            )
        pairs = zip((codes, scale), _WORDS, strict=True)
        return [builder.constant(f"{weight}.{word}", part) for part, word in pairs]

    def _block(self, weight: str) -> int:
        return self.group or self.graph.types[weight].shape[self.chosen[weight]]

    def _is_flat(self, weight: str) -> bool:
        """Whether scales are a plain row, one for each output channel."""
        return not self.group and len(self.graph.types[weight].shape) == 2

    def _decode(
        self, builder: GraphBuilder, node: Node, parts: Sequence[str], weight: str, axis: int
    ) -> str:
        codes, scale = parts
        name, layer = node.name, node.layer
        if self.bits == 4:
            attrs: dict[str, Attr] = {"axis": axis}
            codes = builder.add("UnpackInt4", (codes,), attrs, name=f"{name}.unpack", layer=layer)
        attrs = {"axis": axis, "block_size": self._block(weight)}
        if self._is_flat(weight):
            attrs = {"axis": 1 - axis}
        return builder.add(
            "DequantizeLinear", (codes, scale), attrs, name=f"{name}.dequantize", layer=layer
        )


_WORDS = ("codes", "scale")


def coded(held: Held, bits: int, block: int, axis: int) -> tuple[Held, Held]:
    """Return a weight's codes and scales, as lazy as the weight.

    Args:
        held: floats of any shape.
        bits: 8 for i8 codes of the weight's shape, 4 for bytes of two, half as many along ``axis``.
        block: how many indices along ``axis`` share a scale; the last block may be shorter.
        axis: of the inputs; even where codes have four bits.
    """
    shape, dtype = held.shape, DType.of(held.dtype)
    front, back = shape[:axis], shape[axis + 1 :]
    scales = TensorType(dtype, (*front, -(-shape[axis] // block), *back))
    packed = TensorType(DType.U8, (*front, shape[axis] // 2, *back))
    codes = TensorType(DType.I8, shape) if bits == 8 else packed
    return (
        derive(held, partial(_codes, bits, block, axis, codes), codes),
        derive(held, partial(_scales, bits, block, axis, scales), scales),
    )


def _scales(bits: int, block: int, axis: int, kind: TensorType, weight: Array) -> Array:
    made = np.empty(kind.shape, kind.dtype.numpy)
    for part in _parts(weight.shape, axis):
        blocks = _in_blocks(weight[part], block, axis)
        made[part] = _scale(blocks, bits, axis, kind.dtype)
    return made


def _codes(bits: int, block: int, axis: int, kind: TensorType, weight: Array) -> Array:
    made = np.empty(kind.shape, kind.dtype.numpy)
    for part in _parts(weight.shape, axis):
        piece = weight[part]
        blocks = _in_blocks(piece, block, axis)
        scale = _scale(blocks, bits, axis, DType.of(weight.dtype)).astype(np.float32)
        blocks /= np.expand_dims(np.where(scale == 0, np.float32(1.0), scale), axis + 1)
        np.rint(blocks, out=blocks)
        np.clip(blocks, -_limit(bits), _limit(bits), out=blocks)
        whole = blocks.astype(np.int8).reshape(*piece.shape[:axis], -1, *piece.shape[axis + 1 :])
        whole = whole[(slice(None),) * axis + (slice(piece.shape[axis]),)]
        made[part] = whole if bits == 8 else _packed(whole, axis)
    return made


def _in_blocks(piece: Array, block: int, axis: int) -> Array:
    """Return a float32 copy with ``axis`` cut in two, blocks and indices in a block; 0 behind."""
    front, size, back = piece.shape[:axis], piece.shape[axis], piece.shape[axis + 1 :]
    count = -(-size // block)
    if count * block == size:
        return piece.astype(np.float32).reshape(*front, count, block, *back)
    padded = np.zeros((*front, count * block, *back), np.float32)
    padded[(slice(None),) * axis + (slice(size),)] = piece
    return padded.reshape(*front, count, block, *back)


def _packed(codes: Array, axis: int) -> Array:
    """Return two codes a byte: the first half along ``axis`` in the low nibbles."""
    low, high = np.split((codes + np.int8(8)).astype(np.uint8), 2, axis=axis)
    return low | (high << 4)


def _scale(blocks: Array, bits: int, axis: int, dtype: DType) -> Array:
    """Return the largest magnitude of each block over the largest code, in format ``dtype``."""
    peaks = np.maximum(blocks.max(axis=axis + 1), -blocks.min(axis=axis + 1))
    return narrow(wide(peaks) / _limit(bits), dtype.numpy)


def _limit(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def _parts(shape: tuple[int, ...], axis: int) -> Iterator[tuple[slice, ...]]:
    """Yield slices that cut a weight along its longest axis but ``axis``, a chunk at a time."""
    others = [i for i in range(len(shape)) if i != axis]
    along = max(others, key=lambda i: shape[i])
    rest = math.prod(shape) // shape[along]
    step = max(1, _CHUNK // max(rest, 1))
    for start in range(0, shape[along], step):
        cut = [slice(None)] * len(shape)
        cut[along] = slice(start, start + step)
        yield tuple(cut)
