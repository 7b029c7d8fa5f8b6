"""Reads of constants that are parked: brought into scratchpad of their own before their place is free.

While an exchange waits for its links, DRAM would stand still once all is read whose place in the
scratchpad is free. What comes later is read into room that nothing else uses, and where it was
read before it is moved to its place: a move within a scratchpad takes a tenth of a read.

Engines of a tile keep the order of what touches the same bytes. Joins are there for other tiles, so
they wait for a move where they waited for the read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from drawloom.program.addresses import at as at_index
from drawloom.program.commands import (
    Command,
    Engine,
    Fill,
    Join,
    Loop,
    Move,
    Pick,
    Read,
    Select,
    Send,
    Wait,
)
from drawloom.program.extents import moved_bytes
from drawloom.program.lowered import Area
from drawloom.units import align_up

Item = Command | Loop
_GRAIN = 64  # bytes that parked ones are multiples of
_MOST_TURNS = 16  # of a loop that is written out
_LEFT, _GONE, _MORE = range(
    3
)  # reads of a program: as before, parked; and what is parked before it
_MOST_KEPT = 64  # more reads than an engine's queue holds: no join tells them apart


Place = tuple[int, int]  # a stretch, and an item of it


@dataclass(slots=True)
class Stretch:
    """Items of one tile that stand together: a program's, or those of an exchange.

    ``budget`` is about how many bytes the tile can read while an exchange goes on, ``given`` what it
    is to read at its beginning.
    """

    items: list[Item]
    is_exchange: bool = False
    budget: int = 0
    given: int = 0


@dataclass(slots=True)
class _Point:
    """Behind which item reads may be put, and how many bytes by then in all of its stretch."""

    place: Place
    upto: int


@dataclass(slots=True)
class Parker:
    """Parks the constants of one tile's stretches, the first as early as there is room and time.

    The room is a ring: a read may go where what was there before has been moved on by then.

    Attributes:
        constants: bytes of DRAM that nobody writes: first, behind the last; sorted.
        room: of the tile's scratchpad.
    """

    constants: Sequence[tuple[int, int]]
    room: Area
    _points: list[_Point] = field(default_factory=list[_Point])
    _at: int = 0  # the point that is filled now
    _filled: int = 0  # bytes in its stretch
    _reads: dict[Place, list[Command]] = field(default_factory=dict[Place, list[Command]])
    _ring: deque[tuple[int, int, Place]] = field(default_factory=deque[tuple[int, int, Place]])
    _end: int = 0  # of the ring's last read
    _stretch: int = 0  # where the walk stands
    _rest: list[Item] = field(default_factory=list[Item])
    _moves: set[int] = field(default_factory=set[int])  # in place of reads that are gone, by id

    def park(self, stretches: Sequence[Stretch]) -> list[Item]:
        """Return all items behind each other, constants read where there is time before them."""
        done: list[list[Item]] = []
        for self._stretch, stretch in enumerate(stretches):
            if stretch.is_exchange:
                self._points_of(stretch)
                done.append(stretch.items)
                continue
            self._rest = []
            for item in stretch.items:
                self._put(item)
            done.append(self._rest)
        made: list[Item] = []
        more = 0
        for index, (stretch, items) in enumerate(zip(stretches, done, strict=True)):
            if not stretch.is_exchange:
                made += Joiner(self._moves, [_MORE] * more).joined(items)
                more = 0
                continue
            for at, item in enumerate(items):
                reads = self._reads.get((index, at), ())
                made += (item, *reads)
                more += len(reads)
        return made

    def _points_of(self, stretch: Stretch) -> None:
        """Note the waits for what comes, in order; what waits for a target's word is no pause."""
        waits = [
            at
            for at, (item, later) in enumerate(pairwise((*stretch.items, None)))
            if isinstance(item, Wait) and not isinstance(later, Send)
        ]
        self._points += [
            _Point((self._stretch, at), stretch.budget * (nth + 1) // len(waits) - stretch.given)
            for nth, at in enumerate(waits)
        ]

    def _park(self, read: Read, size: int) -> int | None:
        """Return where in the room a read is parked, having put it at a point; None where it is not."""
        if size > self.room.bytes:
            return None
        start = self._end if self._end + size <= self.room.bytes else 0
        over = [
            i for i, (low, high, _) in enumerate(self._ring) if low < start + size and start < high
        ]
        free = self._ring[over[-1]][2] if over else (-1, 0)
        at, filled = self._at, self._filled
        while at < len(self._points):
            point = self._points[at]
            if point.place > free and filled + size <= point.upto:
                break
            at += 1
            if at < len(self._points) and self._points[at].place[0] != point.place[0]:
                filled = 0
        if at == len(self._points):
            return None
        self._at, self._filled = at, filled + size
        for _ in range(over[-1] + 1 if over else 0):  # what is older is moved on before
            self._ring.popleft()
        self._ring.append((start, start + size, (self._stretch, len(self._rest))))
        self._end = start + size
        spm = self.room.base + start
        self._reads.setdefault(self._points[at].place, []).append(replace(read, spm=spm))
        return spm

    def _put(self, item: Item) -> None:
        if isinstance(item, Loop):
            may = self._at < len(self._points) and item.count <= _MOST_TURNS
            if may and self._has_constant(item):
                for each in _unrolled(item, ()):
                    self._put(each)
                return
        elif isinstance(item, Read) and self._is_constant(item):
            size = moved_bytes(item.inner, item.dims)
            parked = self._park(item, align_up(size, _GRAIN))
            if parked is not None:
                move = Move(parked, item.spm, size, (), item.origin)
                self._moves.add(id(move))
                item = move
        self._rest.append(item)

    def _has_constant(self, loop: Loop) -> bool:
        return any(
            self._has_constant(each) if isinstance(each, Loop) else self._is_in_constants(each)
            for each in loop.body
        )

    def _is_in_constants(self, item: Command) -> bool:
        if not isinstance(item, Read):
            return False
        first = item.dram if isinstance(item.dram, int) else item.dram.base
        return self._holds(first)

    def _is_constant(self, read: Read) -> bool:
        plain = isinstance(read.dram, int) and isinstance(read.spm, int)
        return plain and self._is_in_constants(read)

    def _holds(self, at: int) -> bool:
        index = bisect_right(self.constants, (at, 1 << 62)) - 1
        return index >= 0 and at < self.constants[index][1]


@dataclass(slots=True)
class Joiner:
    """Lets the joins of a program wait for what they waited for before.

    Attributes:
        moves: in place of reads that are gone, by id.
        history: reads so far: left, gone, or those of later ones that stand before the program.
        more: reads of later ones that stand in the program, by id.
    """

    moves: set[int]
    history: list[int]
    more: Container[int] = ()
    _count: int = 0  # commands of the engine that moves
    _due: list[int] = field(default_factory=list[int])  # by read that is gone: its move's number
    _made: list[Item] = field(default_factory=list[Item])

    def joined(self, items: Sequence[Item]) -> list[Item]:
        """Return a program's items with its joins put right."""
        for item in items:
            if isinstance(item, Join) and Engine.READ in item.engines:
                self._join(item)
            else:
                self._note(item)
                self._made.append(item)
        return self._made

    def _note(self, item: Item) -> None:
        if isinstance(item, Loop):
            if _joins_reads(item) and (self._due or _GONE in self.history[-_MOST_KEPT:]):
                # Its joins may count what is gone.
                self._made.append(Join((Engine.READ, Engine.MOVE), 0))
                self._due.clear()
                self.history.clear()
            self.history += [_LEFT] * _count(item, (Read, Pick))
            self._count += _count(item, (Move, Fill, Select))
            return
        if isinstance(item, Read | Pick):
            self.history.append(_MORE if id(item) in self.more else _LEFT)
        elif isinstance(item, Move | Fill | Select):
            self._count += 1
            if id(item) in self.moves:
                self.history.append(_GONE)
                self._due.append(self._count)

    def _join(self, join: Join) -> None:
        """Let a join wait for reads that are left, and for moves in place of those that are gone."""
        own, keep, gone = 0, 0, 0
        for kind in reversed(self.history):
            if kind != _MORE and own < join.keep:
                own += 1
                gone += kind == _GONE
            elif kind == _LEFT or keep > _MOST_KEPT:
                break
            keep += kind != _GONE
        others = tuple(engine for engine in join.engines if engine is not Engine.READ)
        self._made.append(replace(join, engines=(Engine.READ,), keep=keep))
        if others:
            self._made.append(replace(join, engines=others))
        due = len(self._due) - gone
        if due > 0:
            left = self._count - self._due[due - 1]
            self._made.append(replace(join, engines=(Engine.MOVE,), keep=left))
            del self._due[:due]


def _joins_reads(loop: Loop) -> bool:
    return any(
        _joins_reads(each)
        if isinstance(each, Loop)
        else isinstance(each, Join) and Engine.READ in each.engines
        for each in loop.body
    )


def _unrolled(loop: Loop, index: tuple[int, ...]) -> list[Command]:
    """Return a loop's commands turn by turn."""
    made: list[Command] = []
    for turn in range(loop.count):
        for each in loop.body:
            if isinstance(each, Loop):
                made += _unrolled(each, (*index, turn))
            else:
                made.append(at_index(each, (*index, turn)))
    return made


def _count(item: Item, kinds: tuple[type, ...]) -> int:
    if isinstance(item, Loop):
        return item.count * sum(_count(each, kinds) for each in item.body)
    return int(isinstance(item, kinds))
