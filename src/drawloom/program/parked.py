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
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, zip_longest

from drawloom.program.addresses import at as at_index
from drawloom.program.commands import (
    Arm,
    Command,
    Engine,
    Fill,
    Join,
    Loop,
    MatMul,
    Move,
    Pick,
    Read,
    Select,
    Send,
    Vector,
    Wait,
    Write,
)
from drawloom.program.early import GIVEN
from drawloom.program.extents import moved_bytes
from drawloom.program.lowered import Area
from drawloom.units import align_up

Item = Command | Loop
_GRAIN = 64  # bytes that parked ones are multiples of
_MOST_TURNS = 16  # of a loop that is written out
# Reads of a program: as before, parked, or given before it; and those of later ones among them.
_LEFT, _GONE, _EARLY, _MORE = range(4)
_LEAST_PAUSE = 1 << 14  # bytes that DRAM could move, in a pause of a program that is used
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


@dataclass(frozen=True, slots=True)
class Pace:
    """How quick a tile is, in what it does while it could read one byte.

    Attributes:
        macs: multiply-adds by format; rows, channels and depths of products are rounded up to ``block``.
        elements: of one vector step.
        fixed: bytes that it could read in what a command takes at the least.
    """

    macs: Mapping[str, float]
    block: int
    elements: float
    fixed: float

    def spare(self, item: Item) -> float:
        """Return the bytes that could be read while an item computes, or less what it moves itself."""
        if isinstance(item, Loop):
            return item.count * sum(self.spare(each) for each in item.body)
        if isinstance(item, Read | Write):
            return -float(moved_bytes(item.inner, item.dims))
        if isinstance(item, MatMul):
            m, k, n = (align_up(size, self.block) for size in (item.m, item.k, item.n))
            return item.batch * m * k * n / self.macs[item.fmt] + self.fixed
        if isinstance(item, Vector):
            return item.count / self.elements + self.fixed
        return 0.0


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
        depth: of the tile's queue of reads.
        pace: how quick the tile computes; None: only exchanges are pauses.
    """

    constants: Sequence[tuple[int, int]]
    room: Area
    depth: int = 6
    pace: Pace | None = None
    _points: list[_Point] = field(default_factory=list[_Point])
    _at: int = 0  # the point that is filled now
    _filled: int = 0  # bytes in its stretch
    _reads: dict[Place, list[Command]] = field(default_factory=dict[Place, list[Command]])
    _ring: deque[tuple[int, int, Place]] = field(default_factory=deque[tuple[int, int, Place]])
    _end: int = 0  # of the ring's last read
    _stretch: int = 0  # where the walk stands
    _rest: list[Item] = field(default_factory=list[Item])
    _moves: set[int] = field(default_factory=set[int])  # in place of reads that are gone, by id
    _spare: float = 0.0  # bytes that DRAM could have moved since the last point of the stretch
    _granted: int = 0  # bytes of all points of the stretch

    def park(self, stretches: Sequence[Stretch]) -> list[Item]:
        """Return all items behind each other, constants read where there is time before them."""
        done: list[list[Item]] = []
        for self._stretch, stretch in enumerate(stretches):
            if stretch.is_exchange:
                self._points_of(stretch)
                done.append(stretch.items)
                continue
            self._rest, self._spare, self._granted = [], 0.0, 0
            for item in stretch.items:
                self._put(item)
            done.append(self._rest)
        made: list[Item] = []
        more = 0
        for index, (stretch, items) in enumerate(zip(stretches, done, strict=True)):
            reads = [self._reads.get((index, at), ()) for at in range(len(items))]
            if not stretch.is_exchange:
                made += Joiner(self._moves, [_MORE] * more, self.depth).joined(items, reads)
                more = 0
                continue
            for item, behind in zip(items, reads, strict=True):
                made += (item, *behind)
                more += len(behind)
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
        if self.pace:
            self._pause(item, self.pace)

    def _pause(self, item: Item, pace: Pace) -> None:
        """Note a point behind an item where engines have computed for longer than DRAM was needed."""
        self._spare = max(0.0, self._spare + pace.spare(item))
        if self._spare >= _LEAST_PAUSE and not isinstance(item, Read | Write):
            self._granted += int(self._spare)
            self._spare = 0.0
            place = self._stretch, len(self._rest) - 1
            self._points.append(_Point(place, self._granted))

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
        history: reads so far: left, gone, given before, or those of later programs among them.
        depth: of the queue of reads. Programs have no joins where so many reads behind one tell that
            it is done; where some of these are gone, there is one.
        more: reads of later ones that stand in the program, by id.
    """

    moves: set[int]
    history: list[int]
    depth: int = 1 << 30
    more: Container[int] = ()
    _count: int = 0  # commands of the engine that moves
    _due: list[int] = field(default_factory=list[int])  # by read that is gone: its move's number
    _made: list[Item] = field(default_factory=list[Item])

    def joined(self, items: Sequence[Item], behind: Sequence[Sequence[Command]] = ()) -> list[Item]:
        """Return a program's items with its joins put right, and reads of later ones behind each."""
        for item, reads in zip_longest(items, behind, fillvalue=()):
            assert not isinstance(item, tuple)
            if item == GIVEN:
                self.history.append(_EARLY)
            elif isinstance(item, Join) and Engine.READ in item.engines:
                self._join(item)
            else:
                self._note(item)
                self._made.append(item)
                if isinstance(item, Read | Pick | Loop) or id(item) in self.moves:
                    self._full()
            self._made += reads
            self.history += [_MORE] * len(reads)
        return self._made

    def _note(self, item: Item) -> None:
        if isinstance(item, Loop):
            if _waits_in(item) and (self._due or self._is_apart()):
                # Its joins, or its reads behind each other, may count what is gone.
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

    def _is_apart(self) -> bool:
        """Whether reads are gone, or given before others that stood before them."""
        kinds = [kind for kind in self.history[-_MOST_KEPT:] if kind != _MORE]
        first = kinds.index(_LEFT) if _LEFT in kinds else len(kinds)
        return _GONE in kinds or _EARLY in kinds[first:]

    def _full(self) -> None:
        """Behind a read, wait for the one that so many behind it told to be done, if they do no more."""
        own = [kind for kind in self.history[-_MOST_KEPT:] if kind != _MORE]
        if len(own) > self.depth + 1 and (self._due or set(own[-self.depth - 1 :]) != {_LEFT}):
            self._join(Join((Engine.READ,), self.depth + 1), self.depth)

    def _join(self, join: Join, enough: int = _MOST_KEPT) -> None:
        """Let a join wait for reads that are left, and for moves in place of those that are gone.

        With more than ``enough`` reads behind what is waited for, it need not be said.
        """
        own, keep, gone = 0, 0, 0
        for kind in reversed(self.history):
            if kind != _MORE and own < join.keep:
                own += 1
                gone += kind == _GONE
            elif kind == _LEFT or keep > _MOST_KEPT:
                break
            keep += kind in (_LEFT, _MORE)
        others = tuple(engine for engine in join.engines if engine is not Engine.READ)
        if keep <= enough:
            self._made.append(replace(join, engines=(Engine.READ,), keep=keep))
        if others:
            self._made.append(replace(join, engines=others))
        due = len(self._due) - gone
        if due > 0:
            left = self._count - self._due[due - 1]
            self._made.append(replace(join, engines=(Engine.MOVE,), keep=left))
            del self._due[:due]


def _waits_in(loop: Loop) -> bool:
    """Whether something in a loop may be told by its joins, or its reads, that a read is done."""
    if all(isinstance(each, Read | Arm) for each in loop.body):
        return False
    return any(
        _waits_in(each)
        if isinstance(each, Loop)
        else isinstance(each, Read | Pick)
        or (isinstance(each, Join) and Engine.READ in each.engines)
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
