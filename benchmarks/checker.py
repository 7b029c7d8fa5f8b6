"""Plant faults in compiled programs, and count what the checker finds of those that do harm.

    .venv/bin/python benchmarks/checker.py [--sample N] [--seed S] [--kind WORDS] [--record FILE] [--json]
    .venv/bin/python benchmarks/checker.py --sweep [--cases N] [--strict] [--record FILE] [--json]
    .venv/bin/python benchmarks/checker.py --cost [--only WORDS] [--json]

The second checks programs that nobody changed; the third says what a check costs beside compiling.
docs/checker.md has the table and says what each kind of fault is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

# A script's own folder is on the path, the repository with tests/ and examples/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures import checker, checker_cost, checker_sweep
from benchmarks.measures.checker_mutants import MUTATIONS
from benchmarks.measures.table import JSON_KEYS, Figure, conditions, show


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description="Plant faults, count which are found.")
    parser.add_argument("--sample", type=int, default=checker.SAMPLE, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=0, help="draws mutants and orders")
    parser.add_argument("--kind", default="", help="kinds whose name holds these words")
    parser.add_argument(
        "--record", type=Path, help="file of verdicts: what stands there is not done again"
    )
    parser.add_argument(
        "--sweep", action="store_true", help="check programs that nobody changed instead"
    )
    parser.add_argument("--strict", action="store_true", help="sweep with the strict rules as well")
    parser.add_argument("--cases", type=int, default=0, help="of the conformance suite; 0 all")
    parser.add_argument("--json", action="store_true", help="print a list of figures as JSON")
    parser.add_argument("--cost", action="store_true", help="measure what a check costs instead")
    parser.add_argument(
        "--only", default="", help="of the cost, works whose name holds these words"
    )
    given = parser.parse_args()
    if given.sweep:
        swept(given)
        return
    if given.cost:
        cost(given.only, as_json=given.json)
        return
    kinds = [kind for kind in MUTATIONS if given.kind in kind]
    tallies = checker.tallied(checker.verdicts(kinds, given.sample, given.seed, given.record))
    if given.json:
        show_json([figure for kind in kinds for figure in checker.figures(kind, tallies[kind])])
        return
    print(f"{given.sample} mutants of each kind, seed {given.seed} ({conditions()})")
    for row in checker.rows(tallies):
        print(row)


def swept(given: argparse.Namespace) -> None:
    """Check programs that nobody changed, and print what is found in them."""
    found = list(
        checker_sweep.sweep(checker_sweep.names(given.cases), given.record, strict=given.strict)
    )
    figures = list(checker_sweep.figures(found))
    if given.json:
        show_json(figures)
        return
    for one in found:
        for text in one.found:
            print(f"{one.name}: {text}")
    show("What is found in programs that nobody changed", figures)


def cost(only: str, *, as_json: bool) -> None:
    """Measure and print what a check costs."""
    found: list[Figure] = []
    for measure in checker_cost.measures(only).values():
        found += measure()
    if found:
        found.append(checker_cost.median(found))
    if not only or only == "cold":
        found.append(checker_cost.cold())
    if as_json:
        show_json(found)
    else:
        show("The cost of a check beside compiling", found)


def show_json(figures: Iterable[Figure]) -> None:
    """Print figures as a list of JSON."""
    print(json.dumps([{key: getattr(f, key) for key in JSON_KEYS} for f in figures], indent=1))


if __name__ == "__main__":
    main()
