"""Programs of several chips timed together, command by command, sends over the links included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip
from drawloom.program.commands import Engine, Send
from drawloom.program.program import Program
from drawloom.program.span import Span
from drawloom.timing import compile as compiling
from drawloom.timing import hang, state
from drawloom.timing.costs import payload
from drawloom.timing.far import Ways
from drawloom.timing.routes import N_RESOURCES
from drawloom.timing.run import run_machine
from drawloom.timing.table import ENGINES, command_table, profile_of
from drawloom.timing.trace import Trace
from drawloom.units import PS_PER_S

Ints = NDArray[np.int64]
Progress = Callable[[int, int], None]
PARTS = ("compute", "memory", "links", "waiting")
_COMPUTE = [ENGINES.index(Engine.MATRIX), ENGINES.index(Engine.VECTOR)]
_MEMORY = [ENGINES.index(Engine.READ), ENGINES.index(Engine.WRITE)]


@dataclass(frozen=True, slots=True)
class LinkUse:
    """What a link of the fabric did: its ends, bytes, and the share of the time it was busy."""

    source: int
    target: int
    bytes: int
    busy: float


@dataclass(frozen=True, slots=True, eq=False)
class SpanTrace:
    """The traces of a span's chips, on one clock.

    Attributes:
        name: what ran.
        places: the chip of the system that each program ran on.
        chips: one a program; each ends when the last of all does.
        ways: the ways between the chips.
    """

    name: str
    places: tuple[int, ...]
    chips: tuple[Trace, ...]
    ways: Ways

    @property
    def total_ps(self) -> int:
        """From the first command of all to the end of the last."""
        return max(trace.total_ps for trace in self.chips)

    def links(self) -> list[LinkUse]:
        """Return what each link that carried anything did, the busiest first."""
        links = self.ways.fabric.links
        carried = np.zeros(len(links.rate), np.int64)
        for index, trace in enumerate(self.chips):
            runs = trace.runs
            for row in trace.table.routes:
                command = trace.table.commands[row]
                assert isinstance(command, Send)
                if command.chip >= 0:
                    way = list(self.ways.way(index, command.chip).links)
                    carried[way] += int(runs[row]) * payload(command)
        busy = carried * PS_PER_S / np.maximum(links.rate, 1) / max(1, self.total_ps)
        used = [int(at) for at in np.argsort(-busy, kind="stable") if carried[at]]
        return [
            LinkUse(int(links.source[at]), int(links.target[at]), int(carried[at]), float(busy[at]))
            for at in used
        ]

    def split(self, index: int) -> dict[str, int]:
        """Return where a chip's time goes, in picoseconds that add up to the whole.

        A moment at which an engine computes is compute; else, if DRAM is read or written, memory;
        else, if something the chip has sent is on its way, links; else waiting.
        """
        trace = self.chips[index]
        engine = trace.engine
        far = np.zeros(len(trace.table.commands), np.int64)
        for row in trace.table.routes:
            command = trace.table.commands[row]
            assert isinstance(command, Send)
            if command.chip >= 0:
                far[row] = 1 + self.ways.late_ps(index, command.chip, payload(command))
        late = far[trace.command]
        kinds = (np.isin(engine, _COMPUTE), np.isin(engine, _MEMORY), late > 0)
        taken, spent = np.zeros(len(trace), bool), list[int]()
        before = 0
        for kind in kinds:
            taken |= kind
            covered = _covered(
                trace.start_ps[taken], (trace.end_ps + np.maximum(late - 1, 0))[taken]
            )
            spent.append(covered - before)
            before = covered
        return dict(zip(PARTS, (*spent, max(0, self.total_ps - before)), strict=True))

    def text(self) -> str:
        """Return a summary: the time, where it goes, what the links carried."""
        lines = [f"{self.name}: {self.total_ps / 1e6:,.3f} us on {len(self.chips)} chips"]
        for index, place in enumerate(self.places):
            parts = self.split(index)
            shares = ", ".join(f"{word} {ps / self.total_ps:.1%}" for word, ps in parts.items())
            lines.append(f"  chip {place}: {shares}")
        if used := self.links():
            hot = used[0]
            lines.append(
                f"  hot link {hot.source}-{hot.target}: {hot.bytes:,} bytes, busy {hot.busy:.1%}"
            )
        return "\n".join(lines)


def time_span(
    span: Span, chip: Chip, profile: str = "lean", *, progress: Progress | None = None
) -> SpanTrace:
    """Run a span for its times: no value is computed.

    Args:
        span: the programs, and the fabric between their chips.
        chip: what each of the chips is.
        profile: the software on the tile, a key of ``chip.profiles``.
        progress: called now and then with the events so far and the time reached (ps).

    Raises:
        InputError: as ``time``; or there is no way between two chips (``chip.route``).
        Hang: the programs do not end; tiles are numbered on from chip to chip.
    """
    ways = Ways(span.system, span.places)
    return time_beside(span.name, span.programs, ways, chip, profile, progress=progress)


def time_beside(
    name: str,
    programs: tuple[Program, ...],
    ways: Ways,
    chip: Chip,
    profile: str = "lean",
    *,
    progress: Progress | None = None,
) -> SpanTrace:
    """Time programs beside each other, by the ways that their sends take; else as ``time_span``."""
    costs = profile_of(chip, profile)
    ways.first = len(programs) * chip.n_tiles * N_RESOURCES
    tables = [
        command_table(program, chip, costs, ways, index) for index, program in enumerate(programs)
    ]
    machine = compiling.machine(programs, chip, costs, tables, ways)
    s, spans = run_machine(machine, progress)
    starts = np.cumsum([0, *(len(table.commands) for table in tables)])
    tiles = state.tiles_of(s)
    if s[state.HUNG_TILE] >= 0 or not hang.halted(s):
        raise hang.of_span(programs, ways.places, tables, s)
    n = len(programs[0].streams)
    chips: list[Trace] = []
    for index, (program, table) in enumerate(zip(programs, tables, strict=True)):
        mine = (spans[:, 0] >= starts[index]) & (spans[:, 0] < starts[index + 1])
        chips.append(
            Trace(
                program, chip, profile, table,
                (spans[mine, 0] - starts[index]).astype(np.int32),
                spans[mine, 1].copy(), spans[mine, 2].copy(),
                tiles[index * n : (index + 1) * n, state.S_ISSUE : state.INDEX].copy(),
                int(s[state.NOW]), int(s[state.EVENTS]),
            )
        )  # fmt: skip
    return SpanTrace(name, ways.places, tuple(chips), ways)


def busy_parts(trace: Trace) -> tuple[int, int]:
    """Return how long engines of a chip compute, and how long else its DRAM is read or written (ps)."""
    engine = trace.engine
    computes = np.isin(engine, _COMPUTE)
    both = computes | np.isin(engine, _MEMORY)
    compute = _covered(trace.start_ps[computes], trace.end_ps[computes])
    return compute, _covered(trace.start_ps[both], trace.end_ps[both]) - compute


def _covered(starts: Ints, ends: Ints) -> int:
    """Return how long at least one of some intervals lasts."""
    if not len(starts):
        return 0
    order = np.argsort(starts, kind="stable")
    begin, reach = starts[order], np.maximum.accumulate(ends[order])
    gaps = np.maximum(begin[1:] - reach[:-1], 0)
    return int(reach[-1] - begin[0] - gaps.sum())
