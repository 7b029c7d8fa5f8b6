"""What a strided command touches, however its levels are put."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from drawloom.check import check
from drawloom.check.templates import (
    COUNT0,
    COUNT1,
    COUNT2,
    INNER,
    LOW,
    RUN,
    STRIDE0,
    STRIDE1,
    STRIDE2,
    Row,
    template,
)
from drawloom.chip.files import load_chip
from drawloom.program.commands import Dims, Engine, Join, Read, Write
from drawloom.program.program import Program, Region

CHIP = load_chip("tx81")


def source(inner: int, dims: Dims) -> Row:
    return template(Read(0, 0, inner, dims), CHIP, CHIP.blocking).spans[0]


def touched(inner: int, dims: Dims) -> set[int]:
    starts = [sum(at) for at in product(*([k * s for k in range(n)] for s, n in dims))]
    return {start + k for start in starts for k in range(inner)}


def of(span: Row) -> set[int]:
    levels = ((COUNT0, STRIDE0), (COUNT1, STRIDE1), (COUNT2, STRIDE2))
    return {
        byte + span[LOW]
        for byte in touched(span[INNER], tuple((span[s], span[n]) for n, s in levels))
    }


@pytest.mark.parametrize(
    ("inner", "dims", "runs"),
    [
        (2, ((64, 3), (2, 4), (256, 2)), 6),  # the narrowest level makes runs of eight bytes
        (2, ((0, 100),), 1),  # a row that is read over and over
        (4, ((8, 3), (0, 5), (-64, 2)), 6),
        (8, ((8, 4), (32, 2)), 1),
        (2, ((0, 0),), 0),
    ],
)
def test_a_span_is_the_same_bytes_in_as_few_runs_whatever_its_levels_sequence(
    inner: int, dims: Dims, runs: int
) -> None:
    found = [source(inner, order) for order in permutations(dims)]
    (span,) = {each[:RUN] for each in found}
    # What is told apart of a run is a part of it.
    assert all(span[INNER] % max(1, each[RUN]) == 0 for each in found)
    assert of(span) == touched(inner, dims)
    assert span[COUNT0] * span[COUNT1] * span[COUNT2] == max(runs, 1)
    assert (span[INNER] == 0) == (runs == 0)


@pytest.mark.parametrize(("rows", "is_found"), [(4, False), (3, True)])
def test_a_row_that_nobody_wrote_is_seen_where_a_matrix_is_read_by_columns(
    rows: int, is_found: bool
) -> None:
    """All columns together make up one run; what is behind the input is an output's."""
    size, dims = 4 * 256, ((64, 4), (256, 4))
    spm = CHIP.scratchpad.reserve_low
    stream = (
        Read(0, spm, 64, dims),
        Join((Engine.READ,), 0),
        Write(spm, size, 256, ()),
    )
    program = Program(
        "matrix",
        "tx81",
        CHIP.blocking,
        CHIP.scratchpad.bytes,
        CHIP.dram.bytes,
        (
            Region("x", "input", 0, rows * 256, "i8", (rows, 256)),
            Region("y", "output", size, 256, "i8", (256,)),
        ),
        (),
        (stream, *((),) * (CHIP.n_tiles - 1)),
        (),
    )
    assert ("unwritten" in {finding.rule for finding in check(program, CHIP)}) == is_found
