"""What a check costs beside the compilation that it follows, and what compiling the checker itself costs once.

CPU time of this process, of the first time: compiling a graph again finds much of its plan worked out.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import TypeVar

from benchmarks.measures.limits import WORKS, product
from benchmarks.measures.table import Figure, Measure, at_most

from drawloom.check import check
from drawloom.flow import Build, compile
from drawloom.frontends.onnx import read_onnx
from drawloom.graph.ir import Graph

SHARE = 0.15  # of the time to compile
COLD_S = 15  # once after installing
ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits.onnx"
_Made = TypeVar("_Made")

COLD = """
from time import process_time
from benchmarks.measures.limits import product
from drawloom.check import check
from drawloom.flow import compile
build = compile(product(64, 64, 64), check=False)
begun = process_time()
check(build.program, build.chip)
print(process_time() - begun)
"""


def measures(only: str = "") -> Mapping[str, Measure]:
    """Return what measures the cost for each work whose name holds ``only``; by the names of works."""
    made: dict[str, Measure] = {
        work.name: partial(figures, work.name, work.graph, work.weights) for work in WORKS
    }
    made["digits-demo"] = partial(figures, "digits-demo", _digits, "float")
    return {name: measure for name, measure in made.items() if only in name}


def _digits() -> Graph:
    """The model of ``make demo``, for as many images."""
    return read_onnx(DIGITS, {"batch": 450})


def figures(name: str, graph: Callable[[], Graph], weights: str) -> Iterator[Figure]:
    """Yield what compiling takes, what a check takes, and the check's share of compiling."""
    warm = compile(product(64, 64, 64), check=False)
    check(warm.program, warm.chip)
    model = graph()
    took, build = timed(lambda: _compiled(model, weights))
    checked, found = timed(lambda: check(build.program, build.chip))
    assert not found, found[0].text(build.program)
    yield Figure(f"cost.{name}.compile", took, "CPU s")
    yield Figure(f"cost.{name}.check", checked, "CPU s")
    yield at_most(f"cost.{name}.share", checked / took, "of compile", SHARE)


def _compiled(model: Graph, weights: str) -> Build:
    return compile(model, weights=weights, check=False)


def median(made: list[Figure]) -> Figure:
    """Return the median of all shares."""
    shares = [figure.value for figure in made if figure.name.endswith(".share")]
    worst = max(shares)
    note = f"{len(shares)} works, worst {worst:.2f}"
    return at_most("cost.median", statistics.median(shares), "of compile", SHARE, note)


def cold() -> Figure:
    """Return what the first check after installing takes, the checker being compiled by it."""
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", COLD],
            env=os.environ | {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    return at_most("cost.cold", float(done.stdout), "CPU s", COLD_S)


def timed(work: Callable[[], _Made]) -> tuple[float, _Made]:
    """Return the CPU time of some work, and what came of it."""
    begun = process_time()
    made = work()
    return process_time() - begun, made
