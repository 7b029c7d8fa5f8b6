"""How many planted faults the checker finds, of those that change values or hang in some legal order.

A mutant is harmful if its own order, or one of some others drawn from a seed, ends with other values than the program
it was made from, stands still, or breaks off. What the checker finds nothing in is tried in more orders than what it
finds something in: a miss is what is looked for.

Kinds take turns, so that whatever was done when a run was cut off is an even sample. With a record, a file of one line
for each verdict, the next run goes on from there. A verdict on a program that is not made as it was is worked out anew.
Where only the checker has changed, the mutant is checked again; what it does in other orders stands in the record.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

from benchmarks.measures.checker_mutants import mutants
from benchmarks.measures.checker_works import SUBJECTS, Subject, subject
from benchmarks.measures.table import Figure

import drawloom
from drawloom.check import check
from drawloom.check.values import misfits, wrong
from drawloom.errors import DrawloomError
from drawloom.execute.machine import execute
from drawloom.execute.orders import execute_orders
from drawloom.execute.watch import overflows
from drawloom.program.program import Program

SAMPLE = 504  # mutants of a kind
STRICT = frozenset(
    {
        "align", "straddle", "remains", "lost", "unread", "uneven", "across", "twice", "wasted",
        "unit", "long",
    }
)  # fmt: skip
FOUND_ORDERS, MISSED_ORDERS = 2, 8
RARE = {"resnet50": 4, "llama block on 16 tiles": 2}  # drawn in every so many turns


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant.

    Attributes:
        kind: of ``MUTATIONS``.
        subject: of ``SUBJECTS``.
        number: which of the mutants of a kind that are drawn from this program.
        rules: what the checker found; none where it found nothing.
        strict: what it found with ``strict``, looked at where it found nothing without.
        values: what a run on values, held to the model, found; looked at where it found nothing else.
        harm: how the mutant differs: ``own`` order, ``other`` order, or empty where it does not.
        orders: other orders that were to be tried; until one differs.
        made_from: sums of the program and of what executes it, and the seed.
        checked_by: sum of the checker.
    """

    kind: str
    subject: str
    number: int
    rules: tuple[str, ...]
    strict: tuple[str, ...]
    values: tuple[str, ...]
    harm: str
    orders: int
    made_from: str
    checked_by: str

    def tells_harm(self, made_from: str, orders: int) -> bool:
        """Whether what the mutant does is known: of the same program, from as many orders."""
        return self.made_from == made_from and (bool(self.harm) or self.orders >= orders)


@dataclass(slots=True)
class Tally:
    """The verdicts on one kind."""

    mutants: int = 0
    harmful: int = 0
    caught: int = 0
    strictly: int = 0  # caught with the strict rules only
    with_values: int = 0  # caught by a run on values only
    harmless: int = 0  # found something in by default, no order differs
    rules: Counter[str] = field(default_factory=Counter[str])

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.mutants += 1
        self.harmless += bool(verdict.rules and not verdict.harm)
        if verdict.harm:
            self.harmful += 1
            self.caught += bool(verdict.rules)
            self.strictly += bool(verdict.strict)
            self.with_values += bool(verdict.values)
            self.rules.update(verdict.rules or verdict.strict or verdict.values)

    @property
    def missed(self) -> int:
        """Harmful mutants that nothing is found in."""
        return self.harmful - self.caught - self.strictly - self.with_values

    def join(self, other: Tally) -> None:
        """Add what another one counted."""
        self.mutants += other.mutants
        self.harmful += other.harmful
        self.caught += other.caught
        self.strictly += other.strictly
        self.with_values += other.with_values
        self.harmless += other.harmless
        self.rules.update(other.rules)


@cache
def summed(room: str) -> str:
    """Return a sum of a room's sources."""
    paths = sorted((Path(drawloom.__file__).parent / room).glob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def judge(
    kind: str, of: Subject, number: int, mutant: Program, seed: int, known: Verdict | None = None
) -> Verdict:
    """Check a mutant and execute it in many orders, but for what is known of it."""
    made_from, checked_by = f"{of.mark}.{seed}.{summed('execute')}", summed("check")
    if known and known.made_from == made_from and known.checked_by == checked_by:
        return known
    rules = found(of, mutant, strict=False)
    strict = () if rules else found(of, mutant, strict=True)
    values = () if rules or strict else valued(of, mutant)
    orders = FOUND_ORDERS if rules or strict or values else MISSED_ORDERS
    if known and known.tells_harm(made_from, orders):
        done, orders = known.harm, known.orders
    else:
        done = harm(of, mutant, orders, seed)
    return Verdict(
        kind, of.name, number, rules, strict, values, done, orders, made_from, checked_by
    )


def found(of: Subject, mutant: Program, *, strict: bool) -> tuple[str, ...]:
    """Return the rules that the checker finds broken, but for those that the program itself breaks."""
    rules = {one.rule for one in check(mutant, of.chip, strict=strict, graph=of.graph)}
    return tuple(sorted(rules - of.odd))


def valued(of: Subject, mutant: Program) -> tuple[str, ...]:
    """Return the rules that a run of the program's own order breaks, on values held to the model."""
    try:
        outputs, misfit = overflows(mutant, of.inputs)
    except DrawloomError:
        return ("stopped",)
    found = [*misfits(mutant, misfit), *wrong(of.graph, of.inputs, outputs)]
    return tuple(sorted({one.rule for one in found}))


def harm(of: Subject, mutant: Program, orders: int, seed: int) -> str:
    """Return in which order a mutant differs: ``own``, ``other``, or empty for none."""
    try:
        made = execute(mutant, of.inputs)
    except DrawloomError:
        return "own"
    if any(made[name].tobytes() != value.tobytes() for name, value in of.outputs.items()):
        return "own"
    tried = execute_orders(mutant, of.inputs, orders, seed=seed, chip=of.chip, most=1)
    return "other" if tried.partings else ""


def draws(kind: str, sample: int, seed: int) -> Iterator[tuple[str, int, Program]]:
    """Yield ``sample`` mutants of a kind, from the programs that offer a place for it in turn.

    A program of much work comes in every few turns only (``RARE``).
    """
    streams = {
        name: mutants(kind, subject(name).program, f"{seed}.{kind}.{name}") for name in SUBJECTS
    }
    made: Counter[str] = Counter()
    left, turn = sample, 0
    while streams and left:
        for name in [name for name in streams if turn % RARE.get(name, 1) == 0][:left]:
            mutant = next(streams[name], None)
            if mutant is None:
                del streams[name]
                continue
            left -= 1
            yield name, made[name], mutant
            made[name] += 1
        turn += 1


def verdicts(
    kinds: Iterable[str], sample: int, seed: int, record: Path | None = None
) -> Iterator[Verdict]:
    """Yield the verdicts on ``sample`` mutants of each kind; those in the record are not worked out again."""
    known = recorded(record)
    left = {kind: draws(kind, sample, seed) for kind in kinds}
    while left:
        for kind in list(left):
            drawn = next(left[kind], None)
            if drawn is None:
                del left[kind]
                continue
            name, number, mutant = drawn
            before = known.get((kind, name, number))
            verdict = judge(kind, subject(name), number, mutant, seed, before)
            if record is not None and verdict != before:
                with record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(verdict)) + "\n")
            yield verdict


def recorded(record: Path | None) -> dict[tuple[str, str, int], Verdict]:
    """Return the last verdicts of a record, by kind, program and number; none where there is no such file."""
    if record is None or not record.exists():
        return {}
    found = (_read(line) for line in record.read_text(encoding="utf-8").splitlines())
    return {(one.kind, one.subject, one.number): one for one in found}


def _read(line: str) -> Verdict:
    given = json.loads(line)
    rules = {name: tuple(given[name]) for name in ("rules", "strict", "values")}
    return Verdict(**{**given, **rules})


def tallied(found: Iterable[Verdict]) -> dict[str, Tally]:
    """Return what was counted of each kind."""
    tallies: dict[str, Tally] = {}
    for verdict in found:
        tallies.setdefault(verdict.kind, Tally()).add(verdict)
    return tallies


def figures(kind: str, tally: Tally) -> Iterator[Figure]:
    """Yield the figures of a kind."""
    name = kind.replace(" ", "-")
    yield Figure(f"mutants.{name}.harmful", tally.harmful, f"of {tally.mutants} mutants")
    by_default = tally.harmful - tally.caught
    yield Figure(
        f"mutants.{name}.missed-by-default", by_default, "mutants", "<= 0", by_default == 0
    )
    yield Figure(f"mutants.{name}.missed", tally.missed, "mutants", "<= 0", tally.missed == 0)


def rows(tallies: Mapping[str, Tally]) -> Iterator[str]:
    """Yield the table as it stands in docs/checker.md."""
    yield (
        "| fault | mutants | harmful | caught | with `--strict` | with values | missed "
        "| found, no order differs | rules that caught |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|---|"
    total = Tally()
    for kind, tally in tallies.items():
        total.join(tally)
        rules = ", ".join(f"{rule} {n}" for rule, n in tally.rules.most_common(4))
        yield _row(kind, tally, rules)
    yield _row("all", total, "")


def _row(name: str, tally: Tally, rules: str) -> str:
    cells = (
        tally.mutants,
        tally.harmful,
        tally.caught,
        tally.strictly,
        tally.with_values,
        tally.missed,
        tally.harmless,
    )
    return f"| {name} | {' | '.join(f'{n:,}' for n in cells)} | {rules} |"
