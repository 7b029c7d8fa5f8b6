"""What the checker finds in programs that nobody changed: the conformance suite, and models of the benchmarks.

Each finding by the default rules is either a fault of the program or a false one; strict rules are counted by name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

from benchmarks.measures.limits import WORKS
from benchmarks.measures.table import Figure
from tests.conformance import suite

from drawloom.check import check
from drawloom.check.findings import Finding
from drawloom.errors import Unsound
from drawloom.flow import Build, compile

CASES_S = 60  # of the processor, after which a case of the suite is left out


@dataclass(frozen=True, slots=True)
class Swept:
    """What was found in one program.

    Attributes:
        name: ``case`` or ``model``, and which.
        state: ``checked``, or ``none`` where there is no program.
        found: findings by the default rules, in words.
        strict: the strict rules that it breaks.
    """

    name: str
    state: str
    found: tuple[str, ...] = ()
    strict: tuple[str, ...] = ()


class Stop(Exception):
    """A case is compiled, and need not run."""


def strictly(build: Build) -> tuple[str, ...]:
    """Return the strict rules that a program breaks, beside any others."""
    return tuple(sorted({one.rule for one in _strict(build)}))


def _strict(build: Build) -> tuple[Finding, ...]:
    return check(build.program, build.chip, strict=True, graph=build.graph)


def case(name: str, *, strict: bool) -> Swept:
    """Compile a case of the conformance suite as the suite does; compiling checks the program."""
    with patch.object(Build, "run", side_effect=Stop):
        outcome = suite.run_case(name, CASES_S)
    made = suite.last()
    if Unsound.__name__ in outcome.reason:
        return Swept(f"case {name}", "checked", (outcome.reason,))
    if made is None or made.last is None:
        return Swept(f"case {name}", "none")
    return Swept(f"case {name}", "checked", (), strictly(made.last.build) if strict else ())


def model(name: str, *, strict: bool) -> Swept:
    """Compile a model of the benchmarks at the size that runs in the tests, and check its program."""
    (work,) = (work for work in WORKS if work.name == name)
    build = compile(work.small(), check=False)
    found = tuple(one.text(build.program) for one in check(build.program, build.chip))
    return Swept(f"model {name}", "checked", found, strictly(build) if strict else ())


def names(sample: int = 0) -> list[str]:
    """Return what can be swept: models, then cases; every k-th case so that about ``sample`` are left, or all."""
    cases = list(suite.items())
    step = max(1, len(cases) // sample) if sample else 1
    return [*(f"model {work.name}" for work in WORKS), *(f"case {name}" for name in cases[::step])]


def sweep(
    which: Iterable[str], record: Path | None = None, *, strict: bool = False
) -> Iterator[Swept]:
    """Yield what was found in each, by strict rules too if asked; what stands in the record is not done again."""
    known = _recorded(record)
    for name in which:
        found = known.get(name)
        if found is None:
            kind, _, rest = name.partition(" ")
            found = (model if kind == "model" else case)(rest, strict=strict)
            if record is not None:
                with record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(found)) + "\n")
        yield found


def _recorded(record: Path | None) -> dict[str, Swept]:
    if record is None or not record.exists():
        return {}
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    return {
        line["name"]: Swept(
            line["name"], line["state"], tuple(line["found"]), tuple(line["strict"])
        )
        for line in lines
    }


def figures(found: Iterable[Swept]) -> Iterator[Figure]:
    """Yield how many programs were checked, and how many of them something was found in."""
    every = list(found)
    states = Counter(one.state for one in every)
    yield Figure("sweep.checked", states["checked"], "programs")
    bad = sum(bool(one.found) for one in every)
    yield Figure("sweep.found", bad, "programs", "<= 0", bad == 0)
    rules = Counter(rule for one in every for rule in one.strict)
    for rule, n in sorted(rules.items()):
        yield Figure(f"sweep.strict.{rule}", n, "programs")
