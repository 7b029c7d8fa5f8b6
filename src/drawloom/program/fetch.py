"""Weights that are read before the piece that uses them, while DRAM would stand still.

A layer of few pixels takes less time to compute than its weights take to come, one of many pixels
more, and while tiles exchange sums nothing comes at all. So what a piece reads of constants is
brought into scratchpad that nobody uses until then, in pieces before it that leave DRAM the time, and
moved to its place where it was read: a move within a scratchpad takes a tenth of a read. How long
pieces take, were all constants there, is told by a clock: the program without these reads, timed.

Engines of a tile keep the order of what touches the same bytes; joins are put right by ``Joiner``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeGuard

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
from drawloom.units import PS_PER_S, align_up, ceil_div

Streams = Sequence[Sequence[Command]]
Part = tuple[Sequence[int], Extents, Extents]
Clock = Callable[[Streams], Sequence[Sequence[int]]]
"""Tells of the commands of each tile when each ends, in picoseconds."""
_GRAIN = 256  # bytes that places are multiples of
_LEAST = 64  # bytes of a read that is worth it
_STAYS = (
    0.3  # of what DRAM can be read beside a piece, its constants come in time where they are read
)
_STREAM = (
    8  # times what scratchpads hold: so many constants are a stream, of which little can be ahead
)
_FAR = 60  # pieces before its own that a read is done at most


@dataclass(frozen=True, slots=True)
class Stage:
    """One piece of work of all tiles.

    Attributes:
        starts: by tile: the first command.
        own: scratchpad of its buffers.
        held: scratchpad of what tiles hold meanwhile.
        spare: bytes that DRAM can be read beside what the stage moves that is no constant.
    """

    starts: Sequence[int]
    own: Extents
    held: Extents
    spare: int


def fetched(
    chip: Chip,
    streams: Streams,
    pieces: Sequence[Part],
    constants: Sequence[tuple[int, int]],
    clock: Clock,
) -> list[list[Command]]:
    """Return the commands of all tiles, constants read ahead.

    Args:
        chip: the machine.
        streams: commands by tile.
        pieces: by tile their first command; their buffers, and what tiles hold meanwhile.
        constants: bytes of DRAM that nobody writes: first, behind the last; sorted.
        clock: times commands.
    """
    bare = [[each for each in stream if not _is_constant(each, constants)] for stream in streams]
    size = sum(
        _bytes(each) for stream in streams for each in stream if _is_constant(each, constants)
    )
    if not 0 < size < _STREAM * chip.n_tiles * chip.scratchpad.usable:
        return [list(stream) for stream in streams]
    spare = _spare(chip, streams, [starts for starts, _, _ in pieces], constants, clock(bare))
    stages = [Stage(*piece, room) for piece, room in zip(pieces, spare, strict=True)]
    return ahead(chip, streams, stages, constants)


def _spare(
    chip: Chip,
    streams: Streams,
    starts: Sequence[Sequence[int]],
    constants: Sequence[tuple[int, int]],
    ends: Sequence[Sequence[int]],
) -> list[int]:
    """Return the bytes that DRAM can be read in each stage beside what is no constant.

    A stage lasts from the end of the last command before it to that of its own last.
    """
    last, moved = [0] * len(starts), [0] * len(starts)
    for tile, stream in enumerate(streams):
        first = [each[tile] for each in starts]
        times = iter(ends[tile])
        for at, command in enumerate(stream):
            if _is_constant(command, constants):
                continue
            end, stage = next(times), max(0, bisect_right(first, at) - 1)
            last[stage] = max(last[stage], end)
            if isinstance(command, (Read, Write)):
                moved[stage] += moved_bytes(command.inner, command.dims)
    over = list(accumulate(last, max))
    took = [end - before for before, end in zip([0, *over], over, strict=False)]
    return [
        max(0, ps * chip.dram.read // PS_PER_S - size) for ps, size in zip(took, moved, strict=True)
    ]


def ahead(
    chip: Chip, streams: Streams, stages: Sequence[Stage], constants: Sequence[tuple[int, int]]
) -> list[list[Command]]:
    """Return the commands of all tiles, constants read in stages that leave DRAM the time.

    In a stage its own constants come first, then those of the stages behind it in the order of their use,
    until what is left of these comes in time where it is.
    """
    area = chip.scratchpad.reserve_low, chip.scratchpad.bytes - chip.scratchpad.reserve_high
    tiles = [_Tile(constants, area, stages, tile, each) for tile, each in enumerate(streams)]
    wanted = [_wanted(tiles, stage) for stage in range(len(stages))]
    owed = [sum(wanted[stage].values()) for stage in range(len(stages))]
    for now, stage in enumerate(stages):
        left = stage.spare - owed[now]
        for needed in range(now + 1, min(len(stages), now + _FAR)):
            for (tile, at), size in tuple(wanted[needed].items()):
                if owed[needed] <= _STAYS * stages[needed].spare:
                    break
                if size <= left and tiles[tile].bring(at, now, needed):
                    left -= wanted[needed].pop((tile, at))
                    owed[needed] -= size
            if left <= 0:
                break
    return [tile.written(chip) for tile in tiles]


def _wanted(tiles: Sequence[_Tile], stage: int) -> dict[tuple[int, int], int]:
    """Return the constants that are read in a stage, by tile and command, in the order of their use."""
    found = sorted(
        (nth, tile, at, size)
        for tile, each in enumerate(tiles)
        for nth, (at, size) in enumerate(each.constants_of(stage))
    )
    return {(tile, at): size for _, tile, at, size in found}


@dataclass(frozen=True, slots=True)
class _Held:
    """Scratchpad that is taken from one stage to another: its first byte, and the one behind the last."""

    low: int
    high: int
    first: int
    last: int


class _Tile:
    """The commands of one tile, of which some reads are done in an earlier stage."""

    def __init__(
        self,
        constants: Sequence[tuple[int, int]],
        area: tuple[int, int],
        stages: Sequence[Stage],
        tile: int,
        commands: Sequence[Command],
    ) -> None:
        self.constants, self.area, self.stages, self.commands = constants, area, stages, commands
        starts = [stage.starts[tile] for stage in stages]
        self.bounds = list(zip(starts, [*starts[1:], len(commands)], strict=True))
        self.held = [
            held
            for index, (start, end) in enumerate(self.bounds)
            for command in commands[start:end]
            if isinstance(command, Read) and (held := self._early(command, index))
        ]
        self.brought: list[list[Read]] = [[] for _ in stages]
        self.moves: dict[int, Move] = {}  # by the place of the read that it stands for
        self.refused = -1, 0  # a stage, and the least that had no room in it

    def constants_of(self, stage: int) -> list[tuple[int, int]]:
        """Return place and bytes of each read of a constant in a stage."""
        start, end = self.bounds[stage]
        commands = enumerate(self.commands[start:end], start)
        return [(at, _bytes(each)) for at, each in commands if _is_constant(each, self.constants)]

    def bring(self, at: int, stage: int, needed: int) -> bool:
        """Let a constant be read in an earlier stage than it is needed in; False where it has no room."""
        read = self.commands[at]
        assert isinstance(read, Read), read
        size = _bytes(read)
        # What has no room until one stage has none until a later one.
        if self.refused[0] == stage and size >= self.refused[1]:
            return False
        place = self._place(size, stage, needed)
        if place is None:
            self.refused = stage, size
            return False
        self.held.append(_Held(place, place + size, stage, needed))
        self.brought[stage].append(replace(read, spm=place))
        assert isinstance(read.spm, int), read
        self.moves[at] = Move(place, read.spm, size, (), read.origin)
        return True

    def written(self, chip: Chip) -> list[Command]:
        """Return the commands, reads where they are done."""
        if not self.moves:
            return list(self.commands)
        changed = [self.moves.get(at, command) for at, command in enumerate(self.commands)]
        items = list(changed[: self.bounds[0][0]])
        for (start, end), reads in zip(self.bounds, self.brought, strict=True):
            items += _among(changed[start:end], reads)
        more = {id(read) for reads in self.brought for read in reads}
        joined = Joiner({id(move) for move in self.moves.values()}, [], more=more).joined(items)
        return _sent_behind([item for item in joined if not isinstance(item, Loop)], chip)

    def _early(self, read: Read, index: int) -> _Held | None:
        """Return the buffer of a later piece that a read in this one fills already."""
        assert isinstance(read.spm, int), read
        low, high = read.spm, read.spm + _bytes(read)
        for at in range(index, len(self.stages)):
            if any(first <= low and high <= end for first, end in self.stages[at].own):
                return _Held(low, high, index, at) if at > index else None
        return None

    def _place(self, size: int, first: int, last: int) -> int | None:
        """Return scratchpad that nothing uses from one stage to another."""
        taken = [(h.low, h.high) for h in self.held if h.first <= last and first <= h.last]
        for stage in self.stages[first : last + 1]:
            taken += (*stage.own, *stage.held)
        at = self.area[0]
        for low, high in sorted(taken):
            if low - at >= size:
                break
            at = max(at, align_up(high, _GRAIN))
        return at if at + size <= self.area[1] else None


def _among(commands: Sequence[Command], reads: Sequence[Read]) -> list[Command]:
    """Return commands with reads among them, as even as may be: a queue full of reads holds up a tile."""
    out: list[Command] = []
    done = 0
    for index in range(len(commands) + 1):
        due = ceil_div(len(reads) * (index + 1), len(commands) + 1)
        out += reads[done:due]
        done = due
        out += commands[index : index + 1]
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


def _is_constant(command: Command, constants: Sequence[tuple[int, int]]) -> TypeGuard[Read]:
    """Whether a command is a read of a constant."""
    if not isinstance(command, Read) or not isinstance(command.dram, int):
        return False
    if not isinstance(command.spm, int) or _bytes(command) < _LEAST:
        return False
    index = bisect_right(constants, (command.dram, 1 << 62)) - 1
    return index >= 0 and command.dram < constants[index][1]


def _bytes(read: Read) -> int:
    return moved_bytes(read.inner, read.dims)
