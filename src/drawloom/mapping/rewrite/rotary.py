"""Rotary embeddings: two slices joined the other way round are one step of a body.

x cos + (second half, first half) sin reads x twice, once with its halves exchanged. Exchanged in
the scratchpad, by the move engine, x is loaded once and the whole rotation is one strip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.mapping.rewrite.emit import Emit

TURNED = (DType.F16, DType.BF16, DType.F32)


def half_turn(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    """Make one gather of the two halves of a value joined the other way round."""
    made = [_slice_of(emit, value) for value in inputs]
    if len(inputs) != 2 or None in made:
        return None
    (x, low, high), (other, first, last) = (one for one in made if one)
    shape = emit.shape(x)
    width = shape[-1] if shape else 0
    half = (low, high, first, last) == (width // 2, width, 0, width // 2)
    on_last = node.int("axis") % len(shape) == len(shape) - 1 if shape else False
    if (
        x != other
        or width % 2
        or not half
        or not on_last
        or emit.builder.types[x].dtype not in TURNED
    ):
        return None
    order = emit.constant("halves", width, lambda: np.roll(np.arange(width), width // 2))
    return (emit("Gather", x, order, axis=len(shape) - 1),)


def _slice_of(emit: Emit, value: str) -> tuple[str, int, int] | None:
    """Return what a value is a slice of along the last axis alone, with where from and where to."""
    node = next((n for n in reversed(emit.builder.nodes) if value in n.outputs), None)
    if node is None or node.op != "Slice" or any(node.inputs[1:]):
        return None
    shape = emit.shape(node.inputs[0])
    axes, steps = node.ints("axes", (0,)), node.ints("steps", (1,))
    if len(axes) != 1 or axes[0] % len(shape) != len(shape) - 1 or steps != (1,):
        return None
    return node.inputs[0], node.ints("starts")[0], min(node.ints("ends")[0], shape[-1])


def is_half_turn(
    node: Node, types: Mapping[str, TensorType], constants: Mapping[str, Array]
) -> bool:
    """Whether a gather exchanges the halves of the last axis, which bodies do."""
    shape = types[node.inputs[0]].shape if node.op == "Gather" else ()
    if len(shape) < 2 or shape[-1] % 2 or node.inputs[1] not in constants:
        return False
    if types[node.inputs[0]].dtype not in TURNED:
        return False
    width, last = shape[-1], node.int("axis", 0) % len(shape) == len(shape) - 1
    return (
        last
        and types[node.inputs[1]].shape == (width,)
        and bool(np.array_equal(constants[node.inputs[1]], np.roll(np.arange(width), width // 2)))
    )
