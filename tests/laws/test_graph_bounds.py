"""However a machine sums and rounds, its values stay within the bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.strategies import SMOOTH, graphs, inputs_of

from drawloom.graph.bounds import bounds, local_bounds
from drawloom.graph.evaluate import evaluate, evaluate_node
from drawloom.graph.ir import Array, Graph, Node
from drawloom.graph.ops.reduction import reduced_axes
from drawloom.graph.rounding import is_float, narrow, wide

Arrays = tuple[Array, ...]
Sloppy = Callable[[Node, Arrays, np.random.Generator], Array]


def summed(x: Array, axis: int, rng: np.random.Generator) -> Array:
    """Sum in float32, one after the other, in a random order; the axis stays as 1."""
    x = np.moveaxis(x.astype(np.float32), axis, 0)
    total = np.zeros(x.shape[1:], np.float32)
    for i in rng.permutation(x.shape[0]):
        total = total + x[i]
    return np.expand_dims(total, axis)


def product(node: Node, arrays: Arrays, rng: np.random.Generator) -> Array:
    a, b = (x.astype(np.float32) for x in arrays)
    return summed(a[..., :, None] * b, -2, rng)[..., 0, :]


def loose_exp(x: Array, rng: np.random.Generator) -> Array:
    """Within 3 units in the last place of float32."""
    off = 1.0 + 3.0 * 2.0**-23 * rng.uniform(-1, 1, x.shape)
    return (np.exp(wide(x)) * off).astype(np.float32)


def softmax(node: Node, arrays: Arrays, rng: np.random.Generator) -> Array:
    x, axis = arrays[0].astype(np.float32), node.int("axis", -1)
    grown = loose_exp(x - x.max(axis=axis, keepdims=True), rng)
    return grown * (np.float32(1) / summed(grown, axis % x.ndim, rng))


def layer_norm(node: Node, arrays: Arrays, rng: np.random.Generator) -> Array:
    x, scale = (a.astype(np.float32) for a in arrays)
    n = np.float32(1 / x.shape[-1])
    middle = x - summed(x, x.ndim - 1, rng) * n
    variance = summed(middle * middle, x.ndim - 1, rng) * n
    root = np.float32(1) / np.sqrt(variance + np.float32(node.float("epsilon")))
    return middle * root * scale


def reduction(node: Node, arrays: Arrays, rng: np.random.Generator) -> Array:
    x = arrays[0].astype(np.float32)
    x = x * x if node.op == "ReduceSumSquare" else x
    count = 1
    for axis in reduced_axes(node, x.ndim):
        count *= x.shape[axis]
        x = summed(x, axis, rng)
    return x * np.float32(1 / count) if node.op == "ReduceMean" else x


def smooth(node: Node, arrays: Arrays, rng: np.random.Generator) -> Array:
    value = evaluate_node(node, (wide(arrays[0]),), wide=True)[0]
    return (value * (1.0 + 3.0 * 2.0**-23 * rng.uniform(-1, 1, value.shape))).astype(np.float32)


SLOPPY: dict[str, Sloppy] = {
    "MatMul": product,
    "Softmax": softmax,
    "LayerNormalization": layer_norm,
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceSumSquare"), reduction),
    **dict.fromkeys(sorted(set(SMOOTH) - {"Relu", "Neg", "Abs", "HardSwish"}), smooth),
}


def run(graph: Graph, inputs: dict[str, Array], seed: int) -> dict[str, Array]:
    """Run a graph on a machine that sums in float32 in any order; return all values."""
    rng = np.random.default_rng(seed)
    values = {**inputs, **graph.constants}
    for node in graph.nodes:
        arrays = tuple(values[v] for v in node.inputs)
        dtype = graph.types[node.outputs[0]].dtype.numpy
        if node.op in SLOPPY:
            with np.errstate(all="ignore"):
                made = narrow(np.asarray(SLOPPY[node.op](node, arrays, rng)), dtype)
        else:
            made = evaluate_node(node, arrays)[0]
        values[node.outputs[0]] = made
    return values


@given(graphs(), st.integers(0, 2**32 - 1), st.sampled_from([0.01, 1.0, 30.0]))
def test_any_order_of_sums_stays_within_the_bounds(graph: Graph, seed: int, scale: float) -> None:
    inputs = inputs_of(graph, seed, scale)
    made = [v for node in graph.nodes for v in node.outputs]
    bounded = bounds(graph, inputs, keep=made)
    found = run(graph, inputs, seed)
    for name, bound in bounded.items():
        assert bound.holds(found[name]).all(), name
    for node in graph.nodes:
        (bound,) = local_bounds(node, tuple(found[v] for v in node.inputs))
        assert bound.holds(found[node.outputs[0]]).all(), node.name


@given(graphs(), st.integers(0, 99))
def test_the_reference_is_the_wide_reading_and_the_plain_one_is_near(
    graph: Graph, seed: int
) -> None:
    inputs = inputs_of(graph, seed)
    bounded = bounds(graph, inputs)
    exact, plain = evaluate(graph, inputs, wide=True), evaluate(graph, inputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(bounded[name].value, exact[name])
        assert plain[name].dtype == graph.types[name].dtype.numpy
        assert not is_float(plain[name].dtype) or bounded[name].holds(plain[name]).all()
