"""In which order a ring visits chips: along a dimension, or through a whole fabric with holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.sides import Dimension
from drawloom.chip.topology import Topology
from drawloom.mapping.collectives.pieces import Groups

Ints = NDArray[np.int64]


def along(topology: Topology, dimension: int) -> Groups:
    """Return the groups of a dimension, each in the order of a ring.

    A row of an open mesh is visited up over every second chip and back over the others: each hop
    then has at most two links, and no link carries two messages.
    """
    d = topology.dimensions[dimension]
    chips = np.arange(topology.system.n_places, dtype=np.int64)
    order = np.lexsort((d.digit(chips), d.group(chips)))
    rows = chips[order].reshape(-1, d.size)
    if d.shape == "mesh":
        rows = rows[:, folded(d.size)]
    return Groups(rows, 2 * dimension)


def folded(size: int) -> Ints:
    """Return the ring 0 2 4 ... 5 3 1 over a row of chips."""
    up = np.arange(0, size, 2)
    return np.concatenate([up, np.arange(1, size, 2)[::-1]]).astype(np.int64)


def natural(topology: Topology, dimension: int) -> Groups:
    """Return the groups of a dimension in the order of their coordinates."""
    d = topology.dimensions[dimension]
    chips = np.arange(topology.system.n_places, dtype=np.int64)
    order = np.lexsort((d.digit(chips), d.group(chips)))
    return Groups(chips[order].reshape(-1, d.size), 2 * dimension)


def through_all(topology: Topology) -> Groups:
    """Return one ring through all living chips: a closed way over neighbours where one is found.

    A mesh or torus of two dimensions with an even side holds such a way; else a snake through all
    coordinates is taken. Where chips or links are dead, dead chips are left out, several rings to
    begin with are improved by reversing stretches of them as long as that shortens the ways, and
    the shortest is taken.
    """
    first, *others = _rings(topology)
    if topology.system.is_whole:
        return Groups(np.array([first], np.int64), -1)
    living = set(topology.system.chips)
    found = [
        _shorten(topology, [chip for chip in ring if chip in living]) for ring in (first, *others)
    ]
    return Groups(np.array([min(found)[1]], np.int64), -1)


def _rings(topology: Topology) -> list[list[int]]:
    """Return rings through all chips, dead or not, the best first."""
    real = [d for d in topology.dimensions if d.size > 1]
    rings: list[list[int]] = []
    if len(real) == 2 and all(d.shape in ("mesh", "torus") for d in real):
        for fast, slow in (real, real[::-1]):
            if slow.size % 2 == 0:
                ring = _closed(fast, slow)
                rings += [_mirrored(ring, *flips) for flips in ((), (fast,), (slow,), (fast, slow))]
    return [*rings, _snake(topology.dimensions), _snake(topology.dimensions[::-1])]


def _closed(fast: Dimension, slow: Dimension) -> list[int]:
    """Return the closed way over neighbours: up the first column, back through the rows in turns."""
    ring = [row * slow.stride for row in range(slow.size)]
    for row in range(slow.size - 1, -1, -1):
        columns = range(1, fast.size)
        turn = columns if (slow.size - 1 - row) % 2 == 0 else reversed(columns)
        ring += [row * slow.stride + column * fast.stride for column in turn]
    return ring


def _mirrored(ring: list[int], *flipped: Dimension) -> list[int]:
    """Return a ring with the coordinates of some dimensions counted from the other end."""
    chips = np.array(ring, np.int64)
    for d in flipped:
        chips += (d.size - 1 - 2 * d.digit(chips)) * d.stride
    return [int(chip) for chip in chips]


def _snake(dimensions: tuple[Dimension, ...]) -> list[int]:
    """Return the way to and fro through all coordinates, the first dimension fastest."""
    way = [0]
    for d in dimensions:
        turns = (way if i % 2 == 0 else way[::-1] for i in range(d.size))
        way = [chip + i * d.stride for i, turn in enumerate(turns) for chip in turn]
    return way


def _shorten(topology: Topology, ring: list[int]) -> tuple[int, list[int]]:
    """Reverse stretches of a ring as long as its ways become shorter (2-opt); return hops and ring."""
    n = len(ring)
    chips = np.array(ring, np.int64)
    pairs = np.stack(np.meshgrid(chips, chips, indexing="ij")).reshape(2, -1)
    far = topology.routes(pairs[0], pairs[1]).hops.reshape(n, n)
    order = np.arange(n)
    for _ in range(n):
        here, after = far[order[:, None], order], np.roll(order, -1)
        now = far[order, after]
        # Joining i to j and i+1 to j+1 in place of i to i+1 and j to j+1.
        gain = now[:, None] + now[None, :] - here - far[after[:, None], after]
        gain[np.tril_indices(n, 1)] = 0
        best = int(np.argmax(gain))
        i, j = divmod(best, n)
        if gain[i, j] <= 0:
            break
        order[i + 1 : j + 1] = order[i + 1 : j + 1][::-1]
    return int(far[order, np.roll(order, -1)].sum()), [int(chip) for chip in chips[order]]
