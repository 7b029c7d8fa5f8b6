"""Random graphs for laws about mappings: operators of every kind of piece, sizes that do not divide evenly."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr, Graph, TensorType

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 70, 96, 127, 129, 130, 200)
SMALL = (1, 2, 3, 4, 5, 6, 7, 9, 11)
MOST = 20_000  # elements of a value
FLOATS = (DType.F16, DType.F16, DType.F32, DType.BF16)
SMOOTH = (
    "Relu", "Sigmoid", "Tanh", "Neg", "Abs", "Gelu", "Silu", "Erf", "HardSwish", "HardSigmoid",
    "Softplus", "Elu", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos",
)  # fmt: skip
PAIRS = ("Add", "Sub", "Mul", "Min", "Max")

Step = Callable[[st.DrawFn, GraphBuilder, str], str | None]


def values_of(kind: TensorType, seed: int) -> Array:
    """Return values of a type: small integers, floats of a few units."""
    rng = np.random.default_rng(seed)
    if kind.dtype is DType.BOOL:
        return rng.integers(0, 2, kind.shape).astype(np.bool_)
    if kind.dtype.is_float:
        return rng.uniform(-2.0, 2.0, kind.shape).astype(kind.dtype.numpy)
    low = 0 if kind.dtype.value.startswith("u") else -9
    return rng.integers(low, 10, kind.shape).astype(kind.dtype.numpy)


def inputs_of(graph: Graph, seed: int) -> dict[str, Array]:
    """Return values for a graph's inputs."""
    return {v: values_of(graph.types[v], seed + i) for i, v in enumerate(graph.inputs)}


def _pick(draw: st.DrawFn, *choices: int) -> int:
    return draw(st.sampled_from(choices))


def _fresh(draw: st.DrawFn, b: GraphBuilder, kind: TensorType, constant: bool | None = None) -> str:
    """A new operand: a graph input or a constant."""
    if draw(st.booleans()) if constant is None else constant:
        return b.constant("c", values_of(kind, draw(st.integers(0, 99))))
    return b.input(f"in{len(b.inputs)}", kind)


def _float(b: GraphBuilder, x: str) -> bool:
    return b.types[x].dtype in FLOATS


def unary(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    op = draw(st.sampled_from(SMOOTH if _float(b, x) else ("Neg", "Abs", "Relu")))
    if b.types[x].dtype in (DType.BOOL, DType.U8):
        return None
    return b.add(op, [x])


def pair(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    """Two operands, of which the second may broadcast in any way."""
    kind = b.types[x]
    if kind.dtype is DType.BOOL:
        return b.add(draw(st.sampled_from(("And", "Or", "Xor"))), [x, x])
    same = [v for v, k in b.types.items() if k == kind]
    if draw(st.booleans()):
        other = draw(st.sampled_from(same))
    else:
        shape = [draw(st.sampled_from((1, n))) for n in kind.shape]
        keep = draw(st.integers(0, len(shape)))
        other = _fresh(draw, b, TensorType(kind.dtype, tuple(shape[len(shape) - keep :])))
    operands = draw(st.permutations([x, other]))
    return b.add(draw(st.sampled_from(PAIRS)), operands)


def compare(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    kind = b.types[x]
    if kind.dtype is DType.BOOL:
        return None
    other = _fresh(draw, b, kind)
    mask = b.add(draw(st.sampled_from(("Less", "Greater", "GreaterOrEqual", "Equal"))), [x, other])
    return b.add("Where", [mask, x, other]) if draw(st.booleans()) else mask


def cast(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    target = draw(st.sampled_from((DType.F16, DType.F32, DType.I32, DType.BOOL)))
    if not _float(b, x) or target is b.types[x].dtype:
        return None
    return b.add("Cast", [x], {"to": target.value})


def product(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    kind = b.types[x]
    if len(kind.shape) < 2 or (kind.dtype is not DType.I8 and not _float(b, x)):
        return None
    n = _pick(draw, *SIZES)
    whole = draw(st.booleans())
    batch = () if whole else kind.shape[:-2]
    if kind.dtype is DType.I8:
        other = _fresh(draw, b, TensorType(DType.I8, (*batch, kind.shape[-1], n)))
        return b.add("MatMulInteger", [x, other])
    trans_a, trans_b = draw(st.sampled_from(((0, 0), (0, 0), (0, 1), (1, 0), (1, 1))))
    k = kind.shape[-2] if trans_a else kind.shape[-1]
    other = _fresh(draw, b, TensorType(kind.dtype, (*batch, *((n, k) if trans_b else (k, n)))))
    attrs: dict[str, Attr] = {"trans_a": trans_a, "trans_b": trans_b} if trans_a or trans_b else {}
    return b.add("MatMul", [x, other], attrs)


def convolution(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    kind = b.types[x]
    if len(kind.shape) != 4 or not _float(b, x):
        return None
    channels, *size = kind.shape[1:]
    kernel = [min(n, _pick(draw, 1, 2, 3, 5)) for n in size]
    attrs: dict[str, Attr] = {
        "kernel_shape": tuple(kernel),
        "strides": (_pick(draw, 1, 1, 2, 3), _pick(draw, 1, 1, 2)),
        "pads": tuple(draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)),
    }
    groups = draw(st.sampled_from([g for g in (1, 1, 2, 3, channels) if channels % g == 0]))
    outs = groups * _pick(draw, 1, 2, 3) if groups > 1 else _pick(draw, *SIZES)
    attrs["group"] = groups
    weights = _fresh(draw, b, TensorType(kind.dtype, (outs, channels // groups, *kernel)), True)
    more = [_fresh(draw, b, TensorType(kind.dtype, (outs,)), True)] if draw(st.booleans()) else []
    return b.add("Conv", [x, weights, *more], attrs)


def pool(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    kind = b.types[x]
    if len(kind.shape) != 4 or not _float(b, x):
        return None
    kernel = [min(n, _pick(draw, 1, 2, 3)) for n in kind.shape[2:]]
    attrs: dict[str, Attr] = {
        "kernel_shape": tuple(kernel),
        "strides": (_pick(draw, 1, 2), _pick(draw, 1, 2, 3)),
        "pads": tuple(draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)),
    }
    return b.add(draw(st.sampled_from(("MaxPool", "AveragePool"))), [x], attrs)


def softmax(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    rank = len(b.types[x].shape)
    if not _float(b, x) or not rank:
        return None
    return b.add(
        draw(st.sampled_from(("Softmax", "LogSoftmax"))),
        [x],
        {"axis": draw(st.integers(-rank, rank - 1))},
    )


def norm(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    kind = b.types[x]
    if not _float(b, x) or not kind.shape:
        return None
    operand = TensorType(kind.dtype, kind.shape[-1:])
    op = draw(st.sampled_from(("LayerNormalization", "RMSNormalization")))
    rest = [_fresh(draw, b, operand, True)]
    if op == "LayerNormalization" and draw(st.booleans()):
        rest.append(_fresh(draw, b, operand, True))
    return b.add(op, [x, *rest], {"axis": -1, "epsilon": 0.125})


def reduction(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    rank = len(b.types[x].shape)
    if not rank or b.types[x].dtype in (DType.BOOL, DType.U8, DType.I8):
        return None
    floats = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL1")
    op = draw(st.sampled_from(floats if _float(b, x) else ("ReduceMax", "ReduceSum")))
    axes = draw(st.lists(st.integers(0, rank - 1), min_size=1, unique=True))
    return b.add(op, [x], {"axes": tuple(sorted(axes)), "keepdims": draw(st.integers(0, 1))})


def transpose(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    perm = tuple(draw(st.permutations(range(len(b.types[x].shape)))))
    return b.add("Transpose", [x], {"perm": perm}) if perm else None


def reshape(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    left, shape = math.prod(b.types[x].shape), []
    for _ in range(draw(st.integers(0, 3))):
        shape.append(draw(st.sampled_from([n for n in range(1, left + 1) if left % n == 0])))
        left //= shape[-1]
    return b.add("Reshape", [x], {"shape": (*shape, left)})


def piece_of(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    shape = b.types[x].shape
    if not shape:
        return None
    axis = draw(st.integers(0, len(shape) - 1))
    start = draw(st.integers(0, shape[axis] - 1))
    end = draw(st.integers(start + 1, shape[axis]))
    attrs: dict[str, Attr] = {"starts": (start,), "ends": (end,), "axes": (axis,)}
    return b.add("Slice", [x], attrs | {"steps": (_pick(draw, 1, 1, 2),)})


def concat(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    kind = b.types[x]
    if not kind.shape:
        return None
    axis = draw(st.integers(0, len(kind.shape) - 1))
    shape = list(kind.shape)
    shape[axis] = _pick(draw, 1, 3, 64)
    other = _fresh(draw, b, TensorType(kind.dtype, tuple(shape)))
    return b.add("Concat", draw(st.permutations([x, other, x])), {"axis": axis})


def pad(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    rank = len(b.types[x].shape)
    if not rank or b.types[x].dtype is DType.BOOL:
        return None
    pads = tuple(draw(st.integers(0, 2)) for _ in range(2 * rank))
    return b.add("Pad", [x], {"pads": pads, "mode": "constant"})


def gather(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    """Rows by constant numbers (a move) or by numbers from outside (the tile processor)."""
    shape = b.types[x].shape
    if not shape:
        return None
    axis = draw(st.integers(0, len(shape) - 1))
    count = _pick(draw, 1, 2, 5)
    numbers = np.array([draw(st.integers(0, shape[axis] - 1)) for _ in range(count)], np.int64)
    return b.add("Gather", [x, b.constant("at", numbers)], {"axis": axis})


def on_processor(draw: st.DrawFn, b: GraphBuilder, x: str) -> str | None:
    """Operators that no engine has."""
    kind = b.types[x]
    if not kind.shape or not _float(b, x):
        return None
    axis = draw(st.integers(0, len(kind.shape) - 1))
    if draw(st.booleans()):
        return b.add("CumSum", [x], {"axis": axis})
    return b.add("ArgMax", [x], {"axis": axis})


STEPS: tuple[Step, ...] = (
    unary, unary, pair, pair, pair, compare, cast, product, product, product, convolution,
    convolution, pool, softmax, norm, reduction, transpose, reshape, piece_of, concat, pad, gather,
    on_processor,
)  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 6, everything: bool = False) -> Graph:
    """Return a graph; ``everything`` makes every value it computes an output."""
    b = GraphBuilder("g")
    dtype = draw(st.sampled_from((*FLOATS, DType.I8, DType.I32)))
    rank = draw(st.sampled_from((1, 2, 2, 3, 4, 4)))
    shape = [_pick(draw, *(SIZES if i >= rank - 2 and rank < 4 else SMALL)) for i in range(rank)]
    if rank == 4:
        shape[1] = _pick(draw, *SIZES[:17])
    if rank > 2:  # a large batch is cut in other ways than a small one
        shape[0] = _pick(draw, 1, 2, 3, 16, 19, 33)
    while math.prod(shape) > MOST:
        shape[shape.index(max(shape[1:]), 1)] //= 2
    values = [b.input("x", TensorType(dtype, tuple(shape)))]
    for _ in range(draw(st.integers(1, max_nodes))):
        operand = draw(st.sampled_from((*values, values[-1], values[-1])))
        if b.types[operand].size > MOST:
            continue
        made = draw(st.sampled_from(STEPS))(draw, b, operand)
        if made is not None:
            values.append(made)
    made = [v for node in b.nodes for v in node.outputs]
    if not made:
        made = [b.add("Relu" if _float(b, "x") else "Abs", ["x"])]
    outputs = (
        made
        if everything
        else draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True))
    )
    return b.finish(outputs, prune=True)
