"""Which chips make a group: a block of neighbours, and the fabric inside it.

Blocks are aligned, so groups fill a mesh without gaps and no message leaves its own. A block with a
dead chip makes no group. Where a block has a torus's whole side, it keeps the way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np

from drawloom.chip.sides import Dimension, dimensions
from drawloom.chip.system import Level, System
from drawloom.chip.topology import topology
from drawloom.errors import InputError


@dataclass(frozen=True, slots=True)
class Block:
    """The shape of a group: chips along each dimension of a system, the fastest-counting first."""

    sides: tuple[int, ...]

    @property
    def chips(self) -> int:
        """Chips of a group."""
        return prod(self.sides)


def blocks(system: System, chips: int) -> list[Block]:
    """Return the shapes that a group of this many chips can have."""
    dims = dimensions(system)
    sides = [[n for n in range(1, d.size + 1) if d.size % n == 0] for d in dims]
    return [Block(made) for made in product(*sides) if prod(made) == chips]


def groups(system: System, block: Block) -> list[tuple[int, ...]]:
    """Return the chips of every whole group, in an order in which groups lie beside each other."""
    dims = dimensions(system)
    counts = [d.size // side for d, side in zip(dims, block.sides, strict=True)]
    inside = _numbers(dims, [range(side) for side in block.sides])
    found: list[tuple[int, ...]] = []
    for corner in _to_and_fro(counts):
        first = sum(
            at * side * d.stride for at, side, d in zip(corner, block.sides, dims, strict=True)
        )
        members = tuple(int(first + chip) for chip in inside)
        if not system.dead_chips.intersection(members) and _is_joined(system, block, members):
            found.append(members)
    return found


def _is_joined(system: System, block: Block, members: tuple[int, ...]) -> bool:
    """Whether each chip of a group has a way to each other one inside it, around dead links."""
    if not any(a in members and b in members for a, b in system.dead_links):
        return True
    fabric = topology(inner(system, block, members))
    chips = np.arange(len(members), dtype=np.int64)
    try:
        fabric.routes(np.zeros(len(members), np.int64), chips)
    except InputError:
        return False
    return True


def inner(system: System, block: Block, members: tuple[int, ...]) -> System:
    """Return the fabric inside a group; chips are numbered in the order of ``members``."""
    dims = dimensions(system)
    levels = tuple(
        _side(system.levels[d.level], d, side) for d, side in zip(dims, block.sides, strict=True)
    )
    place = {chip: i for i, chip in enumerate(members)}
    dead = frozenset(
        (place[a], place[b]) for a, b in system.dead_links if a in place and b in place
    )
    return replace(
        system, name=f"{system.name}.{'x'.join(map(str, block.sides[::-1]))}", levels=levels,
        dead_chips=frozenset(), dead_links=dead,
    )  # fmt: skip


def _side(level: Level, d: Dimension, side: int) -> Level:
    """Return one dimension of a level, as much of it as a block has."""
    shape = "mesh" if d.shape == "torus" and side < d.size else d.shape
    leaf = level.leaf if level.leaf and side > level.leaf else 0
    seams = (d.block,) if d.block else ()
    return replace(
        level, shape=shape, sizes=(side,), blocks=seams, leaf=leaf, trunk=level.trunk if leaf else 0
    )


def _numbers(dims: tuple[Dimension, ...], ranges: list[range]) -> list[int]:
    """Return the chips at all coordinates, the first dimension counting fastest."""
    at = np.zeros(1, np.int64)
    for d, each in zip(dims, ranges, strict=True):
        at = (np.array(each, np.int64)[:, None] * d.stride + at[None, :]).ravel()
    return [int(chip) for chip in at]


def _to_and_fro(counts: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield all coordinates so that each differs from the one before by one step."""
    if not counts:
        yield ()
        return
    for i in range(counts[-1]):
        below = list(_to_and_fro(counts[:-1]))
        for rest in below if i % 2 == 0 else below[::-1]:
            yield (*rest, i)
