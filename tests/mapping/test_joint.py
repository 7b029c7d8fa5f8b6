"""Products of one operand that are done together."""

from __future__ import annotations

import numpy as np

from drawloom.flow import compile as compile_model
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.pieces import CopyPiece, MatrixPiece

CHANNELS = (64, 128, 64)


def timed() -> Graph:
    """Return images to each of which an embedding adds a value a channel."""
    rng = np.random.default_rng(5)
    builder = GraphBuilder("timed")
    time = builder.input("time", TensorType(DType.F16, (1, 96)))
    outs: list[str] = []
    for i, channels in enumerate(CHANNELS):
        image = builder.input(f"image{i}", TensorType(DType.F16, (1, channels, 4, 4)))
        weight = builder.constant(f"w{i}", rng.standard_normal((96, channels)).astype(np.float16))
        bias = builder.constant(f"b{i}", rng.standard_normal(channels).astype(np.float16))
        row = builder.add("Add", (builder.add("MatMul", (time, weight)), bias))
        each = builder.add("Reshape", (row,), {"shape": (1, channels, 1, 1)})
        outs.append(builder.add("Add", (image, each), output=f"out{i}"))
    return builder.finish(outs)


def test_what_an_embedding_adds_to_images_is_one_product() -> None:
    graph = timed()
    build = compile_model(graph)
    products = [piece for piece in build.mapping.pieces if isinstance(piece, MatrixPiece)]
    assert [(piece.m, piece.n) for piece in products] == [(1, sum(CHANNELS))]
    copied = [p.name for p in build.mapping.pieces if isinstance(p, CopyPiece)]
    assert not [name for name in copied if "Reshape" in name or "part" in name]
    rng = np.random.default_rng(6)
    given = {v: rng.standard_normal(graph.types[v].shape).astype(np.float16) for v in graph.inputs}
    wanted, found = evaluate(graph, given), build.run(given)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=0.01, atol=0.05)
