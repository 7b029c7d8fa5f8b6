"""The Trace: when every command ran; latency, energy and utilisation are views of it.

A span is one execution of one command: from its start on the engine (of a processor command:
from when the processor came to it) to its end. Its row in ``table`` leads to the command, the
command to its origin: mapping piece, graph node, the user's layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip, Range
from drawloom.program.commands import Engine, Send
from drawloom.program.program import Origin, Program
from drawloom.timing import nodes, summary
from drawloom.timing.energy import FJ_PER_PJ, idle_energy
from drawloom.timing.routes import link_name
from drawloom.timing.table import ENGINES, CommandTable

SPENT = ("issue", "queue", "wait", "join", "barrier", "sync", "work")


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Spans in the order in which they ended, and what they add up to.

    ``spent_ps`` holds, per tile, where its processor's time went, in the order of ``SPENT``:
    handing commands over; holding for room in a queue, for a flag, for engines, at a barrier;
    the cost of sync commands; ``Cpu`` commands. A row adds up to the end of that tile's stream.
    ``total_ps`` is from the first command to the end of the last.
    """

    program: Program
    chip: Chip
    profile: str
    table: CommandTable
    command: NDArray[np.int32]  # row in ``table``
    start_ps: NDArray[np.int64]
    end_ps: NDArray[np.int64]
    spent_ps: NDArray[np.int64]
    total_ps: int
    events: int

    def __post_init__(self) -> None:
        """Check that the columns fit together."""
        assert len(self.command) == len(self.start_ps) == len(self.end_ps)
        assert self.spent_ps.shape[1] == len(SPENT)

    def __len__(self) -> int:
        """Return the number of spans."""
        return len(self.command)

    @property
    def tile(self) -> NDArray[np.int16]:
        """The tile of each span."""
        return self.table.tile.astype(np.int16)[self.command]

    @property
    def engine(self) -> NDArray[np.int8]:
        """The engine of each span, as a position in ``ENGINES``."""
        return self.table.engine.astype(np.int8)[self.command]

    @property
    def bytes(self) -> NDArray[np.int64]:
        """Bytes each span's command moves, or touches in the scratchpad if it computes."""
        return self.table.bytes[self.command]

    @property
    def energy_pj(self) -> NDArray[np.float32]:
        """Energy of each span in picojoules: low, default, high."""
        return (self.table.energy_fj / FJ_PER_PJ).astype(np.float32)[self.command]

    @property
    def runs(self) -> NDArray[np.int64]:
        """How often each command of the table ran."""
        return np.bincount(self.command, minlength=len(self.table.commands))

    @property
    def latency_ps(self) -> int:
        """From the host's launch to the end of the last command."""
        return self.chip.profiles[self.profile].launch + self.total_ps

    def origin(self, span: int) -> Origin | None:
        """Return what a span was for; None if its command does not say."""
        at = int(self.table.origin[self.command[span]])
        return self.program.origins[at] if 0 <= at < len(self.program.origins) else None

    def busy_ps(self) -> NDArray[np.int64]:
        """Busy time, tiles x engines (as in ``ENGINES``), in picoseconds.

        A send engine is busy from a message's start to the transfer's end, the wait for its
        route included. A tile's processor is busy handing over, with sync commands and ``Cpu``.
        """
        return nodes.busy_ps(self, self.table.tile, len(self.program.streams))

    def busy(self, engine: Engine) -> int:
        """Return the busy time of an engine, summed over the tiles, in picoseconds."""
        return int(self.busy_ps()[:, ENGINES.index(engine)].sum())

    def utilisation(self) -> NDArray[np.float64]:
        """Busy share of the total time, tiles x engines."""
        return self.busy_ps() / max(1, self.total_ps)

    @property
    def dram_bytes(self) -> tuple[int, int]:
        """Bytes read from DRAM and written to it."""
        runs = self.runs
        return int(runs @ self.table.dram_read), int(runs @ self.table.dram_written)

    def link_bytes(self) -> dict[str, int]:
        """Bytes over each link that carried any, by its name (``3->7``)."""
        total: dict[int, int] = {}
        runs = self.runs
        for row, route in self.table.routes.items():
            for link in route.links:
                total[link] = total.get(link, 0) + int(runs[row] * self.table.bytes[row])
        return {link_name(self.chip, link): n for link, n in sorted(total.items()) if n}

    @property
    def noc_byte_hops(self) -> int:
        """Bytes times links crossed, summed over all sends."""
        return int(self.runs @ (self.table.bytes * self.table.n_links))

    def transfer_start_ps(self) -> NDArray[np.int64]:
        """Return when each send got its route; of other spans the end."""
        return self.end_ps - self.table.transfer_ps[self.command]

    @property
    def energy(self) -> Range:
        """Energy of the whole run in picojoules, idle power included."""
        return nodes.picojoules(
            self.runs @ self.table.energy_fj + np.array(idle_energy(self.chip, self.total_ps))
        )

    @property
    def idle_energy(self) -> Range:
        """Energy of idle power over the whole time in picojoules."""
        return nodes.picojoules(np.array(idle_energy(self.chip, self.total_ps)))

    def energy_by_engine(self) -> dict[Engine, Range]:
        """Energy in picojoules by engine; with ``idle_energy`` it adds up to ``energy``."""
        per_engine = nodes.grouped(
            self.runs[:, None] * self.table.energy_fj, self.table.engine, len(ENGINES)
        )
        return {engine: nodes.picojoules(per_engine[at]) for at, engine in enumerate(ENGINES)}

    def by_node(self) -> tuple[nodes.NodeRow, ...]:
        """What each graph node cost, in order of first start."""
        return nodes.node_rows(self)

    @property
    def n_sends(self) -> int:
        """Number of sends that ran."""
        rows = [row for row, each in enumerate(self.table.commands) if isinstance(each, Send)]
        return int(self.runs[rows].sum())

    def text(self) -> str:
        """Return a summary: time, traffic, energy, what was busy, the slowest nodes."""
        return summary.text(self)
