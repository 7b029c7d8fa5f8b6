"""Chips that are joined: how many, in which shape, by links of what rate and delay.

    system = chip x levels        the first level is the innermost: chips in a server, then servers
    level  = mesh | torus | full | switch

A chip of a system is a number; its coordinates are the digits of that number, one a dimension,
the last dimension of the first level counting fastest. A level joins chips that differ in its
own dimensions alone, so levels side by side are products: a switch over servers joins the first
chips of all servers, the second ones, and so on, as rails do. A larger machine of one mesh that is
built of servers is one mesh with seams: a link between servers has a delay of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from drawloom.units import Picoseconds

if TYPE_CHECKING:
    from drawloom.chip.model import Source

_NONE = Picoseconds(0)
MOST_REACH_MM = 50
MOST_LAYERS = 3
"""What wiring on a wafer allows: links of 50 mm and three layers of metal.

Source: a study of networks on wafers under the limits of physical design, ISCA 2025, doi
10.1145/3695053.3731045.
"""
SHAPES = ("mesh", "torus", "full", "switch")


@dataclass(frozen=True, slots=True)
class Level:
    """One way of joining chips.

    ``mesh`` and ``torus`` have one to three dimensions of ``sizes`` chips with a link each way to
    each neighbour; a ring is a torus of one dimension. ``full`` has a link from each chip to each
    other one. ``switch`` gives each chip a port of a switch; with ``leaf`` chips under each of
    several switches it is a fat tree whose switches have ``trunk`` bytes a second to the top.
    """

    shape: str
    sizes: tuple[int, ...]
    rate: int  # bytes a second one way: of a link, or of a chip's port
    latency: Picoseconds  # of a hop; a way through a switch has two
    blocks: tuple[int, ...] = ()  # chips between two seams in each dimension; none: no seams
    seam: Picoseconds = _NONE  # delay of a hop over a seam
    leaf: int = 0
    trunk: int = 0
    pitch_mm: int = 0  # between neighbours on a wafer; 0: not on one
    layers: int = 0  # of wiring that the level takes there

    @property
    def reach_mm(self) -> int:
        """Length of the longest link on a wafer: to the next chip, over one in a folded ring, or to all."""
        if self.shape == "mesh":
            return self.pitch_mm
        far = 2 if self.shape == "torus" else max(self.sizes) - 1
        return self.pitch_mm * (min(far, max(self.sizes) - 1) or 1)

    def __post_init__(self) -> None:
        """Check what no chip file could mean."""
        assert self.shape in SHAPES, self.shape
        assert self.sizes and all(size >= 1 for size in self.sizes), self.sizes
        assert self.rate > 0 and self.latency >= 0
        assert not self.blocks or len(self.blocks) == len(self.sizes)
        assert not self.leaf or (self.shape == "switch" and self.trunk > 0)

    @property
    def chips(self) -> int:
        """How many chips one copy of the level joins."""
        return prod(self.sizes)


@dataclass(frozen=True, slots=True)
class System:
    """A number of like chips and the fabric between them."""

    name: str
    title: str
    chip: str  # name of the chip's file
    levels: tuple[Level, ...]
    overhead: Picoseconds  # of a message, at the chip that sends it
    cut_through: bool = True  # a hop passes bytes on as they come, or once it has all of them
    dead_chips: frozenset[int] = frozenset()
    dead_links: frozenset[tuple[int, int]] = frozenset()  # both ways are dead
    sources: Mapping[str, Source] = field(default_factory=dict[str, "Source"])
    link_pj_per_byte: float = 0.0  # of a hop; 0: not known
    link_usd: int = 0  # price of a link, both ways; 0: not known

    def __post_init__(self) -> None:
        """Check that the dead ones exist."""
        assert all(0 <= chip < self.n_places for chip in self.dead_chips)
        ends = {chip for link in self.dead_links for chip in link}
        assert all(0 <= chip < self.n_places for chip in ends)

    @property
    def n_places(self) -> int:
        """How many chips there are, dead ones included."""
        return prod(level.chips for level in self.levels)

    @property
    def chips(self) -> tuple[int, ...]:
        """The chips that live."""
        return tuple(c for c in range(self.n_places) if c not in self.dead_chips)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is dead."""
        return not self.dead_chips and not self.dead_links
