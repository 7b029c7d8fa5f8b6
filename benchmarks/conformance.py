"""ONNX's conformance suite on the programs that its models compile to.

    .venv/bin/python benchmarks/conformance.py [--sample N] [--seed S] [--json] [--only NAME]
    .venv/bin/python benchmarks/conformance.py --write   # docs/conformance.md, from every case

``--sample`` takes so many cases at random; all by default.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

# A script's own folder is on the path, the repository with tests/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures.table import Figure, at_least, at_most, main
from tests.conformance.suite import WORDS, Outcome, items, run_case

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
CASES, GOAL, LIMIT_S = 2033, 1455, 720


def outcomes(names: Sequence[str]) -> list[Outcome]:
    """Run cases on two processes."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        return list(pool.map(run_case, names, chunksize=8))


def figures(sample: int, seed: int) -> Iterator[Figure]:
    names = list(items())
    whole = not 0 < sample < len(names)
    chosen = names if whole else random.Random(seed).sample(names, sample)
    begin = time.perf_counter()
    counts = Counter(o.result for o in outcomes(chosen))
    took = time.perf_counter() - begin
    least = GOAL if whole else GOAL * len(chosen) // CASES
    yield Figure("suite.cases", len(chosen), "cases")
    yield at_least("suite.passed", counts["passed"], "cases", least)
    yield Figure("suite.refused", counts["refused"], "cases")
    for word in WORDS[2:]:
        yield at_most(f"suite.{word}", counts[word], "cases", 0)
    yield at_most("suite.time", took, "s", LIMIT_S)


def page(found: Sequence[Outcome]) -> str:
    """Return docs/conformance.md."""
    counts = Counter(o.result for o in found)
    rows: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        for op in outcome.ops or ("(not read)",):
            rows[op].append(outcome)
    lines = [
        "# ONNX conformance",
        "",
        "Every CPU case of the suite in the onnx package, compiled for the TX81 in f32 by",
        "`drawloom.backend`, its program executed and held to the suite's own tolerances.",
        "`.venv/bin/python benchmarks/conformance.py --write` makes this page.",
        "",
        "| " + " | ".join(["cases", *WORDS]) + " |",
        "|" + "--:|" * (len(WORDS) + 1),
        "| " + " | ".join(f"{n:,}" for n in (len(found), *(counts[w] for w in WORDS))) + " |",
        "",
        "A case counts for each operator in its model. *Engines*: its programs need no tile",
        "processor; *with CPU*: some part runs on one; *constant*: shapes and constants (also those",
        "given as inputs that steer shapes) leave nothing to compute. Shares of cycles are not",
        "shown. The reasons of every refusal stand in `tests/golden/conformance/`.",
        "",
        "| operator | passed | refused | engines | with CPU | constant |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for op, cases in sorted(rows.items()):
        good = [o for o in cases if o.result == "passed"]
        still = sum(o.still for o in good)
        cpu = sum(o.cpu and not o.still for o in good)
        refused = sum(o.result == "refused" for o in cases)
        cells = (len(good), refused, len(good) - still - cpu, cpu, still)
        lines.append(f"| {op} | " + " | ".join(str(n) for n in cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    given, rest = parser.parse_known_args()
    if given.write:
        PAGE.write_text(page(outcomes(list(items()))), encoding="utf-8")
    else:
        title = "ONNX's suite on a TX81"
        main(title, {"suite": lambda: figures(given.sample, given.seed)}, rest)
