"""Laying the links of a system, dimension by dimension, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.sides import Dimension
from drawloom.chip.system import Level, System
from drawloom.errors import Fault, InputError
from drawloom.units import ceil_div

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """Arrays of one element a link; nodes from ``n_places`` on are switches.

    ``steps`` has a table a dimension, of link numbers by chip (-1: none). Mesh and torus: one step
    up, one down. Full: to each coordinate. Switch: to the switch, from it, from there to the top
    of a fat tree, from the top.
    """

    source: Ints
    target: Ints
    rate: Ints  # bytes a second
    latency: Ints  # picoseconds
    dimension: Ints  # which dimension a link belongs to
    alive: NDArray[np.bool_]
    steps: tuple[Ints, ...]


class _Layer:
    """Links as they are laid."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.chips = np.arange(system.n_places, dtype=np.int64)
        self.columns: list[Ints] = []
        self.n_links, self.n_nodes = 0, system.n_places

    def lay(self, source: Ints, target: Ints, rate: int, latency: Ints | int, index: int) -> Ints:
        """Add links; return their numbers."""
        n = len(source)
        column = np.empty((5, n), np.int64)
        column[0], column[1], column[2], column[3], column[4] = source, target, rate, latency, index
        self.columns.append(column)
        self.n_links += n
        return np.arange(self.n_links - n, self.n_links, dtype=np.int64)

    def direct(self, level: Level, d: Dimension, index: int) -> Ints:
        """Lay a mesh, torus or full dimension."""
        chips, digit = self.chips, d.digit(self.chips)
        steps = range(1, d.size) if d.shape == "full" else (1, -1)
        table = np.full((d.size if d.shape == "full" else 2, len(chips)), -1, np.int64)
        for row, step in enumerate(steps):
            there = digit + step
            inside = np.ones(len(chips), bool)
            if d.shape == "mesh":
                inside = (there >= 0) & (there < d.size)
            elif d.shape == "torus" and d.size == 2 and step < 0:
                table[1] = table[0]  # one link, whichever way round
                continue
            there = there % d.size
            target = chips + (there - digit) * d.stride
            latency = np.full(len(chips), level.latency, np.int64)
            if d.block:
                latency[digit // d.block != there // d.block] = level.seam
                latency[np.abs(there - digit) > 1] = level.seam
            laid = self.lay(chips[inside], target[inside], level.rate, latency[inside], index)
            table[(there[inside] if d.shape == "full" else row), chips[inside]] = laid
        return table

    def switched(self, level: Level, d: Dimension, index: int) -> Ints:
        """Lay a dimension of switches."""
        leaf = d.leaf or d.size
        leaves = ceil_div(d.size, leaf)
        group = d.group(self.chips)
        switch = self.n_nodes + group * leaves + d.digit(self.chips) // leaf
        self.n_nodes += (int(group.max()) + 1) * leaves
        table = np.full((4, len(self.chips)), -1, np.int64)
        table[0] = self.lay(self.chips, switch, level.rate, level.latency, index)
        table[1] = self.lay(switch, self.chips, level.rate, level.latency, index)
        if leaves > 1:
            one, which = np.unique(switch, return_inverse=True)
            top = self.n_nodes + (one - one[0]) // leaves
            self.n_nodes = int(top.max()) + 1
            table[2] = self.lay(one, top, level.trunk, level.latency, index)[which]
            table[3] = self.lay(top, one, level.trunk, level.latency, index)[which]
        return table


def lay_links(system: System, dims: tuple[Dimension, ...]) -> Links:
    """Return all links of a system.

    Raises:
        InputError: (``chip.link``) a link is said to be dead that does not exist.
    """
    layer = _Layer(system)
    steps: list[Ints] = []
    for index, d in enumerate(dims):
        level = system.levels[d.level]
        lay = layer.switched if d.shape == "switch" else layer.direct
        steps.append(lay(level, d, index) if d.size > 1 else np.zeros((0, 0), np.int64))
    empty = np.zeros((5, 0), np.int64)
    source, target, rate, latency, index_of = np.concatenate([empty, *layer.columns], axis=1)
    alive = _alive(system, source, target)
    return Links(source, target, rate, latency, index_of, alive, tuple(steps))


def _alive(system: System, source: Ints, target: Ints) -> NDArray[np.bool_]:
    dead = np.array(sorted(system.dead_chips), np.int64)
    alive = ~(np.isin(source, dead) | np.isin(target, dead))
    faults: list[Fault] = []
    for a, b in sorted(system.dead_links):
        found = ((source == a) & (target == b)) | ((source == b) & (target == a))
        alive &= ~found
        if not found.any():
            faults.append(Fault(f"link {a}-{b}", "", "two chips that a link joins"))
    if faults:
        raise InputError("chip.link", f"system '{system.name}' has no such links", faults)
    return alive
