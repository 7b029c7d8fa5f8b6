"""Graphs before and after a pass, and whether they mean the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drawloom.frontends.rewrite import PASSES
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Array, Graph, TensorType

Build = Callable[[GraphBuilder, str], str]


def built(build: Build, shape: Sequence[int] = (2, 4, 6), dtype: DType = DType.F32) -> Graph:
    """Return a graph of one input ``x``; ``build`` returns its output."""
    builder = GraphBuilder("net")
    x = builder.input("x", TensorType(dtype, tuple(shape)))
    return builder.finish([build(builder, x)])


def values(graph: Graph, seed: int = 0) -> dict[str, Array]:
    draw = np.random.default_rng(seed)
    return {
        name: draw.standard_normal(graph.types[name].shape).astype(graph.types[name].dtype.numpy)
        for name in graph.inputs
    }


def assert_same(before: Graph, after: Graph, rtol: float = 2e-6) -> None:
    """Inputs, outputs and their types are the same; so are values, on random inputs."""
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    for name in (*before.inputs, *before.outputs):
        assert after.types[name] == before.types[name]
    assert len({node.name for node in after.nodes}) == len(after.nodes)
    inputs = values(before)
    wanted, made = evaluate(before, inputs), evaluate(after, inputs)
    for name, expected in wanted.items():
        scale = float(np.abs(expected.astype(np.float64)).max(initial=0.0))
        np.testing.assert_allclose(made[name], expected, rtol=rtol, atol=rtol * scale)


def check(name: str, before: Graph, ops: str, rtol: float = 2e-6) -> Graph:
    """Run a pass until it settles; its nodes must be ``ops``, its meaning the same."""
    after = before
    for _ in range(10):
        again = PASSES[name](after)
        if again is after:
            break
        after = again
    assert " ".join(node.op for node in after.nodes) == ops
    assert_same(before, after, rtol)
    return after


def unchanged(name: str, graph: Graph) -> None:
    assert PASSES[name](graph) is graph


def ramp(*shape: int) -> Array:
    """Numbers that differ, none of them 0 or 1."""
    size = int(np.prod(shape))
    return (0.37 + np.arange(size) * 0.11).reshape(shape).astype(np.float32)
