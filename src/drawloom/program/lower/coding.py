"""Chunks of codes: what is read of them, and the vector commands that make numbers of them.

In the scratchpad codes lie as the numbers they become do, block of channels after block, with
the scales behind them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.pieces import Coding, MatrixPiece, Span
from drawloom.mapping.storage import Storage, Transfer
from drawloom.program.commands import Vector
from drawloom.program.streams import TileStream
from drawloom.units import ceil_div


def coded_box(codes: Storage, coding: Coding, k: Span, n: Span) -> tuple[Transfer, ...]:
    """Return the transfers of a chunk's codes and, behind them, its scales."""
    share = 8 // coding.bits
    found = codes.box(0, k, (n[0] // share, n[1] // share))
    behind = (k[1] - k[0]) * (n[1] - n[0]) // share
    rows = k[0] // coding.group, ceil_div(k[1], coding.group)
    scales = coding.scales.box(0, rows, n)
    return (*found, *(replace(t, offset=t.offset + behind) for t in scales))


def decode(
    stream: TileStream,
    piece: MatrixPiece,
    size: tuple[int, int],
    source: int,
    target: int,
    origin: int,
) -> None:
    """Write the commands that decode a chunk of ``size`` (inputs, channels)."""
    coding = piece.coding
    assert coding is not None, piece.name
    inputs, channels = size
    fmt, element = piece.fmt, FORMAT_BYTES[piece.fmt]
    block = piece.a.blocking.of(element)
    vector = partial(Vector, fmt=fmt, out_fmt=fmt, origin=origin)
    if coding.bits == 8:
        stream.add(Vector("convert", source, target, inputs * channels, "i8", fmt, origin=origin))
    else:
        for pair in range(channels // (2 * block)):
            low = target + 2 * pair * inputs * block * element
            _halves(stream, vector, source + pair * inputs * block, low, inputs * block, element)
    scales = source + inputs * channels * coding.bits // 8
    groups = ceil_div(inputs, coding.group)
    rows = min(inputs, coding.group)
    for number in range(channels // block):
        for group in range(groups):
            at = target + (number * inputs + group * rows) * block * element
            scale = scales + (number * groups + group) * block * element
            count = min(rows, inputs - group * rows) * block
            stream.add(vector("mul", at, at, count, b=scale, unit=block))


def _halves(
    stream: TileStream, vector: partial[Vector], source: int, low: int, count: int, element: int
) -> None:
    """Make the codes of two blocks of the bytes that hold both: every step is exact.

    A byte is 16 high + low, each 0 to 15 with 8 added: byte / 16 has the high one before its
    binary point and the low one behind it.
    """
    high = low + count * element
    fmt, origin = vector.keywords["fmt"], vector.keywords["origin"]
    stream.add(Vector("convert", source, low, count, "u8", fmt, origin=origin))
    stream.add(vector("mul", low, low, count, scalar=1 / 16))
    stream.add(vector("floor", low, high, count))
    stream.add(vector("sub", low, low, count, b=high))
    stream.add(vector("sub", low, low, count, scalar=0.5))
    stream.add(vector("mul", low, low, count, scalar=16.0))
    stream.add(vector("sub", high, high, count, scalar=8.0))
