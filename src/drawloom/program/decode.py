"""The bytes of a program -> Program; bytes that are none raise ``InputError``, always."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Blocking
from drawloom.errors import Fault, InputError
from drawloom.program.binary import HASH_BYTES, LOOP, MAGIC, VERSION
from drawloom.program.check_fields import (
    Complaint,
    Scope,
    blocking_complaints,
    complaints,
    header_complaints,
    length_complaints,
    place_complaints,
    region_complaints,
)
from drawloom.program.commands import Command, Loop, Stream
from drawloom.program.fields import COMMANDS, Header, Note, slots
from drawloom.program.kinds import MAX_DEPTH
from drawloom.program.packing import Broken, Unpacker
from drawloom.program.program import Origin, Program, Region

MOST_FAULTS = 200

T = TypeVar("T")


def decode(raw: bytes, file: str = "program") -> Program:
    """Return the program that the bytes hold; its data share their memory.

    Args:
        raw: what ``encode(program)`` gives, joined.
        file: how messages call the bytes.

    Raises:
        InputError: ``program.binary``, when they are cut short, altered, of another version, or
            no program at all; with every fault in the fields of the program they hold.
    """
    try:
        parts = _Parts(_checked(raw))
    except Broken as broken:
        fault = Fault(str(broken), "", "")
        raise InputError("program.binary", f"{file} is not a whole program", [fault]) from None
    faults = [
        Fault(f"{where}, {part}", value, allowed)
        for where, (part, value, allowed) in islice(parts.complaints(), MOST_FAULTS)
    ]
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise InputError("program.binary", f"{count} in {file}", faults)
    return parts.program()


def _checked(raw: bytes) -> Unpacker:
    """Return what follows the version, once it is sure that the bytes are as they were made."""
    if not raw.startswith(MAGIC):
        raise Broken("it does not begin as one")
    body = Unpacker(memoryview(raw)[len(MAGIC) : -HASH_BYTES])
    version = body.uint()
    if version != VERSION:
        raise Broken(f"it has version {version}, this drawloom reads version {VERSION}")
    if hashlib.sha256(memoryview(raw)[:-HASH_BYTES]).digest() != raw[-HASH_BYTES:]:
        raise Broken("it was cut short or altered: its bytes have another hash")
    return body


class _Parts:
    """A program's parts as read, before anything is known of what they say."""

    def __init__(self, raw: Unpacker) -> None:
        raw.table()
        self.header = _record(raw, Header)
        self.blocking = _record(raw, Blocking)
        self.notes = raw.many(lambda raw: _record(raw, Note))
        self.regions = raw.many(lambda raw: _record(raw, Region))
        self.origins = raw.many(lambda raw: _record(raw, Origin))
        pieces = raw.many(lambda raw: (raw.uint(), raw.uint()))
        self.different = raw.many(lambda raw: _stream(raw, 0))
        self.places = raw.many(Unpacker.uint)
        if any(place >= len(self.different) for place in self.places):
            raise Broken("a tile has a stream that is not there")
        self.data = [(address, _array(raw, size)) for address, size in pieces]
        if raw.left:
            raise Broken("it goes on after its end")

    def complaints(self) -> Iterator[tuple[str, Complaint]]:
        """Yield what is wrong with the fields, and where."""
        dram = self.header.dram_bytes
        for complaint in header_complaints(self.header):
            yield "program", complaint
        for complaint in blocking_complaints(self.blocking):
            yield "blocking", complaint
        keys = [note.key for note in self.notes]
        if len(set(keys)) < len(keys):
            yield "notes", ("key", ", ".join(keys), "each key once")
        for region in self.regions:
            for complaint in region_complaints(region, dram):
                yield f"region '{region.name}'", complaint
        for number, (address, piece) in enumerate(self.data):
            for complaint in place_complaints(address, piece.size, dram):
                yield f"data {number}", complaint
        yield from self._stream_complaints()

    def _stream_complaints(self) -> Iterator[tuple[str, Complaint]]:
        for complaint in length_complaints([self.different[place] for place in self.places]):
            yield "program", complaint
        scope = Scope(len(self.places), len(self.origins))
        first = {place: tile for tile, place in reversed(list(enumerate(self.places)))}
        for number, stream in enumerate(self.different):
            where = f"tile {first[number]}" if number in first else f"stream {number}"
            for path, complaint in _complaints(stream, scope):
                yield f"{where}, {path}", complaint

    def program(self) -> Program:
        """Put the parts together."""
        return Program(
            name=self.header.name,
            chip=self.header.chip,
            blocking=self.blocking,
            scratchpad_bytes=self.header.scratchpad_bytes,
            dram_bytes=self.header.dram_bytes,
            regions=self.regions,
            data=tuple(self.data),
            streams=tuple(self.different[place] for place in self.places),
            origins=self.origins,
            notes={note.key: note.text for note in self.notes},
        )


def _complaints(stream: Stream, scope: Scope) -> Iterator[tuple[str, Complaint]]:
    for number, item in enumerate(stream):
        if isinstance(item, Loop):
            inner = Scope(scope.n_tiles, scope.n_origins, (*scope.loops, item.count))
            for path, complaint in _complaints(item.body, inner):
                yield f"{number}.{path}", complaint
        else:
            for complaint in complaints(item, scope):
                yield f"{number}", complaint


def _array(raw: Unpacker, size: int) -> NDArray[np.uint8]:
    return np.frombuffer(raw.take(size), np.uint8)


def _stream(raw: Unpacker, depth: int) -> Stream:
    if depth > MAX_DEPTH:
        raise Broken(f"more than {MAX_DEPTH} loops within loops")
    return raw.many(lambda raw: _item(raw, depth))


def _item(raw: Unpacker, depth: int) -> Command | Loop:
    word = raw.word()
    if word == LOOP:
        return Loop(raw.uint(), _stream(raw, depth + 1))
    if word not in COMMANDS:
        raise Broken(f"there is no command '{word}'")
    return _record(raw, COMMANDS[word])


def _record(raw: Unpacker, kind: type[T]) -> T:
    these = slots(kind)
    n_optional = sum(not slot.required for slot in these)
    mask = raw.uint() if n_optional else 0
    if mask >> n_optional:
        raise Broken("a line has fields that are not known")
    values: list[Any] = []
    for slot in these:
        present = slot.required
        if not present:
            present = mask & 1
            mask >>= 1
        values.append(slot.kind.unpack(raw) if present else slot.default)
    return kind(*values)
