"""Commands that might be missing, for a finding about order; and programs with commands put in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import prod

from drawloom.check.findings import Finding, Place
from drawloom.check.state import N_FLAGS
from drawloom.check.writers import nested
from drawloom.program.commands import (
    ENGINE_OF,
    Arm,
    Barrier,
    Command,
    Engine,
    Join,
    Loop,
    Send,
    Signal,
    Stream,
    Wait,
)
from drawloom.program.program import Program
from drawloom.program.text import command_text

_TELLS = (Barrier, Signal, Send)  # after which another tile may know how far this one is
_NEAR = 4  # commands of that kind behind another that are tried


@dataclass(frozen=True, slots=True)
class Edit:
    """A command to put in: on a tile, before the command of that number, as written.

    ``taken`` is the number of a command of the tile that goes away, as it moves there; -1 where none does.
    """

    tile: int
    number: int
    command: Command
    taken: int = -1

    def text(self) -> str:
        """Return the command's text."""
        return command_text(self.command)


def mended(program: Program, edits: Sequence[Edit]) -> Program:
    """Return a program with commands put in."""
    streams = list(program.streams)
    for tile in {edit.tile for edit in edits}:
        put: dict[int, list[Command]] = {}
        for edit in edits:
            if edit.tile == tile:
                put.setdefault(edit.number, []).append(edit.command)
        gone = {edit.taken for edit in edits if edit.tile == tile}
        streams[tile] = tuple(_changed(streams[tile], count(), put, gone))
    return replace(program, streams=tuple(streams))


def _changed(
    stream: Stream, numbers: Iterator[int], put: dict[int, list[Command]], gone: set[int]
) -> Iterator[Command | Loop]:
    """Yield the items of a stream, with commands put in before some, and some left out."""
    for item in stream:
        if isinstance(item, Loop):
            yield replace(item, body=tuple(_changed(item.body, numbers, put, gone)))
            continue
        number = next(numbers)
        yield from put.get(number, ())
        if number not in gone:
            yield item


def missing(program: Program, finding: Finding) -> Iterator[tuple[Edit, ...]]:
    """Yield what may mend a finding about order, the least first."""
    if finding.where is None or finding.where.number < 0:
        return
    if finding.rule == "unarmed":
        yield from _arms(program, finding.where, finding.owner)
    elif finding.other is not None and finding.other.number >= 0:
        yield from _orders(program, finding.other, finding.where)


def _orders(program: Program, first: Place, then: Place) -> Iterator[tuple[Edit, ...]]:
    engine = ENGINE_OF[type(first.command)]
    join = Join((engine,))
    if first.tile == then.tile and first.number < then.number:
        if engine is not Engine.CPU:
            yield (Edit(then.tile, then.number, join),)
        return
    if isinstance(first.command, Send) and then.tile in first.command.targets:
        yield from _waits(program, first.command.flag, then)
    if engine is not Engine.CPU:
        for number in _behind(program, first, _TELLS):
            yield (Edit(first.tile, number, join),)
    joined = () if engine is Engine.CPU else (Edit(first.tile, first.number + 1, join),)
    flag = _free_flag(program)
    if flag is not None and first.tile != then.tile:
        yield (
            *joined,
            Edit(first.tile, first.number + 1, Signal(then.tile, flag)),
            Edit(then.tile, then.number, Wait(flag)),
        )
    both = Barrier(tuple(sorted({first.tile, then.tile})))
    if first.tile != then.tile:
        yield (
            *joined,
            Edit(first.tile, first.number + 1, both),
            Edit(then.tile, then.number, both),
        )


def _waits(program: Program, flag: int, then: Place) -> Iterator[tuple[Edit, ...]]:
    """Yield a wait that comes too late, moved up; a wait for all that none takes; for as many as others wait for."""
    commands = list(program.commands(then.tile))
    for number in range(then.number + 1, len(commands)):
        late = commands[number]
        if isinstance(late, Wait) and late.flag == flag:
            yield (Edit(then.tile, then.number, late, number),)
            break
    left = _left_over(program, flag, then.tile)
    others = {
        command.count
        for tile in range(len(program.streams))
        for command in program.commands(tile)
        if isinstance(command, Wait) and command.flag == flag
    }
    for many in dict.fromkeys((*((left,) if left > 0 else ()), *sorted(others), 1)):
        yield (Edit(then.tile, then.number, Wait(flag, many)),)


def _left_over(program: Program, flag: int, tile: int) -> int:
    """Return how often a flag is raised more than its tile's waits take."""
    left = 0
    for home, stream in enumerate(program.streams):
        for command, counts in nested(stream):
            times = prod(counts)
            if isinstance(command, Wait) and home == tile and command.flag == flag:
                left -= command.count * times
            elif isinstance(command, (Send, Signal)) and command.flag == flag:
                there = command.targets if isinstance(command, Send) else (command.target,)
                left += times * (tile in there)
    return left


def _arms(program: Program, send: Place, target: int) -> Iterator[tuple[Edit, ...]]:
    assert isinstance(send.command, Send)
    flag = send.command.flag
    there = list(program.commands(target))
    fences = [k for k, command in enumerate(there) if isinstance(command, (Barrier, Signal))]
    arms = [
        k for k, command in enumerate(there) if isinstance(command, Arm) and command.flag == flag
    ]
    free = _free_flag(program)
    for arm in arms:
        if free is not None:
            yield (
                Edit(target, arm + 1, Signal(send.tile, free)),
                Edit(send.tile, send.number, Wait(free)),
            )
        both = Barrier(tuple(sorted({send.tile, target})))
        yield Edit(target, arm + 1, both), Edit(send.tile, send.number, both)
    for fence in fences:
        yield (Edit(target, fence, Arm(flag)),)


def _behind(program: Program, place: Place, kinds: tuple[type, ...]) -> list[int]:
    commands = list(program.commands(place.tile))
    found = [k for k in range(place.number + 1, len(commands)) if isinstance(commands[k], kinds)]
    return found[:_NEAR]


def _free_flag(program: Program) -> int | None:
    """Return a flag that nobody uses."""
    used = {
        command.flag
        for tile in range(len(program.streams))
        for command in program.commands(tile)
        if isinstance(command, (Arm, Send, Signal, Wait))
    }
    return next((flag for flag in range(N_FLAGS) if flag not in used), None)
