"""The Program: everything a chip loads, and what each command is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from drawloom.chip.model import Blocking
from drawloom.graph.lazy import Held
from drawloom.program.commands import Command, Loop, Stream


@dataclass(frozen=True, slots=True)
class Region:
    """A named piece of DRAM. ``kind``: input, output, constant, or temporary.

    Inputs and outputs hold ``shape`` elements of ``fmt`` densely, row-major.
    """

    name: str
    kind: str
    address: int
    bytes: int
    fmt: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """What a command is for: the mapping's piece, the graph's node, the user's layer."""

    piece: str
    node: str
    layer: str


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A stream per tile, the DRAM image they start from, and where each command comes from.

    ``data`` are bytes by address: arrays of uint8, or lazy ones that are made when they are
    loaded. ``notes`` are short facts shown wherever a figure of this program is (precision, ...).
    """

    name: str
    chip: str
    blocking: Blocking
    scratchpad_bytes: int
    dram_bytes: int
    regions: tuple[Region, ...]
    data: tuple[tuple[int, Held], ...]
    streams: tuple[Stream, ...]
    origins: tuple[Origin, ...]
    notes: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Check that regions and data lie inside DRAM."""
        for region in self.regions:
            assert 0 <= region.address <= region.address + region.bytes <= self.dram_bytes, region
        for address, raw in self.data:
            assert address >= 0 and address + raw.size <= self.dram_bytes, address

    def text(self) -> str:
        """Return the program as canonical text; ``parse.parse`` reads it back."""
        from drawloom.program.text import text

        return text(self)

    def named(self, kind: str) -> dict[str, Region]:
        """Return the regions of a kind by name, in order."""
        return {region.name: region for region in self.regions if region.kind == kind}

    def commands(self, tile: int) -> Iterator[Command]:
        """Iterate over a tile's commands as written, loops entered once."""
        yield from _flat(self.streams[tile])


def _flat(stream: Stream) -> Iterator[Command]:
    for item in stream:
        if isinstance(item, Loop):
            yield from _flat(item.body)
        else:
            yield item
