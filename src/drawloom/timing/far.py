"""What a send from chip to chip holds, and how long it takes.

    overhead   of a message at its sender, before it asks for its way
    hold       its bytes at the rate of the slowest link; all links of the way are held for that long
    late       the delays of the hops; with store-and-forward the bytes once more for each but the last

Links are held as wholes, so they carry one message at a time: where the flow model of ``fabric.py``
shares a link out, messages here go one after the other, to the same end. The way between a tile and
its chip's port is taken to be no bound: it carries several times what a link does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from drawloom.chip.system import System
from drawloom.chip.topology import Topology, topology
from drawloom.timing.routes import Route
from drawloom.units import PS_PER_S, ceil_div


@dataclass(frozen=True, slots=True)
class Way:
    """The links from a chip to another, the delay of the hops, and bytes a second.

    ``home`` is the program that stands for the chip at its end.
    """

    links: tuple[int, ...]
    latency_ps: int
    rate: int
    home: int


@dataclass(slots=True, eq=False)
class Ways:
    """The ways between the chips of a span, by their indices.

    Attributes:
        system: the chips and the fabric.
        places: the chip of the system that each program runs on.
        first: the resource that link 0 is.
        fabric: the system's links.
        given: ways that are known.
    """

    system: System
    places: tuple[int, ...]
    first: int = 0
    fabric: Topology = field(init=False)
    given: dict[tuple[int, int], Way] = field(default_factory=dict[tuple[int, int], Way])

    def __post_init__(self) -> None:
        """Lay the links."""
        self.fabric = topology(self.system)

    @property
    def overhead(self) -> int:
        """Picoseconds of a message at its sender."""
        return self.system.overhead

    def way(self, source: int, target: int) -> Way:
        """Return the way between two chips of the span."""
        key = source, target
        if key not in self.given:
            ends = (np.array([self.places[end]], np.int64) for end in key)
            routes = self.fabric.routes(*ends)
            rates = self.fabric.links.rate[routes.link]
            rate = int(rates.min()) if rates.size else 0
            self.given[key] = Way(
                tuple(int(link) for link in routes.link), int(routes.latency.sum()), rate, target
            )
        return self.given[key]

    def home(self, source: int, target: int) -> int:
        """Return the program to whose tiles a send goes."""
        return self.way(source, target).home

    def route(self, source: int, target: int) -> Route:
        """Return what a message holds."""
        links = tuple(self.first + link for link in self.way(source, target).links)
        return Route(links, (), len(links))

    def hold_ps(self, source: int, target: int, size: int) -> int:
        """Return how long a message of ``size`` bytes holds its links."""
        rate = self.way(source, target).rate
        return ceil_div(size * PS_PER_S, rate) if rate else 0

    def late_ps(self, source: int, target: int, size: int) -> int:
        """Return how long after that its last byte arrives."""
        way = self.way(source, target)
        again = 0 if self.system.cut_through else len(way.links) - 1
        return way.latency_ps + again * self.hold_ps(source, target, size)
