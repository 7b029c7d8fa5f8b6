"""The links between the chips of a machine: of a system file, or as its datasheet has them.

A datasheet says in words how chips are joined; where a system file comes with drawloom for the chip,
a block of it is taken. What a datasheet leaves open is assumed, and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from drawloom.chip.datasheet import Datasheet, datasheet_names, load_datasheet
from drawloom.chip.system import Level, System
from drawloom.chip.system_files import load_system
from drawloom.chip.topology import topology
from drawloom.compare.ends import Ends, at_end
from drawloom.compare.passes import Lacking
from drawloom.plans.places import blocks, groups, inner
from drawloom.timing.fabric import FabricClock
from drawloom.units import PS_PER_S, Picoseconds

FILES = {
    "tpu_v4": "tpu_v4_pod",
    "tpu_v5e": "tpu_v5e_pod",
    "trainium2": "trn2_16",
    "mi300x": "mi300x_8",
}
HOP_PS = 1_000_000  # of a hop where a datasheet has none: assumed 1 us
ASSUMED = "a hop of 1 us between chips, assumed"


@dataclass(frozen=True, slots=True)
class Links:
    """A fabric of so many chips, and what was assumed of it."""

    clock: FabricClock
    assumed: tuple[str, ...]

    @property
    def rate(self) -> int:
        """Bytes a second of a link."""
        return self.clock.topology.system.levels[0].rate

    def sum_seconds(self, size: float) -> float:
        """Return the seconds of an all-reduce of buffers of so many bytes."""
        return self.clock.best("all_reduce", max(1, int(size))).ps / PS_PER_S


def link_ends(sheet: Datasheet, chips: int) -> Ends[Links]:
    """Return the fabric that so many neighbours form, with the ends of its rates.

    Raises:
        Lacking: as of ``links_of``.
    """
    likely, quick, slow = (links_of(sheet, chips, end) for end in (None, 1, 0))
    return Ends(likely, quick, slow, likely.assumed)


@cache
def links_of(sheet: Datasheet, chips: int, end: int | None = None) -> Links:
    """Return the fabric that so many neighbours form.

    Args:
        sheet: the chip.
        chips: how many.
        end: of what its sources leave open: 1 quick, 0 slow, None as they have it.

    Raises:
        Lacking: the system file has no block of so many chips.
    """
    if sheet.name in FILES:
        system = load_system(FILES[sheet.name])
        fitting = [
            (max(block.sides), block.sides, members)
            for block in blocks(system, chips)
            if (members := groups(system, block))
        ]
        if not fitting:
            raise Lacking(f"'{system.name}' has no block of {chips} chips")
        _, sides, members = min(fitting, key=lambda each: each[:2])
        block = next(each for each in blocks(system, chips) if each.sides == sides)
        return Links(FabricClock(topology(inner(system, block, members[0]))), ())
    level, assumed = _level(sheet, chips, end)
    system = System("made", "made", sheet.name, (level,), Picoseconds(0))
    return Links(FabricClock(topology(system)), assumed)


def _level(sheet: Datasheet, chips: int, end: int | None) -> tuple[Level, tuple[str, ...]]:
    """Return how a datasheet joins so many chips."""
    words = sheet.figures.get("link_topology")
    said = str(words.value).lower() if words else ""
    rate, each = _rate(sheet, "link_rate", end), _rate(sheet, "each_link_rate", end)
    latency = sheet.number("link_latency")
    hop = Picoseconds(int(latency or HOP_PS))
    assumed = () if latency else (ASSUMED,)
    if rate is None and each is None:
        return _over_host(sheet, chips, hop, assumed, end)
    if "torus" in said or "ring" in said or ("mesh" in said and "full" not in said):
        sides = _sides(chips, 3 if "3d" in said else 1 if "ring" in said else 2)
        ports = 2 * (3 if "3d" in said else 1 if "ring" in said else 2)
        one = each or (rate or 0.0) / ports
        return Level("torus", sides, int(one), hop), assumed
    if "full" in said or "all-to-all" in said:
        one = each or (rate or 0.0) / max(1, chips - 1)
        return Level("full", (chips,), int(one), hop), assumed
    more = () if "switch" in said else ("chips behind one switch, assumed",)
    return Level("switch", (chips,), int(rate or each or 0.0), hop), (*assumed, *more)


def _rate(sheet: Datasheet, name: str, end: int | None) -> float | None:
    """Return a rate at an end of what its sources leave open; None where it is unknown."""
    ends = sheet.ends(name)
    return ends and at_end(ends, end, sheet.number(name))


def _over_host(
    sheet: Datasheet, chips: int, hop: Picoseconds, assumed: tuple[str, ...], end: int | None
) -> tuple[Level, tuple[str, ...]]:
    """Return how chips without links are joined: by the host's switch, as quick as others' where unknown."""
    host = _rate(sheet, "host_rate", end)
    said = ["chips talk through the host's switch at host_rate, assumed"]
    if host is None:
        low, high = host_ends()
        host = at_end((low, high), end)
        said.append(
            f"host_rate is unknown: {low / 1e9:.3g} to {high / 1e9:.3g} GB/s as on others of the catalog, assumed"
        )
    return Level("switch", (chips,), int(host), hop), (*assumed, *said)


@cache
def host_ends() -> tuple[float, float]:
    """Return the least and the most rate to the host of which the catalog is sure."""
    found = [
        ends[at]
        for sheet in map(load_datasheet, datasheet_names())
        if (ends := sheet.ends("host_rate")) and sheet.figures["host_rate"].is_sure
        for at in (0, 1)
    ]
    return min(found), max(found)


def _sides(chips: int, dimensions: int) -> tuple[int, ...]:
    """Return the sides of the block that is nearest to a square or cube; 1 is left out."""
    sides: list[int] = []
    left = chips
    for dimension in range(dimensions, 0, -1):
        side = round(left ** (1 / dimension))
        while left % side:
            side -= 1
        sides.append(side)
        left //= side
    return tuple(side for side in sorted(sides) if side > 1) or (1,)
