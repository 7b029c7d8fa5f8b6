"""Small questions rules ask of a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drawloom.frontends.rewrite.edit import Edit
from drawloom.graph.ir import Array, Node
from drawloom.graph.rounding import wide


def number(edit: Edit, value: str) -> float | None:
    """Return the one number that a constant holds, None for anything else."""
    held = edit.held(value)
    array = edit.array(value) if held is not None and held.size == 1 else None
    if array is None or array.dtype == np.bool_:
        return None
    return float(array.reshape(())[()])


def with_constant(edit: Edit, node: Node, *, ordered: bool = False) -> tuple[str, Array] | None:
    """Return the operand that varies and the constant one of a node with two operands.

    ``ordered`` wants the constant second, as where the operator does not commute.
    """
    a, b = node.inputs
    second, first = edit.array(b), edit.array(a)
    if second is not None and first is None:
        return a, second
    if first is not None and second is None and not ordered:
        return b, first
    return None


def along(array: Array, shape: tuple[int, ...], axis: int) -> NDArray[np.float64] | None:
    """Return a constant that varies along one axis of ``shape`` only as a float64 vector.

    A constant that widens the shape it is broadcast with gives None.
    """
    if array.ndim > len(shape):
        return None
    full = (1,) * (len(shape) - array.ndim) + array.shape
    if any(d != 1 for i, d in enumerate(full) if i != axis) or full[axis] not in (1, shape[axis]):
        return None
    return np.broadcast_to(wide(array).reshape(-1), (shape[axis],))


def is_square_of(edit: Edit, value: str) -> str | None:
    """Return x where the value is x * x or x ** 2."""
    node = edit.producer(value, "Mul", "Pow")
    if node is None:
        return None
    base, other = node.inputs
    if node.op == "Mul":
        return base if base == other else None
    return base if number(edit, other) == 2.0 else None
