"""The ways of the one chip that stands for a group: links shared with what all others send.

rate      of each link of a way, a share alike for each message over it, this chip's own counted
once: these wait for each other by themselves
delay     the mean over all messages where a stage has many steps, since what goes round comes
by all of them; the longest where it has one

Where links are dead some messages go round them. All then have the rate of the slowest of a step, and
the delay is by how much the step adds to that of the chip that has waited longest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.topology import Routes, Topology
from drawloom.mapping.collectives.schedule import Schedule, Stage
from drawloom.program.lowered import Transfer
from drawloom.timing.far import Way, Ways

_FIRST = 1000  # the number of the first way: behind those of programs


def is_alike(schedule: Schedule) -> bool:
    """Return whether in each stage every chip that takes part sends as many messages as it takes."""
    stages = [stage for chain in schedule.chains for stage in chain.stages]
    return all(np.array_equal(np.sort(stage.source), np.sort(stage.target)) for stage in stages)


def goes_round(schedule: Schedule) -> bool:
    """Return whether all that is sent goes round one ring of all chips."""
    stages = [stage for chain in schedule.chains for stage in chain.stages]
    return all(stage.steps == len(stage.source) - 1 for stage in stages)


@dataclass(slots=True)
class Flow:
    """Finds the ways of what one chip of a fabric sends.

    Attributes:
        fabric: the links of the group.
        schedule: who sends what to whom.
        me: the chip that stands for all.
        ways: where ways are noted, under the program ``home`` and a number of their own.
        home: the program of the chip.
        others: what is added to a chip's number where a transfer names another one.
    """

    fabric: Topology
    schedule: Schedule
    me: int
    ways: Ways
    home: int
    others: int
    _steps: list[list[Stage | None]] = field(default_factory=list[list[Stage | None]])
    _routes: dict[int, Routes] = field(default_factory=dict[int, Routes])
    _late: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    _known: dict[tuple[object, ...], int] = field(default_factory=dict[tuple[object, ...], int])

    def __post_init__(self) -> None:
        """Lay the stages of all chains beside each other, step by step."""
        chains = [
            [stage for stage in chain.stages for _ in range(stage.steps)]
            for chain in self.schedule.chains
        ]
        self._steps = [list(step) for step in zip_longest(*chains)]

    def way_of(self, step: int, move: Transfer) -> int:
        """Return the number of the way that a transfer of a step takes."""
        stages = self._steps[step]
        key = tuple(id(stage) for stage in stages), move.chain, move.target
        whole = self.fabric.system.is_whole
        key = key if whole else (*key, step)
        if key not in self._known:
            way = self._way(stages, move.chain, move.target - self.others)
            if not whole:
                late = self._late_of(move.chain)[step]
                way = replace(way, latency_ps=late, rate=min(way.rate, self._slowest(stages)))
            number = _FIRST + len(self.ways.given)
            self.ways.given[self.home, number] = way
            self._known[key] = number
        return self._known[key]

    def _way(self, stages: list[Stage | None], chain: int, target: int) -> Way:
        load = np.zeros(len(self.fabric.links.rate), np.int64)
        for stage in stages:
            if stage is not None:
                routes = self._routes_of(stage)
                others = stage.source[routes.message] != self.me
                load += np.bincount(routes.link[others], minlength=len(load))
        stage = stages[chain]
        assert stage is not None
        routes = self._routes_of(stage)
        mine = np.flatnonzero((stage.source == self.me) & (stage.target == target))[0]
        links = routes.link[routes.message == mine]
        rate = int((self.fabric.links.rate[links] // (1 + load[links])).min())
        delays: NDArray[np.int64] = routes.latency
        delay = int(delays.mean()) if stage.steps > 1 else int(delays.max())
        return Way(tuple(int(link) for link in links), delay, rate, self.home)

    def _late_of(self, chain: int) -> list[int]:
        """Return by how much each step of a chain adds to the delays that its last chip has waited for."""
        if chain not in self._late:
            once = self.fabric.system.overhead
            since = np.zeros(self.fabric.system.n_places, np.int64)
            made: list[int] = []
            for stages in self._steps:
                stage, before = stages[chain], int(since.max())
                if stage is not None:
                    come = since[stage.source] + once + self._routes_of(stage).latency
                    later = since.copy()
                    np.maximum.at(later, stage.target, come)
                    since = later
                made.append(max(0, int(since.max()) - before - once))
            self._late[chain] = made
        return self._late[chain]

    def _slowest(self, stages: list[Stage | None]) -> int:
        """Return the rate of the slowest message of a step."""
        used = np.concatenate([self._routes_of(stage).link for stage in stages if stage])
        load = np.bincount(used, minlength=len(self.fabric.links.rate))
        return int((self.fabric.links.rate[used] // load[used]).min())

    def _routes_of(self, stage: Stage) -> Routes:
        if id(stage) not in self._routes:
            self._routes[id(stage)] = self.fabric.routes(stage.source, stage.target)
        return self._routes[id(stage)]
