"""Flat commands -> loops: find what repeats with addresses that advance evenly.

A run of ``p`` items that repeats ``c`` times, equal in everything but its addresses, each
address advancing by its own constant, becomes one ``Loop``; then loops are items like any
other, so that they nest. ``unroll(roll(commands))`` gives the same commands.

How it stays near-linear: an item's addresses are condensed into one number by a linear hash
(modulo 2**64), so that "every address advances evenly" is "the hash advances evenly", which
numpy answers for all positions of a period at once. A loop is made only after its addresses
have been compared exactly: the hash decides speed, never the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from operator import sub
from typing import cast

import numpy as np
from numpy.typing import NDArray

from drawloom.program.addresses import addresses, at, likeness, with_addresses
from drawloom.program.commands import Address, Affine, Command, Loop, Stream

MAX_PERIOD = 256
_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # odd, bits well spread: the usual multiplier of Weyl sequences


Steps = Callable[[Command], tuple[int, ...]]


def roll(commands: Sequence[Command], steps: Steps | None = None) -> Stream:
    """Return the commands as a stream with loops wherever a loop makes it smaller.

    The commands must have plain addresses. The size counts commands and loops. Where ``steps``
    is given, the stream is the body of a loop: it says how far each address of a command
    advances with every turn of that loop.
    """
    names: dict[object, int] = {}
    items = [_item(command, names, steps) for command in commands]
    return tuple(
        _emit(item, item.bases, (item.steps,) if steps else ()) for item in _roll(items, names)
    )


def unroll(stream: Stream) -> Iterator[Command]:
    """Iterate over the commands in the order in which they run, with plain addresses."""
    yield from _unroll(stream, ())


def _unroll(stream: Stream, index: tuple[int, ...]) -> Iterator[Command]:
    for item in stream:
        if isinstance(item, Loop):
            for step in range(item.count):
                yield from _unroll(item.body, (*index, step))
        else:
            yield at(item, index)


@dataclass(slots=True)  # not frozen: there is one for every command, and frozen costs time
class _Item:
    """A command or a loop with its addresses set apart.

    Items with the same ``shape`` and ``drifts`` differ in ``bases`` at most. A loop's bases are
    those of its body, one after the other. ``drifts`` is how far each base advances with each
    step of the loops around the item, as far as they were there when it was made; the last
    one is that of the loop whose body it is in. ``steps`` is the same for the loop around all,
    where there is one; it is part of the shape.
    """

    shape: int
    bases: tuple[int, ...]
    size: int
    drifts: tuple[tuple[int, ...], ...] = ()
    steps: tuple[int, ...] = ()
    command: Command | None = None
    count: int = 1
    body: tuple[_Item, ...] = ()


@dataclass(frozen=True, slots=True)
class _Run:
    """``count`` repetitions of the ``period`` items from ``start``."""

    start: int
    period: int
    count: int

    @property
    def end(self) -> int:
        """Position after the last repetition."""
        return self.start + self.period * self.count


def _item(command: Command, names: dict[object, int], steps: Steps | None) -> _Item:
    bases = addresses(command)
    assert Affine not in map(type, bases), command
    around = steps(command) if steps else ()
    shape = names.setdefault((likeness(command), around), len(names))
    return _Item(shape, cast("tuple[int, ...]", bases), 1, steps=around, command=command)


def _roll(items: list[_Item], names: dict[object, int]) -> list[_Item]:
    """Make loops until none is left to make."""
    while len(items) > 2:
        runs = _choose(items, names)
        if not runs:
            break
        rolled: list[_Item] = []
        done = 0
        for run in runs:
            rolled += items[done : run.start]
            rolled += _loop(items, run, names) or items[run.start : run.end]
            done = run.end
        rolled += items[done:]
        if len(rolled) == len(items):
            break
        items = rolled
    return items


def _loop(items: list[_Item], run: _Run, names: dict[object, int]) -> list[_Item]:
    """Make the loop of a run; empty where its addresses do not advance evenly after all."""
    body: list[_Item] = []
    for start in range(run.start, run.start + run.period):
        turns = items[start : run.end : run.period]
        first = turns[0]
        drift = tuple(map(sub, turns[1].bases, first.bases))
        if any(tuple(map(sub, b.bases, a.bases)) != drift for a, b in pairwise(turns)):
            return []
        body.append(replace(first, drifts=(*first.drifts, drift)))
    body = _roll(body, names)
    key = run.count, tuple((item.shape, item.drifts[-1]) for item in body)
    outer = zip(*(item.drifts[:-1] for item in body), strict=True)
    return [
        _Item(
            shape=names.setdefault(key, len(names)),
            bases=tuple(chain.from_iterable(item.bases for item in body)),
            size=1 + sum(item.size for item in body),
            drifts=tuple(tuple(chain.from_iterable(level)) for level in outer),
            steps=tuple(chain.from_iterable(item.steps for item in body)),
            count=run.count,
            body=tuple(body),
        )
    ]


def _choose(items: list[_Item], names: dict[object, int]) -> list[_Run]:
    """Choose runs that do not overlap and together save the most."""
    n = len(items)
    kinds = [names.setdefault(("at", item.shape, item.drifts), len(names)) for item in items]
    if len(set(kinds)) == n:
        return []
    kind = np.array(kinds, np.int64)
    place = np.array([_condensed(item.bases) for item in items], np.uint64)
    upto = np.concatenate(([0], np.cumsum([item.size for item in items])))
    # The longest run of a position may hide shorter ones that save more together: keep
    # for each position the run that saves most, and the one that saves most per item.
    most, dense = _Best(n), _Best(n)
    for period in range(1, min(MAX_PERIOD, n // 2) + 1):
        start, count = _runs(kind, place, period)
        if start.size:
            saved = (count - 1) * (upto[start + period] - upto[start]) - 1
            most.offer(start, saved, period, count, saved)
            dense.offer(start, np.where(saved > 0, count, 0), period, count, saved)
    return _disjoint(n, most, dense)


def _condensed(bases: tuple[int, ...]) -> int:
    total = 0
    for base in bases:
        total = total * _GOLDEN + base
    return total & _WORD


def _runs(
    kind: NDArray[np.int64], place: NDArray[np.uint64], p: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where runs of period ``p`` start, and how often each repeats (at least twice)."""
    alike = kind[p:] == kind[:-p]
    length = _length(alike)
    start = np.flatnonzero(length >= p)
    if not start.size:
        return start, start
    step = place[p:] - place[:-p]
    even = (step[p:] == step[:-p]) & alike[p:] & alike[:-p]
    third = np.append(_length(even), 0)[np.minimum(start, even.size)]
    return start, np.minimum(length[start] // p + 1, third // p + 2)


def _length(true: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each position, how many values from it on are true without a gap."""
    n = true.size
    position = np.arange(n)
    gap = np.where(true, n, position)
    return np.minimum.accumulate(gap[::-1])[::-1] - position


class _Best:
    """For each position the best run that starts there."""

    def __init__(self, n: int) -> None:
        self.score, self.period, self.count, self.saved = np.zeros((4, n), np.int64)

    def offer(
        self,
        start: NDArray[np.int64],
        score: NDArray[np.int64],
        period: int,
        count: NDArray[np.int64],
        saved: NDArray[np.int64],
    ) -> None:
        """Take the runs that beat what is there; the shorter period wins a tie."""
        better = np.flatnonzero(score > self.score[start])
        where = start[better]
        self.score[where] = score[better]
        self.period[where] = period
        self.count[where] = count[better]
        self.saved[where] = saved[better]

    def columns(self) -> tuple[list[int], list[int]]:
        """Length and saving of each position's run; 0 where there is none."""
        return (self.period * self.count).tolist(), self.saved.tolist()


def _disjoint(n: int, *bests: _Best) -> list[_Run]:
    """Choose, last position first, between skipping a position and the runs that start there."""
    options = [best.columns() for best in bests]
    total = [0] * (n + 1)
    chosen = [-1] * n
    for start in range(n - 1, -1, -1):
        most = total[start + 1]
        for which, (length, saved) in enumerate(options):
            if saved[start] and saved[start] + total[start + length[start]] >= most:
                most = saved[start] + total[start + length[start]]
                chosen[start] = which
        total[start] = most
    runs: list[_Run] = []
    start = 0
    while start < n:
        if chosen[start] < 0:
            start += 1
            continue
        best = bests[chosen[start]]
        runs.append(_Run(start, int(best.period[start]), int(best.count[start])))
        start = runs[-1].end
    return runs


def _emit(item: _Item, bases: Sequence[int], strides: tuple[Sequence[int], ...]) -> Command | Loop:
    """Write an item out, given its bases and how they advance with each loop around it."""
    if item.command is not None:
        return with_addresses(item.command, [_address(b, s) for b, s in _columns(bases, strides)])
    body: list[Command | Loop] = []
    done = 0
    for child in item.body:
        part = slice(done, done + len(child.bases))
        body.append(_emit(child, bases[part], (*(s[part] for s in strides), child.drifts[-1])))
        done = part.stop
    return Loop(item.count, tuple(body))


def _columns(
    bases: Sequence[int], strides: tuple[Sequence[int], ...]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    for k, base in enumerate(bases):
        yield base, tuple(s[k] for s in strides)


def _address(base: int, strides: tuple[int, ...]) -> Address:
    """Return the address in its shortest form: no loop after the last that moves it."""
    while strides and strides[-1] == 0:
        strides = strides[:-1]
    return Affine(base, strides) if strides else base
