"""Collectives over one ring or tree through all living chips."""

from __future__ import annotations

import numpy as np

from drawloom.chip.topology import Topology
from drawloom.mapping.collectives.orders import through_all
from drawloom.mapping.collectives.pieces import (
    Groups,
    Range,
    doubling_sum,
    gather_sums,
    ring_gather,
    ring_scatter,
    spread,
)
from drawloom.mapping.collectives.schedule import Chain, Schedule, Stage


def _start(topology: Topology, count: int) -> Range:
    return Range(np.zeros(topology.system.n_places, np.int64), count)


def _ring(topology: Topology, groups: Groups) -> Chain:
    whole = _start(topology, groups.size)
    scatter, own = ring_scatter(groups, whole)
    return Chain(groups.size, (*scatter, *ring_gather(groups, own)))


def ring_sum(topology: Topology) -> Schedule:
    """All-reduce around one ring."""
    return Schedule("all_reduce", "ring", (_ring(topology, through_all(topology)),))


def both_ways_sum(topology: Topology) -> Schedule:
    """All-reduce around one ring, half of the buffer each way round."""
    groups = through_all(topology)
    chains = (_ring(topology, groups), _ring(topology, groups.reversed()))
    return Schedule("all_reduce", "rings", chains)


def doubling(topology: Topology) -> Schedule | None:
    """All-reduce by exchanging whole buffers; the fewest steps, the most bytes."""
    groups = _living(topology)
    if groups.size & (groups.size - 1):
        return None
    stages = doubling_sum(groups, _start(topology, 1))
    return Schedule("all_reduce", "doubling", (Chain(1, tuple(stages)),))


def tree(topology: Topology) -> Schedule:
    """All-reduce to one chip and from there to all, over binomial trees."""
    groups = _living(topology)
    whole = _start(topology, 1)
    stages = (*gather_sums(groups, whole), *spread(groups, whole))
    return Schedule("all_reduce", "tree", (Chain(1, stages),))


def ring_scatter_all(topology: Topology) -> Schedule:
    """Reduce-scatter around one ring."""
    groups = through_all(topology)
    stages, _ = ring_scatter(groups, _start(topology, groups.size))
    return Schedule("reduce_scatter", "ring", (Chain(groups.size, tuple(stages)),))


def ring_gather_all(topology: Topology) -> Schedule:
    """All-gather around one ring; each chip begins with the part of its place among the living."""
    groups = through_all(topology)
    own = owned(topology, groups.size)
    return Schedule("all_gather", "ring", (Chain(groups.size, tuple(ring_gather(groups, own))),))


def tree_spread(topology: Topology) -> Schedule:
    """Broadcast from the first living chip over a binomial tree."""
    groups = _living(topology)
    stages = spread(groups, _start(topology, 1))
    return Schedule("broadcast", "tree", (Chain(1, tuple(stages)),))


def scattered_spread(topology: Topology) -> Schedule:
    """Broadcast a part to each chip, then all-gather around a ring: fewer bytes where there are many."""
    groups = through_all(topology)
    n, first_chip = groups.size, topology.system.chips[0]
    own = owned(topology, n)
    others = np.array([c for c in topology.system.chips if c != first_chip], np.int64)
    begin = own.base[others]
    root = np.full(len(others), first_chip, np.int64)
    scatter = Stage(-1, 1, root, others, 1, lambda _step: begin, adds=False)
    stages = (scatter, *ring_gather(groups, own)) if n > 1 else ()
    return Schedule("broadcast", "scattered", (Chain(n, stages),))


def owned(topology: Topology, parts: int) -> Range:
    """Return the parts that chips begin an all-gather with: in the order of their numbers."""
    base = np.zeros(topology.system.n_places, np.int64)
    base[np.array(topology.system.chips)] = np.arange(parts)
    return Range(base, 1)


def _living(topology: Topology) -> Groups:
    return Groups(np.array([topology.system.chips], np.int64), -1)
