"""A program as text: a line for each fact, a line for each command. ``parse.py`` reads it back.

    text     ::= "drawloom program 1" record... tile...
    record   ::= ("program" | "blocking" | "note" | "region" | "data" | "origin" id) field...
    tile     ::= "tile" tiles ":" item...                  tiles with equal streams share one
    item     ::= command field... [id] | "loop" count ":" item...      indented by 2 a level
    field    ::= name "=" value                        fields that have their default are left out
    id       ::= "#" number                                             the command's origin
    address  ::= hex (("+" | "-") stride "*i" loop)...                  i0 is the outermost loop
    dims     ::= count "@" stride, ...                                  outermost first
    comment  ::= ";" to the end of the line; says whose layer a command is

The text is canonical: equal programs give equal bytes. Data of more than ``INLINE`` bytes
stands in it by its hash; its bytes travel beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drawloom.graph.lazy import values
from drawloom.program.commands import Command, Loop, Stream
from drawloom.program.fields import RECORDS, WORD_OF, Data, Header, Note, Slot, slots
from drawloom.program.kinds import show_tiles, show_word
from drawloom.program.program import Origin, Program

HEAD = "drawloom program 1"
INLINE = 64
INDENT = "  "

_RECORD_OF = {kind: word for word, kind in RECORDS.items()}


def text(program: Program) -> str:
    """Return the program's canonical text, ending in a newline."""
    return "\n".join(_lines(program)) + "\n"


def blobs(program: Program) -> dict[str, NDArray[np.uint8]]:
    """Return the data whose bytes do not stand in the text, by hash, in the text's order."""
    pieces = (values(raw) for _, raw in program.data if raw.size > INLINE)
    return {sha256(raw): raw for raw in pieces}


def sha256(raw: NDArray[np.uint8]) -> str:
    """Return the hash by which data is named."""
    return hashlib.sha256(np.ascontiguousarray(raw).data).hexdigest()


def command_text(command: Command) -> str:
    """Return a command as it stands in text, without its origin."""
    return f"{WORD_OF[type(command)]}{_fields(command, _plain_slots(type(command)))}"


def _lines(program: Program) -> Iterator[str]:
    yield HEAD
    header = Header(program.name, program.chip, program.scratchpad_bytes, program.dram_bytes)
    yield _record(header)
    yield _record(program.blocking)
    for key, note in program.notes.items():
        yield _record(Note(key, note))
    for region in program.regions:
        yield _record(region)
    for address, raw in program.data:
        yield _record(_data(address, values(raw)))
    for number, origin in enumerate(program.origins):
        yield f"origin #{number}{_fields(origin, slots(Origin))}"
    for lines, tiles in _blocks(program).items():
        yield ""
        yield f"tile {show_tiles(tiles)}:"
        yield from lines


def _record(record: object) -> str:
    return f"{_RECORD_OF[type(record)]}{_fields(record, slots(type(record)))}"


def _data(address: int, raw: NDArray[np.uint8]) -> Data:
    if raw.size > INLINE:
        return Data(address, raw.size, sha256=sha256(raw))
    return Data(address, raw.size, hex=raw.tobytes().hex())


def _fields(line: object, these: tuple[Slot, ...]) -> str:
    shown = ""
    for slot in these:
        value = getattr(line, slot.name)
        if slot.required or value != slot.default:
            shown += f" {slot.name}={slot.kind.show(value)}"
    return shown


def _plain_slots(kind: type) -> tuple[Slot, ...]:
    """Return the fields that are written out: all but the origin, which has a mark of its own."""
    return tuple(slot for slot in slots(kind) if slot.name != "origin")


def _blocks(program: Program) -> dict[tuple[str, ...], list[int]]:
    """Return the lines of each different stream, and the tiles that have it."""
    labels = [
        f" #{i}  ; {show_word(o.layer or o.node or o.piece)}" for i, o in enumerate(program.origins)
    ]
    blocks: dict[tuple[str, ...], list[int]] = {}
    for tile, stream in enumerate(program.streams):
        blocks.setdefault(tuple(_stream(stream, INDENT, labels)), []).append(tile)
    return blocks


def _stream(stream: Stream, indent: str, labels: list[str]) -> Iterator[str]:
    for item in stream:
        if isinstance(item, Loop):
            yield f"{indent}loop {item.count}:"
            yield from _stream(item.body, indent + INDENT, labels)
        else:
            label = labels[item.origin] if item.origin >= 0 else ""
            yield f"{indent}{command_text(item)}{label}"
