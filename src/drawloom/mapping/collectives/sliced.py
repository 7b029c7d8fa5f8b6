"""A sum in two: each chip gets the sum of a slice, and later the slices of all.

In between a chip works on its own slice alone. Any all-reduce that scatters and then gathers does:
its chains are parted where they stop adding. Which unit of a chain is a chip's own is told by what
it sends first when units are gathered.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drawloom.chip.topology import Topology
from drawloom.mapping.collectives import schedules
from drawloom.mapping.collectives.schedule import Chain, Schedule


def sliced(topology: Topology) -> list[tuple[Schedule, Schedule]]:
    """Return pairs of a reduce-scatter and the all-gather that goes with it."""
    found: list[tuple[Schedule, Schedule]] = []
    for schedule in schedules("all_reduce", topology):
        chains = [_parted(chain, topology) for chain in schedule.chains]
        made = [pair for pair in chains if pair is not None]
        if len(made) == len(chains):
            scatters, gathers = (tuple(each) for each in zip(*made, strict=True))
            found.append(
                (
                    replace(schedule, kind="reduce_scatter", chains=scatters),
                    replace(schedule, kind="all_gather", chains=gathers),
                )
            )
    return found


def _parted(chain: Chain, topology: Topology) -> tuple[Chain, Chain] | None:
    """Return a chain's two halves; None where no chip is left with one unit of its own."""
    chips = topology.system.chips
    adds = tuple(stage for stage in chain.stages if stage.adds)
    rest = tuple(stage for stage in chain.stages if not stage.adds)
    if chain.units != len(chips) or not rest or (*adds, *rest) != chain.stages:
        return None
    first = rest[0]
    if first.count != 1 or sorted(set(first.source.tolist())) != sorted(chips):
        return None
    homes = np.zeros(topology.system.n_places, np.int64)
    homes[first.source] = first.first(0)
    told = tuple(int(unit) for unit in homes)
    return Chain(chain.units, adds, told), Chain(chain.units, rest, told)
