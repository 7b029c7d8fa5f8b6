"""Programs of one chip put behind each other into one, with exchanges between them.

Each keeps its commands; its DRAM is moved behind that of the one before, except for what they hand
on, which lies where it was made. Between two all tiles meet. The first reads of constants of the
one behind an exchange are given to the engine before the exchange waits for the links.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from drawloom.graph.lazy import Held
from drawloom.program.addresses import addresses, dram_fields, with_addresses
from drawloom.program.commands import (
    Address,
    Affine,
    Barrier,
    Command,
    Engine,
    Join,
    Loop,
    Read,
    Stream,
)
from drawloom.program.early import Splitter
from drawloom.program.extents import moved_bytes
from drawloom.program.lowered import Area, Lowered
from drawloom.program.parked import Pace, Parker, Stretch
from drawloom.program.program import Origin, Program, Region
from drawloom.program.streams import ALL_ENGINES
from drawloom.units import PS_PER_S, align_up

_ALIGN = 4096
_USED = 0.8  # of the time that an exchange is thought to take, for reads
_QUIET = (Engine.VECTOR, Engine.WRITE, Engine.SEND)
Item = Command | Loop


@dataclass(slots=True)
class ChipChain:
    """One chip's program in the making.

    Attributes:
        tiles: tiles of the chip.
        ahead: most reads of a tile that are given to the engine before an exchange waits.
        rate: bytes a second that a tile reads when all do.
        room: of each scratchpad, for what is read before its place is free.
        pace: how quick a tile computes; None: only exchanges are pauses in which this is read.
        places: where in DRAM values that are handed on lie.
        regions: inputs and outputs so far, by name.
        end: of the DRAM in use.
    """

    tiles: int
    ahead: int
    rate: int
    room: Area
    pace: Pace | None = None
    places: dict[str, int] = field(default_factory=dict[str, int])
    regions: dict[str, Region] = field(default_factory=dict[str, Region])
    data: list[tuple[int, Held]] = field(default_factory=list[tuple[int, Held]])
    origins: list[Origin] = field(default_factory=list[Origin])
    stretches: list[list[Stretch]] = field(default_factory=list[list[Stretch]])  # by tile
    end: int = 0
    _waiting: list[list[Command]] = field(default_factory=list[list[Command]])  # exchanges
    _constants: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    _ps: int = 0  # of the exchanges that wait

    def __post_init__(self) -> None:
        """Begin with empty stretches."""
        self.stretches = [[Stretch([])] for _ in range(self.tiles)]

    def place(self, value: str, size: int) -> int:
        """Give a value room in DRAM, or return the room that it has."""
        if value not in self.places:
            self.places[value] = self.end
            self.end = align_up(self.end + size, _ALIGN)
        return self.places[value]

    def origin(self, piece: str, node: str) -> int:
        """Add an origin; return its number."""
        self.origins.append(Origin(piece, node, node))
        return len(self.origins) - 1

    def program(self, program: Program, size: int, ends: Container[str]) -> None:
        """Put a program behind what there is.

        Args:
            program: what comes next; it finds the values that are handed on where they lie.
            size: bytes of DRAM that it uses.
            ends: names of regions that stay inputs and outputs of the whole.
        """
        base, self.end = self.end, align_up(self.end + size, _ALIGN)
        moved: list[tuple[int, int, int]] = []  # first byte, behind the last, by how much it moves
        # What is written over its input, as a cache is, lies where that does.
        held = {r.address: self.places[r.name] for r in program.regions if r.name in self.places}
        for region in program.regions:
            home = held.get(region.address, region.address + base)
            at = self.places.setdefault(region.name, home)
            moved.append((region.address, region.address + region.bytes, at - region.address))
            if region.name in ends:
                self.regions.setdefault(region.name, replace(region, address=at))
        shift = _Shift(sorted(moved), base, len(self.origins))
        self.origins += program.origins
        self.data += [(address + base, raw) for address, raw in program.data]
        constants = [(a + base, a + base + raw.size) for a, raw in program.data]
        streams = [shift.stream(stream) for stream in program.streams]
        budget = self.rate * self._ps // PS_PER_S if self._waiting else 0
        splitter = Splitter(constants, program.blocking, self.ahead, budget)
        early = [splitter.split(stream) for stream in streams]
        self._constants += constants
        self._end_exchange([one.reads for one in early])
        for tile, one in enumerate(early):
            self.stretches[tile].append(Stretch(one.rest))

    def exchange(self, lowered: Sequence[Lowered], ps: int = 0) -> None:
        """Put an exchange behind what there is; its arming goes before the last program.

        Where another one stands behind that program already, the arming goes behind that: both
        use the same scratchpad. ``ps`` is about how long it takes.
        """
        self._ps += ps
        is_first = not self._waiting
        if is_first:
            for stretches in self.stretches:
                stretches[-1].items += [Join(ALL_ENGINES, 0), Barrier(tuple(range(self.tiles)))]
            self._waiting = [[] for _ in range(self.tiles)]
        for tile, one in enumerate(lowered):
            if is_first:
                self.stretches[tile][-1].items[:0] = one.ahead
                self._waiting[tile] += one.body
            elif one.ahead or one.body:
                self._waiting[tile] += [Join(_QUIET, 0), *one.ahead, *one.body]

    def settle(self) -> None:
        """Let what waits to be exchanged be exchanged now."""
        self._end_exchange([[] for _ in range(self.tiles)])
        for stretches in self.stretches:
            stretches.append(Stretch([]))

    def finish(self) -> tuple[Stream, ...]:
        """Return the streams, what is still to be exchanged at their ends."""
        self.settle()
        constants = sorted(self._constants)
        return tuple(
            tuple(Parker(constants, self.room, self.ahead + 1, self.pace).park(each))
            for each in self.stretches
        )

    def _end_exchange(self, reads: Sequence[Sequence[Command]]) -> None:
        """Write the exchanges that wait, each tile's with reads of what comes next among them."""
        budget = int(self.rate * self._ps // PS_PER_S * _USED)
        for tile, body in enumerate(self._waiting):
            items = _among(body, reads[tile])
            given = sum(_bytes(item) for item in items if isinstance(item, Read))
            items += [Join(_QUIET, 0), Barrier(tuple(range(self.tiles)))]
            self.stretches[tile].append(
                Stretch(items, is_exchange=True, budget=budget, given=given)
            )
        self._waiting, self._ps = [], 0


def _bytes(read: Read) -> int:
    return moved_bytes(read.inner, read.dims)


def _among(body: Sequence[Command], reads: Sequence[Command]) -> list[Item]:
    """Return an exchange with other reads behind its own first ones, for which alone its first join waits."""
    if not reads:
        return list(body)
    joins = (i for i, command in enumerate(body) if _waits_for_reads(command))
    own = body[: next(joins, len(body))]
    first = max((i for i, command in enumerate(own) if isinstance(command, Read)), default=-1)
    if first < 0:
        return [*reads, *body]
    made: list[Item] = [*body[: first + 1], *reads]
    rest = list(body[first + 1 :])
    for at, command in enumerate(rest):
        if _waits_for_reads(command):
            assert isinstance(command, Join)
            others = tuple(engine for engine in command.engines if engine is not Engine.READ)
            rest[at : at + 1] = [
                Join((Engine.READ,), len(reads), command.origin), Join(others, 0, command.origin),
            ]  # fmt: skip
            break
    return [*made, *rest]


def _waits_for_reads(command: Command) -> bool:
    return isinstance(command, Join) and Engine.READ in command.engines


@dataclass(slots=True)
class _Shift:
    """Moves a program's commands: DRAM by region or else by ``base``, origins by ``origins``."""

    moved: list[tuple[int, int, int]]
    base: int
    origins: int
    _firsts: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self._firsts = [first for first, _, _ in self.moved]

    def stream(self, stream: Stream) -> list[Item]:
        return [
            Loop(item.count, tuple(self.stream(item.body)))
            if isinstance(item, Loop)
            else self.command(item)
            for item in stream
        ]

    def command(self, command: Command) -> Command:
        kinds = dram_fields(command)
        if True in kinds:
            old = addresses(command)
            new = [self.address(a) if is_dram else a for a, is_dram in zip(old, kinds, strict=True)]
            command = with_addresses(command, new)
        if command.origin >= 0 and self.origins:
            command = replace(command, origin=command.origin + self.origins)
        return command

    def address(self, address: Address) -> Address:
        if isinstance(address, Affine):
            return Affine(address.base + self._by(address.base), address.strides)
        return address + self._by(address)

    def _by(self, at: int) -> int:
        place = bisect_right(self._firsts, at) - 1
        if place >= 0 and at < self.moved[place][1]:
            return self.moved[place][2]
        return self.base
