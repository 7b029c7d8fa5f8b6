"""The chip stands still: which tile stands at which command, and what it waits for."""

from __future__ import annotations

from drawloom.errors import DrawloomError
from drawloom.program.commands import Barrier, Command, Engine, Join, Send, Wait
from drawloom.program.program import Program
from drawloom.timing import state
from drawloom.timing.compile import flag_numbers
from drawloom.timing.state import Machine
from drawloom.timing.table import ENGINES, CommandTable

HOLDS = (state.ON_WAIT, state.ON_JOIN, state.ON_BARRIER, state.ON_QUEUE)


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


def unarmed(program: Program, table: CommandTable, m: Machine) -> Hang:
    """Return the error for a send that starts towards a tile that is not ready to receive."""
    tile = int(m.g[state.HUNG_TILE])
    command = _running(table, m, tile, ENGINES.index(Engine.SEND))
    assert isinstance(command, Send)
    flag = _flags(table).index(command.flag)
    missing = [target for target in command.targets if m.armed[target, flag] == 0]
    summary = f"at {_time(m)} tile {tile} sends to {_tiles(missing)}, where flag {command.flag} is not armed"
    lines = (f"send    {_name(program, command)}", *_stands(program, table, m))
    return Hang(
        summary,
        lines,
        (f"arm flag {command.flag} on {_tiles(missing)} and tell tile {tile} before it sends",),
    )


def deadlock(program: Program, table: CommandTable, m: Machine) -> Hang:
    """Return the error for a program in which nothing can proceed."""
    stuck = [tile for tile in range(len(m.proc)) if m.proc[tile, state.PHASE] in HOLDS]
    return Hang(
        f"at {_time(m)} nothing can proceed; {_tiles(stuck)} wait for ever",
        tuple(_stands(program, table, m)),
        (
            "match every wait with a send or signal to that flag, and every barrier on all its tiles",
        ),
    )


def halted(m: Machine) -> bool:
    """Whether every tile came to the end of its stream."""
    return bool((m.proc[:, state.PHASE] == state.HALTED).all())


def _stands(program: Program, table: CommandTable, m: Machine) -> list[str]:
    lines: list[str] = []
    for tile, proc in enumerate(m.proc):
        if proc[state.PHASE] == state.HALTED:
            lines.append(f"tile {tile:<3}is at the end of its stream")
            continue
        row = int(m.code[proc[state.PC], state.COMMAND])
        command = table.commands[row]
        place = f"command {row - table.starts[tile]}, {_name(program, command)}"
        lines.append(f"tile {tile:<3}at {place}: {_waits(command, table, m, tile)}")
    return lines


def _waits(command: Command, table: CommandTable, m: Machine, tile: int) -> str:
    phase = int(m.proc[tile, state.PHASE])
    if phase == state.ON_WAIT and isinstance(command, Wait):
        have = int(m.count[tile, _flags(table).index(command.flag)])
        return f"waits for flag {command.flag} to reach {command.count}, it is {have}"
    if phase == state.ON_BARRIER and isinstance(command, Barrier):
        return f"waits for {_tiles(sorted(set(command.tiles) - {tile}))} at the barrier"
    if phase == state.ON_JOIN and isinstance(command, Join):
        return f"waits for the engines {', '.join(each.value for each in command.engines)}"
    if phase == state.ON_QUEUE:
        return "waits for room in the engine's queue"
    return "is busy with it"


def _running(table: CommandTable, m: Machine, tile: int, engine: int) -> Command:
    queue = m.queue[tile, engine]
    at = queue[state.FINISHED] % queue[state.CAPACITY]
    return table.commands[m.code[m.place[tile, engine, at, state.ROW], state.COMMAND]]


def _flags(table: CommandTable) -> list[int]:
    return list(flag_numbers(table))


def _name(program: Program, command: Command) -> str:
    name = type(command).__name__
    if not 0 <= command.origin < len(program.origins):
        return name
    return f"{name} of node '{program.origins[command.origin].node}'"


def _tiles(tiles: list[int]) -> str:
    return ("tile " if len(tiles) == 1 else "tiles ") + ", ".join(map(str, tiles))


def _time(m: Machine) -> str:
    return f"{int(m.g[state.NOW]) / 1e6:,.3f} us"
