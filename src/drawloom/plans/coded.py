"""Weights that are decoded from codes, cut as codes: each chip decodes its own slice where it uses it.

    codes -> (UnpackInt4) -> DequantizeLinear -> product

Scales are cut with the channels or the blocks of inputs that they serve. Two 4-bit codes lie in a
byte, half of the inputs apart: where inputs are cut, each chip's codes are packed anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from drawloom.graph.build import infer_node
from drawloom.graph.ir import Array, Node
from drawloom.graph.lazy import derive
from drawloom.plans.lie import WHOLE, Lie

if TYPE_CHECKING:
    from drawloom.plans.cut import Cutter


@dataclass(frozen=True, slots=True)
class Decoder:
    """The nodes that make a weight of its codes."""

    unpack: Node | None
    decode: Node

    @property
    def blocks(self) -> int:
        """Return how many inputs share a scale; 0: a scale serves a channel, or all."""
        return self.decode.int("block_size")


@dataclass(frozen=True, slots=True)
class Pending:
    """Nodes that are put beside whatever reads what they give."""

    unpack: Node | None
    decode: Node

    def named(self, name: str) -> tuple[Node, ...]:
        """Return the nodes, the last of which gives ``name``."""
        decode = replace(self.decode, name=name, outputs=(name,))
        if self.unpack is None:
            return (decode,)
        inner = f"{name}.codes"
        unpack = replace(self.unpack, name=f"{name}.unpack", outputs=(inner,))
        return unpack, replace(decode, inputs=(inner, *decode.inputs[1:]))


def note(cutter: Cutter, node: Node) -> bool:
    """Note a node that decodes constants, and put off adding it; False for any other."""
    first, *rest = node.inputs
    if node.outputs[0] in cutter.graph.outputs:
        return False
    held = all(not v or v in cutter.constants for v in rest)
    if node.op == "UnpackInt4" and first in cutter.constants:
        cutter.unpacks[node.outputs[0]] = node
    elif node.op == "DequantizeLinear" and held and first in (*cutter.constants, *cutter.unpacks):
        cutter.decoders[node.outputs[0]] = Decoder(cutter.unpacks.get(first), node)
    else:
        return False
    cutter.lies[node.outputs[0]] = WHOLE
    cutter.types[node.outputs[0]] = infer_node(node, cutter.types)[0]
    return True


def can_part(cutter: Cutter, value: str, lie: Lie) -> bool:
    """Return whether a weight can be held in such parts: whole blocks of inputs that share a scale."""
    made = cutter.decoders.get(value)
    if made is None:
        return True
    size = cutter.shape(value)[lie.axis] // lie.ways
    rank = len(cutter.shape(value))
    packed = made.unpack is not None and made.unpack.int("axis") % rank == lie.axis
    if packed and size % 2:
        return False
    own = made.blocks and made.decode.int("axis", 1) % rank == lie.axis
    return not own or size % made.blocks == 0 or cutter.shape(value)[lie.axis] <= made.blocks


def part(cutter: Cutter, value: str, lie: Lie) -> str:
    """Return the name under which what reads a decoded weight finds it, whole or in parts."""
    made = cutter.decoders[value]
    name = value if lie.kind == "whole" else f"{value}.part{lie.axis}.{lie.ways}"
    if name in cutter.pending:
        return name
    codes, scale, *zeros = made.decode.inputs
    unpack = made.unpack
    if unpack is not None:
        codes = _packed(cutter, unpack, lie)
        unpack = replace(unpack, inputs=(codes,))
    else:
        codes = cutter.need(codes, lie)
    beside = [_scales(cutter, made, value, v, lie) for v in (scale, *zeros)]
    cutter.pending[name] = Pending(unpack, replace(made.decode, inputs=(codes, *beside)))
    cutter.types[name], cutter.lies[name] = cutter.share(cutter.graph.types[value], lie), lie
    return name


def _scales(cutter: Cutter, made: Decoder, value: str, scale: str, lie: Lie) -> str:
    """Return scales or zero points as a chip's part of the codes needs them."""
    if not scale or lie.kind == "whole" or cutter.shape(scale) in ((), (1,)):
        return scale
    rank, axis = len(cutter.shape(value)), made.decode.int("axis", 1)
    own = axis % rank == lie.axis
    if not made.blocks:
        return cutter.need(scale, cutter.part(0, lie.ways)) if own else scale
    if own and cutter.shape(value)[lie.axis] <= made.blocks:
        return scale
    return cutter.need(scale, lie)


def _packed(cutter: Cutter, unpack: Node, lie: Lie) -> str:
    """Return packed codes in parts; along the axis of packing each part's halves lie in its own bytes."""
    packed = unpack.inputs[0]
    kind = cutter.graph.types[packed]
    if lie.kind == "whole" or unpack.int("axis") % len(kind.shape) != lie.axis:
        return cutter.need(packed, lie)
    name = f"{packed}.part{lie.axis}.{lie.ways}"
    if name not in cutter.constants:
        share = cutter.share(kind, lie)
        size = 2 * share.shape[lie.axis]
        cutter.constants[name] = tuple(
            derive(held, partial(_repacked, lie.axis, cutter.index(chip, lie) * size, size), share)
            for chip, held in enumerate(cutter.constants[packed])
        )
        cutter.types[name], cutter.levels[name], cutter.lies[name] = share, 0, lie
    return name


def _repacked(axis: int, start: int, size: int, packed: Array) -> Array:
    """Return the bytes of ``size`` codes from ``start`` on, their first half in the low nibbles."""
    codes = np.concatenate([packed & 15, packed >> 4], axis)
    low, high = np.split(np.take(codes, range(start, start + size), axis), 2, axis)
    return np.ascontiguousarray(low | (high << 4))
