"""Codes that are decoded on their own, by engines: those that were picked by index, or computed.

Codes that stand in a graph as constants are left to the products that read them (``coded``), but
for those of few channels, such as the gate of a mixture of experts: they are no block that a
product could decode, and stand in DRAM as the numbers they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.lazy import Held, LazyTensor, values
from drawloom.graph.ops import OPS
from drawloom.mapping.fuse.quantized import is_one_scale
from drawloom.mapping.rewrite.emit import Emit

_CODES = (DType.I8, DType.U8)
_FLOATS = (DType.F16, DType.BF16, DType.F32)
FEW_CHANNELS = 64
WHOLE_BLOCKS = 128
MOST = 1 << 20  # elements that are worth keeping as numbers


def dequantize(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    """Decode to numbers of the scale's format: less the zero point, times the scale."""
    codes, scale = inputs[:2]
    kind, made = emit.builder.types[codes], emit.builder.types[scale].dtype
    shape, axis, size = kind.shape, node.int("axis", 1), node.int("block_size")
    if kind.dtype not in _CODES or made not in _FLOATS or 0 in shape:
        return None
    if is_one_scale(
        emit.builder.types, emit.builder.constants, replace(node, inputs=tuple(inputs))
    ):
        return None
    if _is_held(emit, codes):
        return _decoded(emit, node, inputs)
    unpacking = _maker(emit, codes)
    source = unpacking.inputs[0] if unpacking and unpacking.op == "UnpackInt4" else codes
    by_group = size and axis == len(shape) - 2 and len(inputs) == 2
    if by_group and _is_picked(emit, source) and _is_picked(emit, scale):
        return None
    axis = axis % len(shape) if shape else 0
    if size and shape[axis] % size:
        return None
    split = (*shape[:axis], shape[axis] // size, size, *shape[axis + 1 :]) if size else shape
    values = emit.reshape(emit("Cast", codes, to=made.value), split)
    if len(inputs) > 2 and inputs[2]:
        zero = emit("Cast", inputs[2], to=made.value)
        values = emit("Sub", values, _along(emit, zero, split, axis, size))
    return (emit.reshape(emit("Mul", values, _along(emit, scale, split, axis, size)), shape),)


def _is_held(emit: Emit, codes: str) -> bool:
    """Whether codes are constants, as they are or in half bytes."""
    held = emit.builder.constants
    if codes in held:
        return True
    made = _maker(emit, codes)
    return made is not None and made.op == "UnpackInt4" and made.inputs[0] in held


def _is_picked(emit: Emit, codes: str) -> bool:
    """Whether codes are picked from a stack by the numbers of a TopK, in whole blocks of channels.

    Source: no product decodes fewer channels at a time than ``coded`` takes (two blocks of 64).
    """
    node = _maker(emit, codes)
    if node is None or node.op != "Gather" or emit.shape(codes)[-1] % WHOLE_BLOCKS:
        return False
    chooser = _maker(emit, node.inputs[1])
    return node.inputs[0] in emit.builder.constants and chooser is not None and chooser.op == "TopK"


def _decoded(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    """Return the numbers of a weight of few channels as a constant; None for any other weight."""
    codes, others = inputs[0], [v for v in inputs[1:] if v]
    kind, held = emit.builder.types[codes], emit.builder.constants.held
    if kind.shape[-1:] >= (FEW_CHANNELS,) or kind.size > MOST or not set(others) <= held.keys():
        return None
    made = TensorType(emit.builder.types[inputs[1]].dtype, kind.shape)
    unpacking = _maker(emit, codes) if codes not in held else None
    source = unpacking.inputs[0] if unpacking else codes
    parts = [held[value] for value in (source, *others)]
    change = partial(_numbers, node, unpacking, parts)
    whole: Held = LazyTensor(made, source, change)
    if any(isinstance(part, LazyTensor) and part.is_meta for part in parts):
        whole = LazyTensor.meta(made, source)
    return (emit.builder.constant(f"{source}.numbers", whole),)


def _numbers(node: Node, unpacking: Node | None, parts: Sequence[Held]) -> Array:
    codes, *others = (values(part) for part in parts)
    if unpacking:
        (codes,) = OPS[unpacking.op].evaluate(unpacking, (codes,))
    return OPS[node.op].evaluate(node, (codes, *others))[0]


def _maker(emit: Emit, value: str) -> Node | None:
    return next((n for n in reversed(emit.builder.nodes) if value in n.outputs), None)


def _along(emit: Emit, value: str, shape: tuple[int, ...], axis: int, size: int) -> str:
    """Return a scale or zero point in a shape that broadcasts to that of the codes."""
    have = emit.shape(value)
    if prod(have) == 1:
        return value
    if size:
        return emit.reshape(value, (*shape[: axis + 1], 1, *shape[axis + 2 :]))
    return emit.reshape(value, (have[0], *(1,) * (len(shape) - axis - 1)))


def unpack(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    """Take bytes apart by arithmetic that is exact in 16 bits."""
    if inputs[0] in emit.builder.constants or 0 in emit.shape(inputs[0]):
        return None
    if _is_picked(emit, inputs[0]):
        return None
    parts = emit("Mul", emit("Cast", inputs[0], to="f16"), _number(emit, 1 / 16))
    high = emit("Floor", parts)
    low = emit("Mul", emit("Sub", parts, high), _number(emit, 16.0))
    codes = emit("Sub", emit("Concat", low, high, axis=node.int("axis")), _number(emit, 8.0))
    return (emit("Cast", codes, to="i8"),)


def _number(emit: Emit, value: float) -> str:
    return emit.constant("number", ("f16", value), lambda: np.asarray(value, np.float16))
