"""ONNX's conformance suite on the programs that its models compile to.

    .venv/bin/python benchmarks/conformance.py [--sample N] [--seed S] [--json] [--only NAME]
    .venv/bin/python benchmarks/conformance.py --write   # docs/conformance.md, from every case

``--sample`` takes so many cases at random; all by default.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

# A script's own folder is on the path, the repository with tests/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures.table import Figure, at_least, at_most, main
from tests.conformance.suite import PLACES, UNION, WORDS, Outcome, in_union, items, run_case

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
CASES, GOAL, LIMIT_S = 2033, 1455, 720
REAL = 9
UNION_CASES, UNION_GOAL = 435, 420

HEAD = """\
# ONNX conformance

Every CPU case of the suite in the onnx package, compiled for the TX81 in f32 by `drawloom.backend`, its
program executed and held to the suite's own tolerances. A case passes, or one `Unsupported` error says
which operator, attribute or type is in the way: `tests/golden/conformance/` has a line for every case.

    make slow                                                        # runs every case
    .venv/bin/python benchmarks/conformance.py --sample 200 --seed 1   # some, as figures
    .venv/bin/python benchmarks/conformance.py --write                 # every case, timed; this page
"""

COLUMNS = """\
A case counts for each operator in its model. *Engines*: its program needs no tile processor; *CPU*: some part
runs on one; *constant*: shapes and constants (also those given as inputs that steer shapes) leave nothing to
compute. *Cycles on CPU*: of a program's time, the part in which some tile's processor runs a `cpu` command, as
`drawloom.time` has it; the mean over the operator's cases that have a program. Cases are tiny, so where
there is such a command it takes most of the time.
"""


def outcomes(names: Sequence[str], *, timed: bool = False) -> list[Outcome]:
    """Run cases on two processes."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        return list(pool.map(partial(run_case, timed=timed), names, chunksize=8))


def figures(sample: int, seed: int) -> Iterator[Figure]:
    names = list(items())
    whole = not 0 < sample < len(names)
    chosen = names if whole else random.Random(seed).sample(names, sample)
    begin = time.perf_counter()
    found = outcomes(chosen)
    took = time.perf_counter() - begin
    counts = Counter(o.result for o in found)
    passed = [o for o in found if o.result == "passed"]
    union = [o for o in found if in_union(o)]
    real = [name for name in chosen if _is_real(name)]
    yield Figure("suite.cases", len(chosen), "cases")
    least = GOAL if whole else GOAL * len(chosen) // CASES
    yield at_least("suite.passed", counts["passed"], "cases", least)
    yield Figure("suite.refused", counts["refused"], "cases")
    for word in WORDS[2:]:
        yield at_most(f"suite.{word}", counts[word], "cases", 0)
    least = UNION_GOAL * len(union) // UNION_CASES
    held = sum(in_union(o) for o in passed)
    yield at_least("suite.union", held, "cases", least, f"of {len(union)} node cases")
    models = sum(_is_real(o.name) for o in passed)
    yield at_least("suite.real_models", models, "models", REAL if whole else len(real))
    yield at_most("suite.time", took, "s", LIMIT_S)


def _is_real(name: str) -> bool:
    return name.startswith("RealModel.")


def page(found: Sequence[Outcome], share: Mapping[str, float]) -> str:
    """Return docs/conformance.md.

    Args:
        found: what became of every case.
        share: by operator, the part of its cases' cycles that tiles' processors take.
    """
    counts = Counter(o.result for o in found)
    union = [o for o in found if in_union(o)]
    within = sum(o.result == "passed" for o in union)
    real = [o for o in found if _is_real(o.name)]
    models = sum(o.result == "passed" for o in real)
    lines = [
        HEAD,
        "| " + " | ".join(["cases", *WORDS]) + " |",
        "|" + "--:|" * (len(WORDS) + 1),
        "| " + " | ".join(f"{n:,}" for n in (len(found), *(counts[w] for w in WORDS))) + " |",
        "",
        f"Of the {len(union)} node cases whose operators are among the {len(UNION)} that thirteen PyTorch",
        f"models need, {within} pass. Of the {len(real)} real models, {models} pass.",
        "",
        COLUMNS,
        "| operator | passed | refused | engines | CPU | constant | cycles on CPU |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for op, cases in sorted(by_operator(found).items()):
        results, places = Counter(o.result for o in cases), Counter(o.where for o in cases)
        cells = [results["passed"], results["refused"], *(places[w] for w in PLACES)]
        shown = f"{share[op]:.0%}" if op in share else ""
        lines.append(f"| {op} | " + " | ".join(str(n) for n in cells) + f" | {shown} |")
    return "\n".join([*lines, ""])


def by_operator(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return the cases of each operator."""
    rows: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        for op in outcome.ops or ("(not read)",):
            rows[op].append(outcome)
    return rows


def measured(found: Sequence[Outcome]) -> dict[str, float]:
    """Return each operator's part of cycles on tiles' processors, of cases that were timed."""
    rows = {
        op: [o.share for o in cases if o.share is not None]
        for op, cases in by_operator(found).items()
    }
    return {op: sum(row) / len(row) for op, row in rows.items() if row}


def shares(text: str) -> dict[str, float]:
    """Return the last column of the page by operator."""
    rows = re.findall(r"^\| (\S.*?) \|.*\| (\d+)% \|$", text, re.MULTILINE)
    return {op: int(percent) / 100 for op, percent in rows}


def _whole_page() -> str:
    found = outcomes(list(items()), timed=True)
    return page(found, measured(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    given, rest = parser.parse_known_args()
    if given.write:
        PAGE.write_text(_whole_page(), encoding="utf-8")
    else:
        title = "ONNX's suite on a TX81"
        main(title, {"suite": lambda: figures(given.sample, given.seed)}, rest)
