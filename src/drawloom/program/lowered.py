"""What an exchange is of, and the commands of a tile that come of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from drawloom.program.commands import Command

UNITS = ("gather", "scatter", "spread", "join")
"""Kinds of exchange whose buffers are units of chips."""


@dataclass(frozen=True, slots=True)
class Buffers:
    """What is exchanged, on each chip alike.

    Attributes:
        source: address in DRAM of a chip's own value, dense.
        target: address of the result, dense.
        fmt: format of its elements.
        count: elements of a chip's own value; of a scatter, of the slice that it is to get.
        run: of a gather: elements of a chip's own value that stand together in the result. Of a
            spread or join: elements of a row of one chip's heads.
        addend: of a sum or scatter: address of what is added to it; -1: nothing is.
    """

    source: int
    target: int
    fmt: str
    count: int
    run: int = 0
    addend: int = -1


@dataclass(frozen=True, slots=True)
class Area:
    """What of a tile's scratchpad exchanges have to themselves."""

    base: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer of one step: units of a chain, between chips by their index in the span.

    ``place`` is its place among all that its target gets.
    """

    chain: int
    source: int
    target: int
    first: int
    into: int
    count: int
    adds: bool
    place: int = 0


@dataclass(slots=True)
class Lowered:
    """Commands of one tile: what may stand ahead of other work, and the exchange itself.

    The first command of ``body`` is its first read.
    """

    ahead: list[Command] = field(default_factory=list[Command])
    body: list[Command] = field(default_factory=list[Command])
