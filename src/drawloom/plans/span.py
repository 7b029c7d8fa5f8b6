"""A model compiled into programs that span chips: cut, each part compiled, exchanges between.

    chip      = stage x tensor: groups of ``tensor`` chips share each layer, stage follows stage
    program   = what the chip has of each stretch between two exchanges, one after the other
    exchange  = the quickest schedule on the group's fabric, as commands of the tiles

Without values, the chips of a group do the same on other parts, and a stretch is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from drawloom.chip.files import load_chip
from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Chip
from drawloom.chip.system import System
from drawloom.chip.system_files import load_system
from drawloom.chip.topology import topology
from drawloom.errors import Diagnosis, DoesNotFit, Fault, InputError
from drawloom.flow import (
    Build,
    Options,
    compile,
    own_precision,
    read,
    simplify,
    to_precision,
)
from drawloom.frontends.hf.request import Request
from drawloom.graph.ir import Graph
from drawloom.graph.tensor import TensorType
from drawloom.mapping.collectives import ALGORITHMS
from drawloom.mapping.collectives.schedule import Chain, Schedule
from drawloom.mapping.collectives.schedule import Stage as Hop
from drawloom.mapping.options import MapOptions
from drawloom.plans.cut import Cut, Exchange, cut
from drawloom.plans.places import blocks, groups, inner
from drawloom.plans.stages import staged
from drawloom.program.chain import ChipChain
from drawloom.program.commands import Arm, Send, Signal, Wait
from drawloom.program.exchange import Area, Buffers, Exchanger, Flags
from drawloom.program.program import Program
from drawloom.program.span import Span
from drawloom.timing.fabric import FabricClock
from drawloom.units import Bytes

if TYPE_CHECKING:
    from drawloom.flow import Model

AREA_BYTES = 256 << 10  # of each tile's scratchpad, for what is exchanged
N_FLAGS = 64
KINDS = {"sum": "all_reduce", "gather": "all_gather"}
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a model is spread: ``tensor`` chips share each layer, ``stages`` such groups follow each other."""

    tensor: int
    stages: int = 1

    @property
    def chips(self) -> int:
        """All chips."""
        return self.tensor * self.stages


def compile_span(
    model: Model,
    system: str | System = "rex1032",
    spread: Spread = Spread(2),
    *,
    request: Request | None = None,
    precision: str = "",
    mapping: MapOptions | None = None,
    tell: Tell | None = None,
) -> Span:
    """Compile a model for several chips of a system.

    Args:
        model: as ``flow.compile`` takes it.
        system: a name of the catalog, a system file, or a system.
        spread: over how many chips, and how.
        request: which phase of a model that is given by its configuration, for how much.
        precision: format of floats; empty for the model's own.
        mapping: options of the mapper.
        tell: called with what is being worked on.

    Raises:
        InputError: the model, the system or an option is not what it should be.
        DoesNotFit: the system has no room for such groups, or a chip for its part.
    """
    made = system if isinstance(system, System) else load_system(system)
    chip = load_chip(made.chip)
    options = Options(precision=precision, request=request, mapping=mapping or MapOptions())
    source = read(model, options)
    options = replace(options, precision=precision or own_precision(source))
    graph = to_precision(simplify(source), options)
    parts, stage_of = staged(cut(graph, spread.tensor), spread.stages)
    found = _groups(made, spread)
    return _Builder(parts, stage_of, graph, made, chip, options, found, tell).span()


def _groups(system: System, spread: Spread) -> tuple[System, list[tuple[int, ...]]]:
    """Return the fabric inside a group, and the chips of each: of all shapes the quickest to sum on.

    Raises:
        DoesNotFit: there are too few whole groups (``span.system``).
    """
    found: list[tuple[int, System, list[tuple[int, ...]]]] = []
    for block in blocks(system, spread.tensor):
        members = groups(system, block)[: spread.stages]
        fabrics = [inner(system, block, each) for each in members]
        if len(members) == spread.stages and all(f.is_whole for f in fabrics):
            clock = FabricClock(topology(fabrics[0]))
            ps = clock.best("all_reduce", 1 << 16).ps if spread.tensor > 1 else 0
            found.append((ps, fabrics[0], members))
    if not found:
        raise DoesNotFit(
            "span.system", f"system '{system.name}' has no room",
            Diagnosis(
                needs=f"{spread.stages} whole blocks of {spread.tensor} chips",
                has=f"{len(system.chips)} living chips", short="such blocks",
                ways_out=("fewer chips", "another number of stages"),
            ),
        )  # fmt: skip
    _, fabric, members = min(found, key=lambda each: each[0])
    return fabric, members


@dataclass(slots=True)
class _Builder:
    cut: Cut
    stage_of: list[int]
    graph: Graph
    system: System
    chip: Chip
    options: Options
    groups: tuple[System, list[tuple[int, ...]]]
    tell: Tell | None
    flags: Flags = field(default_factory=lambda: Flags(()))
    chains: list[ChipChain] = field(default_factory=list[ChipChain])
    types: dict[str, TensorType] = field(default_factory=dict[str, TensorType])
    built: dict[tuple[object, ...], tuple[Build, tuple[str, ...]]] = field(
        default_factory=dict[tuple[object, ...], tuple[Build, tuple[str, ...]]]
    )
    made: dict[tuple[object, ...], tuple[Exchanger, int]] = field(
        default_factory=dict[tuple[object, ...], tuple[Exchanger, int]]
    )

    @property
    def tensor(self) -> int:
        return self.cut.chips

    @property
    def area(self) -> Area:
        pad = self.chip.scratchpad
        return Area(pad.bytes - pad.reserve_high - AREA_BYTES, AREA_BYTES)

    def span(self) -> Span:
        """Compile all stretches, and put them together."""
        _, members = self.groups
        stretches = [
            [self._compiled(graph) for graph in stage.graphs] if stage.graphs[0].nodes else []
            for stage in self.cut.stages
        ]
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
        self.chains = [ChipChain(n, depth, rate) for group in members for _ in group]
        at = 0
        for level, stage in enumerate(self.cut.stages):
            if self.stage_of[level] != at:
                self._hand_over(level, at)
                at = self.stage_of[level]
            first = at * self.tensor
            for i in range(self.tensor):
                self._stretch(self.chains[first + i], stage.graphs[i], stretches[level], i)
            for exchange in stage.exchanges:
                self._exchange(exchange, first)
        return self._finished()

    def _compiled(self, graph: Graph) -> tuple[Program, int]:
        """Return a stretch's program, and the bytes of DRAM that it uses."""
        has_values = any(not graph.constants.is_meta(name) for name in graph.constants)
        key, names = _likeness(graph)
        if self.tell:
            self.tell(graph.name)
        known = None if has_values else self.built.get(key)
        if known is None:
            pad = self.chip.scratchpad
            room = replace(pad, reserve_high=Bytes(pad.reserve_high + AREA_BYTES))
            build = compile(
                graph, replace(self.chip, scratchpad=room), precision=self.options.precision,
                mapping=replace(self.options.mapping, fold=False),
            )  # fmt: skip
            known = self.built[key] = build, names
        build, its_names = known
        called = dict(zip(its_names, names, strict=True))
        regions = tuple(
            replace(region, name=called[region.name]) for region in build.program.regions
        )
        return replace(build.program, regions=regions), build.mapping.dram_bytes

    def _stretch(
        self, chain: ChipChain, graph: Graph, compiled: list[tuple[Program, int]], i: int
    ) -> None:
        self.types |= graph.types
        if not compiled:
            chain.settle()
            return
        program, size = compiled[i]
        chain.program(program, size, (*self.graph.inputs, *self.graph.outputs))

    def _exchange(self, exchange: Exchange, first: int) -> None:
        """Add a sum or a gather over a group."""
        fabric, _ = self.groups
        kind = self.types[exchange.source]
        self.types[exchange.target] = whole = self._whole(kind, exchange)
        key = exchange.kind, first, whole.bytes
        if key not in self.made:
            made = topology(fabric)
            cost = FabricClock(made).best(KINDS[exchange.kind], whole.bytes)
            schedule = ALGORITHMS[KINDS[exchange.kind]][cost.name](made)
            assert schedule
            index = {i: first + i for i in range(self.tensor)}
            exchanger = Exchanger(exchange.kind, schedule, index, self.area, self.flags)
            self.made[key] = exchanger, cost.ps
        run = prod(kind.shape[exchange.axis :]) if exchange.kind == "gather" else 0
        members = range(first, first + self.tensor)
        exchanger, ps = self.made[key]
        self._lower(exchanger, members, exchange.source, exchange.target, run, ps)

    def _whole(self, kind: TensorType, exchange: Exchange) -> TensorType:
        if exchange.kind == "sum":
            return kind
        axis, shape = exchange.axis, kind.shape
        return replace(kind, shape=(*shape[:axis], shape[axis] * self.tensor, *shape[axis + 1 :]))

    def _hand_over(self, level: int, stage: int) -> None:
        """Let each chip of a stage give the one of its place in the next what is needed there."""
        _, members = self.groups
        pairs = zip(members[stage], members[stage + 1], strict=True)
        first = stage * self.tensor
        both = [first, first + self.tensor]
        wanted = dict.fromkeys(
            value
            for later in self.cut.stages[level:]
            for value in (*later.graphs[0].inputs, *(e.source for e in later.exchanges))
        )
        given = [v for v in wanted if v in self.chains[first].places and v not in self.graph.inputs]
        for i, (source, target) in enumerate(pairs):
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
                self._lower(made, [both[0] + i, both[1] + i], value, value, 0)

    def _lower(
        self,
        exchanger: Exchanger,
        chips: Sequence[int],
        source: str,
        target: str,
        run: int,
        ps: int = 0,
    ) -> None:
        kind, result = self.types[source], self.types[target]
        for chip in chips:
            chain = self.chains[chip]
            origin = chain.origin(f"{exchanger.kind}.{source}", source)
            buffers = Buffers(
                chain.place(source, kind.bytes), chain.place(target, result.bytes),
                kind.dtype.value, kind.size, run,
            )  # fmt: skip
            assert FORMAT_BYTES[buffers.fmt] == kind.dtype.bytes
            chain.exchange(exchanger.lowered(chip, buffers, chain.tiles, origin), ps)

    def _finished(self) -> Span:
        _, members = self.groups
        cuts = {
            value: (lie.axis, lie.ways)
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
        from drawloom.program.program import Region

        for value in self.graph.outputs:
            if value not in chain.regions and value in chain.places and value in self.types:
                kind = self.types[value]
                chain.regions[value] = Region(
                    value, "output", chain.places[value], kind.bytes, kind.dtype.value, kind.shape
                )


def _likeness(graph: Graph) -> tuple[tuple[object, ...], tuple[str, ...]]:
    """Return what is the same of graphs that differ in names alone, and the names in one order."""
    names = tuple(
        dict.fromkeys(
            (*graph.inputs, *(v for n in graph.nodes for v in (*n.inputs, *n.outputs) if v))
        )
    )
    number = {name: i for i, name in enumerate(names)} | {"": -1}
    nodes = tuple(
        (n.op, tuple(sorted(n.attrs.items())), tuple(number[v] for v in n.inputs),
         tuple(number[v] for v in n.outputs))
        for n in graph.nodes
    )  # fmt: skip
    types = tuple(graph.types[name].text() for name in names)
    ends = tuple(number[v] for v in graph.inputs), tuple(number[v] for v in graph.outputs)
    return (nodes, types, ends, tuple(number[c] for c in graph.constants)), names
