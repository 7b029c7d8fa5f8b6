"""Weights that stand in a graph as codes and scales, and are decoded behind their load.

    codes -> (UnpackInt4) -> DequantizeLinear -> MatMul

A product whose weight comes that way loads codes and scales and makes floats of them in the
scratchpad: the nodes before it need no piece of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drawloom.chip.model import Blocking
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, Node
from drawloom.mapping.layout.storage import DECODED_BYTES
from drawloom.mapping.rewrite.picked import one_each, picked

_FLOATS = (DType.F16, DType.BF16)


@dataclass(frozen=True, slots=True)
class Coded:
    """A weight as codes.

    Attributes:
        codes: the constant that holds them.
        scales: the constant that holds the scales, [channels] or [..., groups, channels].
        bits: of a code.
        group: inputs that share a scale.
        nodes: names of the nodes that decode.
        numbers: the value that picks codes and scales from stacks, or nothing.
    """

    codes: str
    scales: str
    bits: int
    group: int
    nodes: tuple[str, ...]
    numbers: str = ""


def find_coded(graph: Graph, blocking: Blocking) -> dict[str, Coded]:
    """Return the weights that products can decode themselves, by the value that a MatMul reads."""
    made, readers = graph.producers(), graph.consumers()
    out: dict[str, Coded] = {}
    for node in graph.nodes:
        value = node.inputs[1] if node.op == "MatMul" else ""
        decoder = made.get(value)
        alone = decoder is not None and readers[value] == [node] and value not in graph.outputs
        if decoder is None or not alone or node.inputs[0] == value or node.int("trans_b"):
            continue
        unpack = made.get(decoder.inputs[0])
        if unpack is not None and unpack.op != "UnpackInt4":
            unpack = None
        if unpack is not None and len(readers[unpack.outputs[0]]) > 1:
            continue
        found = _coded(graph, made, readers, decoder, unpack, blocking)
        if found and (not found.numbers or one_each(graph, node)):
            out[value] = found
    return out


def _coded(
    graph: Graph,
    made: dict[str, Node],
    readers: dict[str, list[Node]],
    node: Node,
    unpack: Node | None,
    blocking: Blocking,
) -> Coded | None:
    if node.op != "DequantizeLinear" or any(node.inputs[2:]):
        return None
    source, scales = node.inputs
    kind, scale = graph.types[node.outputs[0]], graph.types[scales]
    bits = 8
    nodes = (node.name,)
    if unpack is not None:
        source, bits, nodes = unpack.inputs[0], 4, (unpack.name, node.name)
        if unpack.int("axis") % len(kind.shape) != len(kind.shape) - 2:
            return None
    numbers = ""
    one, two = (picked(graph, made, readers, value) for value in (source, scales))
    if one and two and one.numbers == two.numbers:
        numbers, nodes = one.numbers, (one.node, two.node, *nodes)
        source, scales = one.stack, two.stack
    fits = len(kind.shape) >= 2 and kind.dtype in _FLOATS and scale.dtype is kind.dtype
    held = source in graph.constants and scales in graph.constants
    if (
        not fits
        or not held
        or graph.types[source].dtype is not (DType.U8 if bits == 4 else DType.I8)
    ):
        return None
    inputs, channels = (int(size) for size in kind.shape[-2:])
    width = blocking.of(DECODED_BYTES) * (2 if bits == 4 else 1)
    group = _group(node, kind.shape, scale.shape)
    whole = channels % width == 0 and group and inputs % group == 0
    return Coded(source, scales, bits, group, nodes, numbers) if whole else None


def _group(node: Node, shape: tuple[int, ...], scales: tuple[int, ...]) -> int:
    """Return how many inputs share a scale; 0 where scales do not go by output channel."""
    lead, inputs, channels = shape[:-2], shape[-2], shape[-1]
    axis = node.int("axis", 1) % len(shape)
    size = node.int("block_size")
    if size and axis == len(shape) - 2 and scales == (*lead, -(-inputs // size), channels):
        return size
    return inputs if not size and axis == 1 == len(shape) - 1 and scales == (channels,) else 0


def by_blocks(block: int, packed: Array) -> Array:
    """Return 4-bit codes with neighbouring blocks of channels in one byte.

    ``packed`` is u8 [..., inputs / 2, channels]: row r holds input r in the low halves of its
    bytes and input r + inputs / 2 in the high ones. The result is u8 [..., inputs, channels / 2];
    its low halves hold a code and 8, its high ones a code's four bits as they are: the byte with
    its low half taken out is 16 times that code.
    """
    rows = np.concatenate([packed & 15, packed >> 4], axis=-2)
    lead = rows.shape[:-1]
    pairs = rows.reshape(*lead, -1, 2, block)
    return (pairs[..., 0, :] | ((pairs[..., 1, :] ^ 8) << 4)).reshape(*lead, -1)
