"""Program -> Machine: streams as rows of integers, ready to run.

A tile's rows are its commands in order, with a row at the head and at the end of each loop.
Loops that never run a command are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from drawloom.chip.model import Chip, Profile
from drawloom.errors import Fault, InputError
from drawloom.program.commands import (
    Affine,
    Arm,
    Barrier,
    Command,
    Join,
    Loop,
    Send,
    Signal,
    Stream,
    Wait,
)
from drawloom.program.extents import touched
from drawloom.program.program import Program
from drawloom.timing import state
from drawloom.timing.routes import N_RESOURCES
from drawloom.timing.state import Machine
from drawloom.timing.table import ENGINES, CommandTable

NB_PER_BYTE = 10**9
DRAM_SPACE = 1 << 60  # added to DRAM addresses: one number line for both memories
OUT_ROWS = 1 << 16
OPS: dict[type, int] = {
    Send: state.SEND,
    Arm: state.ARM,
    Signal: state.SIGNAL,
    Wait: state.WAIT,
    Join: state.JOIN,
    Barrier: state.BARRIER,
}


@dataclass(slots=True)
class _Rows:
    """What is written while walking the streams."""

    program: Program
    chip: Chip
    table: CommandTable
    levels: int
    flags: dict[int, int]
    code: list[list[int]] = field(default_factory=list[list[int]])
    spans: list[list[int]] = field(default_factory=list[list[int]])
    lists: list[int] = field(default_factory=list[int])
    barriers: dict[tuple[int, ...], int] = field(default_factory=dict[tuple[int, ...], int])
    next_command: int = 0

    def stream(self, stream: Stream) -> None:
        for item in stream:
            if not isinstance(item, Loop):
                self.command(item)
            elif item.count > 0 and _n_commands(item.body) > 0:
                head = len(self.code)
                self.code.append([state.LOOP, 0, 0, 0, item.count, 0, 0, 0, -1])
                self.stream(item.body)
                self.code.append([state.END, 0, 0, 0, head, 0, 0, 0, -1])
            else:
                self.next_command += _n_commands(item.body)

    def command(self, command: Command) -> None:
        row = self.next_command
        self.next_command += 1
        engine = int(self.table.engine[row])
        runs = state.CPU if ENGINES[engine].value == "cpu" else state.RUN
        op = OPS.get(type(command), runs)
        amount, a, b = self.operands(command, row)
        first = len(self.spans)
        if op == state.RUN:
            self.ranges(command)
        fixed = int(self.table.fixed_ps[row])
        self.code.append([op, engine, fixed, amount, a, b, first, len(self.spans), row])

    def operands(self, command: Command, row: int) -> tuple[int, int, int]:
        """Return AMOUNT, A and B of a command's row."""
        match command:
            case Send():
                at = self.list_of(self.table.routes[row].resources)
                self.list_of(command.targets)
                return int(self.table.transfer_ps[row]), self.flags[command.flag], at
            case Arm():
                return 0, self.flags[command.flag], 0
            case Signal():
                x, y = self.chip.xy(int(self.table.tile[row]))
                to_x, to_y = self.chip.xy(command.target)
                hops = abs(to_x - x) + abs(to_y - y)
                ps = hops * self.chip.noc.hop * self.chip.period
                return ps, self.flags[command.flag], command.target
            case Wait():
                return 0, self.flags[command.flag], command.count
            case Join():
                return (
                    0,
                    sum(1 << ENGINES.index(each) for each in set(command.engines)),
                    command.keep,
                )
            case Barrier():
                tiles = tuple(sorted(set(command.tiles)))
                if tiles not in self.barriers:
                    self.barriers[tiles] = self.list_of(tiles)
                return 0, self.barriers[tiles], 0
            case _:
                moved = self.table.dram_read[row] + self.table.dram_written[row]
                return int(moved) * NB_PER_BYTE, 0, 0

    def list_of(self, items: Sequence[int]) -> int:
        at = len(self.lists)
        self.lists += [len(items), *items]
        return at

    def ranges(self, command: Command) -> None:
        reads, writes = touched(command, self.program.blocking)
        for written, spans in enumerate((reads, writes)):
            for space, address, n in spans:
                base, strides = (
                    (address.base, address.strides[: self.levels])
                    if isinstance(address, Affine)
                    else (address, ())
                )
                low = base + (DRAM_SPACE if space == "dram" else 0)
                rest = [0] * (self.levels - len(strides))
                self.spans.append([low, n, written, *strides, *rest])


def machine(program: Program, chip: Chip, profile: Profile, table: CommandTable) -> Machine:
    """Return the machine at time zero.

    Raises:
        InputError: a DRAM rate of the chip is too small for the clock of one picosecond.
    """
    n_tiles = max(1, len(program.streams))
    levels = max((_levels(stream) for stream in program.streams), default=0)
    rows = _Rows(program, chip, table, levels, flag_numbers(table))
    proc = np.zeros((n_tiles, state.N_PROC), np.int64)
    proc[:, state.FIRST] = 1
    for tile, stream in enumerate(program.streams):
        proc[tile, state.PC] = len(rows.code)
        rows.stream(stream)
        rows.code.append([state.HALT, 0, 0, 0, 0, 0, 0, 0, -1])
    depths = _depths(chip)
    queue = np.zeros((n_tiles, state.N_ENGINES, state.N_QUEUE), np.int64)
    queue[:, :, state.CAPACITY] = [1 + depth for depth in depths]
    most = max((row[state.SPAN_END] - row[state.SPAN] for row in rows.code), default=0)
    place = (n_tiles, state.N_ENGINES, 1 + max(depths), state.PLACES + 3 * most)
    n_flags = max(1, len(rows.flags))
    return Machine(
        code=_array(rows.code, state.COMMAND + 1),
        spans=_array(rows.spans, state.STRIDES + levels),
        lists=np.array(rows.lists or [0], np.int64),
        proc=proc,
        index=np.zeros((n_tiles, levels + 1), np.int64),
        spent=np.zeros((n_tiles, state.N_SPENT), np.int64),
        queue=queue,
        place=np.zeros(place, np.int64),
        armed=np.zeros((n_tiles, n_flags), np.int64),
        count=np.zeros((n_tiles, n_flags), np.int64),
        left=np.full((2, n_tiles), state.NEVER, np.int64),
        held=np.zeros(chip.n_tiles * N_RESOURCES, np.int64),
        claims=np.zeros(n_tiles, np.int64),
        stood=np.zeros(len(rows.lists) + 1, np.int64),
        heap=_first_events(n_tiles),
        out=np.zeros((OUT_ROWS + 2 * n_tiles, 3), np.int64),
        g=_scalars(chip, profile, n_tiles),
    )


def _first_events(n_tiles: int) -> state.Ints:
    """All processors begin at time zero, in order."""
    heap = np.zeros((16 * n_tiles + 64, 3), np.int64)
    tiles = np.arange(n_tiles)
    heap[:n_tiles, 1] = (state.PROCESSOR << 56) | tiles
    heap[:n_tiles, 2] = tiles
    return heap


def _scalars(chip: Chip, profile: Profile, n_tiles: int) -> state.Ints:
    g = np.zeros(state.N_SCALARS, np.int64)
    g[state.HEAP] = g[state.SERIAL] = n_tiles
    g[state.HUNG_TILE] = -1
    g[state.FLOW_NEXT] = state.NEVER
    g[state.ISSUE_PS] = profile.issue * chip.period
    g[state.FIRST_PS] = profile.first_message * chip.period
    for word in ("read", "write", "combined", "port"):
        per_ps = int(getattr(chip.dram, word)) // 1000  # billionths of a byte per picosecond
        if per_ps < 2 * n_tiles:
            fault = Fault(f"dram.{word}", str(getattr(chip.dram, word)), "at least 1 MB/s")
            raise InputError("timing.chip", f"chip '{chip.name}' has too slow a DRAM", [fault])
        g[getattr(state, f"{word.upper()}_LIMIT")] = per_ps
    return g


def _depths(chip: Chip) -> list[int]:
    """Queue depths in the order of the engines."""
    engines = (chip.matrix, chip.vector, chip.dram_read, chip.dram_write, chip.move, chip.send)
    return [engine.depth for engine in engines]


def flag_numbers(table: CommandTable) -> dict[int, int]:
    """Number the flags that the program uses."""
    used = {each.flag for each in table.commands if isinstance(each, Send | Arm | Signal | Wait)}
    return {flag: at for at, flag in enumerate(sorted(used))}


def _levels(stream: Stream) -> int:
    return max((1 + _levels(item.body) for item in stream if isinstance(item, Loop)), default=0)


def _n_commands(stream: Stream) -> int:
    return sum(_n_commands(item.body) if isinstance(item, Loop) else 1 for item in stream)


def _array(rows: list[list[int]], width: int) -> state.Ints:
    return np.array(rows, np.int64).reshape(len(rows), width)
