"""Puts a cut graph's programs together: each stretch compiled, exchanges between, chip by chip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod

import numpy as np

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Chip
from drawloom.chip.system import System
from drawloom.chip.topology import Topology, topology
from drawloom.errors import Diagnosis, DoesNotFit, Fault, InputError
from drawloom.flow import Options, assemble, map_graph
from drawloom.graph.ir import Graph
from drawloom.graph.tensor import TensorType
from drawloom.mapping.collectives import schedules
from drawloom.mapping.collectives.exchange import in_turns
from drawloom.mapping.collectives.schedule import Chain, Schedule
from drawloom.mapping.collectives.schedule import Stage as Hop
from drawloom.mapping.collectives.sliced import sliced
from drawloom.plans.cut import Cut, Exchange
from drawloom.plans.flat import flat
from drawloom.plans.flow import Flow, goes_round, is_alike
from drawloom.plans.likeness import likeness
from drawloom.program.chain import ChipChain
from drawloom.program.commands import Arm, Send, Signal, Wait
from drawloom.program.exchange import Exchanger
from drawloom.program.flags import Flags
from drawloom.program.folded import FoldedExchanger
from drawloom.program.lowered import Area, Buffers
from drawloom.program.parked import Pace
from drawloom.program.program import Program, Region
from drawloom.program.span import Span
from drawloom.timing.fabric import FabricClock
from drawloom.timing.far import Ways
from drawloom.timing.span import SpanTrace, time_beside
from drawloom.units import Bytes

AREA_BYTES = 256 << 10  # of each tile's scratchpad, for what is exchanged
ROOM_BYTES = 5 << 18  # of it, for weights that are read while others are exchanged
N_FLAGS = 64
KINDS = {"sum": "all_reduce", "gather": "all_gather"}


Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """One program a group of chips, which stands for all of the group, and the ways of what it sends."""

    name: str
    programs: tuple[Program, ...]
    ways: Ways

    def time(self, chip: Chip, profile: str = "lean") -> SpanTrace:
        """Return the time of the whole, as ``time_span`` would."""
        return time_beside(self.name, self.programs, self.ways, chip, profile)


def _pace(chip: Chip, rate: int) -> Pace:
    """Return how quick a tile is where it reads ``rate`` bytes a second."""
    of_byte = chip.clock / rate  # cycles
    matrix, vector = chip.matrix, chip.vector
    macs = {fmt: per_cycle * of_byte for fmt, per_cycle in matrix.macs_per_cycle.items()}
    return Pace(macs, matrix.block, vector.lanes_32 * of_byte, vector.fixed / of_byte)


@dataclass(frozen=True, slots=True)
class _Part:
    """An exchange of one value: what writes it, how long it takes, and what it is of."""

    exchanger: Exchanger
    ps: int
    source: str
    target: str
    run: int = 0
    addend: str = ""


Stretch = tuple[Program, int, tuple[str, ...]]  # program, bytes of DRAM, names of values
Built = dict[tuple[object, ...], Stretch]


@dataclass(slots=True)
class Builder:
    """The programs of a span in the making; ``stage_of`` says which group has which stretch."""

    cut: Cut
    stage_of: list[int]
    graph: Graph
    system: System
    chip: Chip
    options: Options
    groups: tuple[System, list[tuple[int, ...]]]
    held: int  # chips of each group that are made: all, or the one that stands for them
    tell: Tell | None
    flags: Flags = field(default_factory=lambda: Flags(()))
    chains: list[ChipChain] = field(default_factory=list[ChipChain])
    types: dict[str, TensorType] = field(default_factory=dict[str, TensorType])
    built: Built = field(default_factory=dict[tuple[object, ...], Stretch])
    made: dict[tuple[object, ...], tuple[Exchanger, int]] = field(
        default_factory=dict[tuple[object, ...], tuple[Exchanger, int]]
    )

    ways: Ways | None = None
    room_bytes: int = ROOM_BYTES

    @property
    def tensor(self) -> int:
        """Return how many chips share each layer."""
        return self.cut.chips

    @property
    def is_folded(self) -> bool:
        """Whether one chip stands for all of its group."""
        return self.held < self.tensor

    @property
    def area(self) -> Area:
        """Return the scratchpad that exchanges have to themselves."""
        pad = self.chip.scratchpad
        return Area(pad.bytes - pad.reserve_high - AREA_BYTES, AREA_BYTES)

    def build(self) -> None:
        """Compile all stretches, and put them together."""
        _, members = self.groups
        self.ways = Ways(self.system, tuple(chip for each in members for chip in each[: self.held]))
        try:
            stretches = self._stretches()
        except DoesNotFit:
            # Weights then have no room to wait in.
            self.room_bytes = 0
            stretches = self._stretches()
        used = {
            command.flag
            for stretch in stretches
            for program, _ in stretch
            for tile in range(len(program.streams))
            for command in program.commands(tile)
            if isinstance(command, Send | Arm | Signal | Wait)
        }
        self.flags = Flags([flag for flag in range(N_FLAGS) if flag not in used])
        n = self.chip.n_tiles
        depth = max(1, self.chip.dram_read.depth - 1)
        rate = self.chip.dram.read // n
        room = Area(self.area.base - self.room_bytes, self.room_bytes)
        pace = _pace(self.chip, rate)
        self.chains = [
            ChipChain(n, depth, rate, room, pace) for group in members for _ in group[: self.held]
        ]
        at = 0
        for level, stage in enumerate(self.cut.stages):
            if self.stage_of[level] != at:
                self._hand_over(level, at)
                at = self.stage_of[level]
            first = at * self.held
            for i in range(self.held):
                self._stretch(self.chains[first + i], stage.graphs[i], stretches[level], i)
            alone = [e for e in stage.exchanges if not e.among]
            for exchange in alone:
                self._exchange([exchange], first)
            if among := [e for e in stage.exchanges if e.among]:
                self._exchange(among, first)

    def _stretches(self) -> list[list[tuple[Program, int]]]:
        """Return the programs of all stretches, by chip."""
        return [
            [self._compiled(graph) for graph in stage.graphs] if stage.graphs[0].nodes else []
            for stage in self.cut.stages
        ]

    def _compiled(self, graph: Graph) -> tuple[Program, int]:
        """Return a stretch's program, and the bytes of DRAM that it uses."""
        found, names = likeness(graph)
        key = found and (self.room_bytes, *found)
        if self.tell:
            self.tell(graph.name)
        known = self.built.get(key) if key else None
        if known is None:
            pad = self.chip.scratchpad
            room = replace(pad, reserve_high=Bytes(pad.reserve_high + AREA_BYTES + self.room_bytes))
            # The graph is simplified and in its precision: decoders of constants must stay.
            options = replace(self.options, mapping=replace(self.options.mapping, fold=False))
            chip = replace(self.chip, scratchpad=room)
            ends = (*self.graph.inputs, *self.graph.outputs)
            mapped = map_graph(flat(graph, ends), chip, options, lambda _: None)
            known = assemble(mapped), mapped.dram_bytes, names
            if key:
                self.built[key] = known
        program, size, its_names = known
        called = dict(zip(its_names, names, strict=True))
        regions = tuple(replace(region, name=called[region.name]) for region in program.regions)
        return replace(program, regions=regions), size

    def _stretch(
        self, chain: ChipChain, graph: Graph, compiled: list[tuple[Program, int]], i: int
    ) -> None:
        self.types |= graph.types
        if not compiled:
            chain.settle()
            return
        program, size = compiled[i]
        chain.program(program, size, (*self.graph.inputs, *self.graph.outputs))

    def _exchange(self, exchanges: list[Exchange], first: int) -> None:
        """Add exchanges of a group that go on at once, each on tiles of its own."""
        fabric, _ = self.groups
        parts: list[_Part] = []
        for exchange in exchanges:
            kind = self.types[exchange.source]
            self.types[exchange.target] = whole = replace(kind, shape=exchange.shape)
            size = max(whole.bytes, kind.bytes)
            key = exchange.kind, first, size, exchange.among, exchange.axis == 0
            if key not in self.made:
                self.made[key] = self._exchanger(exchange, topology(fabric), size, first)
            run = prod(kind.shape[exchange.axis :]) if exchange.kind != "sum" else 0
            if exchange.kind == "join":
                run //= exchange.among
            parts.append(
                _Part(*self.made[key], exchange.source, exchange.target, run, exchange.addend)
            )
        self._lower(parts, range(first, first + self.held))

    def _exchanger(
        self, exchange: Exchange, fabric: Topology, size: int, first: int
    ) -> tuple[Exchanger, int]:
        """Return what writes a group's exchange by its quickest schedule, and how long that takes."""
        clock, kind = FabricClock(fabric), exchange.kind
        if exchange.among:
            found = [in_turns(fabric, exchange.among)]
        elif kind == "scatter" or (kind == "gather" and exchange.axis == 0):
            found = [pair[kind == "gather"] for pair in sliced(fabric)]
        else:
            found = schedules(KINDS[kind], fabric)
        found = [s for s in found if exchange.among or not self.is_folded or is_alike(s)]
        priced = [(clock.price(s, size, 1).ps, s) for s in found]
        ps, schedule = min(priced, key=lambda each: each[0])
        if self.is_folded and not fabric.system.is_whole and not goes_round(schedule):
            raise DoesNotFit(
                "span.folded", f"no chip stands for all in schedule '{schedule.name}'",
                Diagnosis(
                    needs="a ring, where links are dead: what goes around them makes others wait unevenly",
                    has=f"'{schedule.name}', which is quicker", short="",
                    ways_out=("the commands of all chips", "a group without dead links"),
                ),
            )  # fmt: skip
        if not self.is_folded:
            index = {i: first + i for i in range(self.tensor)}
            return Exchanger(kind, schedule, index, self.area, self.flags), ps
        _, members = self.groups
        others = len(members)
        index = {i: first if i == 0 else others + i for i in range(self.tensor)}
        assert self.ways is not None
        flow = Flow(fabric, schedule, 0, self.ways, first, others)
        return (
            FoldedExchanger(kind, schedule, index, self.area, self.flags, 0, flow.way_of),
            ps,
        )

    def _hand_over(self, level: int, stage: int) -> None:
        """Let each chip of a stage give the one of its place in the next what is needed there."""
        _, members = self.groups
        pairs = zip(members[stage], members[stage + 1], strict=True)
        first = stage * self.held
        both = [first, first + self.held]
        wanted = dict.fromkeys(
            value
            for later in self.cut.stages[level:]
            for value in (*later.graphs[0].inputs, *(v for e in later.exchanges for v in e.reads))
        )
        given = [v for v in wanted if v in self.chains[first].places and v not in self.graph.inputs]
        for i, (source, target) in enumerate(list(pairs)[: self.held]):
            hop = Hop(
                -1,
                1,
                np.array([source]),
                np.array([target]),
                1,
                lambda _: np.array([0]),
                adds=False,
            )
            schedule = Schedule("broadcast", "hand", (Chain(1, (hop,)),))
            index = {source: both[0] + i, target: both[1] + i}
            made = Exchanger("hand", schedule, index, self.area, self.flags)
            for value in given:
                self._lower([_Part(made, 0, value, value)], [both[0] + i, both[1] + i])

    def _lower(self, parts: Sequence[_Part], chips: Sequence[int]) -> None:
        """Write exchanges, beside each other on tiles by their bytes."""
        sizes = [self.types[part.source].bytes for part in parts]
        n = self.chip.n_tiles
        edges = [round(n * sum(sizes[:i]) / sum(sizes)) for i in range(len(parts) + 1)]
        for i in range(1, len(parts)):
            edges[i] = min(max(edges[i], edges[i - 1] + 1), n - len(parts) + i)
        for chip in chips:
            chain = self.chains[chip]
            lowered = [
                each
                for part, (low, high) in zip(parts, pairwise(edges), strict=True)
                for each in part.exchanger.lowered(
                    chip, self._buffers(chain, part), high - low,
                    chain.origin(f"{part.exchanger.kind}.{part.source}", part.source), low,
                )
            ]  # fmt: skip
            chain.exchange(lowered, max(part.ps for part in parts))

    def _buffers(self, chain: ChipChain, part: _Part) -> Buffers:
        kind, result = self.types[part.source], self.types[part.target]
        own = result if part.exchanger.kind == "scatter" else kind
        assert FORMAT_BYTES[kind.dtype.value] == kind.dtype.bytes
        addend = chain.place(part.addend, own.bytes) if part.addend else -1
        return Buffers(
            chain.place(part.source, kind.bytes), chain.place(part.target, result.bytes),
            kind.dtype.value, own.size, part.run, addend,
        )  # fmt: skip

    def folded(self) -> Folded:
        """Return the programs that stand for their groups."""
        assert self.ways is not None
        programs = tuple(self._program(index, chain) for index, chain in enumerate(self.chains))
        return Folded(self.graph.name, programs, self.ways)

    def span(self) -> Span:
        """Return the programs of all chips."""
        _, members = self.groups
        cuts = {
            value: (lie.axis, lie.ways, lie.rows)
            for value, lie in self.cut.lies.items()
            if lie.kind == "part"
        }
        programs = tuple(self._program(index, chain) for index, chain in enumerate(self.chains))
        notes = {"precision": self.options.precision, "tensor": str(self.tensor)}
        places = tuple(chip for group in members for chip in group)
        return Span(self.graph.name, self.system, places, programs, cuts, notes)

    def _program(self, index: int, chain: ChipChain) -> Program:
        streams = chain.finish()
        if chain.end > self.chip.dram.bytes:
            fault = Fault(
                f"chip {index}", f"{chain.end:,} bytes", f"at most {self.chip.dram.bytes:,}"
            )
            raise InputError("span.memory", "a chip's part does not fit its DRAM", [fault])
        self._outputs(chain)
        return Program(
            f"{self.graph.name}.{index}", self.chip.name, self.chip.blocking,
            self.chip.scratchpad.bytes, chain.end, tuple(chain.regions.values()), tuple(chain.data),
            streams, tuple(chain.origins), {"precision": self.options.precision},
        )  # fmt: skip

    def _outputs(self, chain: ChipChain) -> None:
        """Make outputs that an exchange gives regions."""
        for value in self.graph.outputs:
            if value not in chain.regions and value in chain.places and value in self.types:
                kind = self.types[value]
                chain.regions[value] = Region(
                    value, "output", chain.places[value], kind.bytes, kind.dtype.value, kind.shape
                )
