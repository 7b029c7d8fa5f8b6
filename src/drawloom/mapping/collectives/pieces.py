"""The moves that collectives are made of, within groups of chips: rings, halving, all at once.

A group is a row of chip numbers, in the order in which the move goes. Each chip works on a range of
its buffer: ``base`` is where the range starts, by chip number, ``count`` its units. After a
reduce-scatter a chip owns a smaller range; the functions return it, and all-gather takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.mapping.collectives.schedule import Stage

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Which units each chip works on: from ``base[chip]`` on, ``count`` of them."""

    base: Ints
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Rows of chips that move together; every chip stands in one row."""

    chips: Ints  # (groups, size)
    lane: int  # see Stage

    @property
    def size(self) -> int:
        """Chips in a group."""
        return int(self.chips.shape[1])

    def reversed(self) -> Groups:
        """Return the groups the other way round."""
        return Groups(self.chips[:, ::-1].copy(), self.lane if self.lane < 0 else self.lane ^ 1)

    def positions(self) -> Ints:
        """Return each chip's place in its row, in the order of the flattened rows."""
        return np.tile(np.arange(self.size, dtype=np.int64), len(self.chips))


def ring_scatter(groups: Groups, given: Range) -> tuple[list[Stage], Range]:
    """Reduce-scatter around rings: n - 1 steps, each chip sends one part to the next."""
    n, part = groups.size, given.count // groups.size
    source, place = groups.chips.ravel(), groups.positions()
    target = np.roll(groups.chips, -1, axis=1).ravel()
    start = given.base[source]

    def first(step: int) -> Ints:
        return start + (place - step) % n * part

    stage = Stage(groups.lane, n - 1, source, target, part, first, adds=True)
    base = given.base.copy()
    base[source] = start + (place + 1) % n * part
    return [stage] if n > 1 else [], Range(base, part)


def ring_gather(groups: Groups, own: Range) -> list[Stage]:
    """All-gather around rings, each chip beginning with the range that it owns."""
    n, source = groups.size, groups.chips.ravel()
    target = np.roll(groups.chips, -1, axis=1).ravel()
    held = own.base[groups.chips]

    def first(step: int) -> Ints:
        return np.roll(held, step, axis=1).ravel()

    stage = Stage(groups.lane, n - 1, source, target, own.count, first, adds=False)
    return [stage] if n > 1 else []


def halving_scatter(
    groups: Groups, given: Range, *, near: bool = False
) -> tuple[list[Stage], Range]:
    """Reduce-scatter by halving: with the chip half the group away, then a quarter, and so on.

    With ``near`` the other way round: with neighbours first, so that what goes far is least.
    """
    n, source, place = groups.size, groups.chips.ravel(), groups.positions()
    assert n & (n - 1) == 0, "halving needs a power of two"
    base, count = given.base.copy(), given.count
    stages: list[Stage] = []
    for away in _distances(n, near=near):
        count //= 2
        target = groups.chips[:, np.arange(n) ^ away].ravel()
        upper = place & away > 0
        begin = base[source] + np.where(upper, 0, count)  # the half that the other one keeps
        stages.append(_once(groups, source, target, count, begin, adds=True))
        base[source] += np.where(upper, count, 0)
    return stages, Range(base, count)


def doubling_gather(groups: Groups, own: Range, *, near: bool = False) -> list[Stage]:
    """All-gather by doubling, the reverse of halving."""
    n, source, place = groups.size, groups.chips.ravel(), groups.positions()
    base, count = own.base.copy(), own.count
    stages: list[Stage] = []
    for away in _distances(n, near=near)[::-1]:
        target = groups.chips[:, np.arange(n) ^ away].ravel()
        stages.append(_once(groups, source, target, count, base[source], adds=False))
        base[source] -= np.where(place & away > 0, count, 0)
        count *= 2
    return stages


def _distances(size: int, *, near: bool) -> list[int]:
    """Return how far away the chips are with which halving exchanges, step by step."""
    far = [size >> bit for bit in range(1, size.bit_length())]
    return far[::-1] if near else far


def direct_scatter(groups: Groups, given: Range) -> tuple[list[Stage], Range]:
    """Reduce-scatter in one step: each chip sends each other one its part."""
    source, target, here, there = _pairs(groups)
    part = given.count // groups.size
    begin = given.base[source] + there * part
    base = given.base.copy()
    base[source] = given.base[source] + here * part
    return [_once(groups, source, target, part, begin, adds=True)], Range(base, part)


def direct_gather(groups: Groups, own: Range) -> list[Stage]:
    """All-gather in one step."""
    source, target, _, _ = _pairs(groups)
    return [_once(groups, source, target, own.count, own.base[source], adds=False)]


def doubling_sum(groups: Groups, given: Range) -> list[Stage]:
    """All-reduce by exchanging whole ranges with chips 1, 2, 4 ... away."""
    n, source = groups.size, groups.chips.ravel()
    return [
        _once(
            groups, source, groups.chips[:, np.arange(n) ^ (1 << bit)].ravel(), given.count,
            given.base[source], adds=True,
        )
        for bit in range(n.bit_length() - 1)
    ]  # fmt: skip


def spread(groups: Groups, given: Range) -> list[Stage]:
    """Broadcast from the first chip of each group, by doubling the chips that have it."""
    n = groups.size
    stages: list[Stage] = []
    reach = 1 << (n - 1).bit_length()
    while reach > 1:
        reach //= 2
        senders = np.arange(0, n, 2 * reach)
        senders = senders[senders + reach < n]
        source, target = groups.chips[:, senders].ravel(), groups.chips[:, senders + reach].ravel()
        stages.append(_once(groups, source, target, given.count, given.base[source], adds=False))
    return stages


def gather_sums(groups: Groups, given: Range) -> list[Stage]:
    """Reduce to the first chip of each group: broadcast run backwards."""
    return [
        _once(groups, s.target, s.source, given.count, given.base[s.target], adds=True)
        for s in spread(groups, given)[::-1]
    ]


def _pairs(groups: Groups) -> tuple[Ints, Ints, Ints, Ints]:
    """Return source, target and their places, of every pair of different chips of a group."""
    n = groups.size
    here, there = np.nonzero(~np.eye(n, dtype=bool))
    source, target = groups.chips[:, here].ravel(), groups.chips[:, there].ravel()
    return source, target, np.tile(here, len(groups.chips)), np.tile(there, len(groups.chips))


def _once(
    groups: Groups, source: Ints, target: Ints, count: int, first: Ints, *, adds: bool
) -> Stage:
    return Stage(groups.lane, 1, source, target, count, lambda _step: first, adds)
