"""Weights picked by index: read where they lie, by the numbers that a TopK leaves in DRAM."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reference import nodewise

from drawloom.chip.files import load_chip
from drawloom.flow import compile as compile_model
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.pieces import CpuPiece, MatrixPiece
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble
from drawloom.program.commands import Pick
from drawloom.quantize import quantize_weights

TX81 = load_chip("tx81")
RNG = np.random.default_rng(9)


def mixture(tokens: int, width: int, experts: int = 12, chosen: int = 3) -> tuple[Graph, Array]:
    """Scores choose matrices of a stack for each token; a row of ones and zeros tells them apart."""
    inputs = 256
    builder = GraphBuilder("mixture")
    scores = builder.input("scores", TensorType(DType.F32, (tokens, experts)))
    x = builder.input("x", TensorType(DType.F16, (tokens, chosen, 1, inputs)))
    stack = RNG.normal(size=(experts, inputs, width)).astype(np.float16)
    w = builder.constant("w", stack)
    _, numbers = builder.add_many("TopK", (scores,), {"k": chosen}, outputs=("best", "numbers"))
    picked = builder.add("Gather", (w, numbers), {"axis": 0})
    y = builder.add("MatMul", (x, picked), output="y")
    return builder.finish([y]), RNG.normal(size=(tokens, experts)).astype(np.float32)


def one_hot(tokens: int) -> Array:
    x = np.zeros((tokens, 3, 1, 256), np.float16)
    x[..., RNG.integers(256)] = 1
    return x


@pytest.mark.parametrize(("tokens", "width"), [(1, 128), (2, 100), (5, 320)])
def test_a_product_takes_the_matrices_that_were_chosen(tokens: int, width: int) -> None:
    graph, scores = mixture(tokens, width)
    inputs = {"scores": scores, "x": one_hot(tokens)}
    mapping = map_graph(graph, TX81)
    assert [p.op for p in mapping.pieces if isinstance(p, CpuPiece)] == ["TopK"]
    again = parse_mapping(mapping_text(mapping), mapping.graph, TX81)
    assert again.pieces == mapping.pieces
    assert np.array_equal(nodewise.run(graph, inputs)["y"], evaluate(graph, inputs)["y"])


@pytest.mark.parametrize("group", [0, 32])
@pytest.mark.parametrize("bits", [8, 4])
def test_codes_and_scales_are_picked_alike(bits: int, group: int) -> None:
    graph, scores = mixture(2, 256)
    coded = quantize_weights(graph, bits, group)
    inputs = {"scores": scores, "x": one_hot(2)}
    mapping = map_graph(coded, TX81)
    assert [p.op for p in mapping.pieces if isinstance(p, CpuPiece)] == ["TopK"]
    (piece,) = [p for p in mapping.pieces if isinstance(p, MatrixPiece)]
    assert piece.coding is not None
    assert piece.numbers is not None
    assert np.array_equal(nodewise.run(coded, inputs)["y"], evaluate(coded, inputs)["y"])


def test_nothing_but_the_chosen_weights_is_moved() -> None:
    graph, _ = mixture(1, 1024, experts=64, chosen=3)
    trace = compile_model(graph).time()
    weights = 3 * 256 * 1024 * 2
    read, written = trace.dram_bytes
    assert weights < read < 1.02 * weights + 16 * 1024
    assert written < 16 * 1024


def test_what_is_picked_for_more_than_one_product_is_gathered() -> None:
    graph, scores = mixture(1, 128)
    builder = GraphBuilder("twice")
    for name in graph.inputs:
        builder.input(name, graph.types[name])
    for name, held in graph.constants.held.items():
        builder.constant(name, held)
    for node in graph.nodes:
        builder.put(node)
    picked = graph.nodes[1].outputs[0]
    both = builder.finish(["y", builder.add("Neg", (picked,))])
    program = assemble(map_graph(both, TX81))
    assert not any(isinstance(c, Pick) for tile in range(16) for c in program.commands(tile))
    inputs = {"scores": scores, "x": one_hot(1)}
    assert np.array_equal(nodewise.run(both, inputs)["y"], evaluate(both, inputs)["y"])
