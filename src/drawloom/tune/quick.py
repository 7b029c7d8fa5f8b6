"""A few trials of products of middling size, where prices of ways to cut them differ by less than they err.

Small ones are not worth it, and large ones take long to time. Nothing is kept on disk; in a process
every product is tried once, though plans and comparisons map alike ones over and over.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from drawloom.graph.ir import Graph, Node
from drawloom.mapping.cut.ranked import ranked
from drawloom.mapping.cut.sizes import Cut, Work
from drawloom.mapping.cut.tiler import cut
from drawloom.tune.memory import word
from drawloom.tune.trial import Bench, Trial, trial_of

FINALISTS = 4  # ways that are tried beside the choice by prices
NEAR = 1.15  # ways this much dearer than the cheapest are not
MACS = range(1 << 26, 1 << 34)  # of a product that is worth trials
LEAST_ROWS = 64  # with fewer a weight streams by, and prices are near


_MOST = 4096  # choices that a process keeps
# What was chosen, by all that a trial depends on: a chip is what its file says.
_CHOSEN: dict[tuple[str, ...], Cut | None] = {}


@dataclass(slots=True)
class Quick:
    """Chooses cuts by a few trials; hand its ``choose`` to the mapper."""

    bench: Bench
    _where: tuple[str, ...] = ()

    def choose(
        self, work: Work, nodes: Sequence[Node], stored: Container[str], graph: Graph
    ) -> Cut | None:
        """Return the quickest of some ways to cut a product; None where prices decide."""
        plain = work.window is None and work.products == 1 and work.coded is None
        if not plain or work.m < LEAST_ROWS or work.batch * work.m * work.k * work.n not in MACS:
            return None
        trial = trial_of(self.bench, work, nodes, stored, graph)
        if trial is None:
            return None
        bench = self.bench
        self._where = self._where or (bench.chip.text(), bench.profile, repr(bench.options))
        key = (*self._where, trial.graph.text(), repr(work))
        if key not in _CHOSEN:
            if len(_CHOSEN) >= _MOST:
                _CHOSEN.clear()
            _CHOSEN[key] = self._best(trial)
        return _CHOSEN[key]

    def _best(self, trial: Trial) -> Cut | None:
        ways = finalists(trial.work, self.bench)
        if len(ways) < 2:
            return None
        took = [trial.time_ps(way) for way in ways]
        if took[0] is None:
            return None  # the piece is another one where it stands by itself
        best = min((ps, at) for at, ps in enumerate(took) if ps is not None)
        return ways[best[1]]


def finalists(work: Work, bench: Bench) -> list[Cut]:
    """Return the choice by prices and the cheapest ways of other kinds that are near it."""
    multicast = bench.options.multicast
    listed = ranked(work, bench.chip, multicast=multicast, of_a_kind=1, alike_panels=1)
    if not listed:
        return []
    first = cut(work, bench.chip, "piece", multicast=multicast)
    near = [way for way in listed if way.estimate <= NEAR * first.estimate]
    return list({word(way): way for way in (first, *near)}.values())[: FINALISTS + 1]
