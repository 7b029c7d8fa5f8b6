"""Programs of several chips, checked as one program on all their tiles.

Tile t of the i-th chip becomes tile i n + t, and each chip's DRAM a stretch of one: nothing else tells
a span from a program, since sends between chips are armed and waited for like any other.
"""

from __future__ import annotations

import re
from dataclasses import replace

from drawloom.check.findings import Finding, Place
from drawloom.check.run import MOST, check
from drawloom.chip.model import Chip
from drawloom.program.addresses import addresses, dram_fields, with_addresses
from drawloom.program.commands import (
    Address,
    Affine,
    Barrier,
    Command,
    Loop,
    Send,
    Signal,
    Stream,
)
from drawloom.program.program import Origin, Program
from drawloom.program.span import Span


def check_span(span: Span, chip: Chip, most: int = MOST) -> tuple[Finding, ...]:
    """Return what is wrong with the programs of a span, sends between its chips included.

    Raises:
        InputError: as ``check``.
    """
    n_tiles = len(span.programs[0].streams)
    before = [0]
    for program in span.programs:
        before.append(before[-1] + len(program.origins))

    def home(place: Place | None) -> Place | None:
        if place is None:
            return None
        chip, tile = divmod(place.tile, n_tiles)
        command = place.command
        if command.origin >= 0:
            command = replace(command, origin=command.origin - before[chip])
        return replace(place, tile=tile, chip=chip, command=command)

    def told(found: re.Match[str]) -> str:
        chip, tile = divmod(int(found[1]), n_tiles)
        return f"chip {chip} tile {tile}"

    return tuple(
        replace(
            one, where=home(one.where), other=home(one.other),
            detail=re.sub(r"\btile (\d+)", told, one.detail),
        )
        for one in check(_joined(span), chip, most)
    )  # fmt: skip


def _joined(span: Span) -> Program:
    """Return the programs of a span as one."""
    first = span.programs[0]
    n_tiles, size = len(first.streams), max(program.dram_bytes for program in span.programs)
    origins: list[Origin] = []
    streams: list[Stream] = []
    for number, program in enumerate(span.programs):
        moved = _Moved(number, n_tiles, number * size, len(origins))
        streams += [moved.stream(stream) for stream in program.streams]
        origins += program.origins
    return replace(
        first,
        name=span.name,
        dram_bytes=size * len(span.programs),
        regions=tuple(
            replace(region, address=region.address + number * size)
            for number, program in enumerate(span.programs)
            for region in program.regions
        ),
        data=tuple(
            (address + number * size, held)
            for number, program in enumerate(span.programs)
            for address, held in program.data
        ),
        streams=tuple(streams),
        origins=tuple(origins),
    )


class _Moved:
    """Puts the commands of a chip where they stand in the whole."""

    def __init__(self, chip: int, n_tiles: int, dram: int, origin: int) -> None:
        self.chip, self.n_tiles, self.dram, self.origin = chip, n_tiles, dram, origin

    def stream(self, stream: Stream) -> Stream:
        """Return a stream, its loops included."""
        return tuple(
            replace(item, body=self.stream(item.body))
            if isinstance(item, Loop)
            else self._one(item)
            for item in stream
        )

    def _one(self, command: Command) -> Command:
        if any(in_dram := dram_fields(command)):
            pairs = zip(addresses(command), in_dram, strict=True)
            command = with_addresses(
                command, [self._address(address) if far else address for address, far in pairs]
            )
        if command.origin >= 0:
            command = replace(command, origin=command.origin + self.origin)
        if isinstance(command, Barrier):
            return replace(command, tiles=self._tiles(command.tiles, self.chip))
        if isinstance(command, Send | Signal):
            chip = command.chip if command.chip >= 0 else self.chip
            if isinstance(command, Signal):
                return replace(command, target=self._tiles((command.target,), chip)[0], chip=-1)
            return replace(command, targets=self._tiles(command.targets, chip), chip=-1)
        return command

    def _tiles(self, tiles: tuple[int, ...], chip: int) -> tuple[int, ...]:
        return tuple(chip * self.n_tiles + tile for tile in tiles)

    def _address(self, address: Address) -> Address:
        if isinstance(address, Affine):
            return replace(address, base=address.base + self.dram)
        return address + self.dram
