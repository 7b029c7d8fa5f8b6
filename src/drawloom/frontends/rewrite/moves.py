"""Transposes and reshapes: merged, moved past what does not mind them, dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from drawloom.frontends.rewrite.edit import Edit, rewrite
from drawloom.graph.ir import Graph, Node

# One operand, each element by itself.
_ELEMENTWISE = (
    "Abs Cast Ceil Celu Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log Mish "
    "Neg Not Reciprocal Relu Round Selu Sigmoid Sign Silu Sin Softplus Softsign Sqrt Swish Tanh "
    "ThresholdedRelu"
)
UNARY = frozenset(_ELEMENTWISE.split())
_BINARY = frozenset({"Add", "Sub", "Mul", "Div", "Min", "Max", "Pow"})

Perm = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MergeTransposes:
    """Make two transposes one, let them meet past elementwise nodes, drop those that move nothing.

    One that only moves axes of size 1 becomes a Reshape.
    """

    name: ClassVar[str] = "merge-transposes"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with fewer transposes."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        if node.op in _BINARY:
            return _lifted(edit, node)
        if node.op != "Transpose":
            return None
        x = node.inputs[0]
        perm = perm_of(edit, node)
        inner = edit.producer(x, "Transpose")
        if inner is not None:
            return [_transposed(edit, inner.inputs[0], _then(perm_of(edit, inner), perm), node)]
        between = edit.producer(x)
        if between is not None and between.op in UNARY and edit.uses(x) == 1:
            first = edit.producer(between.inputs[0], "Transpose")
            if first is not None:
                both = _then(perm_of(edit, first), perm)
                moved = _transposed(edit, first.inputs[0], both, node)
                return [edit.emit(between.op, (moved,), between, **between.attrs)]
        if _moves_nothing(perm, edit.shape(x)):
            return [_transposed(edit, x, perm, node)]
        return None


def perm_of(edit: Edit, node: Node) -> Perm:
    """Return a Transpose's permutation."""
    rank = len(edit.shape(node.inputs[0]))
    return node.ints("perm", tuple(reversed(range(rank))))


def _then(first: Perm, second: Perm) -> Perm:
    return tuple(first[p] for p in second)


def _moves_nothing(perm: Perm, shape: tuple[int, ...]) -> bool:
    """Whether the axes longer than 1 keep their order."""
    order = [p for p in perm if shape[p] != 1]
    return order == sorted(order)


def _transposed(edit: Edit, x: str, perm: Perm, like: Node) -> str:
    """Return x transposed by as little as will do."""
    shape = edit.shape(x)
    if perm == tuple(range(len(shape))):
        return x
    if _moves_nothing(perm, shape):
        return edit.emit("Reshape", (x,), like, shape=tuple(shape[p] for p in perm))
    return edit.emit("Transpose", (x,), like, perm=perm)


def _lifted(edit: Edit, node: Node) -> Sequence[str] | None:
    """Let two operands transposed alike be transposed after the node."""
    made = [edit.producer(v, "Transpose") for v in node.inputs]
    if None in made or node.inputs[0] == node.inputs[1]:
        return None
    first, second = (n for n in made if n is not None)
    alike = perm_of(edit, first) == perm_of(edit, second)
    if not alike or any(edit.uses(v) != 1 for v in node.inputs):
        return None
    done = edit.emit(node.op, (first.inputs[0], second.inputs[0]), node, **node.attrs)
    return [edit.emit("Transpose", (done,), first, perm=perm_of(edit, first))]


@dataclass(frozen=True, slots=True)
class MergeReshapes:
    """Make two reshapes one, let them meet past elementwise nodes."""

    name: ClassVar[str] = "merge-reshapes"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with fewer reshapes."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        if node.op != "Reshape":
            return None
        x = node.inputs[0]
        shape = node.ints("shape")
        inner = edit.producer(x, "Reshape")
        if inner is not None:
            return [_reshaped(edit, inner.inputs[0], shape, node)]
        between = edit.producer(x)
        if between is None or between.op not in UNARY or edit.uses(x) != 1:
            return None
        first = edit.producer(between.inputs[0], "Reshape")
        if first is None:
            return None
        moved = _reshaped(edit, first.inputs[0], shape, node)
        return [edit.emit(between.op, (moved,), between, **between.attrs)]


def _reshaped(edit: Edit, x: str, shape: tuple[int, ...], like: Node) -> str:
    return x if edit.shape(x) == shape else edit.emit("Reshape", (x,), like, shape=shape)


@dataclass(frozen=True, slots=True)
class TransposeIntoMatMul:
    """Let a MatMul read an operand turned, where that spares a transpose or its inner axis."""

    name: ClassVar[str] = "transpose-into-matmul"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with trans_a and trans_b set instead."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        if node.op != "MatMul":
            return None
        inputs, attrs, changed = list(node.inputs), dict(node.attrs), False
        for i, key in enumerate(("trans_a", "trans_b")):
            turned = edit.producer(inputs[i], "Transpose")
            if turned is None:
                continue
            perm = perm_of(edit, turned)
            last = len(perm) - 1
            swapped = (*perm[:-2], perm[-1], perm[-2])
            # worth it where the innermost axis then stays innermost
            if last < 1 or perm[-1] == last or swapped[-1] != last:
                continue
            if edit.uses(inputs[i]) != 1 and swapped != tuple(range(last + 1)):
                continue
            inputs[i] = _transposed(edit, turned.inputs[0], swapped, turned)
            attrs[key] = 1 - node.int(key)
            changed = True
        if not changed:
            return None
        kept = {k: v for k, v in attrs.items() if v}
        return [edit.emit("MatMul", inputs, node, **kept)]


@dataclass(frozen=True, slots=True)
class GatherToSlice:
    """Make a Gather of one index, or of indices in a row, a Slice."""

    name: ClassVar[str] = "gather-to-slice"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with fewer Gathers."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        indices = edit.array(node.inputs[1]) if node.op == "Gather" else None
        if indices is None or indices.ndim > 1 or not indices.size:
            return None
        shape = edit.shape(node.inputs[0])
        axis = node.int("axis") % len(shape)
        rows = indices.reshape(-1).astype(np.int64)
        rows = np.where(rows < 0, rows + shape[axis], rows)
        if np.any(np.diff(rows) != 1) or rows[0] < 0 or rows[-1] >= shape[axis]:
            return None
        start, end = int(rows[0]), int(rows[-1]) + 1
        cut = edit.emit("Slice", node.inputs[:1], node, starts=(start,), ends=(end,), axes=(axis,))
        if indices.ndim == 1:
            return [cut]
        return [_reshaped(edit, cut, (*shape[:axis], *shape[axis + 1 :]), node)]
