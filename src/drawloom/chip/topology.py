"""The links of a system as arrays, and the way of a message over them.

Ways go dimension by dimension, the fastest-counting one first, in a ring the shorter way round
(up where both are alike). Where such a way meets something dead, the message takes a shortest
way around, the one over the lowest link numbers where there are several.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.links import Links, lay_links
from drawloom.chip.sides import Dimension, dimensions
from drawloom.chip.system import System
from drawloom.errors import InputError

Ints = NDArray[np.int64]
Hops = list[tuple[Ints, Ints]]  # (messages, links), one pair a hop


@dataclass(frozen=True, slots=True)
class Routes:
    """Which links each message passes.

    ``message`` and ``link`` have one element a hop, in order of the messages and, within one, of
    the hops; ``latency`` is the delay of each message's hops in picoseconds, ``hops`` their number.
    """

    message: Ints
    link: Ints
    latency: Ints
    hops: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """A system, its dimensions and its links."""

    system: System
    dimensions: tuple[Dimension, ...]  # the fastest-counting first
    links: Links

    def digit(self, chips: Ints, dimension: int) -> Ints:
        """Return the coordinates of chips in a dimension."""
        return self.dimensions[dimension].digit(chips)

    def routes(self, source: Ints, target: Ints) -> Routes:
        """Return the ways of messages, from and to chips that live.

        Raises:
            InputError: (``chip.route``) a message has no way around what is dead.
        """
        at = np.array(source, np.int64)
        hops: Hops = []
        for index in range(len(self.dimensions)):
            hops += self._walk(index, at, target)
        message, link = _flat(hops)
        if not self.system.is_whole:
            message, link = self._around(source, target, message, link)
        order = np.argsort(message, kind="stable")
        message, link = message[order], link[order]
        n = len(source)
        latency = np.bincount(message, self.links.latency[link], minlength=n).astype(np.int64)
        return Routes(message, link, latency, np.bincount(message, minlength=n))

    def _walk(self, index: int, at: Ints, target: Ints) -> Hops:
        """Move messages along one dimension; ``at`` is changed to where they then are."""
        d = self.dimensions[index]
        here, there = d.digit(at), d.digit(target)
        moving = np.flatnonzero(here != there)
        if not moving.size:
            return []
        start = at[moving].copy()
        at[moving] += (there - here)[moving] * d.stride
        if d.shape == "full":
            return [(moving, self.links.steps[index][there[moving], start])]
        if d.shape == "switch":
            return self._through(index, moving, start, at[moving])
        ahead = (there - here)[moving]
        if d.shape == "torus":
            up = ahead % d.size
            ahead = np.where(up <= d.size - up, up, up - d.size)
        return self._steps(index, moving, start, ahead)

    def _steps(self, index: int, moving: Ints, at: Ints, ahead: Ints) -> Hops:
        d, links = self.dimensions[index], self.links.steps[index]
        hops: Hops = []
        while moving.size:
            step = np.sign(ahead)
            hops.append((moving, links[(step < 0).astype(np.int64), at]))
            digit = d.digit(at)
            at = at + ((digit + step) % d.size - digit) * d.stride
            ahead = ahead - step
            left = ahead != 0
            moving, at, ahead = moving[left], at[left], ahead[left]
        return hops

    def _through(self, index: int, moving: Ints, source: Ints, target: Ints) -> Hops:
        """Go up to the lowest switch above both chips, and down."""
        up, down, rise, fall = self.links.steps[index]
        leaf = self.dimensions[index].leaf
        far = np.zeros(len(moving), bool)
        if leaf:
            d = self.dimensions[index]
            far = d.digit(source) // leaf != d.digit(target) // leaf
        return [
            (moving, up[source]),
            (moving[far], rise[source[far]]),
            (moving[far], fall[target[far]]),
            (moving, down[target]),
        ]

    def _around(self, source: Ints, target: Ints, message: Ints, link: Ints) -> tuple[Ints, Ints]:
        """Replace the ways of messages that would meet something dead."""
        broken = np.unique(message[~self.links.alive[link]])
        keep = ~np.isin(message, broken)
        hops: Hops = [(message[keep], link[keep])]
        for one in broken:
            path = self._shortest(int(source[one]), int(target[one]))
            hops.append((np.full(len(path), one, np.int64), np.array(path, np.int64)))
        return _flat(hops)

    def _shortest(self, source: int, target: int) -> list[int]:
        links = self.links
        leaving: dict[int, list[int]] = {}
        for link in np.flatnonzero(links.alive):
            leaving.setdefault(int(links.source[link]), []).append(int(link))
        came: dict[int, int] = {source: -1}
        queue = deque([source])
        while queue and target not in came:
            here = queue.popleft()
            for link in leaving.get(here, ()):
                there = int(links.target[link])
                if there not in came:
                    came[there] = link
                    queue.append(there)
        if target not in came:
            raise InputError(
                "chip.route",
                f"no way from chip {source} to chip {target} of system '{self.system.name}'",
            )
        path: list[int] = []
        while target != source:
            path.append(came[target])
            target = int(links.source[came[target]])
        return path[::-1]


def topology(system: System) -> Topology:
    """Return the links of a system, dead ones marked.

    Raises:
        InputError: (``chip.link``) a link is said to be dead that does not exist.
    """
    dims = dimensions(system)
    return Topology(system, dims, lay_links(system, dims))


def _flat(hops: Hops) -> tuple[Ints, Ints]:
    if not hops:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([m for m, _ in hops]), np.concatenate([link for _, link in hops])
