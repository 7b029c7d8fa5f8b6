"""How many planted faults the checker finds, of those that change values or hang in some legal order.

A mutant is harmful if its own order, or one of some others drawn from a seed, ends with other values than the program
it was made from, stands still, or breaks off. What the checker finds nothing in is tried in more orders than what it
finds something in: a miss is what is looked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

from benchmarks.measures.checker_mutants import mutants
from benchmarks.measures.checker_works import SUBJECTS, Subject, subject
from benchmarks.measures.table import Figure

from drawloom.check import check
from drawloom.errors import DrawloomError
from drawloom.execute.machine import execute
from drawloom.execute.orders import execute_orders
from drawloom.program.program import Program

SAMPLE = 504  # mutants of a kind: divides by the programs that offer a place
FOUND_ORDERS, MISSED_ORDERS = 3, 12


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant.

    Attributes:
        kind: of ``MUTATIONS``.
        subject: of ``SUBJECTS``.
        rules: what the checker found; none where it found nothing.
        harm: how the mutant differs: ``own`` order, ``other`` order, or empty where it does not.
    """

    kind: str
    subject: str
    rules: tuple[str, ...]
    harm: str


@dataclass(slots=True)
class Tally:
    """The verdicts on one kind."""

    mutants: int = 0
    harmful: int = 0
    caught: int = 0
    harmless: int = 0  # found something in, no order differs
    rules: Counter[str] = field(default_factory=Counter[str])

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.mutants += 1
        self.harmful += bool(verdict.harm)
        self.caught += bool(verdict.harm and verdict.rules)
        self.harmless += bool(verdict.rules and not verdict.harm)
        self.rules.update(verdict.rules)


def judge(kind: str, of: Subject, mutant: Program, seed: int) -> Verdict:
    """Check a mutant and execute it in many orders."""
    rules = tuple(sorted({one.rule for one in check(mutant, of.chip)}))
    orders = FOUND_ORDERS if rules else MISSED_ORDERS
    return Verdict(kind, of.name, rules, harm(of, mutant, orders, seed))


def harm(of: Subject, mutant: Program, orders: int, seed: int) -> str:
    """Return in which order a mutant differs: ``own``, ``other``, or empty for none."""
    try:
        made = execute(mutant, of.inputs)
    except DrawloomError:
        return "own"
    if any(made[name].tobytes() != value.tobytes() for name, value in of.outputs.items()):
        return "own"
    found = execute_orders(mutant, of.inputs, orders, seed=seed, chip=of.chip, most=1)
    return "other" if found.partings else ""


def verdicts(kind: str, sample: int, seed: int) -> list[Verdict]:
    """Judge about ``sample`` mutants of a kind, as many of each program that offers a place for it."""
    streams = {
        name: mutants(kind, subject(name).program, f"{seed}.{kind}.{name}") for name in SUBJECTS
    }
    found: list[Verdict] = []
    while streams and len(found) < sample:
        for name in list(streams):
            mutant = next(streams[name], None)
            if mutant is None:
                del streams[name]
            elif len(found) < sample:
                found.append(judge(kind, subject(name), mutant, seed))
    return found


def tallies(
    kinds: Iterable[str], sample: int, seed: int, jobs: int = 1
) -> Iterator[tuple[str, list[Verdict], Tally]]:
    """Yield the verdicts on each kind, in the order given."""
    work = partial(verdicts, sample=sample, seed=seed)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for kind, found in zip(kinds, pool.map(work, kinds), strict=True):
            tally = Tally()
            for verdict in found:
                tally.add(verdict)
            yield kind, found, tally


def figures(kind: str, tally: Tally) -> Iterator[Figure]:
    """Yield the figures of a kind."""
    name = kind.replace(" ", "-")
    yield Figure(f"mutants.{name}.harmful", tally.harmful, f"of {tally.mutants} mutants")
    missed = tally.harmful - tally.caught
    yield Figure(f"mutants.{name}.missed", missed, "mutants", "<= 0", missed == 0)


def rows(found: Iterable[tuple[str, list[Verdict], Tally]]) -> Iterator[str]:
    """Yield the table as it stands in docs/checker.md."""
    yield "| fault | mutants | harmful | caught | missed | found, no order differs | rules |"
    yield "|---|--:|--:|--:|--:|--:|---|"
    total = Tally()
    for kind, _, tally in found:
        total.mutants += tally.mutants
        total.harmful += tally.harmful
        total.caught += tally.caught
        total.harmless += tally.harmless
        rules = ", ".join(f"{rule} {n}" for rule, n in tally.rules.most_common(4))
        yield _row(kind, tally, rules)
    yield _row("all", total, "")


def _row(name: str, tally: Tally, rules: str) -> str:
    missed = tally.harmful - tally.caught
    cells = (tally.mutants, tally.harmful, tally.caught, missed, tally.harmless)
    return f"| {name} | {' | '.join(f'{n:,}' for n in cells)} | {rules} |"
