"""Convolutions of codes: sums of 32 bits, and what makes codes or numbers of them.

The matrix engine hands sums on in f32. Up to 2^24 that is exact, and so is their product with an
f32 scale before it is rounded, once, to a code or to the format of the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from drawloom.chip.model import Blocking
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, Node, TensorType
from drawloom.mapping.body import Body, Slot, Step
from drawloom.mapping.rewrite.emit import Emit

# Where the weights of a convolution stand among its inputs.
CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
WHOLE = float(1 << 24)  # integers up to here are numbers of f32
CODE = 128  # the largest code, of either sign
TOTALS, FACTORS, SHIFTS = "totals", "factors", "shifts"  # slots
Types = Mapping[str, TensorType]
Arrays = Mapping[str, Array]


def weights_of(node: Node) -> str:
    """Return the weights of a convolution."""
    return node.inputs[CONVOLUTIONS[node.op]]


def is_convolution(node: Node) -> bool:
    """Whether a node is a convolution of numbers or codes."""
    return node.op in CONVOLUTIONS


def runs_on_codes(types: Types, constants: Arrays, node: Node) -> bool:
    """Whether a convolution of codes is exact as engines do it."""
    if node.op == "QLinearConv":
        return _requantizes(types, constants, node)
    return not any(node.inputs[2:]) and _is_plain(types, constants, node)


def scales_sums(graph: Graph, node: Node) -> bool:
    """Whether a node makes numbers of sums that f32 holds, a scale a channel."""
    if node.op != "DequantizeLinear" or any(node.inputs[2:]) or node.int("block_size"):
        return False
    kind, scale = graph.types[node.inputs[0]], graph.types[node.inputs[1]]
    if (
        kind.dtype is not DType.I32
        or node.inputs[1] not in graph.constants
        or scale.dtype is not DType.F32
    ):
        return False
    maker = graph.producers().get(node.inputs[0])
    if maker is None:
        return False
    weights = maker.inputs[1] if maker.op in ("ConvInteger", "MatMulInteger") else ""
    if weights not in graph.constants or any(maker.inputs[2:]):
        return False
    channel = 0 if maker.op == "ConvInteger" else graph.constants[weights].ndim - 1
    axis = 1 if maker.op == "ConvInteger" else len(kind.shape) - 1
    per = scale.size == 1 or (scale.size > 1 and node.int("axis", 1) % len(kind.shape) == axis)
    return per and float(_largest(graph.constants[weights], channel).max()) < WHOLE


def makes_codes(types: Types, constants: Arrays, node: Node) -> bool:
    """Whether a node makes codes of i8, with one scale and no zero point, of numbers."""
    zero = "".join(node.inputs[2:3])
    if zero and (zero not in constants or np.any(constants[zero])):
        return False
    made = types[node.outputs[0]].dtype is DType.I8
    halves = types[node.inputs[0]].dtype in (DType.F16, DType.BF16, DType.F32)
    scale = types[node.inputs[1]]
    known = node.inputs[1] in constants and scale.size == 1 and scale.dtype is DType.F32
    return made and halves and known and bool(np.all(constants[node.inputs[1]] > 0))


def is_one_scale(types: Types, constants: Arrays, node: Node) -> bool:
    """Whether a node makes numbers of computed codes of an image, which one scale is for."""
    codes, scale, zero = node.inputs[0], node.inputs[1], node.inputs[2:]
    kind = types[codes]
    image = kind.dtype is DType.I8 and len(kind.shape) == 4 and codes not in constants
    if not image or any(zero) or scale not in constants or node.int("block_size"):
        return False
    return types[scale].size == 1 and types[scale].dtype is DType.F32


def _is_plain(types: Types, constants: Arrays, node: Node) -> bool:
    x, w = types[node.inputs[0]], types[weights_of(node)]
    bytes_ = x.dtype is DType.I8 and w.dtype is DType.I8
    known = weights_of(node) in constants and node.inputs[0] not in constants
    return bytes_ and known and len(x.shape) == 4 and node.int("group", 1) == 1


def _requantizes(types: Types, held: Arrays, node: Node) -> bool:
    """Whether sums come out right in f32: as they are, or so large that they saturate."""
    scales = [node.inputs[i] for i in (1, 4, 6)]
    zeros = [node.inputs[i] for i in (2, 5, 7)]
    bias = _bias(node)
    if not _is_plain(types, held, node) or types[node.outputs[0]].dtype is not DType.I8:
        return False
    if any(v and v not in held for v in (*scales, *zeros, bias)):
        return False
    if any(v and np.any(held[v]) for v in zeros):
        return False
    exact = _factor(held, node)
    rounded = exact.astype(np.float32).astype(np.float64)
    shift = np.abs(held[bias].astype(np.float64)) if bias else np.zeros(1)
    small = _largest(held[weights_of(node)], 0) + shift < WHOLE
    saturated = (WHOLE - 2 * shift) * np.abs(rounded) > CODE
    return bool(np.all(exact == rounded) and np.all(small | saturated) and np.all(shift < WHOLE))


def _bias(node: Node) -> str:
    return node.inputs[8] if len(node.inputs) > 8 else ""


def _largest(weights: Array, channel: int) -> Array:
    """Return for each output how large its sums can be."""
    others = tuple(axis for axis in range(weights.ndim) if axis != channel)
    return CODE * np.abs(weights.astype(np.float64)).sum(others)


def _factor(held: Arrays, node: Node) -> Array:
    """What sums are multiplied by, one for all or one for each output."""
    x, w, y = (held[node.inputs[i]].astype(np.float64) for i in (1, 4, 6))
    return x.reshape(()) / y.reshape(()) * w.reshape(-1)


def convolve_codes(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    """Give a convolution of codes one factor for each output, and no other scales."""
    named = replace(node, inputs=tuple(inputs))
    held = emit.builder.constants
    if not runs_on_codes({**emit.builder.types, **_result(node)}, held, named):
        return None
    outs = emit.shape(weights_of(named))[0]
    x, y = (float(held[inputs[i]].reshape(())) for i in (1, 6))
    if x == y == 1.0 and held[inputs[4]].shape == (outs,):
        return None
    each = emit.derive(inputs[4], f"{x / y:.17g}", partial(_each, x / y, outs), (outs,))
    one = emit.constant("one", DType.F32, lambda: np.ones((), np.float32))
    none = emit.constant("none", (DType.I8, outs), lambda: np.zeros(outs, np.int8))
    given = [inputs[0], one, inputs[2], inputs[3], each, none, one, *inputs[7:]]
    return (emit(node.op, *given, **node.attrs),)


def _result(node: Node) -> dict[str, TensorType]:
    return {node.outputs[0]: TensorType(DType.I8, ())}


def _each(factor: float, outs: int, scales: Array) -> Array:
    made = (factor * scales.astype(np.float64)).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(made.reshape(-1), (outs,)))


BLOCKWISE = ("DequantizeLinear", "QuantizeLinear", "Relu")


def keeps_blocks(node: Node, types: Types, blocking: Blocking) -> bool:
    """Whether a node makes or takes codes of an image without a change of its blocks.

    Codes stand in blocks as wide as those of numbers while an engine works on them, which
    they can where channels are whole blocks of either, or fit one.
    """
    kinds = [types[v] for v in (node.inputs[0], node.outputs[0])]
    narrow = any(kind.dtype is DType.I8 for kind in kinds)
    if node.op not in BLOCKWISE or not narrow or len(kinds[0].shape) != 4:
        return False
    return is_narrow(kinds[0].shape[1], blocking)


def is_narrow(channels: int, blocking: Blocking) -> bool:
    """Whether codes of so many channels can stand in the blocks of numbers."""
    block = blocking.of(2)
    return 2 * block == blocking.of(1) and (channels <= block or channels % block == 0)


def coded_body(body: Body, result: str, node: Node) -> tuple[Body, str]:
    """Return a body that first makes codes, in its slot ``result``, of sums in f32."""
    slots = [Slot(TOTALS, "full", "f32"), Slot(FACTORS, "channel", "f32")]
    loads, steps = [(FACTORS, node.inputs[4])], list[Step]()
    if _bias(node):
        slots.append(Slot(SHIFTS, "channel", "f32"))
        loads.append((SHIFTS, _bias(node)))
        steps.append(Step("add", TOTALS, TOTALS, SHIFTS, node=node.name))
    steps.append(Step("mul", result, TOTALS, FACTORS, node=node.name))
    whole = replace(
        body,
        slots=(*body.slots, *slots),
        steps=(*steps, *body.steps),
        loads=(*loads, *body.loads),
    )
    return whole, TOTALS
