"""Runs a program's order, not its values: every access against all that nothing orders before it.

Each queue of each tile counts its commands. A clock says, of every queue, up to which command a
moment comes after. Processors, queues (full ones hold a processor up), joins, barriers, flags and
hazard checks hand clocks on. Two accesses race where one writes and the later one's clock has not got to the
earlier one's count. Whatever order the tiles are stepped in here, clocks come out the same.

Strided accesses of DRAM are taken run by run; of more than 16,384 runs, as one solid range that
may hold bytes it does not touch, and is no ground for calling something a race.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from drawloom.check.findings import Finding, Place
from drawloom.check.memory import Access, Clock, Memory
from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError
from drawloom.program.addresses import at
from drawloom.program.commands import (
    ENGINE_OF,
    Arm,
    Barrier,
    Command,
    Cpu,
    Engine,
    Join,
    Loop,
    Move,
    Read,
    Send,
    Signal,
    Stream,
    Wait,
    Write,
)
from drawloom.program.extents import moved_bytes, segments, touched
from drawloom.program.program import Program
from drawloom.program.span import Span

MOST = 2_000_000  # commands that are run: beyond, a check takes minutes
SHOWN = 20  # findings after which a check ends
_RUNS = 16_384
_KEPT = 64  # commands of a queue that a join may leave running
_ENGINES = list(Engine)
Range = tuple[str, int, int]  # space, first byte, byte behind the last


def check(program: Program, chip: Chip, most: int = MOST) -> tuple[Finding, ...]:
    """Return what is wrong with a program, at most ``SHOWN`` findings; none if nothing is.

    Raises:
        InputError: it runs more than ``most`` commands (``check.size``) or sends to another chip (``check.span``).
    """
    return _checked([program], f"program '{program.name}'", chip, most)


def check_span(span: Span, chip: Chip, most: int = MOST) -> tuple[Finding, ...]:
    """Return what is wrong with the programs of a span, sends between its chips included.

    Raises:
        InputError: they run more than ``most`` commands (``check.size``).
    """
    return _checked(span.programs, f"span '{span.name}'", chip, most)


def _checked(programs: Sequence[Program], name: str, chip: Chip, most: int) -> tuple[Finding, ...]:
    total = sum(_count(stream) for program in programs for stream in program.streams)
    if total > most:
        fault = Fault("commands run", f"{total:,}", f"at most {most:,}")
        raise InputError("check.size", f"{name} is too long to check", [fault])
    return _Run(programs, chip).findings()


def _count(stream: Stream) -> int:
    return sum(i.count * _count(i.body) if isinstance(i, Loop) else 1 for i in stream)


def _walk(stream: Stream, index: tuple[int, ...] = ()) -> Iterator[Command]:
    for item in stream:
        if isinstance(item, Loop):
            for i in range(item.count):
                yield from _walk(item.body, (*index, i))
        else:
            yield at(item, index)


@dataclass(slots=True)
class _Flag:
    """A flag of a tile: how often it was armed and waited for, and what has come."""

    armed: list[int] = field(default_factory=list[int])  # counts of the processor
    came: list[tuple[int, Clock]] = field(default_factory=list[tuple[int, Clock]])
    sends: int = 0
    waited: int = 0


class _Tile:
    """Where a tile stands; tiles are numbered on from chip to chip."""

    def __init__(self, number: int, stream: Stream, n_queues: int, first: int, home: int) -> None:
        self.number, self.first, self.home = number, first, home
        self.path = _walk(stream)
        self.stands: Command | None = next(self.path, None)
        self.clock: Clock = np.zeros(n_queues, np.int64)
        self.flags: dict[int, _Flag] = {}
        self.done = [deque[Clock](maxlen=_KEPT) for _ in _ENGINES]
        self.counts = [0] * len(_ENGINES)

    def place(self, command: Command) -> Place:
        """Return a command of the tile, as it is told."""
        return Place(self.number - self.first, command, self.home)

    def flag(self, number: int) -> _Flag:
        return self.flags.setdefault(number, _Flag())

    def queue(self, engine: Engine) -> int:
        return self.number * len(_ENGINES) + _ENGINES.index(engine)

    def tick(self) -> None:
        """Count a command of the processor."""
        here = _ENGINES.index(Engine.CPU)
        self.counts[here] += 1
        self.clock[self.number * len(_ENGINES) + here] = self.counts[here]


class _Run:
    def __init__(self, programs: Sequence[Program], chip: Chip) -> None:
        self.programs, self.chip = programs, chip
        self.blocking = programs[0].blocking
        n = sum(len(program.streams) for program in programs) * len(_ENGINES)
        self.tiles: list[_Tile] = []
        for home, program in enumerate(programs):
            first = len(self.tiles)
            self.tiles += [
                _Tile(first + i, stream, n, first, home) for i, stream in enumerate(program.streams)
            ]
        self.depths = _depths(chip)
        self.spm = [Memory(programs[tile.home].scratchpad_bytes) for tile in self.tiles]
        self.drams = [Memory(program.dram_bytes) for program in programs]
        self.found: dict[tuple[object, ...], Finding] = {}
        nothing: Clock = np.zeros(n, np.int64)
        brought = Access(Place(0, Join((), 0)), -1, 0, nothing, False)
        for program, dram in zip(programs, self.drams, strict=True):
            for region in program.regions:
                if region.kind in ("input", "constant"):
                    dram.write(region.address, region.address + region.bytes, brought)
            for address, raw in program.data:
                dram.write(address, address + raw.size, brought)

    def findings(self) -> tuple[Finding, ...]:
        moved = True
        while moved and len(self.found) < SHOWN:
            moved = False
            for tile in self.tiles:
                while tile.stands is not None and len(self.found) < SHOWN and self._step(tile):
                    tile.stands = next(tile.path, None)
                    moved = True
            moved = self._meet() or moved
        stuck = [tile for tile in self.tiles if tile.stands is not None]
        if stuck and len(self.found) < SHOWN:
            lines = "; ".join(
                tile.place(tile.stands).text(*self.programs) for tile in stuck[:4] if tile.stands
            )
            self._add("deadlock", None, None, f"{len(stuck)} tiles stand: {lines}", ())
        if not self.found:
            self._outputs()
        return tuple(self.found.values())

    def _outputs(self) -> None:
        for program, dram in zip(self.programs, self.drams, strict=True):
            for region in program.regions:
                if region.kind == "output":
                    at = dram.gap(region.address, region.address + region.bytes)
                    if at is not None:
                        detail = f"'{region.name}': nothing is written from byte {at:,} of DRAM on"
                        self._add("output", None, None, detail, (region.name, program.name))

    def _peer(self, tile: _Tile, number: int, chip: int = -1) -> _Tile:
        """Return a tile of the same chip, or of another one of the span."""
        if chip < 0:
            return self.tiles[tile.first + number]
        if chip >= len(self.programs):
            fault = Fault("chip of a send", str(chip), f"below {len(self.programs)}")
            raise InputError("check.span", "there is no such chip", [fault])
        return self.tiles[chip * len(self.programs[chip].streams) + number]

    def _add(
        self,
        rule: str,
        where: Place | None,
        other: Place | None,
        detail: str,
        key: tuple[object, ...],
    ) -> None:
        self.found.setdefault((rule, *key), Finding(rule, where, other, detail))

    def _step(self, tile: _Tile) -> bool:
        """Run the command at which a tile stands; return False where it cannot go on yet."""
        command = tile.stands
        match command:
            case Barrier():
                return False
            case Wait():
                return self._wait(tile, command)
            case Join():
                for engine in command.engines:
                    done = tile.done[_ENGINES.index(engine)]
                    if len(done) > command.keep:
                        np.maximum(tile.clock, done[-1 - command.keep], out=tile.clock)
                tile.tick()
            case Arm():
                tile.tick()
                tile.flag(command.flag).armed.append(tile.counts[_ENGINES.index(Engine.CPU)])
            case Signal():
                tile.tick()
                target = self._peer(tile, command.target, command.chip).flag(command.flag)
                target.came.append((tile.number, tile.clock.copy()))
            case Cpu():
                tile.tick()
                self._access(tile, command, tile.queue(Engine.CPU), tile.clock.copy())
            case _:
                assert command is not None
                self._engine(tile, command)
        return True

    def _wait(self, tile: _Tile, command: Wait) -> bool:
        flag = tile.flag(command.flag)
        total = flag.waited + command.count
        if len(flag.came) < total:
            return False
        flag.waited = total
        # What must have come: all, where no more can have; else what its one sender sent first.
        senders = {sender for sender, _ in flag.came}
        if len(flag.came) == total or len(senders) == 1:
            for _, clock in flag.came[:total]:
                np.maximum(tile.clock, clock, out=tile.clock)
        tile.tick()
        return True

    def _meet(self) -> bool:
        """Let tiles that all stand at one barrier go on."""
        moved = False
        for tile in self.tiles:
            command = tile.stands
            if not isinstance(command, Barrier):
                continue
            there = [self._peer(tile, other) for other in command.tiles]
            ready = all(
                isinstance(o.stands, Barrier) and o.stands.tiles == command.tiles for o in there
            )
            if not ready:
                continue
            clock = np.maximum.reduce([other.clock for other in there])
            for other in there:
                np.maximum(other.clock, clock, out=other.clock)
                other.tick()
                other.stands = next(other.path, None)
            moved = True
        return moved

    def _engine(self, tile: _Tile, command: Command) -> None:
        """Hand a command to its queue: after the processor, the queue, and what it conflicts with."""
        which = _ENGINES.index(ENGINE_OF[type(command)])
        tile.tick()
        tile.counts[which] += 1
        queue = tile.number * len(_ENGINES) + which
        held = self.depths[which] + 1  # a queue's commands, and the one at work
        if len(tile.done[which]) >= held:
            np.maximum(tile.clock, tile.done[which][-held], out=tile.clock)
        clock = tile.clock.copy()
        if tile.done[which]:
            np.maximum(clock, tile.done[which][-1], out=clock)
        clock[queue] = tile.counts[which]
        if isinstance(command, Move):
            self._watch(tile, command)
        self._access(tile, command, queue, clock)
        if isinstance(command, Send):
            self._send(tile, command, queue, clock)
        tile.done[which].append(clock)

    def _send(self, tile: _Tile, command: Send, queue: int, clock: Clock) -> None:
        place = tile.place(command)
        size = moved_bytes(command.inner, command.dims)
        assert isinstance(command.dst, int)
        for number in command.targets:
            target = self._peer(tile, number, command.chip)
            flag = target.flag(command.flag)
            ready = bisect_right(flag.armed, int(clock[target.queue(Engine.CPU)]))
            flag.sends += 1
            if ready < flag.sends:
                detail = f"flag {command.flag} of tile {number} is armed {ready} times before send {flag.sends}"
                self._add("unarmed", place, None, detail, (command.origin, command.flag))
            access = Access(place, queue, int(clock[queue]), clock, False)
            self._touch(
                self.spm[target.number], number, (command.dst, command.dst + size), access, True
            )
            flag.came.append((tile.number, clock))

    def _access(self, tile: _Tile, command: Command, queue: int, clock: Clock) -> None:
        covered = not isinstance(command, (Send, Cpu))
        exact = not isinstance(command, (Read, Write)) or segments(command.dims) <= _RUNS
        place = tile.place(command)
        access = Access(place, queue, int(clock[queue]), clock, covered, exact)
        reads, writes = (
            [r for span in spans for r in _ranges(command, span)]
            for spans in touched(command, self.blocking)
        )
        for is_write, spans in ((False, reads), (True, writes)):
            for space, start, stop in spans:
                memory = self.drams[tile.home] if space == "dram" else self.spm[tile.number]
                if start < 0 or stop > memory.size:
                    detail = f"bytes {start:,} to {stop:,} of {memory.size:,} of {space}"
                    self._add("bounds", access.place, None, detail, (command.origin, space))
                    continue
                if not is_write and start < stop and memory.is_unwritten(start, stop):
                    detail = f"bytes {start:,} to {stop:,} of {space}"
                    self._add("unwritten", access.place, None, detail, (command.origin, space))
                self._touch(memory, tile.number, (start, stop), access, is_write)

    def _touch(
        self, memory: Memory, owner: int, span: tuple[int, int], access: Access, is_write: bool
    ) -> None:
        """Order an access after what its tile's hazard checks see; report what nothing orders."""
        start, stop = span
        if start < 0 or stop > memory.size:
            detail = f"bytes {start:,} to {stop:,} of the scratchpad of tile {owner}"
            self._add("bounds", access.place, None, detail, (access.place.command.origin, "spm"))
            return
        for begin, segment in memory.segments(start, stop):
            earlier = [segment.writer] if segment.writer else []
            if is_write:
                earlier += segment.readers.values()
            for other in earlier:
                self._order(other, access, begin, any(memory is dram for dram in self.drams))
            if not is_write:
                segment.readers[access.queue] = access
        if is_write:
            memory.write(start, stop, access)

    def _order(self, other: Access, access: Access, begin: int, in_dram: bool) -> None:
        if other.queue < 0 or access.clock[other.queue] >= other.serial:
            return
        if other.is_covered and access.is_covered and other.place.is_on_tile_of(access.place):
            np.maximum(access.clock, other.clock, out=access.clock)
            return
        if in_dram and not (other.is_exact and access.is_exact):
            return
        space = "DRAM" if in_dram else "scratchpad"
        a, b = other.place.command, access.place.command
        key = (a.origin, b.origin, type(a), type(b))
        detail = f"from byte {begin:,} of the {space} on"
        self._add("race", access.place, other.place, detail, key)

    def _watch(self, tile: _Tile, command: Move) -> None:
        engine = self.chip.move
        runs, size = segments(command.dims), moved_bytes(command.inner, command.dims)
        if runs > engine.max_inner_moves or (command.dims and size > engine.max_bytes):
            detail = (
                f"{runs:,} runs of at most {engine.max_inner_moves:,}, "
                f"{size:,} bytes of at most {engine.max_bytes:,}"
            )
            place = tile.place(command)
            self._add("watchdog", place, None, detail, (command.origin,))


def _depths(chip: Chip) -> list[int]:
    """Return how many commands the queue of each engine holds, in the order of ``Engine``."""
    depths = {
        Engine.READ: chip.dram_read.depth,
        Engine.WRITE: chip.dram_write.depth,
        Engine.MOVE: chip.move.depth,
        Engine.MATRIX: chip.matrix.depth,
        Engine.VECTOR: chip.vector.depth,
        Engine.SEND: chip.send.depth,
    }
    return [depths.get(engine, 0) for engine in Engine]


def _ranges(command: Command, span: tuple[str, object, int]) -> list[Range]:
    """Return a span as ranges: run by run where a DRAM access has few runs."""
    space, start, size = span
    assert isinstance(start, int)
    if space == "dram" and isinstance(command, (Read, Write)) and command.dims:
        counts = [range(count) for _, count in command.dims]
        if segments(command.dims) <= _RUNS:
            assert isinstance(command.dram, int)
            base, strides = command.dram, [stride for stride, _ in command.dims]
            starts = (
                base + sum(i * s for i, s in zip(index, strides, strict=True))
                for index in product(*counts)
            )
            return [(space, first, first + command.inner) for first in starts]
    return [(space, start, start + size)]
