"""Plant faults in compiled programs, and count what the checker finds of those that do harm.

    .venv/bin/python benchmarks/checker.py [--sample N] [--seed S] [--kind WORDS] [--record FILE] [--json]
    .venv/bin/python benchmarks/checker.py --sweep [--cases N] [--record FILE] [--json]

docs/checker.md has the table and says what each kind of fault is.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

# A script's own folder is on the path, the repository with tests/ and examples/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures import checker, checker_sweep
from benchmarks.measures.checker_mutants import MUTATIONS
from benchmarks.measures.table import JSON_KEYS, Figure, conditions


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
    parser.add_argument("--cases", type=int, default=0, help="of the conformance suite; 0 all")
    parser.add_argument("--json", action="store_true", help="print a list of figures as JSON")
    given = parser.parse_args()
    if given.sweep:
        swept(given)
        return
    kinds = [kind for kind in MUTATIONS if given.kind in kind]
    tallies = checker.tallied(checker.verdicts(kinds, given.sample, given.seed, given.record))
    if given.json:
        show([figure for kind in kinds for figure in checker.figures(kind, tallies[kind])])
        return
    print(f"{given.sample} mutants of each kind, seed {given.seed} ({conditions()})")
    for row in checker.rows(tallies):
        print(row)


def show(figures: list[Figure]) -> None:
    """Print figures as JSON."""
    print(json.dumps([{key: getattr(f, key) for key in JSON_KEYS} for f in figures], indent=1))


def swept(given: argparse.Namespace) -> None:
    """Check programs that nobody changed, and print what is found in them."""
    found = list(checker_sweep.sweep(checker_sweep.names(given.cases), given.record))
    figures = list(checker_sweep.figures(found))
    if given.json:
        show(figures)
        return
    for one in found:
        for text in one.found:
            print(f"{one.name}: {text}")
    for figure in figures:
        print(f"{figure.name:24} {figure.value:6,} {figure.unit}")


if __name__ == "__main__":
    main()
