"""The lines of a program's text, one after the other: records, commands, loops, names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from drawloom.errors import nearest
from drawloom.program.check_fields import loop_complaints
from drawloom.program.commands import Command, Loop, Stream
from drawloom.program.defaults import Buffer, place_buffer
from drawloom.program.fields import COMMANDS, RECORDS
from drawloom.program.kinds import Bad, read_int, read_tiles
from drawloom.program.lines import Faults, Line, mark, record
from drawloom.program.names import UNKNOWN, Names, Value, is_expression
from drawloom.program.program import Origin, Region
from drawloom.program.text import INDENT

T = TypeVar("T")

_LOOP_FORM = "a count and a colon, loop 16: or loop 16 as row:"
_TILE_FORM = "tiles and a colon, tile 0..3,8: or tile 0..3,8 as t:"
MOST_REPEATED = 1 << 17  # lines that stand for several tiles, once for each


@dataclass(slots=True)
class Block:
    """A tile line or a loop whose items are being read."""

    count: int
    items: list[Command | Loop] = field(default_factory=list[Command | Loop])


@dataclass(slots=True)
class Tiles:
    """A tile line: which tiles have its stream."""

    line: int
    tiles: tuple[int, ...]
    stream: Stream = ()


@dataclass(slots=True)
class _Each:
    """Lines that are read for each of some tiles, which they know by a name."""

    line: int
    name: str
    tiles: tuple[int, ...]
    lines: list[Line] = field(default_factory=list[Line])


@dataclass(slots=True)
class Reader:
    """Lines become records, commands and loops; what they say together is checked later.

    Attributes:
        names: what is known by name, and what fills fields that are left out.
        origins: by their number, those that have a line of their own.
    """

    names: Names = field(default_factory=Names)
    faults: Faults = field(default_factory=Faults)
    records: dict[type, list[tuple[int, Any]]] = field(
        default_factory=lambda: {kind: [] for kind in RECORDS.values()}
    )
    tiles: list[Tiles] = field(default_factory=list[Tiles])
    commands: list[tuple[int, Command, tuple[int, ...]]] = field(default_factory=list[Any])
    origins: dict[int, Origin | None] = field(default_factory=dict[int, Any])
    open: list[Block] = field(default_factory=list[Block])
    each: _Each | None = None
    n_repeated: int = 0

    def read(self, line: Line) -> None:
        """Read one line."""
        if self.each and line.indent:
            self.each.lines.append(line)
            return
        self._repeat()
        self._line(line)

    def end(self) -> None:
        """End all that is open."""
        self._repeat()
        self.close(0)

    def _repeat(self) -> None:
        """Read the lines under ``tile 0..3 as t:`` for each of its tiles."""
        each, self.each = self.each, None
        if each is None:
            return
        self.n_repeated += len(each.lines) * max(0, len(each.tiles) - 1)
        if self.n_repeated > MOST_REPEATED:
            allowed = f"at most {MOST_REPEATED:,} in all"
            self.faults.add(each.line, f"{self.n_repeated:,} lines for each of its tiles", allowed)
            return
        before = self.faults.count
        for tile in each.tiles:
            self.close(0)
            self._begin(each.line, (tile,))
            self.names.values[each.name] = Value(tile)
            if self.faults.count > before:
                continue  # the other tiles would say the same
            for line in each.lines:
                self._line(replace(line, rest=list(line.rest)))
        del self.names.values[each.name]

    def _line(self, line: Line) -> None:
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
            command = record(line, COMMANDS[line.word], self.faults, self.names)
            if command:
                loops = tuple(block.count for block in self.open[1:])
                self.open[-1].items.append(command)
                self.commands.append((line.number, command, loops))
        elif line.word in RECORDS or line.word in ("tile", "let", "buffer"):
            self.faults.add(line.number, line.word, "not indented, above the tiles")
        else:
            self.faults.add(line.number, line.word, nearest(line.word, ["loop", *COMMANDS]))

    def close(self, depth: int) -> None:
        """End the loops and the tile that a line indented by ``depth`` levels is not in."""
        while len(self.open) > depth:
            block = self.open.pop()
            if self.open:
                self.names.indices.pop()
                self.open[-1].items.append(Loop(block.count, tuple(block.items)))
            else:
                self.tiles[-1].stream = tuple(block.items)

    def _top(self, line: Line) -> None:
        if line.word == "tile":
            self._tile(line)
        elif line.word == "let":
            self._let(line)
        elif line.word == "buffer":
            self._buffer(line)
        elif line.word in RECORDS:
            self._record(line)
        elif line.word in COMMANDS or line.word == "loop":
            self.faults.add(line.number, line.word, "under a tile, indented")
        else:
            words = ["tile", "let", "buffer", *RECORDS]
            self.faults.add(line.number, line.word, nearest(line.word, words))

    def _record(self, line: Line) -> None:
        number = self._number(line) if line.word == "origin" else -1
        kind = RECORDS[line.word]
        found = record(line, kind, self.faults, self.names)
        self.records[kind].append((line.number, found))
        if line.word == "origin":
            self.origins[number] = found
        elif line.word == "blocking":
            self.names.blocking = found
        elif line.word == "region":
            self._region(found, line)

    def _number(self, line: Line) -> int:
        """Return the number of an origin's line: what it is called, or the next."""
        found, known = mark(line, self.faults), self.names.origins
        if isinstance(found, str):
            number = known.setdefault(found, len(known))
            if number in self.origins:
                self.faults.add(line.number, f"#{found}", "each origin once", "origin")
            return number
        number = len(known)
        known[f"#{number}"] = number
        if found != number:
            shown = "no number" if found is None else f"#{found}"
            self.faults.add(line.number, shown, f"#{number}, as they are counted from 0", "origin")
        return number

    def _region(self, region: Region | None, line: Line) -> None:
        """Name a region's address, where its name can be used, and keep the place behind it."""
        names = self.names
        if region is None:
            self._unknown(line)
            return
        names.dram_end = max(names.dram_end, region.address + region.bytes)
        count = 1
        for size in region.shape:
            count *= size
        try:
            names.place(region.name, "dram", region.address, region.bytes, count)
        except Bad as bad:
            if region.name in names.values and not names.values[region.name].space:
                self.faults.add(line.number, region.name, str(bad), "name")

    def _let(self, line: Line) -> None:
        for word in line.rest:
            name, equals, value = word.partition("=")
            if not equals or not name:
                self.faults.add(line.number, word, "name=value", "let")
                continue
            self._define(line, name, value)

    def _define(self, line: Line, name: str, value: str) -> None:
        found = UNKNOWN
        try:
            found = self.names.value(value)
        except Bad as bad:
            if is_expression(bad):
                self.faults.bad(line.number, value, bad, name)
            else:
                allowed = "a number, or an expression of names"
                self.faults.add(line.number, value, allowed, name)
        try:
            self.names.define(name, found)
        except Bad as bad:
            self.faults.add(line.number, name, str(bad), "let")

    def _buffer(self, line: Line) -> None:
        buffer = record(line, Buffer, self.faults, self.names)
        if buffer is None:
            self._unknown(line)
            return
        try:
            place_buffer(buffer, self.names)
        except Bad as bad:
            self.faults.add(line.number, buffer.name, str(bad), "buffer")
            self.names.values.setdefault(buffer.name, UNKNOWN)

    def _unknown(self, line: Line) -> None:
        """Take a name from a line with faults, so that they are not told again at each use."""
        for word in line.rest:
            if word.startswith("name="):
                self.names.values.setdefault(word.removeprefix("name="), UNKNOWN)

    def _tile(self, line: Line) -> None:
        tiles: tuple[int, ...] = ()
        name = ""
        try:
            word, name = self._as(line.rest, _TILE_FORM)
            tiles = _named(read_tiles, self.names.tiles, word, _TILE_FORM)
        except Bad as bad:
            self.faults.bad(line.number, " ".join(line.rest), bad)
        if name and tiles:
            self.each = _Each(line.number, name, tiles)
        else:
            self._begin(line.number, tiles)

    def _begin(self, line: int, tiles: tuple[int, ...]) -> None:
        self.tiles.append(Tiles(line, tiles))
        self.open.append(Block(1))

    def _loop(self, line: Line) -> None:
        count, index = 1, ""
        try:
            word, index = self._as(line.rest, _LOOP_FORM)
            count = _named(read_int, lambda word: str(self.names.whole(word)), word, _LOOP_FORM)
        except Bad as bad:
            self.faults.bad(line.number, " ".join(line.rest), bad)
        self.faults.complain(line.number, loop_complaints(count, len(self.open) - 1))
        self.names.indices.append(index)
        self.open.append(Block(count))

    def _as(self, words: list[str], form: str) -> tuple[str, str]:
        """Return what stands before the colon, and the name behind ``as``, empty without one."""
        if not words or not words[-1].endswith(":"):
            raise Bad(form)
        last = words[-1][:-1]
        if len(words) == 1:
            return last, ""
        if len(words) != 3 or words[1] != "as":
            raise Bad(form)
        self.names.check(last)
        return words[0], last


def _named(read: Callable[[str], T], resolve: Callable[[str], str], word: str, form: str) -> T:
    """Return what a word says as it stands, or as an expression of names."""
    try:
        return read(word)
    except Bad:
        try:
            return read(resolve(word))
        except Bad as bad:
            raise (bad if is_expression(bad) else Bad(form)) from None
