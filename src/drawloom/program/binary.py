"""A program as few bytes. ``decode.py`` reads them back.

    file    ::= MAGIC version words body data hash
    words   ::= count (size utf-8)...               every word of the body, by its place here
    body    ::= header blocking note... region... origin... (address size)... stream... place...
    stream  ::= count item...                       each different stream once
    place   ::= which of the streams a tile has
    item    ::= "loop" count stream | command word, mask, field...
    data    ::= the bytes of the DRAM image, one piece after the other
    hash    ::= SHA-256 of all bytes before it

Numbers are as in ``packing.py``. The mask has a bit for each field with a default, in order:
only those that differ from it follow. Equal programs give equal bytes, so that the hash names
the program.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.graph.lazy import values
from drawloom.program.commands import Loop, Stream
from drawloom.program.fields import WORD_OF, Header, Note, slots
from drawloom.program.packing import Packer
from drawloom.program.program import Program

MAGIC = b"\x89drawloom.prog\n"
VERSION = 1
HASH_BYTES = 32
LOOP = "loop"
_PORTION_BYTES = 1 << 20


def encode(program: Program) -> Iterator[bytes]:
    """Yield the bytes of a program, piece by piece."""
    hashed = hashlib.sha256()
    for piece in _pieces(program):
        hashed.update(piece)
        yield piece
    yield hashed.digest()


def program_hash(program: Program) -> str:
    """Return what names a program: equal programs have equal hashes, in any process."""
    hashed = hashlib.sha256()
    for piece in _pieces(program):
        hashed.update(piece)
    return hashed.hexdigest()


def _pieces(program: Program) -> Iterator[bytes]:
    body = Packer()
    header = Header(program.name, program.chip, program.scratchpad_bytes, program.dram_bytes)
    _pack(body, header)
    _pack(body, program.blocking)
    for records in (
        [Note(key, note) for key, note in program.notes.items()],
        program.regions,
        program.origins,
    ):
        body.uint(len(records))
        for record in records:
            _pack(body, record)
    body.uint(len(program.data))
    for address, raw in program.data:
        body.uint(address)
        body.uint(raw.size)
    _pack_streams(body, program.streams)
    start = Packer()
    start.uint(VERSION)
    yield MAGIC + bytes(start.out) + body.table() + bytes(body.out)
    for _, raw in program.data:
        yield from portions(values(raw))


def portions(raw: NDArray[np.uint8]) -> Iterator[bytes]:
    """Yield the bytes of an array, a few at a time: who keeps the last does not keep the array."""
    for start in range(0, raw.size, _PORTION_BYTES):
        yield raw[start : start + _PORTION_BYTES].tobytes()


def _pack_streams(out: Packer, streams: tuple[Stream, ...]) -> None:
    start = len(out.out)
    places: list[int] = []
    different: dict[bytes, int] = {}
    for stream in streams:
        _pack_stream(out, stream)
        places.append(different.setdefault(bytes(out.out[start:]), len(different)))
        del out.out[start:]
    out.uint(len(different))
    for raw in different:
        out.out += raw
    out.uint(len(places))
    for place in places:
        out.uint(place)


def _pack_stream(out: Packer, stream: Stream) -> None:
    out.uint(len(stream))
    for item in stream:
        if isinstance(item, Loop):
            out.word(LOOP)
            out.uint(item.count)
            _pack_stream(out, item.body)
        else:
            out.word(WORD_OF[type(item)])
            _pack(out, item)


def _pack(out: Packer, line: object) -> None:
    present: list[tuple[Any, Any]] = []
    mask, bit = 0, 1
    for slot in slots(type(line)):
        value = getattr(line, slot.name)
        if not slot.required:
            if value != slot.default:
                mask |= bit
                present.append((slot.kind.pack, value))
            bit <<= 1
        else:
            present.append((slot.kind.pack, value))
    if bit > 1:
        out.uint(mask)
    for pack, value in present:
        pack(out, value)
