"""The chip stands still: which tile stands at which command, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence

from drawloom.errors import DrawloomError
from drawloom.program.commands import Barrier, Command, Join, Send, Wait
from drawloom.program.program import Program
from drawloom.timing import state
from drawloom.timing.compile import flag_numbers
from drawloom.timing.state import Ints
from drawloom.timing.table import CommandTable

_SHOWN = 32  # tiles that a message of several chips names


class Hang(DrawloomError):
    """A program that never ends on the chip; ``lines`` say where each tile stands."""

    def __init__(self, summary: str, lines: tuple[str, ...], ways_out: tuple[str, ...]) -> None:
        """Make the error from one sentence, a line per tile, and the ways out."""
        self.summary = summary
        self.lines = lines
        self.ways_out = ways_out
        super().__init__(self.text())

    def text(self) -> str:
        """Return the whole message as the command line prints it."""
        rows = [f"error[timing.hang]: {self.summary}", *(f"  {line}" for line in self.lines)]
        return "\n".join(rows + [f"  try    {way}" for way in self.ways_out])


def unarmed(program: Program, table: CommandTable, s: Ints) -> Hang:
    """Return the error for a send that starts towards a tile that is not ready to receive."""
    tile = int(s[state.HUNG_TILE])
    queue = state.queues_of(s)[tile, state.SENDS]
    head = queue[state.FINISHED] % queue[state.CAPACITY]
    row = state.places_of(s)[tile, state.SENDS, head, state.ROW]
    command = table.commands[s[row + state.COMMAND]]
    assert isinstance(command, Send)
    flag = flag_numbers(table)[command.flag]
    armed = state.flags_of(s)[:, flag, state.ARMED]
    missing = _tiles([target for target in command.targets if armed[target] == 0])
    return Hang(
        f"at {_time(s)} tile {tile} sends to {missing}, where flag {command.flag} is not armed",
        (f"send    {_name(program, command)}", *_stands(program, table, s)),
        (f"arm flag {command.flag} on {missing} and tell tile {tile} before it sends",),
    )


def deadlock(program: Program, table: CommandTable, s: Ints) -> Hang:
    """Return the error for a program in which nothing can proceed."""
    phases = state.tiles_of(s)[:, state.PHASE]
    stuck = [tile for tile, phase in enumerate(phases) if phase != state.HALTED]
    return Hang(
        f"at {_time(s)} nothing can proceed; {_tiles(stuck)} would wait for ever",
        tuple(_stands(program, table, s)),
        ("match waits with sends and signals to their flags, barriers with all their tiles",),
    )


def of_span(
    programs: Sequence[Program], places: Sequence[int], tables: Sequence[CommandTable], s: Ints
) -> Hang:
    """Return the error for programs of several chips in which nothing can proceed."""
    records, n = state.tiles_of(s), len(programs[0].streams)
    lines: list[str] = []
    first = 0
    for index, (program, table) in enumerate(zip(programs, tables, strict=True)):
        for tile in range(n):
            record = records[index * n + tile]
            if record[state.PHASE] != state.HALTED and len(lines) < _SHOWN:
                row = int(s[record[state.PC] + state.COMMAND]) - first
                flags = state.flags_of(s)[index * n + tile]
                waits = _waits(table.commands[row], int(record[state.PHASE]), tables, flags, tile)
                name = _name(program, table.commands[row])
                place = f"command {row - table.starts[tile]}, {name}"
                lines.append(f"chip {places[index]} tile {tile:<3} at {place}: {waits}")
        first += len(table.commands)
    what = "nothing can proceed"
    if s[state.HUNG_TILE] >= 0:
        chip, tile = divmod(int(s[state.HUNG_TILE]), n)
        what = f"tile {tile} of chip {places[chip]} sends to a flag that is not armed"
    return Hang(
        f"at {_time(s)} {what}",
        tuple(lines),
        ("match waits with sends and signals to their flags, on all chips",),
    )


def halted(s: Ints) -> bool:
    """Whether every tile came to the end of its stream."""
    return bool((state.tiles_of(s)[:, state.PHASE] == state.HALTED).all())


def _stands(program: Program, table: CommandTable, s: Ints) -> list[str]:
    """Say where each tile stands."""
    lines: list[str] = []
    for tile, record in enumerate(state.tiles_of(s)):
        if record[state.PHASE] == state.HALTED:
            lines.append(f"tile {tile:<3} is at the end of its stream")
            continue
        row = int(s[record[state.PC] + state.COMMAND])
        command = table.commands[row]
        place = f"command {row - table.starts[tile]}, {_name(program, command)}"
        waits = _waits(command, int(record[state.PHASE]), [table], state.flags_of(s)[tile], tile)
        lines.append(f"tile {tile:<3} at {place}: {waits}")
    return lines


def _waits(
    command: Command, phase: int, tables: Sequence[CommandTable], flags: Ints, tile: int
) -> str:
    """Say what a tile waits for."""
    match command:
        case Wait() if phase == state.ON_WAIT:
            have = int(flags[flag_numbers(*tables)[command.flag], state.COUNT])
            return f"waits for flag {command.flag} to reach {command.count}, it is {have}"
        case Barrier() if phase == state.ON_BARRIER:
            return f"waits for {_tiles(sorted(set(command.tiles) - {tile}))} at the barrier"
        case Join() if phase == state.ON_JOIN:
            return f"waits for {', '.join(each.value for each in command.engines)}"
        case _ if phase == state.ON_QUEUE:
            return "waits for room in the queue"
        case _:
            return "is at work on it"


def _name(program: Program, command: Command) -> str:
    name = type(command).__name__
    if not 0 <= command.origin < len(program.origins):
        return name
    return f"{name} of node '{program.origins[command.origin].node}'"


def _tiles(tiles: list[int]) -> str:
    return ("tile " if len(tiles) == 1 else "tiles ") + ", ".join(map(str, tiles))


def _time(s: Ints) -> str:
    return f"{int(s[state.NOW]) / 1e6:,.3f} us"
