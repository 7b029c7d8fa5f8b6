"""Collectives dimension by dimension: each works on what the one before it left."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from drawloom.chip.topology import Topology
from drawloom.mapping.collectives.orders import along, natural
from drawloom.mapping.collectives.pieces import (
    Groups,
    Range,
    direct_gather,
    direct_scatter,
    doubling_gather,
    halving_scatter,
    ring_gather,
    ring_scatter,
)
from drawloom.mapping.collectives.schedule import Chain, Schedule, Stage

MANY = 1 << 10  # more dimensions than there are
SPLITS = 4  # parts of a chain that may be on different dimensions at once


def _real(topology: Topology) -> list[int]:
    return [i for i, d in enumerate(topology.dimensions) if d.size > 1]


def _ring(topology: Topology, index: int, *, back: bool) -> Groups:
    """Return the rings of a dimension; only those of a torus can go back on links of their own."""
    groups = along(topology, index)
    return groups.reversed() if back and _has_two_ways(topology, index) else groups


def _has_two_ways(topology: Topology, index: int) -> bool:
    d = topology.dimensions[index]
    return d.shape == "torus" and d.size > 2


def _is_power(size: int) -> bool:
    return size & (size - 1) == 0


def _scatter(
    topology: Topology, index: int, given: Range, *, back: bool, near: bool
) -> tuple[list[Stage], Range]:
    """Reduce-scatter along one dimension, in the way that its links suit; ``near``: by halving."""
    d = topology.dimensions[index]
    if near and _is_power(d.size):
        return halving_scatter(natural(topology, index), given, near=True)
    if d.shape == "full":
        return direct_scatter(natural(topology, index), given)
    if d.shape == "switch" and _is_power(d.size):
        return halving_scatter(natural(topology, index), given)
    return ring_scatter(_ring(topology, index, back=back), given)


def _gather(
    topology: Topology, index: int, own: Range, *, back: bool = False, near: bool = False
) -> list[Stage]:
    d = topology.dimensions[index]
    if near and _is_power(d.size):
        return doubling_gather(natural(topology, index), own, near=True)
    if d.shape == "full":
        return direct_gather(natural(topology, index), own)
    if d.shape == "switch" and _is_power(d.size):
        return doubling_gather(natural(topology, index), own)
    return ring_gather(_ring(topology, index, back=back), own)


def _chain(
    topology: Topology,
    order: Sequence[int],
    *,
    gather: bool = True,
    back: bool = False,
    rings: int = MANY,
) -> Chain:
    """Return a chain that goes along dimensions in order, ``rings`` of them by rings, the rest by halving."""
    units = prod(topology.dimensions[i].size for i in order)
    given = Range(np.zeros(topology.system.n_places, np.int64), units)
    stages: list[Stage] = []
    owned: list[Range] = []
    for at, index in enumerate(order):
        made, given = _scatter(topology, index, given, back=back, near=at >= rings)
        stages += made
        owned.append(given)
    if gather:
        for at, index in reversed(list(enumerate(order))):
            stages += _gather(topology, index, owned[at], back=back, near=at >= rings)
    return Chain(units, tuple(stages))


def dimensions_sum(topology: Topology) -> Schedule | None:
    """All-reduce: scatter sums along each dimension, then gather back."""
    order = _real(topology)
    if not topology.system.is_whole or not order:
        return None
    chain = _chain(topology, order)
    return Schedule("all_reduce", "dimensions", (chain,), SPLITS if len(order) > 1 else 1)


def turns_sum(topology: Topology) -> Schedule | None:
    """All-reduce with chains that begin with each dimension, and go round a torus either way.

    So all links work at once.
    """
    return _turns(topology, "turns", MANY)


def halved_turns_sum(topology: Topology) -> Schedule | None:
    """All-reduce as ``turns``, but by halving along all dimensions behind the first: fewer steps."""
    return _turns(topology, "halved_turns", 1)


def halves_sum(topology: Topology) -> Schedule | None:
    """All-reduce as ``turns``, but by halving along all dimensions: the fewest steps."""
    return _turns(topology, "halves", 0)


def _turns(topology: Topology, name: str, rings: int) -> Schedule | None:
    order = _real(topology)
    ways = (False, True) if any(_has_two_ways(topology, i) for i in order) else (False,)
    if not topology.system.is_whole or len(order) * len(ways) < 2:
        return None
    if rings < MANY and not all(_is_neighbours(topology, i) for i in order):
        return None
    orders = [order[i:] + order[:i] for i in range(len(order))]
    chains = tuple(
        _chain(topology, turn, back=back, rings=rings) for back in ways for turn in orders
    )
    return Schedule("all_reduce", name, chains, SPLITS)


def _is_neighbours(topology: Topology, index: int) -> bool:
    """Whether a dimension joins neighbours and can be halved."""
    d = topology.dimensions[index]
    return d.shape in ("mesh", "torus") and _is_power(d.size)


def dimensions_scatter(topology: Topology) -> Schedule | None:
    """Reduce-scatter along each dimension in turn."""
    order = _real(topology)
    if not topology.system.is_whole or not order:
        return None
    chain = _chain(topology, order, gather=False)
    return Schedule("reduce_scatter", "dimensions", (chain,), SPLITS if len(order) > 1 else 1)


def dimensions_gather(topology: Topology) -> Schedule | None:
    """All-gather along each dimension in turn, from parts in the order of the chips' numbers."""
    order = _real(topology)
    if not topology.system.is_whole or not order:
        return None
    base = np.arange(topology.system.n_places, dtype=np.int64)
    count = 1
    stages: list[Stage] = []
    for index in order:
        stages += _gather(topology, index, Range(base, count))
        d = topology.dimensions[index]
        base, count = base - d.digit(np.arange(len(base))) * d.stride, count * d.size
    return Schedule("all_gather", "dimensions", (Chain(count, tuple(stages)),), 1)
