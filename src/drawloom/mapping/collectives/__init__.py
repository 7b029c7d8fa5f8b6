"""Collectives over the chips of a system: schedules of who sends what to whom.

An algorithm is a function from a topology to a ``Schedule``, or None where it does not apply, and
one line in ``ALGORITHMS``. Every schedule is a plan only: ``execute.collective`` runs it on values,
``timing.fabric`` prices it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drawloom.chip.topology import Topology
from drawloom.mapping.collectives import exchange, grids, sums
from drawloom.mapping.collectives.schedule import Schedule

Algorithm = Callable[[Topology], Schedule | None]

ALGORITHMS: Mapping[str, Mapping[str, Algorithm]] = {
    "all_reduce": {
        "ring": sums.ring_sum,
        "rings": sums.both_ways_sum,
        "dimensions": grids.dimensions_sum,
        "turns": grids.turns_sum,
        "halved_turns": grids.halved_turns_sum,
        "halves": grids.halves_sum,
        "doubling": sums.doubling,
        "tree": sums.tree,
    },
    "reduce_scatter": {
        "ring": sums.ring_scatter_all,
        "dimensions": grids.dimensions_scatter,
    },
    "all_gather": {
        "ring": sums.ring_gather_all,
        "dimensions": grids.dimensions_gather,
    },
    "all_to_all": {
        "shifts": exchange.shifts,
        "at_once": exchange.all_at_once,
    },
    "broadcast": {
        "tree": sums.tree_spread,
        "scattered": sums.scattered_spread,
    },
}


def schedules(kind: str, topology: Topology) -> list[Schedule]:
    """Return every schedule of a kind of collective that a topology allows."""
    made = (build(topology) for build in ALGORITHMS[kind].values())
    return [schedule for schedule in made if schedule is not None]
