"""Program → code: streams as rows of integers, what commands have in common set apart.

A tile's rows are its commands in order, with a row at the head and at the end of each loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from drawloom.check.state import Ints
from drawloom.check.templates import (
    BARRIER,
    COUNT0,
    COUNT1,
    COUNT2,
    END,
    LOOP,
    N_SPAN,
    REMOTE,
    SPACE,
    STRICT,
    Template,
    template,
)
from drawloom.chip.model import Blocking, Chip
from drawloom.program.addresses import address_fields, addresses
from drawloom.program.commands import Affine, Command, Cpu, Loop, Stream
from drawloom.program.program import Program

Places = dict[int, int]
# Columns of a row.
OP, TEMPLATE, FIRST, COUNT, TURNS = range(5)
N_ROW = 5
# Columns of a template; the last is how many pieces of memory a command may make at most.
T_OP, T_ENGINE, T_FLAG, T_COUNT, T_TILES, T_N_TILES, T_HELD_TO, T_SPANS, T_N_SPANS, T_MADE = (
    range(10)
)  # fmt: skip
N_TEMPLATE = 10


class Code(NamedTuple):
    """What the program is, for compiled code.

    Attributes:
        starts: the first row of each tile, and the one behind the last.
        rows: what a row does (``OP``), its template or the row that it jumps to, its first address; of a loop how
            often it runs and how many turns of that are looked at.
        bases: addresses at the first turn of all loops.
        moves: for each address the place of its strides, -1 where it stays.
        strides: bytes by which an address moves with each loop, outermost first.
        templates, spans, lists: as columns say.
    """

    starts: Ints
    rows: Ints
    bases: Ints
    moves: Ints
    strides: Ints
    templates: Ints
    spans: Ints
    lists: Ints


@dataclass(slots=True)
class Writer:
    """What is written while walking the streams."""

    chip: Chip
    blocking: Blocking
    rows: list[int] = field(default_factory=list[int])
    commands: list[Command | None] = field(default_factory=list["Command | None"])
    bases: list[int] = field(default_factory=list[int])
    moves: list[int] = field(default_factory=list[int])
    strides: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    templates: list[Template] = field(default_factory=list[Template])
    known: dict[object, int] = field(default_factory=dict[object, int])
    depth: int = 1

    def stream(self, stream: Stream, depth: int = 0) -> None:
        """Append the rows of a stream."""
        self.depth = max(self.depth, depth)
        for item in stream:
            if not isinstance(item, Loop):
                self._command(item)
            elif item.count > 0 and item.body:
                head = len(self.commands)
                self._row(LOOP, 0, 0, item.count)
                self.stream(item.body, depth + 1)
                self.rows[head * 5 + 1] = len(self.commands)
                self._row(END, head, 0, item.count)

    def _row(self, op: int, a: int, first: int, count: int, command: Command | None = None) -> None:
        self.rows += (op, a, first, count, count)
        self.commands.append(command)

    def _command(self, command: Command) -> None:
        kind = type(command)
        key = _plain(kind)(command)
        number = self.known.get(key)
        if number is None:
            number = self.known[key] = len(self.templates)
            self.templates.append(template(command, self.chip, self.blocking))
        first = len(self.bases)
        for address in addresses(command):
            if isinstance(address, Affine):
                self.moves.append(len(self.strides))
                self.strides.append(address.strides)
                self.bases.append(address.base)
            else:
                self.moves.append(-1)
                self.bases.append(address)
        self.rows += (self.templates[number].op, number, first, 1, 1)
        self.commands.append(command)


@cache
def _plain(kind: type) -> Callable[[Any], object]:
    """Return what tells commands of a class apart, less their addresses and origin."""
    if kind is Cpu:
        return lambda c: (
            Cpu,
            tuple(_operand(o) for o in c.ins),
            tuple(_operand(o) for o in c.outs),
        )
    gone = {*address_fields(kind), "origin"}
    names = [each.name for each in fields(kind) if each.name not in gone]
    # Addresses that may be left out: a command without one is another kind of command.
    optional = sorted({"psum", "b"} & {*address_fields(kind)})
    get = attrgetter(*names) if names else str
    if not optional:
        return lambda c: (kind, get(c))
    return lambda c: (kind, get(c), *(getattr(c, name) is None for name in optional))


def _operand(operand: Any) -> object:
    return operand and (operand.space, operand.fmt, operand.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """A program as code, with the commands of its rows.

    Attributes:
        code: the rows.
        commands: the command of each row; None for the head and the end of a loop.
        templates: the templates by number.
        sets: of each barrier's set of tiles, its number.
    """

    code: Code
    commands: list[Command | None]
    templates: list[Template]
    sets: dict[tuple[int, ...], int]


def ran(flat: Flat, tile: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Iterate over the rows of commands that a tile's walk came to, with the turns of the loops around them."""
    rows: list[list[int]] = flat.code.rows[
        flat.code.starts[tile] : flat.code.starts[tile + 1]
    ].tolist()
    first = int(flat.code.starts[tile])
    turns: list[int] = []
    k = 0
    while k < len(rows):
        op, head, _, _, most = rows[k]
        k += 1
        if op == LOOP:
            turns.append(0)
        elif op == END and turns[-1] + 1 < most:
            turns[-1] += 1
            k = head - first + 1
        elif op == END:
            turns.pop()
        else:
            yield first + k - 1, tuple(turns)


def flatten(program: Program, chip: Chip, *, strict: bool) -> Flat:
    """Return a program as code, its commands held to the strict rules or not."""
    writer = Writer(chip, program.blocking)
    starts = [0]
    for stream in program.streams:
        writer.stream(stream)
        starts.append(len(writer.commands))
    strides = np.zeros((max(1, len(writer.strides)), writer.depth), np.int64)
    for place, values in enumerate(writer.strides):
        strides[place, : len(values)] = values
    sets: dict[tuple[int, ...], int] = {}
    table, spans, lists = _tables(writer.templates, sets, -1 if strict else ~STRICT)
    code = Code(
        np.array(starts, np.int64),
        np.array(writer.rows, np.int64).reshape(-1, 5),
        np.array(writer.bases or [0], np.int64),
        np.array(writer.moves or [-1], np.int64),
        strides,
        table,
        spans,
        lists,
    )
    return Flat(code, writer.commands, writer.templates, sets)


def _made(one: Template) -> int:
    """Return how many pieces of memory a command makes at most: two where a run begins and ends."""
    targets = max(1, len(one.tiles))
    return sum(
        4 * s[COUNT0] * s[COUNT1] * s[COUNT2] * (targets if s[SPACE] == REMOTE else 1)
        for s in one.spans
    )


def _tables(
    templates: list[Template], sets: dict[tuple[int, ...], int], held: int
) -> tuple[Ints, Ints, Ints]:
    """Return templates, spans and lists of tiles; ``held`` masks what commands are held to."""
    table: list[tuple[int, ...]] = []
    spans: list[tuple[int, ...]] = []
    lists: list[int] = []
    for one in templates:
        flag = one.flag
        if one.op == BARRIER:
            flag = sets.setdefault(one.tiles, len(sets))
        table.append(
            (one.op, one.engine, flag, one.count, len(lists), len(one.tiles), one.held_to & held,
             len(spans), len(one.spans), _made(one))
        )  # fmt: skip
        spans += one.spans
        lists += one.tiles
    return (
        np.array(table, np.int64).reshape(-1, N_TEMPLATE),
        np.array(spans or [(0,) * N_SPAN], np.int64),
        np.array(lists or [0], np.int64),
    )
