"""In which order a ring visits chips: along a dimension, or through a whole fabric with holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    return Groups(rows, dimension)


def folded(size: int) -> Ints:
    """Return the ring 0 2 4 ... 5 3 1 over a row of chips."""
    up = np.arange(0, size, 2)
    return np.concatenate([up, np.arange(1, size, 2)[::-1]]).astype(np.int64)


def natural(topology: Topology, dimension: int) -> Groups:
    """Return the groups of a dimension in the order of their coordinates."""
    d = topology.dimensions[dimension]
    chips = np.arange(topology.system.n_places, dtype=np.int64)
    order = np.lexsort((d.digit(chips), d.group(chips)))
    return Groups(chips[order].reshape(-1, d.size), dimension)


def through_all(topology: Topology) -> Groups:
    """Return one ring through all living chips: a closed way over neighbours where there is one.

    A mesh or torus of two dimensions with an even side holds such a way. Else a snake through all
    coordinates is taken. Where chips or links are dead, dead chips are left out of it, and it is
    improved by reversing stretches of it as long as that shortens the ways.
    """
    ring = _closed(topology) or _snake(topology)
    if not topology.system.is_whole:
        living = set(topology.system.chips)
        ring = _shorten(topology, [c for c in ring if c in living])
    return Groups(np.array([ring], np.int64), -1)


def _closed(topology: Topology) -> list[int] | None:
    """Return the closed way over neighbours through a whole mesh of two dimensions."""
    dims = [d for d in topology.dimensions if d.size > 1]
    if len(dims) != 2:
        return None
    fast, slow = dims
    if any(d.shape not in ("mesh", "torus") for d in dims):
        return None
    if slow.size % 2:
        fast, slow = slow, fast
    if slow.size % 2 or fast.size < 2:
        return None
    # Up the first column, back in turns through what is left of each row.
    ring = [row * slow.stride for row in range(slow.size)]
    for row in range(slow.size - 1, -1, -1):
        columns = range(1, fast.size)
        turn = columns if (slow.size - 1 - row) % 2 == 0 else reversed(columns)
        ring += [row * slow.stride + column * fast.stride for column in turn]
    return ring


def _snake(topology: Topology) -> list[int]:
    rows: list[list[int]] = [[0]]
    for d in topology.dimensions:
        whole: list[int] = []
        for i in range(d.size):
            inner = rows[0] if i % 2 == 0 else rows[0][::-1]
            whole += [chip + i * d.stride for chip in inner]
        rows = [whole]
    return rows[0]


def _shorten(topology: Topology, ring: list[int]) -> list[int]:
    """Reverse stretches of a ring as long as its ways become shorter (2-opt)."""
    n = len(ring)
    if n < 4:
        return ring
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
    return [int(c) for c in chips[order]]
