"""Collectives that go side by side, priced on one line of chips for each side of a system.

Where nothing is dead, all lines of a dimension do alike over links of their own, so one of them
tells the time of all: what ``timing.fabric`` finds with every message of the system, without NumPy
and in the time of a few dozen messages. So that such a price is there as soon as Python is, what is
loaded here is kept small.

    line      the chips that differ in one coordinate alone, 0 to n - 1, and their switches behind them
    move      steps in which the chips of a line send as many bytes to the same ones
    schedule  chains of moves, as ``mapping.collectives.grids`` lays them
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, prod
from typing import NamedTuple

from drawloom.chip.sides import Dimension, dimensions
from drawloom.chip.system import Level, System
from drawloom.timing.lanes import append, pipelined
from drawloom.units import PS_PER_S, Picoseconds

Link = tuple[int, int]
SPLITS = 4  # parts of a chain that may be on different dimensions at once


class Move(NamedTuple):
    """Steps along one dimension: who sends to whom of a line, and how many units."""

    dimension: int
    lane: int  # 2 x dimension + way round
    steps: int
    pairs: tuple[Link, ...]
    units: int


class LineCost(NamedTuple):
    """The time of a collective, and the bytes of the link that carries the most."""

    kind: str
    name: str
    splits: int
    bytes: int  # of one chip's buffer
    ps: Picoseconds
    busiest: int


class Line:
    """One line of a dimension: its links, and the way of a message."""

    def __init__(self, dimension: Dimension, level: Level) -> None:
        """Take what joins the chips of the line."""
        self.dimension, self.level = dimension, level

    def way(self, source: int, target: int) -> list[Link]:
        """Return the links from a chip to another one."""
        d, n = self.dimension, self.dimension.size
        if d.shape == "full":
            return [(source, target)]
        if d.shape == "switch":
            leaf = d.leaf or n
            low, high = n + source // leaf, n + target // leaf
            top = n + -(-n // leaf)
            between = [] if low == high else [(low, top), (top, high)]
            return [(source, low), *between, (high, target)]
        ahead = target - source
        if d.shape == "torus":
            up = ahead % n
            ahead = up if up <= n - up else up - n
        sign = 1 if ahead > 0 else -1
        stops = [(source + sign * i) % n for i in range(abs(ahead) + 1)]
        return list(pairwise(stops))

    def rate(self, link: Link) -> int:
        """Return the bytes a second of a link."""
        n = self.dimension.size
        return self.level.trunk if min(link) >= n else self.level.rate

    def latency(self, link: Link) -> int:
        """Return the delay of a link in picoseconds."""
        block, (a, b) = self.dimension.block, link
        seam = block and (a // block != b // block or abs(a - b) > 1)
        return self.level.seam if seam else self.level.latency

    def step_time(self, system: System, pairs: tuple[Link, ...], size: int) -> int:
        """Return the time until the last of messages of ``size`` bytes, sent together, is there."""
        ways = [self.way(*pair) for pair in pairs]
        fixed = [system.overhead + sum(self.latency(link) for link in way) for way in ways]
        if not system.cut_through:
            for index, way in enumerate(ways):
                each = [PS_PER_S / self.rate(link) for link in way]
                fixed[index] += int(sum(each) * size - max(each) * size)
        left, ends, at = {i: float(size) for i in range(len(ways))}, [0.0] * len(ways), 0.0
        while left:
            rates = self._fair({i: ways[i] for i in left})
            until = min(left[i] / rates[i] for i in left)
            at += until
            left = {i: rest for i in left if (rest := left[i] - until * rates[i]) >= 0.5}
            for i in rates:
                if i not in left and not ends[i]:
                    ends[i] = at
        return max(f + ceil(end * PS_PER_S) for f, end in zip(fixed, ends, strict=True))

    def _fair(self, ways: dict[int, list[Link]]) -> dict[int, float]:
        """Return the max-min fair rate of each message."""
        users: dict[Link, list[int]] = {}
        for index, way in ways.items():
            for link in way:
                users.setdefault(link, []).append(index)
        room = {link: float(self.rate(link)) for link in users}
        found: dict[int, float] = {}
        while len(found) < len(ways):
            share = {link: room[link] / len(each) for link, each in users.items() if each}
            least = min(share.values())
            tight = [link for link, each in share.items() if each <= least * (1 + 1e-12)]
            settled = {index for link in tight for index in users[link]}
            found |= dict.fromkeys(settled, least)
            for link, each in users.items():
                room[link] = max(0.0, room[link] - least * sum(i in settled for i in each))
                users[link] = [i for i in each if i not in settled]
        return found


class LineClock:
    """Prices collectives that go side by side; moves that were seen before are kept."""

    def __init__(self, system: System) -> None:
        """Lay a line of each dimension. Nothing of the system may be dead."""
        assert system.is_whole, "lines differ where something is dead"
        self.system = system
        self.lines = [Line(d, system.levels[d.level]) for d in dimensions(system)]
        self._known: dict[tuple[int, tuple[Link, ...], int], int] = {}

    def price(self, kind: str, name: str, size: int, splits: int = 0) -> LineCost:
        """Return the cost of a collective on buffers of ``size`` bytes a chip.

        Args:
            kind: all_reduce, reduce_scatter or all_gather.
            name: ``dimensions``, or of an all-reduce ``turns``.
            size: bytes of one chip's buffer.
            splits: parts of each chain; 0: as many as the schedule has.
        """
        chains = self._chains(kind, name)
        units = prod(line.dimension.size for line in self.lines)
        real = sum(line.dimension.size > 1 for line in self.lines)
        parted = name == "turns" or (real > 1 and kind != "all_gather")
        splits = splits or (SPLITS if parted else 1)
        carried: dict[tuple[int, Link], int] = {}
        timed: list[list[tuple[int, int]]] = []
        for chain in chains:
            unit = size / (len(chains) * splits * units)
            timed.append([])
            for move in chain:
                each = max(1, ceil(unit * move.units))
                append(timed[-1], move.lane, move.steps * self._once(move, each))
                for pair in move.pairs:
                    for link in self.lines[move.dimension].way(*pair):
                        key = move.dimension, link
                        carried[key] = carried.get(key, 0) + each * move.steps * splits
        ps = pipelined(timed, splits)
        return LineCost(kind, name, splits, size, ps, max(carried.values(), default=0))

    def _once(self, move: Move, size: int) -> int:
        key = move.dimension, move.pairs, size
        if key not in self._known:
            line = self.lines[move.dimension]
            self._known[key] = line.step_time(self.system, move.pairs, size)
        return self._known[key]

    def _chains(self, kind: str, name: str) -> list[list[Move]]:
        order = [i for i, line in enumerate(self.lines) if line.dimension.size > 1]
        if kind == "all_gather":
            return [_gathers(self.lines, order, 1, back=False)]
        if name == "dimensions":
            return [self._chain(order, kind, back=False)]
        assert (kind, name) == ("all_reduce", "turns"), (kind, name)
        two = any(_two_ways(self.lines[i].dimension) for i in order)
        turns = [order[i:] + order[:i] for i in range(len(order))]
        ways = (False, True) if two else (False,)
        return [self._chain(turn, kind, back=back) for back in ways for turn in turns]

    def _chain(self, order: list[int], kind: str, *, back: bool) -> list[Move]:
        count = prod(self.lines[i].dimension.size for i in order)
        made: list[Move] = []
        for index in order:
            moves = _scatter(self.lines[index].dimension, index, count, back=back)
            made += moves
            count //= self.lines[index].dimension.size
        if kind == "all_reduce":
            made += _gathers(self.lines, order[::-1], count, back=back)
        return made


def _two_ways(d: Dimension) -> bool:
    return d.shape == "torus" and d.size > 2


def _scatter(d: Dimension, index: int, count: int, *, back: bool) -> list[Move]:
    """Reduce-scatter along a line on which each chip begins with ``count`` units."""
    n, lane = d.size, 2 * index
    if d.shape == "full":
        pairs = tuple((a, b) for a in range(n) for b in range(n) if a != b)
        return [Move(index, lane, 1, pairs, count // n)]
    if d.shape == "switch" and n & (n - 1) == 0:
        return [
            Move(index, lane, 1, tuple((a, a ^ n >> bit) for a in range(n)), count >> bit)
            for bit in range(1, n.bit_length())
        ]
    ring = [*range(0, n, 2), *range(1, n, 2)[::-1]] if d.shape == "mesh" else list(range(n))
    if back and _two_ways(d):
        ring, lane = ring[::-1], lane + 1
    return [
        Move(index, lane, n - 1, tuple(zip(ring, ring[1:] + ring[:1], strict=True)), count // n)
    ]


def _gathers(lines: list[Line], order: list[int], count: int, *, back: bool) -> list[Move]:
    """All-gather along each of some lines, each chip beginning with ``count`` units."""
    made: list[Move] = []
    for index in order:
        d = lines[index].dimension
        count *= d.size
        made += _scatter(d, index, count, back=back)[::-1]
    return made
