"""Programs as written do not grow with how often their loops turn.

The mapper cuts larger work in another way, and what one turn of a pipeline is depends on the
cut: so the cut is held fixed where sizes are compared, and where it is free the program of a
product 16 times as long may have no more than so many commands.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.pieces import MatrixPiece
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble

TX81 = load_chip("tx81")
BASES = [(512, 2048, 1024), (512, 1536, 768)]
MOST_OF_A_TILE = 800  # commands as written: a pipeline's start, some turns of it, its end
CUT = ("grid", "chunk", "order", "share_a", "share_b", "buffers", "body", "result")


def product(m: int, k: int, n: int) -> Mapping:
    builder = GraphBuilder("gemm")
    a = builder.input("a", TensorType(DType.F16, (m, k)))
    b = builder.input("b", TensorType(DType.F16, (k, n)))
    return map_graph(builder.finish([builder.add("MatMul", [a, b])]), TX81)


def matrix(mapping: Mapping) -> MatrixPiece:
    return next(piece for piece in mapping.pieces if isinstance(piece, MatrixPiece))


def cut_like(mapping: Mapping, other: Mapping) -> Mapping:
    """The mapping with its product cut as the other one's is."""
    cut = {name: getattr(matrix(other), name) for name in CUT}
    pieces = tuple(
        replace(piece, **cut) if isinstance(piece, MatrixPiece) else piece
        for piece in mapping.pieces
    )
    return replace(mapping, pieces=pieces)


def written(mapping: Mapping) -> int:
    """Commands as written, over all tiles."""
    program = assemble(mapping)
    return sum(1 for tile in range(TX81.n_tiles) for _ in program.commands(tile))


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["m", "k"])
@pytest.mark.parametrize("base", BASES)
def test_twice_the_turns_take_no_more_commands(base: tuple[int, int, int], axis: str) -> None:
    """From four times the base on, when every loop has turned a few times.

    A start and an end differ by a turn or two as rings of buffers come round, so a tenth more or
    less is no growth.
    """
    m, k, n = base
    short = product(m, k, n)
    few, many = (
        written(cut_like(product(f * m, k, n) if axis == "m" else product(m, f * k, n), short))
        for f in (4, 8)
    )
    assert many <= 1.1 * few, f"{few} commands, then {many}"


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["m", "k"])
@pytest.mark.parametrize("base", BASES)
def test_a_long_product_has_a_short_program(axis: str, base: tuple[int, int, int]) -> None:
    m, k, n = base
    for times in (1, 4, 16):
        mapping = product(times * m, k, n) if axis == "m" else product(m, times * k, n)
        assert written(mapping) <= MOST_OF_A_TILE * TX81.n_tiles, times
