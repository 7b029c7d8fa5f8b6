"""The text of a program -> Program, or every fault in it with its line."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Blocking, Chip
from drawloom.errors import InputError
from drawloom.files import refuse_head
from drawloom.program.check_fields import (
    Scope,
    blocking_complaints,
    complaints,
    header_complaints,
    length_complaints,
    place_complaints,
    region_complaints,
)
from drawloom.program.commands import Stream
from drawloom.program.fields import RECORDS, Data, Header, Note
from drawloom.program.lines import Faults, TooMany, record, split
from drawloom.program.names import Names
from drawloom.program.program import Origin, Program, Region
from drawloom.program.reading import Reader
from drawloom.program.text import HEAD, sha256

Bytes = NDArray[np.uint8]
T = TypeVar("T")

NO_DATA: Mapping[str, Bytes] = MappingProxyType({})


def parse(
    text: str,
    data: Mapping[str, Bytes] = NO_DATA,
    file: str = "text",
    chip: Chip | None = None,
) -> Program:
    """Return the program that a text describes.

    Args:
        text: what ``text(program)`` gives, or what a person wrote.
        data: the data that stand in the text by their hash, as ``blobs(program)`` gives them.
        file: how messages call the text.
        chip: what fills fields that the text leaves out; else the chip of the catalog that it names.

    Raises:
        InputError: ``program.text``, with every fault and its line.
    """
    head, *lines = text.split("\n")
    if head.rstrip() != HEAD:
        raise refuse_head("program.text", "a program", file, head, HEAD)
    reader = Reader(Names(chip, chip and chip.blocking))
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
class _Builder:
    """What all lines say together."""

    reader: Reader
    given: Mapping[str, Bytes]

    def build(self) -> Program | None:
        """Return the program; None where there are faults."""
        self.reader.end()
        header = self._one(Header)
        blocking = self._one(Blocking) if self._needs_blocking() else self.reader.names.blocking
        dram = header.dram_bytes if header else 1 << 63
        notes, regions, data = self._notes(), self._regions(dram), self._data(dram)
        self._check(header, blocking)
        streams = self._streams()
        if self.reader.faults.found:
            return None
        assert header and blocking
        return Program(
            header.name,
            header.chip,
            blocking,
            header.scratchpad_bytes,
            header.dram_bytes,
            regions,
            data,
            streams,
            self._origins(),
            notes,
        )

    def _needs_blocking(self) -> bool:
        """Whether a line must say how operands lie: no chip does, or the text does itself."""
        is_said = bool(self.reader.records[Blocking])
        return is_said or (self.reader.names.blocking is None and bool(self._all(Header)))

    def _origins(self) -> tuple[Origin, ...]:
        """Return what commands are for; a name that has no line stands for itself."""
        given = self.reader.origins
        names = self.reader.names.origins
        return tuple(given.get(i) or Origin(name, name, "") for name, i in names.items())

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
        if blocking and self.reader.records[Blocking]:
            faults.complain(self.reader.records[Blocking][0][0], blocking_complaints(blocking))
        n_origins = len(self.reader.names.origins)
        n_tiles = sum(len(block.tiles) for block in self.reader.tiles)
        for line, command, loops in self.reader.commands:
            faults.complain(line, complaints(command, Scope(n_tiles, n_origins, loops)))

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
        for part, value, allowed in length_complaints(list(stream_of.values())):
            self.reader.faults.add(self.reader.tiles[0].line, value, allowed, part)
        n = len(stream_of)
        for tile, line in line_of.items():
            if not 0 <= tile < n:
                self.reader.faults.add(line, f"tile {tile}", f"0 to {n - 1}, none left out")
        return tuple(stream_of.get(tile, ()) for tile in range(n))
