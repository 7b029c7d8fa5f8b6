"""What the fabric of a plan costs and burns: links, their price, the energy of what passes over them.

Prices and energies are those of the system file. What it does not say is not known, and stays so.
"""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.chip.system import System
from drawloom.chip.topology import topology


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with the ends of its range, and the grade of its source; the ends may be the number."""

    value: float
    low: float
    high: float
    grade: str

    def times(self, factor: float) -> Amount:
        """Return so many times as much."""
        return Amount(self.value * factor, self.low * factor, self.high * factor, self.grade)


@dataclass(frozen=True, slots=True)
class FabricCost:
    """What a fabric costs, and what it burns in a step.

    Attributes:
        links: links that live, both ways counted as one; a switch has one to each chip.
        hop_bytes: bytes of a step times the links that they pass, all groups together.
        usd: price of the links; None: not known. Switches are never in it.
        pj: energy of a step over the links, in picojoules; None: not known. What links burn when
            they carry nothing is not in it: no public figure says it.
    """

    links: int
    hop_bytes: int
    usd: Amount | None
    pj: Amount | None

    def watts(self, round_ps: int) -> Amount | None:
        """Return the power of what passes, when a step takes so many picoseconds."""
        return self.pj and self.pj.times(1 / round_ps)


NO_FABRIC = FabricCost(0, 0, None, None)


def fabric_cost(system: System, hop_bytes: int) -> FabricCost:
    """Return what a system's fabric costs, and what it burns when so many bytes times links pass."""
    alive = int(topology(system).links.alive.sum())
    price = _amount(system, "link_usd", float(system.link_usd))
    each = _amount(system, "link_energy", system.link_pj_per_byte)
    links = alive // 2
    return FabricCost(
        links, hop_bytes, price and price.times(links), each and each.times(hop_bytes)
    )


def _amount(system: System, field: str, value: float) -> Amount | None:
    if not value:
        return None
    source = system.sources.get(field)
    if source is None:
        return Amount(value, value, value, "")
    low = value if source.low is None else source.low
    high = value if source.high is None else source.high
    return Amount(value, low, high, source.grade)
