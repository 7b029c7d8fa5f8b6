"""Plant faults in compiled programs, and count what the checker finds of those that do harm.

    .venv/bin/python benchmarks/checker.py [--sample N] [--seed S] [--kind WORDS] [--record FILE] [--json]

docs/checker.md has the table and says what each kind of fault is.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

# A script's own folder is on the path, the repository with tests/ and examples/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures import checker
from benchmarks.measures.checker_mutants import MUTATIONS
from benchmarks.measures.table import conditions


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description="Plant faults, count which are found.")
    parser.add_argument("--sample", type=int, default=checker.SAMPLE, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=0, help="draws mutants and orders")
    parser.add_argument("--kind", default="", help="kinds whose name holds these words")
    parser.add_argument(
        "--record", type=Path, help="file of verdicts: what stands there is not done again"
    )
    parser.add_argument("--json", action="store_true", help="print a list of figures as JSON")
    given = parser.parse_args()
    kinds = [kind for kind in MUTATIONS if given.kind in kind]
    tallies = checker.tallied(checker.verdicts(kinds, given.sample, given.seed, given.record))
    if given.json:
        every = [figure for kind in kinds for figure in checker.figures(kind, tallies[kind])]
        keys = ("name", "value", "unit", "goal", "holds")
        print(json.dumps([{key: getattr(f, key) for key in keys} for f in every], indent=1))
        return
    print(f"{given.sample} mutants of each kind, seed {given.seed} ({conditions()})")
    for row in checker.rows(tallies):
        print(row)


if __name__ == "__main__":
    main()
