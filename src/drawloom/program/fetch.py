"""Weights that are read before the piece that uses them, while DRAM would stand still.

A layer of few pixels takes less time to compute than its weights take to come, one of many pixels
more, and while tiles exchange sums nothing comes at all. So what a piece reads of constants is
brought into scratchpad that nobody uses until then, in the last pieces before it that leave DRAM the
time, and moved to its place where it was read: a move within a scratchpad takes a tenth of a read.

Engines of a tile keep the order of what touches the same bytes; joins are put right by ``Joiner``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from drawloom.chip.model import Chip
from drawloom.program.commands import (
    ENGINE_OF,
    Command,
    Engine,
    Join,
    Loop,
    Move,
    Read,
    Send,
    Write,
)
from drawloom.program.extents import moved_bytes, touched
from drawloom.program.parked import Joiner
from drawloom.program.streams import Extents
from drawloom.units import PS_PER_S, align_up

Part = tuple[Sequence[int], Extents, Extents, float]
_GRAIN = 256  # bytes that places are multiples of
_LEAST = 64  # bytes of a read that is worth it
_FAR = 60  # pieces before its own that a read is done at most
_PS_A_NS = 1000

_PACE = 1.4  # a piece takes so many times what it takes to hand its commands over at the least
_SETTLED_PS = 800_000  # at the end of a piece in which nothing is read: what comes next reads soon


def fetched(
    chip: Chip,
    streams: Sequence[Sequence[Command]],
    pieces: Sequence[Part],
    constants: Sequence[tuple[int, int]],
) -> list[list[Command]]:
    """Return the commands of all tiles, constants read ahead.

    Args:
        chip: the machine.
        streams: commands by tile.
        pieces: by tile their first command; their buffers, what tiles hold meanwhile, and the
            nanoseconds that they are expected to take, 0 where nobody knows.
        constants: bytes of DRAM that nobody writes: first, behind the last; sorted.
    """
    stages = [
        Stage(starts, own, held, spare)
        for (starts, own, held, _), spare in zip(
            pieces, _spare(chip, streams, pieces, constants), strict=True
        )
    ]
    area = chip.scratchpad.reserve_low, chip.scratchpad.bytes - chip.scratchpad.reserve_high
    return [
        Fetcher(constants, area, stages, chip).fetched(tile, commands)
        for tile, commands in enumerate(streams)
    ]


def _spare(
    chip: Chip,
    streams: Sequence[Sequence[Command]],
    pieces: Sequence[Part],
    constants: Sequence[tuple[int, int]],
) -> list[int]:
    """Return the bytes that each tile can read while each piece goes on, beside what is no constant.

    What a piece is expected to take counts where it moves nothing but constants: then little waits for
    DRAM where less time is left than was thought.
    """
    issue = next(iter(chip.profiles.values())).issue
    ends = [*(piece[0] for piece in pieces[1:]), [len(stream) for stream in streams]]
    least: list[int] = []
    moved: list[int] = []
    for (starts, *_), stops in zip(pieces, ends, strict=True):
        longest = max(stop - start for start, stop in zip(starts, stops, strict=True))
        least.append(int(_PACE * longest * issue * chip.period))
        parts = zip(streams, starts, stops, strict=True)
        moved.append(
            sum(
                moved_bytes(each.inner, each.dims)
                for stream, start, stop in parts
                for each in stream[start:stop]
                if isinstance(each, Write)
                or (isinstance(each, Read) and not _holds(constants, each))
            )
        )
    spare: list[int] = []
    for index, (*_, expected) in enumerate(pieces):
        took = least[index]
        if not moved[index]:
            took = max(took, int(expected * _PS_A_NS))
        left = took - moved[index] * PS_PER_S / chip.dram.read - _SETTLED_PS
        spare.append(max(0, int(left * chip.dram.read / PS_PER_S / chip.n_tiles)))
    return spare


@dataclass(frozen=True, slots=True)
class Stage:
    """One piece of work of all tiles.

    Attributes:
        starts: by tile: the first command.
        own: scratchpad of its buffers.
        held: scratchpad of what tiles hold meanwhile.
        spare: bytes that each tile can read beside.
    """

    starts: Sequence[int]
    own: Extents
    held: Extents
    spare: int


@dataclass(frozen=True, slots=True)
class _Held:
    """Scratchpad that is taken from one stage to another: its first byte, and the one behind the last."""

    low: int
    high: int
    first: int
    last: int


@dataclass(slots=True)
class Fetcher:
    """Reads the constants of one tile ahead.

    Attributes:
        constants: bytes of DRAM that nobody writes: first, behind the last; sorted.
        area: of a scratchpad: the first byte that may be used, and the one behind the last.
        stages: in order.
        chip: the machine.
    """

    constants: Sequence[tuple[int, int]]
    area: tuple[int, int]
    stages: Sequence[Stage]
    chip: Chip
    _held: list[_Held] = field(default_factory=list[_Held])
    _left: list[int] = field(default_factory=list[int])  # by stage: bytes that may still be read

    def fetched(self, tile: int, commands: Sequence[Command]) -> list[Command]:
        """Return a tile's commands, constants read ahead."""
        starts = [stage.starts[tile] for stage in self.stages]
        ends = [*starts[1:], len(commands)]
        self._left = [stage.spare for stage in self.stages]
        self._held = [
            held
            for index, (start, end) in enumerate(zip(starts, ends, strict=True))
            for command in commands[start:end]
            if isinstance(command, Read) and (held := self._early(command, index))
        ]
        ahead: list[list[Read]] = [[] for _ in self.stages]
        moves: dict[int, Move] = {}  # by the place of the read that it stands for
        # From the end: what is used last gets the time right before it.
        for index in reversed(range(len(starts))):
            for at in reversed(range(starts[index], ends[index])):
                read = commands[at]
                if not isinstance(read, Read) or not _holds(self.constants, read):
                    continue
                found = self._find(_bytes(read), index)
                if found is not None:
                    stage, place = found
                    ahead[stage].insert(0, replace(read, spm=place))
                    moves[at] = Move(place, read.spm, _bytes(read), (), read.origin)
        if not moves:
            return list(commands)
        changed = [moves.get(at, command) for at, command in enumerate(commands)]
        items = list(changed[: starts[0]])
        for start, end, reads in zip(starts, ends, ahead, strict=True):
            items += _with(changed[start:end], reads)
        more = {id(read) for reads in ahead for read in reads}
        joined = Joiner({id(move) for move in moves.values()}, [], more=more).joined(items)
        return _sent_behind([item for item in joined if not isinstance(item, Loop)], self.chip)

    def _early(self, read: Read, index: int) -> _Held | None:
        """Return the buffer of a later piece that a read in this one fills already."""
        assert isinstance(read.spm, int), read
        low, high = read.spm, read.spm + _bytes(read)
        for at in range(index, len(self.stages)):
            if any(first <= low and high <= end for first, end in self.stages[at].own):
                return _Held(low, high, index, at) if at > index else None
        return None

    def _find(self, size: int, needed: int) -> tuple[int, int] | None:
        """Return in which stage bytes are read and where to, and take time and room for them."""
        for stage in reversed(range(max(0, needed - _FAR), needed)):
            if self._left[stage] < size:
                continue
            place = self._place(size, stage, needed)
            if place is None:
                return None
            self._left[stage] -= size
            self._held.append(_Held(place, place + size, stage, needed))
            return stage, place
        return None

    def _place(self, size: int, first: int, last: int) -> int | None:
        """Return scratchpad that nothing uses from one stage to another."""
        taken = [(h.low, h.high) for h in self._held if h.first <= last and first <= h.last]
        for stage in self.stages[first : last + 1]:
            taken += (*stage.own, *stage.held)
        at = self.area[0]
        for low, high in sorted(taken):
            if low - at >= size:
                break
            at = max(at, align_up(high, _GRAIN))
        return at if at + size <= self.area[1] else None


def _with(commands: list[Command], reads: list[Read]) -> list[Command]:
    """Return commands with reads among those behind the last that reads or waits for reads."""
    if not reads:
        return commands
    first = len(commands)
    while first and not _reads(commands[first - 1]):
        first -= 1
    rest, out, done = commands[first:], commands[:first], 0
    for index in range(len(rest) + 1):
        due = -(-len(reads) * (index + 1) // (len(rest) + 1))
        out += reads[done:due]
        done = due
        out += rest[index : index + 1]
    return out


def _sent_behind(commands: Sequence[Command], chip: Chip) -> list[Command]:
    """Let each send wait for what it sends to be read, or moved.

    Where more reads followed than their queue holds, nothing had to say so; now there may be fewer.
    """
    depths = {Engine.READ: chip.dram_read.depth, Engine.MOVE: chip.move.depth}
    made: list[Command] = []
    issued = dict.fromkeys(depths, 0)
    pending: dict[Engine, list[tuple[int, int, int]]] = {engine: [] for engine in depths}
    for command in commands:
        if isinstance(command, Join):
            for engine in pending.keys() & set(command.engines):
                done = issued[engine] - command.keep
                pending[engine] = [each for each in pending[engine] if each[0] > done]
        elif isinstance(command, Send):
            (_, low, size), *_ = touched(command, chip.blocking)[0]
            assert isinstance(low, int), command
            for engine, depth in depths.items():
                over = [n for n, a, b in pending[engine] if a < low + size and low < b]
                if over and issued[engine] - over[-1] <= depth:
                    made.append(Join((engine,), issued[engine] - over[-1], command.origin))
                    pending[engine] = [each for each in pending[engine] if each[0] > over[-1]]
        elif (engine := ENGINE_OF[type(command)]) in depths:
            issued[engine] += 1
            (_, low, size), *_ = touched(command, chip.blocking)[1]
            assert isinstance(low, int), command
            pending[engine] = pending[engine][-depths[engine] :]
            pending[engine].append((issued[engine], low, low + size))
        made.append(command)
    return made


def _holds(constants: Sequence[tuple[int, int]], read: Read) -> bool:
    """Whether a read is of a constant."""
    at = read.dram
    if not isinstance(at, int) or not isinstance(read.spm, int) or _bytes(read) < _LEAST:
        return False
    index = bisect_right(constants, (at, 1 << 62)) - 1
    return index >= 0 and at < constants[index][1]


def _reads(command: Command) -> bool:
    return isinstance(command, Read) or (
        isinstance(command, Join) and Engine.READ in command.engines
    )


def _bytes(read: Read) -> int:
    return moved_bytes(read.inner, read.dims)
