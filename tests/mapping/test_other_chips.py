"""The mapper takes its grid, its memories and its fan-outs from the chip file."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.measures.limits import NEAR, WORKS, distance

from drawloom.chip.files import parse_chip
from drawloom.chip.model import Chip
from drawloom.execute.machine import execute
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.pieces import MatrixPiece
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import Send
from drawloom.timing import time

CHANGES = {
    "one tile": "rows: 1\ncols: 1\n",
    "eight tiles": "rows: 2\n",
    "twelve tiles": "rows: 3\n",
    "thirty-two tiles": "rows: 8\n",
    "small scratchpads": "scratchpad: {bytes: 512 KiB}\n",
    "tiny scratchpads": "scratchpad: {bytes: 256 KiB}\n",
    "blocks of 32": "blocking: {block: 32, block_8bit: 64}\n",
}


def chip(name: str) -> Chip:
    return parse_chip(f"extends: tx81\n{CHANGES[name]}", "mine.chip.yaml")


def product(m: int, k: int, n: int) -> Graph:
    builder = GraphBuilder("product")
    a = builder.input("a", TensorType(DType.F16, (m, k)))
    b = builder.input("b", TensorType(DType.F16, (k, n)))
    return builder.finish([builder.add("MatMul", [a, b], output="y")])


@pytest.mark.parametrize("name", CHANGES)
def test_a_product_on_another_chip(name: str) -> None:
    machine = chip(name)
    graph = product(500, 390, 450)
    program = assemble(map_graph(graph, machine))
    rng = np.random.default_rng(0)
    inputs = {v: rng.integers(-8, 9, graph.types[v].shape).astype(np.float16) for v in "ab"}
    found = execute(program, inputs)["y"]
    np.testing.assert_array_equal(
        found, (inputs["a"].astype(float) @ inputs["b"]).astype(np.float16)
    )
    assert time(program, machine).total_ps > 0


@pytest.mark.parametrize(
    "name",
    ["eight tiles", "twelve tiles", pytest.param("thirty-two tiles", marks=pytest.mark.slow)],
)
def test_sends_have_as_many_targets_as_the_engine_can_do(name: str) -> None:
    machine = chip(name)
    mapping = map_graph(product(2048, 2048, 2048), machine)
    (piece,) = (p for p in mapping.pieces if isinstance(p, MatrixPiece))
    assert piece.share_a or piece.share_b
    program = assemble(mapping)
    fans = {
        len(c.targets)
        for tile in range(machine.n_tiles)
        for c in program.commands(tile)
        if isinstance(c, Send)
    }
    assert fans
    assert fans <= set(machine.send.fanout)


KINDS = {work.name: work for work in WORKS}
SOON = ("gemm-int8-4096x4096x4096", "attention-32x8-2048", "llama-3-8b-decode-int8", "vit-b16-b8")
LONG = ("mixtral-8x7b-decode-b8-int4", "resnet50-fp16-b1", "resnet50-int8-b1", "unet-small")


@pytest.mark.parametrize("name", [*SOON, *(pytest.param(n, marks=pytest.mark.slow) for n in LONG)])
def test_programs_for_64_tiles_with_blocks_of_32_pass_the_checker_and_compute_the_model(
    name: str,
) -> None:
    work = KINDS[name]
    far = distance(work.small(), work.weights, is_exact=work.is_exact, chip="tt_wormhole")
    assert far <= (0.0 if work.is_exact else NEAR)


@pytest.mark.parametrize(
    "name", ["attention-28x2048", *(pytest.param(n, marks=pytest.mark.slow) for n in SOON)]
)
def test_programs_for_130_tiles_pass_the_checker_and_compute_the_model(name: str) -> None:
    work = KINDS[name]
    far = distance(work.small(), work.weights, is_exact=work.is_exact, chip="tt_blackhole")
    assert far <= (0.0 if work.is_exact else NEAR)
