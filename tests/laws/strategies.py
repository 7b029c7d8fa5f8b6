"""What laws are tried on: random graphs and values for them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr, Graph, TensorType

FLOATS = (DType.F32, DType.F16, DType.BF16)
WORDS = st.text(min_size=1, max_size=8)
SMOOTH = ("Relu", "Sigmoid", "Tanh", "Gelu", "Silu", "Softplus", "Erf", "Neg", "Abs", "HardSwish")
PAIRS = ("Add", "Sub", "Mul", "Min", "Max")


def values_of(kind: TensorType, seed: int, scale: float = 2.0) -> Array:
    """Return values of a type, drawn evenly from [-scale, scale] (whole ones for integers)."""
    rng = np.random.default_rng(seed)
    if kind.dtype is DType.BOOL:
        return rng.integers(0, 2, kind.shape).astype(np.bool_)
    if kind.dtype.is_float:
        return rng.uniform(-scale, scale, kind.shape).astype(kind.dtype.numpy)
    return rng.integers(0, 9, kind.shape).astype(kind.dtype.numpy)


def inputs_of(graph: Graph, seed: int, scale: float = 2.0) -> dict[str, Array]:
    """Return random values for a graph's inputs."""
    return {
        name: values_of(graph.types[name], seed + i, scale) for i, name in enumerate(graph.inputs)
    }


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 6, names: bool = False) -> Graph:
    """Return a float graph of common operators; ``names`` makes its names awkward."""
    builder = GraphBuilder(draw(WORDS) if names else "g")
    dtype = draw(st.sampled_from(FLOATS))
    rank = draw(st.integers(1, 4))
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank)))
    values = [builder.input("x", TensorType(dtype, shape))]
    for i in range(draw(st.integers(1, max_nodes))):
        operand = draw(st.sampled_from(values))
        step = draw(st.sampled_from(STEPS))
        word = draw(WORDS) if names else ""
        values.append(step(draw, builder, operand, word) or operand)
        if i % 3 == 2:
            extra = TensorType(dtype, builder.types[operand].shape)
            values.append(builder.input(builder_name(builder, draw, names), extra))
    outputs = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))
    return builder.finish(outputs)


def builder_name(builder: GraphBuilder, draw: st.DrawFn, names: bool) -> str:
    word = draw(WORDS) if names else "in"
    while word in builder.types:
        word += "'"
    return word


def constant_like(draw: st.DrawFn, builder: GraphBuilder, dtype: DType, *shape: int) -> str:
    array = values_of(TensorType(dtype, shape), draw(st.integers(0, 99)), 1.0)
    return builder.constant("c", array)


Step = Callable[[st.DrawFn, GraphBuilder, str, str], str]


def unary(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    return builder.add(draw(st.sampled_from(SMOOTH)), [x], name=word, layer=word)


def leaky(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    alpha = draw(st.floats(0.0, 1.0))
    return builder.add("LeakyRelu", [x], {"alpha": alpha}, name=word)


def pair(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    kind = builder.types[x]
    others = [v for v, k in builder.types.items() if k == kind and v in known(builder)]
    return builder.add(draw(st.sampled_from(PAIRS)), [x, draw(st.sampled_from(others))], name=word)


def known(builder: GraphBuilder) -> set[str]:
    made = {v for node in builder.nodes for v in node.outputs}
    return made | set(builder.inputs) | set(builder.constants)


def product(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    kind = builder.types[x]
    weights = constant_like(draw, builder, kind.dtype, kind.shape[-1], draw(st.integers(1, 5)))
    return builder.add("MatMul", [x, weights], name=word)


def softmax(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    axis = draw(st.integers(-len(builder.types[x].shape), len(builder.types[x].shape) - 1))
    return builder.add("Softmax", [x], {"axis": axis}, name=word)


def layer_norm(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    kind = builder.types[x]
    scale = constant_like(draw, builder, kind.dtype, kind.shape[-1])
    attrs: dict[str, Attr] = {"epsilon": 0.1}
    return builder.add("LayerNormalization", [x, scale], attrs, name=word)


def reduction(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    op = draw(st.sampled_from(["ReduceSum", "ReduceMean", "ReduceMax", "ReduceSumSquare"]))
    rank = len(builder.types[x].shape)
    return builder.add(op, [x], {"axes": (draw(st.integers(0, rank - 1)),)}, name=word)


def turn(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    perm = tuple(draw(st.permutations(range(len(builder.types[x].shape)))))
    return builder.add("Transpose", [x], {"perm": perm}, name=word)


def flat(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    shape = (1, math.prod(builder.types[x].shape))
    return builder.add("Reshape", [x], {"shape": shape}, name=word)


def twice(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    return builder.add("Concat", [x, x], {"axis": 0}, name=word)


def cut(draw: st.DrawFn, builder: GraphBuilder, x: str, word: str) -> str:
    return builder.add("Slice", [x], {"starts": (0,), "ends": (2,), "axes": (-1,)}, name=word)


STEPS: tuple[Step, ...] = (
    unary,
    leaky,
    pair,
    product,
    softmax,
    layer_norm,
    reduction,
    turn,
    flat,
    twice,
    cut,
)
