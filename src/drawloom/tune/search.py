"""Chooses, for each product of a graph, the quickest of some ways to cut it.

What is quicker by itself need not be so among others: a whole program that is not gets the cuts that
prices alone would choose.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from drawloom.graph.ir import Graph, Node
from drawloom.mapping.cut.ranked import ranked
from drawloom.mapping.cut.sizes import Cut, Work
from drawloom.mapping.cut.tiler import cut
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.timing import time
from drawloom.tune import memory
from drawloom.tune.quick import Quick, finalists
from drawloom.tune.trial import Bench, Trial, trial_of

# Ways that are tried by effort: so many of the cheapest, and so many drawn from the rest.
TRIED = {2: (8, 0), 3: (24, 16)}
FAR = 1.6  # ways this much dearer than the cheapest are not drawn

Tell = Callable[[str], None]


def mapped(graph: Graph, bench: Bench, tell: Tell) -> Mapping:
    """Return a mapping for as much effort as the bench's options ask for.

    Raises:
        DoesNotFit: as ``map_graph``.
    """
    options = bench.options
    if options.effort in TRIED:
        return tuned(graph, bench, tell)
    return map_graph(graph, bench.chip, options, Quick(bench).choose if options.effort else None)


def tuned(graph: Graph, bench: Bench, tell: Tell) -> Mapping:
    """Return a mapping whose products are cut as trials say, if its program is the quicker for it.

    Args:
        graph: the model.
        bench: chip, profile and options; those say how many ways are tried.
        tell: called with a sentence after each trial.

    Raises:
        DoesNotFit: as ``map_graph``.
    """
    tuner = Tuner(bench, tell)
    plain = map_graph(graph, bench.chip, replace(bench.options, effort=1), Quick(bench).choose)
    mapping = map_graph(graph, bench.chip, bench.options, tuner.choose)
    tell("tune: the whole program, both ways")
    before, after = (
        time(assemble(m), bench.chip, bench.profile).total_ps for m in (plain, mapping)
    )
    if after < before:
        note = f"{tuner.note()}; the program {1 - after / before:.1%}"
        return replace(mapping, notes={**mapping.notes, "tuning": note})
    note = f"{tuner.note()}; the program not, so prices alone decide"
    return replace(plain, notes={**plain.notes, "tuning": note})


@dataclass(slots=True)
class Tuner:
    """Chooses cuts by trial; hand its ``choose`` to the mapper.

    Attributes:
        bench: where trials are made; ``options.effort`` says how many, ``options.tune_seed`` seeds
            those that are drawn.
        tell: called with a sentence after each trial.
        works: pieces that were tuned.
        trials: ways that were compared, remembered ones included.
        plain_ps: time of all tuned pieces as prices alone would cut them.
        best_ps: their time as they are cut now.
        bound_ps: what their programs cannot go below.
    """

    bench: Bench
    tell: Tell
    works: int = 0
    trials: int = 0
    plain_ps: int = 0
    best_ps: int = 0
    bound_ps: int = 0
    _known: dict[str, Cut | None] = field(default_factory=dict[str, "Cut | None"])

    def choose(
        self, work: Work, nodes: Sequence[Node], stored: Container[str], graph: Graph
    ) -> Cut | None:
        """Return the quickest way to cut a piece of those that are tried; None where none can be."""
        trial = trial_of(self.bench, work, nodes, stored, graph)
        if trial is None:
            return None
        path = memory.path_of(trial)
        if path.name not in self._known:
            self._known[path.name] = self._best(trial, path)
        return self._known[path.name]

    def note(self) -> str:
        """Return what was done, in a line."""
        if not self.works:
            return f"effort {self.bench.options.effort}: no piece can be tuned by itself"
        won = 1 - self.best_ps / self.plain_ps
        return (
            f"effort {self.bench.options.effort}: {self.works} pieces cut by {self.trials} trials, "
            f"{won:.1%} quicker by themselves"
        )

    def _best(self, trial: Trial, path: Path) -> Cut | None:
        ways, results = self._ways(trial.work), memory.recall(path)
        best: tuple[int, int] | None = None
        for number, way in enumerate(ways):
            key = memory.word(way)
            if key not in results:
                results[key] = trial.time_ps(way)
                memory.remember(path, results)
            took = results[key]
            if took is None and not number:
                # The piece is another one where it stands by itself.
                return None
            if took is not None:
                best = min(best or (took, number), (took, number))
            self._say(best[0] if best else 0, trial.bound_ps)
        if best is None:
            return None
        self.works += 1
        self.trials += len(ways)
        self.plain_ps += results[memory.word(ways[0])] or 0
        self.best_ps += best[0]
        self.bound_ps += trial.bound_ps
        return ways[best[1]]

    def _ways(self, work: Work) -> list[Cut]:
        """Return what is tried, without repeats: first what prices would choose."""
        chip, options = self.bench.chip, self.bench.options
        first, drawn = TRIED[options.effort]
        listed = ranked(work, chip, multicast=options.multicast)
        if not listed:
            return []
        plain = cut(work, chip, "piece", multicast=options.multicast)
        rest = [way for way in listed[first:] if way.estimate <= FAR * listed[0].estimate]
        # The work's own numbers take part, so that a draw does not depend on what came before it.
        rng = np.random.default_rng([options.tune_seed, work.batch, work.m, work.k, work.n])
        taken = [int(at) for at in rng.permutation(len(rest))[:drawn]]
        # Effort 1 tries some of these as well: no more effort does worse.
        every = [
            plain,
            *finalists(work, self.bench),
            *listed[:first],
            *(rest[at] for at in sorted(taken)),
        ]
        return list({memory.word(way): way for way in every}.values())

    def _say(self, best_ps: int, bound_ps: int) -> None:
        ratio = (self.best_ps + best_ps) / (self.bound_ps + bound_ps) if bound_ps else 0.0
        self.tell(f"tune: piece {self.works + 1}, {ratio:.2f} times the bound so far")
