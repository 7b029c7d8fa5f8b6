"""Which commands of a program write some bytes, whenever that is."""

from __future__ import annotations

from collections.abc import Iterator

from drawloom.check.findings import Finding, Place
from drawloom.check.state import IN_DRAM
from drawloom.program.commands import Address, Affine, Command, Loop, Send, Stream
from drawloom.program.extents import moved_bytes, touched
from drawloom.program.program import Program


def writers(program: Program, finding: Finding) -> Iterator[Place]:
    """Yield commands that write bytes of a finding, in whatever turn; its own tile's come first."""
    tiles = list(range(len(program.streams)))
    home = finding.where.tile if finding.where is not None else 0
    tiles.sort(key=lambda tile: tile != home)
    for tile in tiles:
        for number, (command, counts) in enumerate(nested(program.streams[tile])):
            if _writes(program, command, counts, tile, finding):
                yield Place(tile, command, number=number)


def nested(
    stream: Stream, counts: tuple[int, ...] = ()
) -> Iterator[tuple[Command, tuple[int, ...]]]:
    """Yield a tile's commands as written, with the counts of the loops around them."""
    for item in stream:
        if isinstance(item, Loop):
            yield from nested(item.body, (*counts, item.count))
        else:
            yield item, counts


def _writes(
    program: Program, command: Command, counts: tuple[int, ...], tile: int, finding: Finding
) -> bool:
    """Whether a command writes bytes of a finding in some turn; strided ranges count as solid."""
    if isinstance(command, Send):
        if finding.owner not in command.targets:
            return False
        size = moved_bytes(command.inner, command.dims)
        return _meets(command.dst, size, counts, finding)
    for space, start, size in touched(command, program.blocking)[1]:
        owner = IN_DRAM if space == "dram" else tile
        if owner == finding.owner and _meets(start, size, counts, finding):
            return True
    return False


def _meets(start: Address, size: int, counts: tuple[int, ...], finding: Finding) -> bool:
    low = start.base if isinstance(start, Affine) else start
    high = low + size
    for stride, count in zip(
        start.strides if isinstance(start, Affine) else (), counts, strict=False
    ):
        low += min(0, stride * (count - 1))
        high += max(0, stride * (count - 1))
    return low < finding.stop and finding.start < high
