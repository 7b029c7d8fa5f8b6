"""All-to-all: each chip has a part for each other one.

A chip's buffer has two halves of one unit a chip: what it gives, by receiver, and what it gets, by
sender. Chips are counted among the living, in the order of their numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.topology import Topology
from drawloom.mapping.collectives.schedule import Chain, Schedule, Stage

Ints = NDArray[np.int64]


def shifts(topology: Topology) -> Schedule:
    """Send straight to the receiver: to the next chip, then to the one after it, and so on."""
    chips = np.array(topology.system.chips, np.int64)
    n = len(chips)
    place = np.arange(n, dtype=np.int64)
    stages = [_shift(chips, place, by) for by in range(1, n)]
    return Schedule("all_to_all", "shifts", (Chain(2 * n, tuple(stages)),))


def _shift(chips: Ints, place: Ints, by: int) -> Stage:
    to = (place + by) % len(chips)
    into = len(chips) + place
    return Stage(-1, 1, chips, chips[to], 1, lambda _step: to, adds=False, into=lambda _step: into)


def all_at_once(topology: Topology) -> Schedule:
    """Send everything at once and let the links share it out."""
    chips = np.array(topology.system.chips, np.int64)
    n = len(chips)
    here, there = np.nonzero(~np.eye(n, dtype=bool))
    into = n + here
    stage = Stage(
        -1, 1, chips[here], chips[there], 1, lambda _step: there, adds=False,
        into=lambda _step: into,
    )  # fmt: skip
    return Schedule("all_to_all", "at_once", (Chain(2 * n, (stage,) if n > 1 else ()),))


def in_turns(topology: Topology, among: int) -> Schedule:
    """Send at once to each of ``among`` neighbours in the order of numbers: all-to-all in small groups."""
    chips = np.array(topology.system.chips, np.int64)
    assert len(chips) % among == 0
    group, place = np.divmod(np.arange(len(chips)), among)
    here = np.repeat(np.arange(len(chips)), among - 1)
    there = (place[here] + 1 + np.tile(np.arange(among - 1), len(chips))) % among
    into = among + place[here]
    source, target = chips[here], chips[group[here] * among + there]
    stage = Stage(
        -1, 1, source, target, 1, lambda _step: there, adds=False, into=lambda _step: into
    )
    return Schedule("all_to_all", "in_turns", (Chain(2 * among, (stage,)),))
