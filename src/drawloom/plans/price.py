"""What a sum over a group takes by the commands of one chip that stands for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drawloom.chip.model import Chip
from drawloom.chip.system import System
from drawloom.chip.topology import Topology, topology
from drawloom.mapping.collectives import schedules
from drawloom.mapping.collectives.schedule import Schedule
from drawloom.plans.builder import AREA_BYTES, N_FLAGS
from drawloom.plans.flow import Flow, is_alike
from drawloom.program.chain import ChipChain
from drawloom.program.flags import Flags
from drawloom.program.folded import FoldedExchanger
from drawloom.program.lowered import Area, Buffers
from drawloom.program.program import Program
from drawloom.timing.far import Ways
from drawloom.timing.span import time_beside


@dataclass(slots=True)
class SumPrices:
    """Times of sums on fabrics of one kind of chip; those that were asked for are kept."""

    chip: Chip
    known: dict[tuple[object, ...], tuple[int, str]] = field(
        default_factory=dict[tuple[object, ...], tuple[int, str]]
    )

    def of(self, fabric: System, count: int, fmt: str) -> tuple[int, str]:
        """Return the picoseconds of a sum of ``count`` numbers a chip, and its quickest schedule."""
        key = fabric.levels, fabric.dead_links, count, fmt
        if key not in self.known:
            made = topology(fabric)
            alike = [s for s in schedules("all_reduce", made) if is_alike(s)]
            self.known[key] = min((self._time(made, s, count, fmt), s.name) for s in alike)
        return self.known[key]

    def _time(self, fabric: Topology, schedule: Schedule, count: int, fmt: str) -> int:
        pad, n = self.chip.scratchpad, self.chip.n_tiles
        area = Area(pad.bytes - pad.reserve_high - AREA_BYTES, AREA_BYTES)
        ways = Ways(fabric.system, (fabric.system.chips[0],))
        me = fabric.system.chips[0]
        index: Mapping[int, int] = {c: 0 if c == me else 1 + c for c in fabric.system.chips}
        flow = Flow(fabric, schedule, me, ways, 0, 1)
        made = FoldedExchanger("sum", schedule, index, area, Flags(range(N_FLAGS)), me, flow.way_of)
        chain = ChipChain(n, 1, 1, Area(0, 0))
        size = count * 8
        source, target = chain.place("source", size), chain.place("target", size)
        chain.exchange(made.lowered(0, Buffers(source, target, fmt, count), n))
        program = Program(
            schedule.name, self.chip.name, self.chip.blocking, pad.bytes, chain.end, (), (),
            chain.finish(), (),
        )  # fmt: skip
        return time_beside(schedule.name, (program,), ways, self.chip).total_ps
