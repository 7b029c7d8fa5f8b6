"""Programs -> machine: streams as rows of integers, ready to run.

One program is a chip's; several are those of a span, tile numbers and commands counting on from
chip to chip.

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
from drawloom.timing.costs import payload
from drawloom.timing.far import Ways
from drawloom.timing.routes import N_RESOURCES
from drawloom.timing.state import Ints
from drawloom.timing.table import ENGINES, CommandTable

NB_PER_BYTE = 10**9
DRAM_SPACE = 1 << 60  # added to DRAM addresses: one number line for both memories
OUT_ROOM = 1 << 16
EVENT_ROOM = 32  # per tile, at first
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
    fabric: Ways | None = None
    index: int = 0  # of the program in its span
    first_command: int = 0  # of the program among all
    code: list[list[int]] = field(default_factory=list[list[int]])
    spans: list[list[int]] = field(default_factory=list[list[int]])
    lists: list[int] = field(default_factory=list[int])
    barriers: dict[tuple[int, ...], int] = field(default_factory=dict[tuple[int, ...], int])
    next_command: int = 0

    def begin(self, program: Program, table: CommandTable, index: int) -> None:
        """Go on with the program of another chip."""
        self.first_command += self.next_command
        self.program, self.table, self.index = program, table, index
        self.next_command = 0
        self.barriers = {}

    @property
    def here(self) -> int:
        """Place of the next row in the machine's state."""
        return state.CODE + len(self.code) * state.N_CODE

    def row(self, op: int, a: int = 0) -> None:
        """Write a row that is no command."""
        self.code.append([op, 0, 0, 0, a, 0, 0, 0, -1, 0])

    def stream(self, stream: Stream) -> None:
        for item in stream:
            if not isinstance(item, Loop):
                self.command(item)
            elif item.count > 0 and _n_commands(item.body) > 0:
                head = self.here
                self.row(state.LOOP, a=item.count)
                self.stream(item.body)
                self.row(state.END, a=head)
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
        fixed, late = int(self.table.fixed_ps[row]), self.late(command)
        self.code.append(
            [
                op,
                engine,
                fixed,
                amount,
                a,
                b,
                first,
                len(self.spans),
                self.first_command + row,
                late,
            ]
        )

    def late(self, command: Command) -> int:
        """Return how long what a send to another chip has sent is on its way."""
        if self.fabric is None or not isinstance(command, Send) or command.chip < 0:
            return 0
        return self.fabric.late_ps(self.index, command.chip, payload(command))

    def tiles(self, numbers: Sequence[int], chip: int = -1) -> tuple[int, ...]:
        """Return tiles of this chip, or another one, as numbers among all."""
        home = self.index
        if chip >= 0 and self.fabric is not None:
            home = self.fabric.home(self.index, chip)
        first = home * len(self.program.streams)
        return tuple(first + number for number in numbers)

    def operands(self, command: Command, row: int) -> tuple[int, int, int]:
        """Return AMOUNT, A and B of a command's row."""
        match command:
            case Send():
                held = self.table.routes[row].resources
                if command.chip < 0:
                    first = self.index * self.chip.n_tiles * N_RESOURCES
                    held = tuple(first + resource for resource in held)
                at = self.list_of(held)
                self.list_of(self.tiles(command.targets, command.chip))
                return int(self.table.transfer_ps[row]), self.flags[command.flag], at
            case Arm():
                return 0, self.flags[command.flag], 0
            case Signal():
                (target,) = self.tiles((command.target,), command.chip)
                return self.signal_ps(command, row), self.flags[command.flag], target
            case Wait():
                return 0, self.flags[command.flag], command.count
            case Join():
                return (
                    0,
                    sum(1 << ENGINES.index(each) for each in set(command.engines)),
                    command.keep,
                )
            case Barrier():
                tiles = self.tiles(sorted(set(command.tiles)))
                if tiles not in self.barriers:
                    self.barriers[tiles] = self.list_of(tiles)
                return 0, self.barriers[tiles], 0
            case _:
                moved = self.table.dram_read[row] + self.table.dram_written[row]
                return int(moved) * NB_PER_BYTE, 0, 0

    def signal_ps(self, command: Signal, row: int) -> int:
        """Return how long a signal is on its way; to another chip it is a message."""
        if self.fabric is not None and command.chip >= 0:
            return self.fabric.overhead + self.fabric.late_ps(self.index, command.chip, 0)
        x, y = self.chip.xy(int(self.table.tile[row]))
        to_x, to_y = self.chip.xy(command.target)
        hops = abs(to_x - x) + abs(to_y - y)
        return hops * self.chip.noc.hop * self.chip.period

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


def machine(
    programs: Sequence[Program],
    chip: Chip,
    profile: Profile,
    tables: Sequence[CommandTable],
    fabric: Ways | None = None,
) -> Ints:
    """Return the machine (``state.py``) at time zero.

    Args:
        programs: what the chips load; several make a span.
        chip: what each of the chips is.
        profile: the software on the tile.
        tables: the prices of each program.
        fabric: the ways between the chips of a span.

    Raises:
        InputError: a DRAM rate of the chip is too small for the clock of one picosecond.
    """
    streams = [stream for program in programs for stream in program.streams]
    n_tiles = len(streams)
    levels = max((_levels(stream) for stream in streams), default=0)
    rows = _Rows(programs[0], chip, tables[0], levels, flag_numbers(*tables), fabric)
    tiles = np.zeros((n_tiles, state.INDEX + levels), np.int64)
    tiles[:, state.FIRST] = 1
    tiles[:, state.LEFT : state.LEFT + 2] = state.NEVER
    tile = 0
    for index, (program, table) in enumerate(zip(programs, tables, strict=True)):
        rows.begin(program, table, index)
        for stream in program.streams:
            tiles[tile, state.PC] = rows.here
            rows.stream(stream)
            rows.row(state.HALT)
            tile += 1
    depths = _depths(chip)
    queues = np.zeros((n_tiles, state.N_ENGINES, state.N_QUEUE), np.int64)
    queues[:, :, state.CAPACITY] = [1 + depth for depth in depths]
    ranges = max(row[state.SPAN_END] - row[state.SPAN] for row in rows.code) if rows.code else 0
    place_size = state.RANGES + 3 * ranges
    chips = np.zeros((len(programs), state.N_CHIP), np.int64)
    chips[:, state.C_NEXT] = state.NEVER
    n_links = len(fabric.fabric.links.rate) if fabric else 0
    parts = {
        state.SPANS: np.array(rows.spans, np.int64),
        state.LISTS: np.array(rows.lists, np.int64),
        state.TILES: tiles,
        state.QUEUES: queues,
        state.PLACES: np.zeros(
            n_tiles * state.N_ENGINES * (1 + max(depths)) * place_size, np.int64
        ),
        state.FLAGS: np.zeros(n_tiles * len(rows.flags) * state.N_FLAG, np.int64),
        state.HELD: np.zeros(len(programs) * chip.n_tiles * N_RESOURCES + n_links, np.int64),
        state.CLAIMS: np.zeros(n_tiles, np.int64),
        state.STOOD: np.zeros(len(rows.lists), np.int64),
        state.CHIPS: chips,
        state.OUT: np.zeros(3 * (OUT_ROOM + 2 * n_tiles), np.int64),
        state.HEAP: _first_events(n_tiles),
    }
    head = _scalars(chip, profile)
    head[state.N_TILES] = head[state.N_HEAP] = head[state.SERIAL] = n_tiles
    head[state.N_CHIPS] = len(programs)
    head[state.CHIP_TILES] = len(programs[0].streams)
    head[state.TILE_SIZE] = tiles.shape[1]
    head[state.N_FLAGS] = len(rows.flags)
    head[state.PLACE_SIZE] = place_size
    head[state.N_PLACES] = 1 + max(depths)
    head[state.SPAN_SIZE] = state.STRIDES + levels
    head[state.HEAP_ROOM] = len(parts[state.HEAP])
    head[state.OUT_ROOM] = OUT_ROOM + 2 * n_tiles
    at = rows.here
    for where, part in parts.items():
        head[where] = at
        at += part.size
    code = np.array(rows.code, np.int64)
    return np.concatenate([head, code.ravel(), *(part.ravel() for part in parts.values())])


def with_more_heap(s: Ints) -> Ints:
    """Return the machine with room for twice as many events."""
    more = 3 * int(s[state.HEAP_ROOM])
    s[state.HEAP_ROOM] *= 2
    return np.concatenate([s, np.zeros(more, np.int64)])


def _first_events(n_tiles: int) -> Ints:
    """All processors begin at time zero, in order."""
    heap = np.zeros((EVENT_ROOM * n_tiles, 3), np.int64)
    tiles = np.arange(n_tiles)
    heap[:n_tiles, 1] = (state.PROCESSOR << state.KIND_SHIFT) | tiles
    heap[:n_tiles, 2] = tiles
    return heap


def _scalars(chip: Chip, profile: Profile) -> Ints:
    head = np.zeros(state.CODE, np.int64)
    head[state.HUNG_TILE] = -1
    head[state.FLOW_NEXT] = state.NEVER
    head[state.ISSUE_PS] = profile.issue * chip.period
    head[state.FIRST_PS] = profile.first_message * chip.period
    limits = {
        "read": state.READ_LIMIT,
        "write": state.WRITE_LIMIT,
        "combined": state.COMBINED_LIMIT,
        "port": state.PORT_LIMIT,
    }
    faults: list[Fault] = []
    for word, at in limits.items():
        rate = int(getattr(chip.dram, word))
        head[at] = rate // 1000  # billionths of a byte per picosecond
        if head[at] < 2 * chip.n_tiles:
            faults.append(Fault(f"dram.{word}", f"{rate} B/s", "at least 1 MB/s"))
    if faults:
        raise InputError("timing.chip", f"the DRAM of chip '{chip.name}' is too slow", faults)
    return head


def _depths(chip: Chip) -> list[int]:
    """Queue depths in the order of the engines."""
    engines = (chip.matrix, chip.vector, chip.dram_read, chip.dram_write, chip.move, chip.send)
    return [engine.depth for engine in engines]


def flag_numbers(*tables: CommandTable) -> dict[int, int]:
    """Number the flags that programs use."""
    commands = (each for table in tables for each in table.commands)
    used = {each.flag for each in commands if isinstance(each, Send | Arm | Signal | Wait)}
    return {flag: at for at, flag in enumerate(sorted(used))}


def _levels(stream: Stream) -> int:
    return max((1 + _levels(item.body) for item in stream if isinstance(item, Loop)), default=0)


def _n_commands(stream: Stream) -> int:
    return sum(_n_commands(item.body) if isinstance(item, Loop) else 1 for item in stream)
