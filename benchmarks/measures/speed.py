"""How quick the tool itself is. Wall time is what is held to a goal, CPU time stands beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time as clock
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
from benchmarks.measures.table import Figure, at_least, at_most

from drawloom.chip.files import load_chip
from drawloom.program.commands import Engine, Join, Loop, MatMul, Read, Vector, Write
from drawloom.program.program import Program
from drawloom.timing import Trace, time
from drawloom.units import KIB, MIB

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
STARTS = 7
IMPORT_GOAL_S = 0.3
COMPILE_GOAL_S, TIME_GOAL_S, EXECUTE_GOAL_S = 20, 3, 60
EVENTS_GOAL = 1_000_000
ROUNDS = 20_000  # of the looped program: some millions of events

_CLOCKED = """
import time
wall, cpu = time.perf_counter(), time.process_time()
{}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def took(work: Callable[[], T]) -> tuple[T, float, float]:
    """Return what ``work`` returns, and its wall and CPU seconds."""
    wall, cpu = clock.perf_counter(), clock.process_time()
    result = work()
    return result, clock.perf_counter() - wall, clock.process_time() - cpu


def import_figures() -> Iterator[Figure]:
    """Yield the time of ``import drawloom``, and of all that compiling needs, in new processes."""
    wall, cpu = _started("import drawloom")
    yield at_most("import.drawloom", wall, "s", IMPORT_GOAL_S, _least(cpu))
    wall, cpu = _started("import drawloom; drawloom.compile")
    yield Figure("import.compile", wall, "s", note=_least(cpu))


def cold_figures() -> Iterator[Figure]:
    """Yield the time until the event loop has run on a machine that never ran it."""
    with TemporaryDirectory() as folder:
        words = "from benchmarks.measures.speed import warm; warm()"
        wall, cpu = _fresh(words, {"NUMBA_CACHE_DIR": folder})
    note = f"imports and Numba's compilation, once after installing; wall; CPU {cpu:.1f} s"
    yield Figure("cold.time", wall, "s", note=note)


def _fresh(words: str, settings: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Return the wall and CPU seconds of statements in a new process."""
    said = subprocess.run(
        [sys.executable, "-c", _CLOCKED.format(words)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(settings or {})},
    )
    wall, cpu = said.stdout.split()
    return float(wall), float(cpu)


def _started(words: str) -> tuple[float, float]:
    """Return the least wall and CPU seconds of statements over several new processes."""
    runs = [_fresh(words) for _ in range(STARTS)]
    return min(wall for wall, _ in runs), min(cpu for _, cpu in runs)


def _least(cpu: float) -> str:
    return f"wall, least of {STARTS}; CPU {cpu:.3f} s"


def resnet_figures() -> Iterator[Figure]:
    """Yield the time to compile, to time and to execute ResNet-50 at 224 x 224, batch 1, FP16."""
    from examples.models.resnet import resnet50

    import drawloom

    model = resnet50()
    build, wall, cpu = took(lambda: drawloom.compile(model))
    yield _second("resnet50.compile", wall, cpu, COMPILE_GOAL_S)
    warm()
    trace, wall, cpu = took(build.time)
    yield _second("resnet50.time", wall, cpu, TIME_GOAL_S)
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    _, wall, cpu = took(lambda: build.run({"image": image}))
    yield _second("resnet50.execute", wall, cpu, EXECUTE_GOAL_S)
    yield Figure("resnet50.events", trace.events, "events")
    yield Figure("resnet50.latency", trace.latency_ps / 1e9, "ms", note="on the chip, lean")


def event_figures() -> Iterator[Figure]:
    """Yield the rate of the event loop over a program of loops on all tiles."""
    warm()
    trace, wall, cpu = took(lambda: _timed(ROUNDS))
    yield at_least(
        "events.rate",
        trace.events / wall,
        "events/s",
        EVENTS_GOAL,
        f"{trace.events:,} events, pricing and spans included; by CPU time "
        f"{trace.events / cpu:,.0f} events/s",
    )


def _second(name: str, wall: float, cpu: float, goal: float) -> Figure:
    return at_most(name, wall, "s", goal, f"wall; CPU {cpu:.2f} s")


def warm() -> None:
    """Load or compile the event loop, which Numba keeps on disk from then on."""
    _timed(1)


def _timed(rounds: int) -> Trace:
    """Time a product in blocks on 16 tiles: two reads, a GEMM, an add and a write a round."""
    chip = load_chip("tx81")
    block = 64 * KIB  # 256 x 128 elements of FP16
    a, b, c, d = (MIB + i * 4 * block for i in range(4))
    streams = tuple(
        (
            Loop(
                rounds,
                (
                    Read(tile * MIB, a, block),
                    Read(tile * MIB + block, b, block // 2),
                    MatMul(a, b, c, 256, 128, 128, "f16", "f16"),
                    Vector("add", c, d, 256 * 128, "f16", "f16", scalar=1.0),
                    Write(d, (16 + tile) * MIB, block),
                    Join((Engine.WRITE,), 1),
                ),
            ),
        )
        for tile in range(chip.n_tiles)
    )
    program = Program(
        name="looped",
        chip=chip.name,
        blocking=chip.blocking,
        scratchpad_bytes=chip.scratchpad.bytes,
        dram_bytes=32 * MIB,
        regions=(),
        data=(),
        streams=streams,
        origins=(),
    )
    return time(program, chip)
