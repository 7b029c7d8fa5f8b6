"""Chunks of codes: what is read of them, and the vector commands that make numbers of them.

In the scratchpad codes lie as the numbers they become do, block of channels after block, with
the scales behind them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.layout.storage import Storage, Transfer
from drawloom.mapping.pieces import Coding, MatrixPiece, Span
from drawloom.program.commands import Vector
from drawloom.program.streams import TileStream
from drawloom.units import ceil_div


def coded_box(
    codes: Storage, coding: Coding, batch: int, k: Span, n: Span
) -> tuple[tuple[Transfer, ...], tuple[Transfer, ...]]:
    """Return the transfers of a chunk's codes, and those of its scales, which lie behind them.

    Scales that stand behind the product come with its last chunk.
    """
    share = 8 // coding.bits
    found = codes.box(batch, k, (n[0] // share, n[1] // share))
    if coding.behind and k[1] < coding.group:
        return found, ()
    end = (k[1] - k[0]) * (n[1] - n[0]) // share
    rows = (0, 1) if coding.behind else (k[0] // coding.group, ceil_div(k[1], coding.group))
    scales = coding.scales.box(batch, rows, n)
    return found, tuple(replace(t, offset=t.offset + end) for t in scales)


def decode(
    stream: TileStream,
    piece: MatrixPiece,
    size: tuple[int, int],
    source: int,
    target: int,
    origin: int,
) -> None:
    """Write the commands that decode a chunk of ``size`` (inputs, channels).

    Codes that are scaled behind the product become whole numbers: those of high halves 16 times
    as large, to which their scales are fitted (``scales_behind``).
    """
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
            at, count = source + pair * inputs * block, inputs * block
            high = low + count * element
            stream.add(Vector("and", at, low, count, "u8", fmt, scalar=15.0, origin=origin))
            stream.add(vector("sub", low, low, count, scalar=8.0))
            stream.add(Vector("and", at, high, count, "i8", fmt, scalar=-16.0, origin=origin))
            if not coding.behind:
                stream.add(vector("mul", high, high, count, scalar=1 / 16))
    if coding.behind:
        return
    scales = source + inputs * channels * coding.bits // 8
    groups = ceil_div(inputs, coding.group)
    rows = min(inputs, coding.group)
    for number in range(channels // block):
        for group in range(groups):
            at = target + (number * inputs + group * rows) * block * element
            scale = scales + (number * groups + group) * block * element
            count = min(rows, inputs - group * rows) * block
            stream.add(vector("mul", at, at, count, b=scale, unit=block))


def scales_behind(
    stream: TileStream,
    piece: MatrixPiece,
    size: tuple[int, int],
    source: int,
    target: int,
    origin: int,
) -> None:
    """Write the commands that keep the scales of a last chunk of ``size`` in f32 at ``target``."""
    coding = piece.coding
    assert coding is not None, piece.name
    inputs, channels = size
    fmt, element = piece.fmt, FORMAT_BYTES[piece.fmt]
    scales = source + inputs * channels * coding.bits // 8
    if coding.bits == 8:
        stream.add(Vector("convert", scales, target, channels, fmt, "f32", origin=origin))
        return
    block = piece.a.blocking.of(element)
    for number in range(channels // block):
        at, to = scales + number * block * element, target + number * block * 4
        factor = 1.0 if number % 2 == 0 else 1 / 16
        stream.add(Vector("mul", at, to, block, fmt, "f32", scalar=factor, origin=origin))
