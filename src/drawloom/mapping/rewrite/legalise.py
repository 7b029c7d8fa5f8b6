"""Rewriting a graph until every node is something a piece can do.

Each rule takes a node and either leaves it or puts nodes in its place that compute the
same values: reductions and softmax move to the last axis, grouped convolutions become
dense ones, biases become additions, operands that broadcast in ways no engine does are
expanded. What is left over is the tile processor's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod

import numpy as np

from drawloom.graph.build import GraphBuilder, rebuild
from drawloom.graph.ir import Array, Attr, Graph, Node, TensorType
from drawloom.mapping.rewrite.attention import attention
from drawloom.mapping.rewrite.emit import Emit
from drawloom.mapping.rewrite.flatten import flatten
from drawloom.mapping.rewrite.interleave import interleaved
from drawloom.mapping.rewrite.patches import patches
from drawloom.mapping.rewrite.rotary import half_turn
from drawloom.mapping.rewrite.spell import SPELLED, Rule

BIG_CONSTANT = 1 << 22  # elements: larger broadcast constants are expanded on the chip
WIDE_WINDOW = 64  # elements: above this a window of maxima is taken along one axis, then the other


def legalise(graph: Graph) -> Graph:
    """Return a graph of the same values that the pieces can carry out."""
    for rules in (SPELLED, STRUCTURE):
        graph = rebuild(graph, _Pass(rules))
    return rebuild(flatten(graph), _Pass(OPERANDS))


class _Pass:
    """Applies the rule of each node's operator; what rules derive from a constant is shared."""

    def __init__(self, rules: dict[str, Rule]) -> None:
        self.rules = rules
        self.derived: dict[object, str] = {}

    def __call__(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[str]
    ) -> Sequence[str] | None:
        rule = self.rules.get(node.op)
        return rule(Emit(builder, node, self.derived), node, inputs) if rule else None


# Convolutions and pools.


def _conv(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    x, w = inputs[0], inputs[1]
    rank = len(emit.shape(x))
    groups, channels = node.int("group", 1), emit.shape(x)[1]
    depthwise = groups == channels == emit.shape(w)[0] and groups > 1
    bias = inputs[2] if len(inputs) > 2 else ""
    if made := patches(emit, node, x, w, bias):
        return (made,)
    x, w = interleaved(emit, node, x, w)
    if rank == 4 and not bias and (groups == 1 or depthwise) and x == inputs[0]:
        return None
    if rank not in (3, 4) or (groups > 1 and not depthwise and w not in emit.builder.constants):
        return None
    attrs = dict(node.attrs)
    shape = emit.shape(x)
    if rank == 3:
        x = emit.reshape(x, (*shape[:2], 1, shape[2]))
        w = _reshape_constant(emit, w, (*emit.shape(w)[:2], 1, emit.shape(w)[2]))
        attrs = _flat_window(node)
    if groups > 1 and not depthwise:
        outs, inner, *taps = emit.shape(w)
        w = emit.derive(w, "dense", partial(_dense_weights, groups), (outs, inner * groups, *taps))
        attrs["group"] = 1
    y = emit("Conv", x, w, **attrs)
    if bias:
        y = emit("Add", y, _reshape_constant(emit, bias, (emit.shape(bias)[0], 1, 1)))
    if rank == 3:
        out = emit.shape(y)
        y = emit.reshape(y, (out[0], out[1], out[3]))
    return (y,)


def _flat_window(node: Node) -> dict[str, Attr]:
    """Return a 1-D window's attributes as those of a 2-D window of height one."""
    attrs = dict(node.attrs)
    for key in ("strides", "dilations", "kernel_shape"):
        if key in attrs:
            attrs[key] = (1, *node.ints(key))
    if "pads" in attrs:
        before, after = node.ints("pads")
        attrs["pads"] = (0, before, 0, after)
    return attrs


def _tall_window(node: Node) -> dict[str, Attr]:
    """Return a 1-D window's attributes as those of a 2-D window of width one."""
    attrs = dict(node.attrs)
    for key in ("strides", "dilations", "kernel_shape"):
        if key in attrs:
            attrs[key] = (*node.ints(key), 1)
    if "pads" in attrs:
        before, after = node.ints("pads")
        attrs["pads"] = (before, 0, after, 0)
    return attrs


def _reshape_constant(emit: Emit, value: str, shape: tuple[int, ...]) -> str:
    if value in emit.builder.constants:
        return emit.derive(value, "r", partial(_spread, shape), shape)
    return emit.reshape(value, shape)


def _dense_weights(groups: int, weights: Array) -> Array:
    """Put grouped weights on the diagonal of dense ones; the rest is zero."""
    outs, inner = weights.shape[:2]
    dense = np.zeros((outs, inner * groups, *weights.shape[2:]), weights.dtype)
    per = outs // groups
    for group in range(groups):
        dense[group * per : (group + 1) * per, group * inner : (group + 1) * inner] = weights[
            group * per : (group + 1) * per
        ]
    return dense


def _pool(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    shape = emit.shape(inputs[0])
    if len(node.outputs) > 1:
        return None
    if len(shape) == 4 and node.op == "MaxPool" and _is_wide(node):
        across = emit(node.op, inputs[0], **_one_axis(node, 1))
        return (emit(node.op, across, **_one_axis(node, 0)),)
    if len(shape) != 3:
        return None
    # The axis stands as an image's height: that is what pieces cut, however long it is.
    y = emit(node.op, emit.reshape(inputs[0], (*shape, 1)), **_tall_window(node))
    return (emit.reshape(y, emit.shape(y)[:3]),)


def _is_wide(node: Node) -> bool:
    """Whether a window is worth two passes, one along each axis: a maximum is one of maxima."""
    kernel = node.ints("kernel_shape")
    return min(kernel) > 1 and prod(kernel) > WIDE_WINDOW


def _one_axis(node: Node, axis: int) -> dict[str, Attr]:
    """Return a 2-D window's attributes with nothing but a step of one on the other axis."""
    attrs = dict(node.attrs)
    for key in ("strides", "dilations", "kernel_shape"):
        if key in attrs:
            attrs[key] = tuple(n if i == axis else 1 for i, n in enumerate(node.ints(key)))
    if "pads" in attrs:
        attrs["pads"] = tuple(n if i % 2 == axis else 0 for i, n in enumerate(node.ints("pads")))
    return attrs


# Products.


def _matmul(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    a, b = inputs[0], inputs[1]
    shape_a, shape_b = emit.shape(a), emit.shape(b)
    if any(inputs[2:]) or not shape_a or not shape_b:
        return None
    if len(shape_a) == 1 or len(shape_b) == 1:
        return (_vector_product(emit, node, a, b),)
    batch = np.broadcast_shapes(shape_a[:-2], shape_b[:-2])
    whole_b = len(shape_b) == 2 or prod(shape_b[:-2]) == 1
    if shape_a[:-2] == batch and (shape_b[:-2] == batch or whole_b):
        return None
    a = emit("Expand", a, shape=(*batch, *shape_a[-2:])) if shape_a[:-2] != batch else a
    if not whole_b and shape_b[:-2] != batch:
        b = emit("Expand", b, shape=(*batch, *shape_b[-2:]))
    return (emit(node.op, a, b, **node.attrs),)


def _vector_product(emit: Emit, node: Node, a: str, b: str) -> str:
    shape_a, shape_b = emit.shape(a), emit.shape(b)
    a = emit.reshape(a, (1, *shape_a)) if len(shape_a) == 1 else a
    b = emit.reshape(b, (*shape_b, 1)) if len(shape_b) == 1 else b
    y = emit(node.op, a, b, **node.attrs)
    shape = list(emit.shape(y))
    if len(shape_b) == 1:
        del shape[-1]
    if len(shape_a) == 1:
        del shape[-1 if len(shape_b) == 1 else -2]
    return emit.reshape(y, shape)


# Moves.


def _transpose(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    """Axes of length one may change places without any element moving."""
    shape = emit.shape(inputs[0])
    perm = node.ints("perm", tuple(reversed(range(len(shape)))))
    moving = [axis for axis in perm if shape[axis] != 1]
    if moving != sorted(moving) or 0 in shape:
        return None
    return (emit.reshape(inputs[0], tuple(shape[axis] for axis in perm)),)


# Along the last axis.


def _last_axis(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    shape = emit.shape(inputs[0])
    axis = node.int("axis", -1) % max(1, len(shape))
    if len(shape) >= 2 and axis == len(shape) - 1:
        return None
    if len(shape) < 2:
        wide = emit.reshape(inputs[0], (1, *(shape or (1,))))
        return (emit.reshape(emit(node.op, wide, **{**node.attrs, "axis": -1}), shape),)
    perm = [i for i in range(len(shape)) if i != axis] + [axis]
    moved = emit("Transpose", inputs[0], perm=tuple(perm))
    done = emit(node.op, moved, **{**node.attrs, "axis": -1})
    return (emit("Transpose", done, perm=tuple(np.argsort(perm).tolist())),)


def _norm(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    """Flatten the normalised axes into one, when there are several."""
    shape = emit.shape(inputs[0])
    axis = node.int("axis", -1) % len(shape)
    if len(node.outputs) > 1:
        return None
    if axis == len(shape) - 1 and len(shape) >= 2:
        if all(emit.shape(v) == shape[axis:] for v in inputs[1:] if v):
            return None
        whole = [_flat_weight(emit, v, shape[axis:]) if v else "" for v in inputs[1:]]
        return (emit(node.op, inputs[0], *whole, **{**node.attrs, "axis": -1}),)
    flat = (prod(shape[:axis]), prod(shape[axis:]))
    rest = [_flat_weight(emit, v, shape[axis:]) if v else "" for v in inputs[1:]]
    y = emit(node.op, emit.reshape(inputs[0], flat), *rest, **{**node.attrs, "axis": -1})
    return (emit.reshape(y, shape),)


def _flat_weight(emit: Emit, value: str, shape: tuple[int, ...]) -> str:
    """Return a norm's weight, which may be smaller than what it scales, as one long axis."""
    if value in emit.builder.constants:
        return emit.derive(value, "r", partial(_flat_spread, shape), (prod(shape),))
    if emit.shape(value) != shape:
        value = emit("Expand", value, shape=shape)
    return emit.reshape(value, (prod(shape),))


def _spread(shape: tuple[int, ...], array: Array) -> Array:
    if array.size == prod(shape):
        return array.reshape(shape)
    return np.ascontiguousarray(np.broadcast_to(array, shape))


def _flat_spread(shape: tuple[int, ...], array: Array) -> Array:
    return np.ascontiguousarray(np.broadcast_to(array, shape)).reshape(-1)


REDUCED_IMAGES = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")


def _reduce(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    shape = emit.shape(inputs[0])
    rank = len(shape)
    axes = sorted({a % rank for a in node.ints("axes", tuple(range(rank)))}) if rank else []
    keep = node.int("keepdims", 1)
    images = rank == 4 and axes == [2, 3] and node.op in REDUCED_IMAGES
    last = rank >= 2 and axes == [rank - 1]
    if keep and (images or last):
        return None
    if not axes or 0 in shape:
        return None
    kept = (
        [1 if i in axes else n for i, n in enumerate(shape)]
        if keep
        else [n for i, n in enumerate(shape) if i not in axes]
    )
    if images or last:
        y = emit(node.op, inputs[0], axes=tuple(axes), keepdims=1)
        return (emit.reshape(y, kept),)
    others = [i for i in range(rank) if i not in axes]
    x = inputs[0]
    if others + axes != list(range(rank)):
        x = emit("Transpose", x, perm=tuple(others + axes))
    flat = (prod(shape[i] for i in others), prod(shape[i] for i in axes))
    y = emit(node.op, emit.reshape(x, flat), axes=(1,), keepdims=1)
    return (emit.reshape(y, kept),)


# Operands that broadcast.


def _broadcast(emit: Emit, node: Node, inputs: Sequence[str]) -> Sequence[str] | None:
    shape = np.broadcast_shapes(*(emit.shape(v) for v in inputs))
    changed = [_fit(emit, v, shape, node) for v in inputs]
    if all(emit.shape(v) != shape for v in changed):
        # One value a row against one a channel: a body needs an operand of the whole shape.
        held = [v in emit.builder.constants and prod(emit.shape(v)) > 1 for v in changed]
        i = held.index(True) if any(held) else 0
        changed[i] = _widened(emit, changed[i], shape)
    return None if changed == list(inputs) else (emit(node.op, *changed, **node.attrs),)


def _fit(emit: Emit, value: str, shape: tuple[int, ...], node: Node) -> str:
    have = emit.shape(value)
    flat = is_flat(node, emit.builder.types)
    kind = broadcast_kind(have, shape, value in emit.builder.constants, flat=flat)
    if have == shape or (kind and not (kind == "scalar" and node.op == "Where")):
        return value
    return _widened(emit, value, shape)


def _widened(emit: Emit, value: str, shape: tuple[int, ...]) -> str:
    """Return an operand in the whole shape."""
    if value in emit.builder.constants and prod(shape) <= BIG_CONSTANT:
        return emit.derive(value, "wide", partial(_spread, shape), shape)
    return emit("Expand", value, shape=shape)


FLAT_OPS = frozenset(
    (
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "And",
        "Or",
        "Xor",
        "Not",
        "Where",
    )
)


def is_flat(node: Node, types: Mapping[str, TensorType]) -> bool:
    """Whether a node's data must be flat: one-byte elements have blocks of another width."""
    return node.op in FLAT_OPS or any(
        v in types and types[v].dtype.bytes == 1 for v in (*node.inputs, *node.outputs)
    )


def broadcast_kind(
    have: tuple[int, ...], shape: tuple[int, ...], constant: bool, *, flat: bool
) -> str:
    """Return how a smaller operand can be used as it is: scalar, last, image, stat, batch or not ("").

    ``batch``: the same matrices for every step of the outer axes.
    """
    if constant and prod(have) == 1 and prod(shape) != 1:
        return "scalar"
    if flat:
        return ""
    rank = len(shape)
    padded = (1,) * (rank - len(have)) + have
    # What is computed is loaded as a constant is, where it serves several rows.
    several = constant or prod(shape[:-1]) > 1
    if several and rank >= 2 and shape[-1] > 1 and padded == (*(1,) * (rank - 1), shape[-1]):
        return "last"
    if constant and rank == 4 and shape[1] > 1 and padded == (1, shape[1], 1, 1):
        return "image"
    if rank >= 2 and shape[-1] > 1 and padded == (*shape[:-1], 1):
        return "stat"
    if rank == 4 and shape[1] > 1 and have == (1, shape[1], 1, 1):
        return "image"
    if rank >= 3 and padded[-2:] == shape[-2:] and not (constant and prod(shape) <= BIG_CONSTANT):
        same = next((i for i, dim in enumerate(padded) if dim != 1), rank)
        return "batch" if padded[same:] == shape[same:] and same > 0 else ""
    return ""


STRUCTURE: dict[str, Rule] = {
    "Concat": half_turn,
    "Attention": attention,
    "Transpose": _transpose,
    "Conv": _conv,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "Softmax": _last_axis,
    "LogSoftmax": _last_axis,
    "LayerNormalization": _norm,
    "RMSNormalization": _norm,
    **{f"Reduce{kind}": _reduce for kind in ("Mean", "Sum", "Max", "Min", "SumSquare", "L1", "L2")},
}
BROADCASTING = (
    "Add", "Sub", "Mul", "Div", "Min", "Max", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "And", "Or", "Xor", "Where", "Pow",
)  # fmt: skip
OPERANDS: dict[str, Rule] = dict.fromkeys(BROADCASTING, _broadcast)
