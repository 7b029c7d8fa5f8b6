"""The links between the chips of a machine: of a system file, or as its datasheet has them.

A datasheet says in words how chips are joined; where a system file comes with drawloom for the chip,
a block of it is taken. What a datasheet leaves open is assumed, and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from drawloom.chip.datasheet import Datasheet
from drawloom.chip.system import Level, System
from drawloom.chip.system_files import load_system
from drawloom.chip.topology import topology
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

    def sum_seconds(self, size: float) -> float:
        """Return the seconds of an all-reduce of buffers of so many bytes."""
        return self.clock.best("all_reduce", max(1, int(size))).ps / PS_PER_S


@cache
def links_of(sheet: Datasheet, chips: int) -> Links:
    """Return the fabric that so many neighbours form.

    Raises:
        Lacking: no rate of links is known, or there are not so many chips behind one another.
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
    level, assumed = _level(sheet, chips)
    system = System("made", "made", sheet.name, (level,), Picoseconds(0))
    return Links(FabricClock(topology(system)), assumed)


def _level(sheet: Datasheet, chips: int) -> tuple[Level, tuple[str, ...]]:
    """Return how a datasheet joins so many chips."""
    words = sheet.figures.get("link_topology")
    said = str(words.value).lower() if words else ""
    rate, each = sheet.number("link_rate"), sheet.number("each_link_rate")
    latency = sheet.number("link_latency")
    hop = Picoseconds(int(latency or HOP_PS))
    assumed = () if latency else (ASSUMED,)
    if rate is None and each is None:
        return _over_host(sheet, chips, hop, assumed)
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


def _over_host(
    sheet: Datasheet, chips: int, hop: Picoseconds, assumed: tuple[str, ...]
) -> tuple[Level, tuple[str, ...]]:
    host = sheet.number("host_rate")
    if host is None:
        raise Lacking("link_rate is unknown", "host_rate is unknown")
    said = "chips talk through the host's switch at host_rate, assumed"
    return Level("switch", (chips,), int(host), hop), (*assumed, said)


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
