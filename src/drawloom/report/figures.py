"""Every figure that a report shows, worked out once: summary, page and JSON only print them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from drawloom.bound import Bound, bound, layer_bounds
from drawloom.chip.model import Chip, Range
from drawloom.graph.ir import Graph
from drawloom.program.commands import Engine
from drawloom.program.program import Program
from drawloom.report.bounds import program_bound
from drawloom.report.layers import ByLayer, by_layer
from drawloom.report.spread import latency_range
from drawloom.timing import Trace
from drawloom.timing.table import ENGINES
from drawloom.units import PS_PER_S

J_PER_PJ = 1e-12
_RANGE = re.compile(r"(?<![^.])(\d+)-(\d+)(?![^.])")


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """The figures of one timed program.

    ``bound`` is that of the model's graph where it is known (``has_graph``), else of the program's
    own work; it is no bound (``has_bound``) where the program came without its constants.
    ``on_chip_ps`` is compared with it; ``latency_ps`` adds the host's launch. ``latency_range``
    (picoseconds) is there where it was asked for.
    """

    trace: Trace
    bound: Bound
    has_graph: bool
    has_bound: bool
    layers: ByLayer
    layer_bounds: Mapping[str, Bound]  # by layer; of those that the model names
    utilisation: Mapping[Engine, tuple[float, ...]]  # of the engines that did something, by tile
    energy: Range  # joules
    energy_parts: Mapping[str, Range]  # joules, by engine, and "idle"
    latency_range: Range | None = None

    @property
    def notes(self) -> dict[str, str]:
        """What holds for every figure: the program's notes, such as its precision."""
        return stated(self.trace.program)

    @property
    def latency_ps(self) -> int:
        """From the host's launch to the end."""
        return self.trace.latency_ps

    @property
    def on_chip_ps(self) -> int:
        """From the first command to the end of the last."""
        return self.trace.total_ps

    @property
    def launch_ps(self) -> int:
        """What the host's launch costs."""
        return self.trace.latency_ps - self.trace.total_ps

    @property
    def over_bound(self) -> float:
        """Time on the chip over the bound; 0 where the bound is 0."""
        return self.on_chip_ps / self.bound.ps if self.bound.ps else 0.0

    @property
    def runs_per_s(self) -> float:
        """Runs a second, one after the other."""
        return PS_PER_S / self.latency_ps if self.latency_ps else 0.0

    @property
    def operations_per_s(self) -> float:
        """Arithmetic operations of the matrix engines a second, while on the chip."""
        return self.bound.operations * PS_PER_S / self.on_chip_ps if self.on_chip_ps else 0.0

    @property
    def peak_share(self) -> float:
        """Matrix time at peak over the time on the chip."""
        return self.bound.matrix_ps / self.on_chip_ps if self.on_chip_ps else 0.0

    @property
    def dram_bytes(self) -> int:
        """Bytes read from DRAM and written to it."""
        return sum(self.trace.dram_bytes)

    @property
    def dram_bytes_per_s(self) -> float:
        """Mean rate of DRAM traffic, while on the chip."""
        return self.dram_bytes * PS_PER_S / self.on_chip_ps if self.on_chip_ps else 0.0

    @property
    def watts(self) -> Range:
        """Mean power while on the chip."""
        seconds = self.on_chip_ps / PS_PER_S or 1.0
        return Range(
            *(j / seconds for j in (self.energy.low, self.energy.default, self.energy.high))
        )

    def mean(self, engine: Engine) -> float:
        """Mean utilisation of an engine over the tiles."""
        shares = self.utilisation.get(engine, ())
        return sum(shares) / len(shares) if shares else 0.0


def figures(
    trace: Trace, graph: Graph | None = None, *, bounded: bool = True, error_bars: bool = False
) -> Figures:
    """Return the figures of a trace.

    Args:
        trace: the timed program.
        graph: the model; with it, bounds are those of the model, not of the program's own work.
        bounded: whether bounds are wanted; not where the trace's program has no data.
        error_bars: whether to time the program twice more, with the chip's numbers at both ends
            of their ranges.
    """
    chip, program = trace.chip, trace.program
    least = program_bound(program, chip) if graph is None else bound(graph, chip)
    layers = by_layer(trace)
    shares = trace.utilisation()
    used = {
        engine: tuple(float(share) for share in shares[:, at])
        for at, engine in enumerate(ENGINES)
        if shares[:, at].any()
    }
    parts = {engine.value: joules(each) for engine, each in trace.energy_by_engine().items()}
    parts = {name: each for name, each in parts.items() if each.high}
    return Figures(
        trace=trace,
        bound=least,
        has_graph=graph is not None,
        has_bound=bounded and least.ps > 0,
        layers=layers,
        layer_bounds={} if graph is None else _layer_bounds(graph, chip, layers),
        utilisation=used,
        energy=joules(trace.energy),
        energy_parts={**parts, "idle": joules(trace.idle_energy)},
        latency_range=latency_range(trace) if error_bars else None,
    )


def _layer_bounds(graph: Graph, chip: Chip, layers: ByLayer) -> Mapping[str, Bound]:
    """Return the bound of each layer; of layers that were mapped as one, of all of them together."""
    return layer_bounds(graph, chip, spelled_out([layer.name for layer in layers.layers]))


def spelled_out(names: list[str]) -> dict[str, str]:
    """Return what each layer of the model goes by: ``layers.7.mlp`` by ``layers.0-31.mlp``.

    Layers that are alike in turns, as ``layers.0-30.mlp`` and ``layers.1-31.mlp``, take turns. Layers
    that were mapped as one go by the name of all: ``attention.key`` by ``attention.{query,key}``.
    """
    found = {name: _RANGE.search(name) for name in names}
    alike = Counter(_RANGE.sub("", name) for name, match in found.items() if match)
    known: dict[str, str] = {}
    for name, match in found.items():
        if match is None:
            known[name] = name
            continue
        step = alike[_RANGE.sub("", name)]
        for i in range(int(match[1]), int(match[2]) + 1, step):
            known[f"{name[: match.start()]}{i}{name[match.end() :]}"] = name
    return {one: shown for name, shown in known.items() for one in _apart(name)}


def _apart(name: str) -> list[str]:
    """Return the layers that a name stands for."""
    start, brace, ends = name.rstrip("}").partition("{")
    return [start + end for end in ends.split(",")] if brace else [name]


def stated(program: Program) -> dict[str, str]:
    """Return a program's notes but the chip's name, which stands in every title."""
    return {name: value for name, value in program.notes.items() if name != "chip"}


def joules(picojoules: Range) -> Range:
    """Return an energy in joules."""
    return Range(
        picojoules.low * J_PER_PJ, picojoules.default * J_PER_PJ, picojoules.high * J_PER_PJ
    )
