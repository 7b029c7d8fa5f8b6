"""Weights as codes and scales: decoded behind their load, to the very numbers they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reference import nodewise

from drawloom.check import check
from drawloom.chip.files import load_chip
from drawloom.flow import Build
from drawloom.flow import compile as compile_model
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.graph.lazy import LazyTensor
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.pieces import CpuPiece, MatrixPiece
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble
from drawloom.quantize import quantize_weights, to_precision

TX81 = load_chip("tx81")
RNG = np.random.default_rng(5)


def product(rows: int, inputs: int, channels: int, dtype: str = "f16") -> tuple[Graph, Array]:
    kind = DType(dtype)
    builder = GraphBuilder("product")
    x = builder.input("x", TensorType(kind, (rows, inputs)))
    weight = RNG.normal(size=(inputs, channels)).astype(kind.numpy)
    w = builder.constant("w", weight)
    y = builder.add("Neg", (builder.add("MatMul", (x, w)),), output="y")
    return builder.finish([y]), RNG.normal(size=(rows, inputs)).astype(kind.numpy)


SIZES = [(1, 256, 128), (5, 384, 256), (3, 1024, 640), (40, 256, 192), (160, 256, 128)]


@pytest.mark.parametrize("group", [0, 32, 128])
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("size", SIZES)
def test_a_product_of_codes_is_that_of_the_numbers_they_stand_for(
    size: tuple[int, int, int], dtype: str, bits: int, group: int
) -> None:
    graph, x = product(*size, dtype)
    coded = quantize_weights(graph, bits, group)
    # A row that is 1 in one place gives a row of the weight, to the bit.
    x = np.zeros((size[0], size[1]), x.dtype)
    x[np.arange(size[0]), RNG.permutation(size[1])[: size[0]]] = 1
    wanted = evaluate(coded, {"x": x})["y"]
    assert np.array_equal(nodewise.run(coded, {"x": x})["y"], wanted)
    assert len(np.unique(wanted)) > 20
    mapping = map_graph(coded, TX81)
    assert check(assemble(mapping), TX81) == ()
    (piece,) = [p for p in mapping.pieces if isinstance(p, MatrixPiece)]
    fits = bits == 8 or size[2] % 128 == 0
    assert (piece.coding is not None) == fits
    if piece.coding:
        assert (piece.coding.bits, piece.coding.group) == (bits, group or size[1])
        # Sums are scaled where they are fewer than weights, each at half the rate.
        assert piece.coding.behind == (not group and 2 * size[0] <= size[1])


@pytest.mark.parametrize(("bits", "share"), [(8, 0.52), (4, 0.27)])
def test_codes_are_all_that_is_read(bits: int, share: float) -> None:
    graph, _ = product(2, 2048, 2048)
    whole = compile_model(graph).time()
    coded = compile_model(graph, weights=f"int{bits}").time()
    assert coded.dram_bytes[0] < share * whole.dram_bytes[0] + 4 * 2048
    assert coded.total_ps < whole.total_ps


def test_weights_without_values_are_priced_as_codes() -> None:
    builder = GraphBuilder("meta")
    x = builder.input("x", TensorType(DType.F16, (1, 4096)))
    kind = TensorType(DType.F16, (4096, 1024))
    graph = builder.finish(
        [builder.add("MatMul", (x, builder.constant("w", LazyTensor.meta(kind))))]
    )
    build = compile_model(graph, weights="int4", group=32)
    # Half a byte a weight, and two bytes of scale for 32 of them.
    size = 4096 * 1024
    assert build.time().dram_bytes[0] == pytest.approx(size / 2 + size / 32 * 2, rel=0.04)
    assert build.program.notes["weights"] == "int4, a scale for 32 inputs"


@pytest.mark.parametrize("bits", [8, 4])
def test_codes_that_no_product_can_decode_are_decoded_by_engines(bits: int) -> None:
    builder = GraphBuilder("gathered")
    which = builder.input("which", TensorType(DType.I32, (2,)))
    x = builder.input("x", TensorType(DType.F32, (2, 3, 64)))
    experts = builder.constant("experts", RNG.normal(size=(4, 64, 96)).astype(np.float32))
    picked = builder.add("Gather", (experts, which), {"axis": 0})
    graph = builder.finish([builder.add("MatMul", (x, picked), output="y")])
    coded = to_precision(quantize_weights(graph, bits, smallest=1), "f16")
    given = {
        "which": np.array([3, 1], np.int32),
        "x": RNG.normal(size=(2, 3, 64)).astype(np.float32),
    }
    found = nodewise.run(coded, given)["y"]
    np.testing.assert_allclose(found, evaluate(coded, given)["y"], rtol=0.02, atol=0.05)
    cpu = [p.op for p in map_graph(coded, TX81).pieces if isinstance(p, CpuPiece)]
    assert set(cpu) <= {"Gather"}


@pytest.mark.parametrize("group", [0, 32])
@pytest.mark.parametrize("bits", [8, 4])
def test_stacked_weights_are_decoded_matrix_by_matrix(bits: int, group: int) -> None:
    builder = GraphBuilder("experts")
    x = builder.input("x", TensorType(DType.F16, (3, 4, 128)))
    weight = RNG.normal(size=(3, 128, 256)).astype(np.float16)
    graph = builder.finish([builder.add("MatMul", (x, builder.constant("w", weight)), output="y")])
    coded = quantize_weights(graph, bits, group)
    rows = np.zeros((3, 4, 128), np.float16)
    for i in range(3):
        rows[i, np.arange(4), RNG.permutation(128)[:4]] = 1
    wanted = evaluate(coded, {"x": rows})["y"]
    assert np.array_equal(nodewise.run(coded, {"x": rows})["y"], wanted)
    (piece,) = [p for p in map_graph(coded, TX81).pieces if isinstance(p, MatrixPiece)]
    assert piece.coding is not None


def test_a_mapping_with_codes_parses_back() -> None:
    graph, _ = product(3, 256, 256)
    mapping = map_graph(quantize_weights(graph, 8, 32), TX81)
    text = mapping_text(mapping)
    assert "coding bits=8 group=32" in text
    again = parse_mapping(text, mapping.graph, TX81)
    assert again.pieces == mapping.pieces
    behind = map_graph(quantize_weights(graph, 8), TX81)
    assert parse_mapping(mapping_text(behind), behind.graph, TX81).pieces == behind.pieces


def test_a_build_with_4_bit_weights_is_loaded_as_it_was_saved(tmp_path: object) -> None:
    graph, x = product(3, 256, 256)
    build = compile_model(graph, weights="int4")
    path = f"{tmp_path}/coded.build"
    build.save(path)
    again = Build.load(path)
    assert again.options == build.options
    assert np.array_equal(again.run({"x": x})["y"], build.run({"x": x})["y"])


@pytest.mark.parametrize("bits", [8, 4])
def test_codes_of_few_channels_stand_in_dram_as_numbers(bits: int) -> None:
    graph, x = product(3, 1024, 8)
    coded = quantize_weights(graph, bits)
    assert any(node.op == "DequantizeLinear" for node in coded.nodes)
    mapping = map_graph(coded, TX81)
    assert [type(piece) for piece in mapping.pieces] == [MatrixPiece]
    assert not any(storage.dtype.bytes == 1 for storage in mapping.storages)
    wanted = evaluate(coded, {"x": x})["y"]
    assert np.allclose(nodewise.run(coded, {"x": x})["y"], wanted, rtol=1e-2, atol=1e-2)
