"""Program → code: streams as rows of integers, what commands have in common set apart.

A tile's rows are its commands in order, with a row at the head and at the end of each loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, cast

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
from drawloom.program.addresses import address_fields, addresses_of
from drawloom.program.commands import (
    Address,
    Affine,
    Command,
    Cpu,
    Loop,
    Stream,
)
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


_Kind = tuple[dict[object, int], Callable[[Any], object], Callable[[Any], tuple[Address, ...]]]


@dataclass(slots=True)
class Writer:
    """What is written while walking the streams; a row is told by four lists, but for what its template says.

    Attributes:
        ops: ``LOOP``, ``END`` or -1, a command.
        which: the template, or the row that is jumped to.
        firsts: the first address.
        turns: of a loop how often it runs, else 1.
        bases: addresses as they stand in the commands.
        known: of each class of commands the templates by what else they say and how many addresses they have, and
            what reads both: of all classes the same one address may be absent.
    """

    chip: Chip
    blocking: Blocking
    ops: list[int] = field(default_factory=list[int])
    which: list[int] = field(default_factory=list[int])
    firsts: list[int] = field(default_factory=list[int])
    turns: list[int] = field(default_factory=list[int])
    commands: list[Command | None] = field(default_factory=list["Command | None"])
    bases: list[Address] = field(default_factory=list["Address"])
    templates: list[Template] = field(default_factory=list[Template])
    known: dict[type, _Kind] = field(default_factory=dict[type, "_Kind"])
    depth: int = 1

    def stream(self, stream: Stream, depth: int = 0) -> None:
        """Append the rows of a stream."""
        self.depth = max(self.depth, depth)
        ops, which, firsts, turns = self.ops, self.which, self.firsts, self.turns
        known, commands, bases = self.known, self.commands, self.bases
        for item in stream:
            kind = type(item)
            if kind is Loop:
                self._loop(cast(Loop, item), depth)
                continue
            # A program written out has hundreds of thousands of commands: nothing here is called that need not be.
            ops.append(-1)
            turns.append(1)
            firsts.append(len(bases))
            commands.append(cast(Command, item))
            numbers, plain, of = known.get(kind) or self._kind(kind)
            found = of(item)
            key = plain(item), len(found)
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(self.templates)
                self.templates.append(template(cast(Command, item), self.chip, self.blocking))
            which.append(number)
            bases += found

    def _loop(self, loop: Loop, depth: int) -> None:
        if loop.count <= 0 or not loop.body:
            return
        head = len(self.commands)
        self._bound(LOOP, 0, loop.count)
        self.stream(loop.body, depth + 1)
        self.which[head] = len(self.commands)
        self._bound(END, head, loop.count)

    def _bound(self, op: int, which: int, turns: int) -> None:
        self.ops.append(op)
        self.which.append(which)
        self.firsts.append(len(self.bases))
        self.turns.append(turns)
        self.commands.append(None)

    def _kind(self, kind: type) -> _Kind:
        """Return what is known of the commands of a class that has not been met before."""
        made = self.known[kind] = ({}, _plain(kind), addresses_of(kind))
        return made

    def rows(self) -> Ints:
        """Return all rows."""
        made = np.array([self.ops, self.which, self.firsts, self.turns, self.turns], np.int64).T
        is_command = made[:, OP] < 0
        ops = np.array([one.op for one in self.templates], np.int64)
        made[is_command, OP] = ops[made[is_command, TEMPLATE]]
        made[~is_command, FIRST] = 0
        return np.ascontiguousarray(made)

    def addresses(self) -> tuple[Ints, Ints, Ints]:
        """Return the bases, for each the place of its strides, -1 where it stays, and the strides."""
        moving = [k for k, one in enumerate(self.bases) if isinstance(one, Affine)]
        moves = np.full(max(1, len(self.bases)), -1, np.int64)
        moves[moving] = np.arange(len(moving))
        strides = np.zeros((max(1, len(moving)), self.depth), np.int64)
        plain = self.bases.copy()
        for place, k in enumerate(moving):
            one = plain[k]
            assert isinstance(one, Affine)
            strides[place, : len(one.strides)] = one.strides
            plain[k] = one.base
        return np.array(plain or [0], np.int64), moves, strides


@cache
def _plain(kind: type) -> Callable[[Any], object]:
    """Return what tells commands of a class apart, less their addresses and origin."""
    if kind is Cpu:
        return lambda c: (tuple(_operand(o) for o in c.ins), tuple(_operand(o) for o in c.outs))
    gone = {*address_fields(kind), "origin"}
    names = [each.name for each in fields(kind) if each.name not in gone]
    return attrgetter(*names) if names else str


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
        counts: for each row how often the loops around it turn, outermost first; 1 where there is none.
    """

    code: Code
    commands: list[Command | None]
    templates: list[Template]
    sets: dict[tuple[int, ...], int]
    counts: Ints

    def often(self) -> Ints:
        """Return how often each row is walked over, with all turns."""
        return self.counts.prod(axis=1)


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
    sets: dict[tuple[int, ...], int] = {}
    table, spans, lists = _tables(writer.templates, sets, -1 if strict else ~STRICT)
    rows = writer.rows()
    code = Code(np.array(starts, np.int64), rows, *writer.addresses(), table, spans, lists)
    return Flat(code, writer.commands, writer.templates, sets, _counts(rows, writer.depth))


def _counts(rows: Ints, depth: int) -> Ints:
    """Return for each row how often the loops around it turn, outermost first; 1 where there is none."""
    heads = np.flatnonzero(rows[:, OP] == LOOP)
    level = np.cumsum(rows[:, OP] == LOOP) - np.cumsum(rows[:, OP] == END) - 1
    more = np.zeros((len(rows) + 1, depth), np.int64)
    more[heads + 1, level[heads]] = rows[heads, COUNT] - 1
    more[rows[heads, TEMPLATE], level[heads]] -= rows[heads, COUNT] - 1
    return 1 + np.cumsum(more[:-1], axis=0)


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
