"""What a strided command touches, however its levels are put."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from drawloom.check.templates import (
    COUNT0,
    COUNT1,
    COUNT2,
    INNER,
    LOW,
    STRIDE0,
    STRIDE1,
    STRIDE2,
    Row,
    template,
)
from drawloom.chip.files import load_chip
from drawloom.program.commands import Dims, Read

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
    spans = {source(inner, order) for order in permutations(dims)}
    assert len(spans) == 1
    (span,) = spans
    assert of(span) == touched(inner, dims)
    assert span[COUNT0] * span[COUNT1] * span[COUNT2] == max(runs, 1)
    assert (span[INNER] == 0) == (runs == 0)
