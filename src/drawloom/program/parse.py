"""The text of a program -> Program, or every fault in it with its line."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Blocking
from drawloom.errors import Fault, InputError, nearest
from drawloom.program.check_fields import (
    Scope,
    blocking_complaints,
    complaints,
    header_complaints,
    loop_complaints,
    place_complaints,
    region_complaints,
)
from drawloom.program.commands import Command, Loop, Stream
from drawloom.program.fields import COMMANDS, RECORDS, Data, Header, Note
from drawloom.program.kinds import Bad, read_int, read_tiles
from drawloom.program.lines import Faults, Line, TooMany, mark, record, split
from drawloom.program.program import Origin, Program, Region
from drawloom.program.text import HEAD, INDENT, sha256

Bytes = NDArray[np.uint8]
T = TypeVar("T")

NO_DATA: Mapping[str, Bytes] = MappingProxyType({})


def parse(text: str, data: Mapping[str, Bytes] = NO_DATA, file: str = "text") -> Program:
    """Return the program that a text describes.

    Args:
        text: what ``text(program)`` gives.
        data: the data that stand in the text by their hash, as ``blobs(program)`` gives them.
        file: how messages call the text.

    Raises:
        InputError: ``program.text``, with every fault and its line.
    """
    head, *lines = text.split("\n")
    if head.rstrip() != HEAD:
        fault = Fault("line 1", head[:60], f"'{HEAD}'")
        raise InputError("program.text", f"{file} is not the text of a program", [fault])
    reader = _Reader()
    program = None
    with contextlib.suppress(TooMany):
        for number, raw in enumerate(lines, start=2):
            line = split(number, raw)
            if line:
                reader.read(line)
        program = _Builder(reader, data).build()
    faults = reader.faults.listed()
    if program is None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise InputError("program.text", f"{count} in {file}", faults)
    return program


def blob_sizes(text: str) -> list[tuple[str, int]]:
    """Return hash and size of the data a text names by hash, each once, skipping bad lines."""
    sizes: dict[str, int] = {}
    for number, raw in enumerate(text.split("\n"), start=1):
        line = split(number, raw) if raw.startswith("data ") else None
        with contextlib.suppress(TooMany):
            data = record(line, Data, Faults()) if line else None
            if data and data.sha256 and data.bytes >= 0:
                sizes.setdefault(data.sha256, data.bytes)
    return list(sizes.items())


@dataclass(slots=True)
class _Block:
    """A tile line or a loop whose items are being read."""

    count: int
    items: list[Command | Loop] = field(default_factory=list[Command | Loop])


@dataclass(slots=True)
class _Tiles:
    """A tile line: which tiles have its stream."""

    line: int
    tiles: tuple[int, ...]
    stream: Stream = ()


@dataclass(slots=True)
class _Reader:
    """Lines become records, commands and loops; what they say together is checked later."""

    faults: Faults = field(default_factory=Faults)
    records: dict[type, list[tuple[int, Any]]] = field(
        default_factory=lambda: {kind: [] for kind in RECORDS.values()}
    )
    tiles: list[_Tiles] = field(default_factory=list[_Tiles])
    commands: list[tuple[int, Command, tuple[int, ...]]] = field(default_factory=list[Any])
    marks: list[int | None] = field(default_factory=list[Any])
    open: list[_Block] = field(default_factory=list[_Block])

    def read(self, line: Line) -> None:
        """Read one line."""
        depth = line.indent // len(INDENT)
        deepest = len(self.open)
        if line.indent % len(INDENT) or depth > deepest:
            allowed = f"a multiple of {len(INDENT)}, at most {deepest * len(INDENT)} here"
            self.faults.add(line.number, f"indented by {line.indent}", allowed)
            depth = deepest
        self.close(depth)
        if depth == 0:
            self._top(line)
        elif line.word == "loop":
            self._loop(line)
        elif line.word in COMMANDS:
            command = record(line, COMMANDS[line.word], self.faults)
            if command:
                loops = tuple(block.count for block in self.open[1:])
                self.open[-1].items.append(command)
                self.commands.append((line.number, command, loops))
        else:
            self.faults.add(line.number, line.word, nearest(line.word, ["loop", *COMMANDS]))

    def close(self, depth: int) -> None:
        """End the loops and the tile that a line indented by ``depth`` levels is not in."""
        while len(self.open) > depth:
            block = self.open.pop()
            if self.open:
                self.open[-1].items.append(Loop(block.count, tuple(block.items)))
            else:
                self.tiles[-1].stream = tuple(block.items)

    def _top(self, line: Line) -> None:
        if line.word == "tile":
            self._tile(line)
        elif line.word in RECORDS:
            if line.word == "origin":
                self.marks.append(mark(line, self.faults))
            kind = RECORDS[line.word]
            self.records[kind].append((line.number, record(line, kind, self.faults)))
        elif line.word in COMMANDS or line.word == "loop":
            self.faults.add(line.number, line.word, "under a tile, indented")
        else:
            self.faults.add(line.number, line.word, nearest(line.word, ["tile", *RECORDS]))

    def _tile(self, line: Line) -> None:
        tiles: tuple[int, ...] = ()
        try:
            tiles = read_tiles(_before_colon(line))
        except Bad:
            self.faults.add(line.number, " ".join(line.rest), "tiles and a colon: tile 0..3,8:")
        self.tiles.append(_Tiles(line.number, tiles))
        self.open.append(_Block(1))

    def _loop(self, line: Line) -> None:
        count = 1
        try:
            count = read_int(_before_colon(line))
        except Bad:
            self.faults.add(line.number, " ".join(line.rest), "a count and a colon: loop 16:")
        self.faults.complain(line.number, loop_complaints(count, len(self.open) - 1))
        self.open.append(_Block(count))


def _before_colon(line: Line) -> str:
    if len(line.rest) != 1 or not line.rest[0].endswith(":"):
        raise Bad
    return line.rest[0][:-1]


@dataclass(slots=True)
class _Builder:
    """What all lines say together."""

    reader: _Reader
    given: Mapping[str, Bytes]

    def build(self) -> Program | None:
        """Return the program; None where there are faults."""
        self.reader.close(0)
        header, blocking = self._one(Header), self._one(Blocking)
        dram = header.dram_bytes if header else 1 << 63
        notes, regions, data = self._notes(), self._regions(dram), self._data(dram)
        self._check(header, blocking)
        streams = self._streams()
        if self.reader.faults.found:
            return None
        assert header and blocking
        origins = tuple(origin for _, origin in self._all(Origin))
        return Program(
            header.name,
            header.chip,
            blocking,
            header.scratchpad_bytes,
            header.dram_bytes,
            regions,
            data,
            streams,
            origins,
            notes,
        )

    def _all(self, kind: type[T]) -> list[tuple[int, T]]:
        return [(line, found) for line, found in self.reader.records[kind] if found is not None]

    def _one(self, kind: type[T]) -> T | None:
        lines = self.reader.records[kind]
        word = next(word for word, k in RECORDS.items() if k is kind)
        if not lines:
            self.reader.faults.add(1, "", f"needs a '{word}' line", HEAD)
            return None
        for line, _ in lines[1:]:
            self.reader.faults.add(line, word, f"one such line; line {lines[0][0]} is it")
        return lines[0][1]

    def _notes(self) -> dict[str, str]:
        notes: dict[str, str] = {}
        for line, note in self._all(Note):
            if note.key in notes:
                self.reader.faults.add(line, note.key, "each key once", "note")
            notes[note.key] = note.text
        return notes

    def _regions(self, dram: int) -> tuple[Region, ...]:
        regions = self._all(Region)
        for line, region in regions:
            self.reader.faults.complain(line, region_complaints(region, dram))
        return tuple(region for _, region in regions)

    def _data(self, dram: int) -> tuple[tuple[int, Bytes], ...]:
        found: list[tuple[int, Bytes]] = []
        for line, data in self._all(Data):
            self.reader.faults.complain(line, place_complaints(data.address, data.bytes, dram))
            raw = self._bytes(data)
            if isinstance(raw, str):
                self.reader.faults.add(line, data.sha256, raw, "data")
            elif raw.size != data.bytes:
                self.reader.faults.add(line, str(data.bytes), f"{raw.size}, as given", "bytes")
            else:
                found.append((data.address, raw))
        return tuple(found)

    def _bytes(self, data: Data) -> Bytes | str:
        """Return the bytes of a data line, or what is wrong."""
        if not data.sha256:
            return np.frombuffer(bytes.fromhex(data.hex), np.uint8)
        raw = self.given.get(data.sha256)
        if raw is None:
            return "its bytes were not given"
        return raw if sha256(raw) == data.sha256 else "its bytes have another hash"

    def _check(self, header: Header | None, blocking: Blocking | None) -> None:
        faults = self.reader.faults
        if header:
            faults.complain(self.reader.records[Header][0][0], header_complaints(header))
        if blocking:
            faults.complain(self.reader.records[Blocking][0][0], blocking_complaints(blocking))
        origins = self.reader.records[Origin]
        for number, (found, (line, _)) in enumerate(zip(self.reader.marks, origins, strict=True)):
            if found != number:
                shown = "no number" if found is None else f"#{found}"
                faults.add(line, shown, f"#{number}, as they are counted from 0", "origin")
        n_tiles = sum(len(block.tiles) for block in self.reader.tiles)
        for line, command, loops in self.reader.commands:
            faults.complain(line, complaints(command, Scope(n_tiles, len(origins), loops)))

    def _streams(self) -> tuple[Stream, ...]:
        line_of: dict[int, int] = {}
        stream_of: dict[int, Stream] = {}
        for block in self.reader.tiles:
            for tile in block.tiles:
                if tile in stream_of:
                    allowed = f"each tile once; line {line_of[tile]} has it"
                    self.reader.faults.add(block.line, f"tile {tile}", allowed)
                line_of[tile] = block.line
                stream_of[tile] = block.stream
        n = len(stream_of)
        for tile, line in line_of.items():
            if not 0 <= tile < n:
                self.reader.faults.add(line, f"tile {tile}", f"0 to {n - 1}, none left out")
        return tuple(stream_of.get(tile, ()) for tile in range(n))
