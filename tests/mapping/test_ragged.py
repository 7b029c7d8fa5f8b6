"""Batches of ragged sequences: products on the rows of all entries, heads turned for nothing."""

from __future__ import annotations

import numpy as np
import pytest
from tests.mapping.test_values import check as check_values

from drawloom.check import check
from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.pieces import CopyPiece, FlashPiece, MatrixPiece
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble

TX81 = load_chip("tx81")


def encoder(batch: int, rows: int, heads: int, features: int) -> Graph:
    """Projections, attention, a residual, a norm and two products of a ragged batch."""
    rng, width = np.random.default_rng(3), heads * features
    builder = GraphBuilder("encoder")

    def product(x: str, name: str, wide: int = width) -> str:
        ins = builder.types[x].shape[-1]
        drawn = rng.standard_normal((ins, wide)) / ins**0.5
        weight = builder.constant(f"{name}.w", drawn.astype(np.float16))
        bias = builder.constant(f"{name}.b", rng.standard_normal(wide).astype(np.float16))
        return builder.add("Add", (builder.add("MatMul", (x, weight), name=name), bias))

    def split(x: str) -> str:
        apart = builder.add("Reshape", (x,), {"shape": (batch, rows, heads, features)})
        return builder.add("Transpose", (apart,), {"perm": (0, 2, 1, 3)})

    x = builder.input("x", TensorType(DType.F16, (batch, rows, width)))
    q, k, v = (split(product(x, name)) for name in "qkv")
    mixed = builder.add("Attention", (q, k, v), name="mix")
    mixed = builder.add("Transpose", (mixed,), {"perm": (0, 2, 1, 3)})
    mixed = builder.add("Reshape", (mixed,), {"shape": (batch, rows, width)})
    x = builder.add("Add", (product(mixed, "o"), x))
    scale = builder.constant("scale", rng.standard_normal(width).astype(np.float16))
    y = builder.add("LayerNormalization", (x, scale, scale), {"axis": -1})
    y = builder.add("Gelu", (product(y, "up", 2 * width),))
    return builder.finish([builder.add("Add", (product(y, "down"), x))])


def inputs(graph: Graph) -> dict[str, np.ndarray]:
    kind = graph.types["x"]
    return {"x": np.random.default_rng(1).standard_normal(kind.shape).astype(np.float16)}


@pytest.mark.parametrize(
    ("batch", "rows", "heads", "features"), [(3, 69, 2, 64), (8, 97, 1, 64), (2, 70, 2, 40)]
)
def test_a_ragged_batch_computes_what_its_graph_does(
    batch: int, rows: int, heads: int, features: int
) -> None:
    graph = encoder(batch, rows, heads, features)
    mapping = map_graph(graph, TX81)
    text = mapping_text(mapping)
    assert mapping_text(parse_mapping(text, mapping.graph, TX81)) == text
    check_values(graph, inputs(graph), slack=8.0)
    assert check(assemble(mapping), TX81) == ()


def test_heads_of_a_batch_are_turned_without_a_copy() -> None:
    pieces = map_graph(encoder(3, 69, 2, 64), TX81).pieces
    first, last = (
        next(i for i, p in enumerate(pieces) if p.name.startswith(name)) for name in ("q", "o")
    )
    between = pieces[first:last]
    assert [type(piece) for piece in pieces[first : first + 2]] == [MatrixPiece, FlashPiece]
    assert not any(isinstance(piece, CopyPiece) for piece in between)
    assert all(p.batch == 1 for p in pieces if isinstance(p, MatrixPiece))


def test_rows_of_a_ragged_batch_stay_where_they_are_made() -> None:
    mapping = map_graph(encoder(8, 97, 1, 64), TX81)
    held = [s for s in mapping.storages if s.kind == "resident"]
    assert held
    assert all(s.held_rows == 49 for s in held)


def test_queries_keys_and_values_are_one_product_whose_parts_lie_where_heads_are_read() -> None:
    mapping = map_graph(encoder(3, 69, 2, 64), TX81)
    products = [p for p in mapping.pieces if isinstance(p, MatrixPiece)]
    attention = next(p for p in mapping.pieces if isinstance(p, FlashPiece))
    assert [p.n for p in products] == [3 * 128, 128, 256, 128]
    made = products[0].values[products[0].body.stores[0][1]]
    parts = [attention.q, attention.k, attention.v]
    assert [part.address - made.address for part in parts] == [i * 2 * 207 * 128 for i in range(3)]


def test_products_that_more_than_heads_are_made_of_stay_apart() -> None:
    builder = GraphBuilder("apart")
    x = builder.input("x", TensorType(DType.F16, (256, 64)))
    weights = [builder.constant("w", np.full((64, 64), at, np.float16)) for at in (0.5, 0.25)]
    made = [builder.add("MatMul", (x, weight)) for weight in weights]
    heads = [
        builder.add(
            "Transpose",
            (builder.add("Reshape", (each,), {"shape": (256, 2, 32)}),),
            {"perm": (1, 0, 2)},
        )
        for each in made
    ]
    graph = builder.finish([*heads, made[0]])
    assert [p.n for p in map_graph(graph, TX81).pieces if isinstance(p, MatrixPiece)] == [64, 64]
    check_values(graph, inputs(graph))
