"""What a collective costs on a fabric: the time of each step by max-min fair shares of its links.

    message   overhead of its sender + delay of its hops + bytes / share
    share     max-min fair: links are filled up evenly, and what a full link carries grows no more
    step      until its last message is there; steps of a stage are alike, so one is priced
    schedule  a lane carries one part of a chain at a time, in the order in which parts come

With store-and-forward a message waits at each hop until all its bytes are there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.topology import Routes, Topology
from drawloom.mapping.collectives import schedules
from drawloom.mapping.collectives.schedule import Schedule, Stage
from drawloom.timing.lanes import append, pipelined
from drawloom.units import PS_PER_S, Picoseconds

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
SPLITS = (1, 2, 4, 8, 16)  # numbers of parts that the search tries


@dataclass(frozen=True, slots=True)
class CollectiveCost:
    """The time of a collective and what its links did."""

    kind: str
    name: str
    splits: int
    bytes: int  # of one chip's buffer
    ps: Picoseconds
    link_bytes: Ints  # by link of the topology


def fair_rates(routes: Routes, rates: Ints) -> Floats:
    """Return the max-min fair rate of each message, in the unit of ``rates`` (one a link).

    A message without hops has an infinite rate.
    """
    found = np.full(len(routes.hops), np.inf)
    message, link = routes.message, routes.link
    left = rates.astype(np.float64)
    while message.size:
        load = np.bincount(link, minlength=len(left))
        share = np.where(load > 0, left / np.maximum(load, 1), np.inf)
        least = share.min()
        tight = share <= least * (1 + 1e-12)
        settled = np.zeros(len(found), bool)
        settled[message[tight[link]]] = True
        found[settled] = least
        gone = settled[message]
        np.subtract.at(left, link[gone], least)
        message, link = message[~gone], link[~gone]
        left = np.maximum(left, 0.0)
    return found


def step_time(topology: Topology, routes: Routes, sizes: Ints) -> Picoseconds:
    """Return the time until the last of messages of ``sizes`` bytes, sent together, is there.

    Shares are worked out anew whenever a message ends.
    """
    system, rates = topology.system, topology.links.rate
    fixed = system.overhead + routes.latency
    if not system.cut_through:
        each = PS_PER_S / rates[routes.link]
        wait = np.bincount(routes.message, each, minlength=len(sizes)) * sizes
        last = np.zeros(len(sizes))
        np.maximum.at(last, routes.message, each)
        fixed = fixed + (wait - last * sizes).astype(np.int64)
    left, at = sizes.astype(np.float64), 0.0
    ends = np.zeros(len(sizes))
    message, link = routes.message, routes.link
    while left.any():
        rate = fair_rates(Routes(message, link, routes.latency, routes.hops), rates)
        going = left > 0
        until = np.min(left[going] / rate[going])
        at += until
        left = np.where(going, left - until * rate, 0.0)
        left[left < 0.5] = 0.0
        ends[going] = at
        keep = left[message] > 0
        message, link = message[keep], link[keep]
    return Picoseconds(int(np.max(fixed + np.ceil(ends * PS_PER_S).astype(np.int64))))


class FabricClock:
    """Prices schedules over one topology; ways of stages that were seen before are kept."""

    def __init__(self, topology: Topology) -> None:
        """Start with no way known."""
        self.topology = topology
        self._routes: dict[tuple[bytes, bytes], Routes] = {}

    def price(self, schedule: Schedule, size: int, splits: int | None = None) -> CollectiveCost:
        """Return the cost of a collective on buffers of ``size`` bytes a chip.

        Args:
            schedule: who sends what to whom.
            size: bytes of one chip's buffer.
            splits: parts of each chain; by default the schedule's own number.
        """
        splits = splits or schedule.splits
        buffer = size * 2 if schedule.kind == "all_to_all" else size
        link_bytes = np.zeros(len(self.topology.links.rate), np.int64)
        chains: list[list[tuple[int, int]]] = []
        for chain in schedule.chains:
            unit = buffer / (len(schedule.chains) * splits * chain.units)
            chains.append([])
            for stage in chain.stages:
                routes = self._ways(stage)
                carried = max(1, int(np.ceil(unit * stage.count)))
                sizes = np.full(len(stage.source), carried, np.int64)
                once = step_time(self.topology, routes, sizes)
                append(chains[-1], stage.lane, stage.steps * once)
                load = np.bincount(routes.link, minlength=len(link_bytes))
                link_bytes += load * (carried * stage.steps * splits)
        if len(chains) > 1 and any(lane < 0 for chain in chains for lane, _ in chain):
            chains = [self._together(schedule, buffer, splits)]
        ps = pipelined(chains, splits)
        return CollectiveCost(schedule.kind, schedule.name, splits, size, ps, link_bytes)

    def best(self, kind: str, size: int) -> CollectiveCost:
        """Return the cheapest of all schedules of a kind, over all numbers of parts tried."""
        costs = [
            self.price(schedule, size, splits)
            for schedule in schedules(kind, self.topology)
            for splits in (SPLITS if schedule.splits > 1 else (1,))
        ]
        return min(costs, key=lambda cost: cost.ps)

    def _ways(self, stage: Stage) -> Routes:
        key = stage.source.tobytes(), stage.target.tobytes()
        if key not in self._routes:
            self._routes[key] = self.topology.routes(stage.source, stage.target)
        return self._routes[key]

    def _together(self, schedule: Schedule, buffer: int, splits: int) -> list[tuple[int, int]]:
        """Price chains of like shape that share their links, step beside step."""
        found: list[tuple[int, int]] = []
        n = len(schedule.chains)
        for stages in zip(*(chain.stages for chain in schedule.chains), strict=True):
            source = np.concatenate([stage.source for stage in stages])
            target = np.concatenate([stage.target for stage in stages])
            sizes = [
                np.full(len(s.source), max(1, int(np.ceil(buffer * s.count / (n * splits * c.units)))))
                for s, c in zip(stages, schedule.chains, strict=True)
            ]  # fmt: skip
            routes = self.topology.routes(source, target)
            once = step_time(self.topology, routes, np.concatenate(sizes))
            append(found, -1, stages[0].steps * once)
        return found


def least_time(topology: Topology, kind: str, size: int) -> Picoseconds:
    """Return a time that no schedule of a collective can go below.

    It is the largest of three. Delay: one overhead and the hops of the two living chips farthest
    apart. Bytes: what each chip must send, and must get, over all its links. Cuts, for all-reduce:
    each half of a dimension must send a whole buffer of sums to the other.

    Args:
        topology: where it runs.
        kind: a kind of ``ALGORITHMS``.
        size: bytes of one chip's buffer.
    """
    system, links = topology.system, topology.links
    chips = np.array(system.chips, np.int64)
    n = len(chips)
    if n < 2:
        return Picoseconds(0)
    rate = links.rate * links.alive
    leaves = np.bincount(links.source, rate, minlength=system.n_places)[chips]
    comes = np.bincount(links.target, rate, minlength=system.n_places)[chips]
    root = np.full(n, chips[0])
    far = int(topology.routes(root, chips).latency.max())
    sent, got = _must_move(kind, size, n)
    bytes_ps = max(sent / leaves.min(), got / comes.min()) * PS_PER_S
    if kind == "broadcast":
        bytes_ps = max(size / leaves[0], size / np.sort(comes[1:])[0]) * PS_PER_S
    cut_ps = _cuts(topology, size) if kind == "all_reduce" else 0.0
    return Picoseconds(system.overhead + max(far, int(bytes_ps), int(cut_ps)))


def _must_move(kind: str, size: int, n: int) -> tuple[float, float]:
    """Return the bytes that each chip must send and must get at the least."""
    others = size * (n - 1) / n
    if kind == "all_reduce":
        # Some chip sends and gets at least the mean; all that is summed and given back passes twice.
        return 2 * others, 2 * others
    return others, others


def _cuts(topology: Topology, size: int) -> float:
    """Return the time in which one half of each dimension can tell the other its sums."""
    system, links = topology.system, topology.links
    if not system.is_whole:
        return 0.0
    worst = 0.0
    for index, d in enumerate(topology.dimensions):
        if d.size < 2 or d.shape == "switch":
            continue
        low = topology.digit(links.source, index) < d.size // 2
        high = topology.digit(links.target, index) >= d.size // 2
        crosses = (links.dimension == index) & low & high
        worst = max(worst, size / float(links.rate[crosses].sum()) * PS_PER_S)
    return worst
