"""Stopped at any moment, by the system's hardest signal, no command leaves a broken file; and any
number of them may write and read the same files at once.

What is stopped runs in a process of its own, split off this one, so that next to nothing of its life
goes into loading modules. ``DRAWLOOM_FUZZ_SEED=7`` draws other moments.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.test_artefacts import graph, mapping, program, trace
from tests.test_flow import X, model

from drawloom import cli, flow
from drawloom.cli.arrays import read_arrays, write_arrays
from drawloom.flow import Build
from drawloom.graph.files import read_graph, write_graph
from drawloom.mapping.files import read_mapping, write_mapping
from drawloom.program.files import read_program, write_program
from drawloom.program.program import Program
from drawloom.timing.files import read_trace, write_trace
from drawloom.tune import memory

SEED = int(os.environ.get("DRAWLOOM_FUZZ_SEED", "20261125"))
KILLS = int(os.environ.get("DRAWLOOM_KILLS", "12"))
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@contextmanager
def aside(work: Callable[[], object]) -> Iterator[int]:
    """Run something in a process of its own; yields its id, and ends it if it still lives."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
            work()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        finally:
            os._exit(code)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def ended(work: Callable[[], object]) -> int:
    """Run something in a process of its own to its end; return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
            work()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def command(*words: object) -> Callable[[], None]:
    def run() -> None:
        sys.argv = ["drawloom", *map(str, words)]
        cli.main()

    return run


# --- each artefact, written over and over ------------------------------------


@cache
def build() -> Build:
    return flow.compile(graph(), "tx81")


def bulky(n: int) -> Program:
    """A program whose text has data beside it, that takes a while to write."""
    return replace(
        program(),
        dram_bytes=1 << 24,
        data=((0, np.full(1 << 19, n, np.uint8)), (1 << 20, np.arange(1 << 18, dtype=np.uint8))),
    )


Pair = tuple[Callable[[Path], object], Callable[[Path], object]]
FORMS: dict[str, Pair] = {
    "a.graph": (lambda path: write_graph(graph(), path), read_graph),
    "a.map": (lambda path: write_mapping(mapping(), path), read_mapping),
    "a.prog": (lambda path: write_program(bulky(time.time_ns() % 3), path), read_program),
    "a.prog.txt": (lambda path: write_program(bulky(time.time_ns() % 3), path), read_program),
    "a.build": (lambda path: build().save(path), Build.load),
    "a.trace": (lambda path: write_trace(trace(), path), read_trace),
    "a.npz": (lambda path: write_arrays(path, {"y": np.ones(1 << 16)}), read_arrays),
    "a.json": (
        lambda path: memory.remember(path, {f"grid={i}": i + 1 for i in range(2000)}),
        memory.recall,
    ),
}


def over_and_over(write: Callable[[Path], object], path: Path) -> Callable[[], None]:
    def work() -> None:
        while True:
            write(path)

    return work


def sound(name: str, path: Path) -> None:
    """Read a file; the memory of trials is silent about what it cannot read, so it is counted."""
    found = FORMS[name][1](path)
    assert found is not None
    if name == "a.json":
        assert isinstance(found, dict)
        assert len(found) == 2000


def stop_at_random(name: str, folder: Path, times: int) -> None:
    write, path = FORMS[name][0], folder / name
    write(path)
    rng = random.Random(f"{SEED}/{name}")
    for _ in range(times):
        with aside(over_and_over(write, path)):
            time.sleep(rng.uniform(0.001, 0.06))
        sound(name, path)
    left = [each.name for each in folder.iterdir() if each.name.endswith(".tmp")]
    assert all(each.startswith(".") for each in left)


@pytest.mark.parametrize("name", ["a.prog.txt", "a.build", "a.json"])
def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path, name: str) -> None:
    build()
    stop_at_random(name, tmp_path, 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_a_writer_that_is_killed_forty_times_leaves_whole_files(tmp_path: Path, name: str) -> None:
    build()
    trace()
    stop_at_random(name, tmp_path, 40)


def share(name: str, folder: Path, seconds: float) -> None:
    write, path = FORMS[name][0], folder / name
    write(path)
    work = over_and_over(write, path)
    until = time.monotonic() + seconds
    with aside(work), aside(work), aside(work):
        reads = 0
        while reads < 3 or time.monotonic() < until:
            sound(name, path)
            reads += 1


@pytest.mark.parametrize("name", ["a.prog.txt", "a.build"])
def test_a_file_may_be_read_while_others_write_it(tmp_path: Path, name: str) -> None:
    build()
    share(name, tmp_path, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_files_are_shared_safely(tmp_path: Path, name: str) -> None:
    build()
    trace()
    share(name, tmp_path, 3.0)


# --- the commands -----------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRAWLOOM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model.onnx").write_bytes(model().SerializeToString())
    np.savez(tmp_path / "x.npz", **X)  # pyright: ignore[reportArgumentType]
    return tmp_path


READERS: dict[str, Callable[[Path], object]] = {
    ".graph": read_graph,
    ".map": read_mapping,
    ".prog": read_program,
    ".txt": read_program,
    ".build": Build.load,
    ".npz": read_arrays,
}
OPEN = ("model.onnx", "--dim", "batch=3")
STAGES = ("a.graph", "a.map", "a.prog", "a.prog.txt", "a.build")
COMMANDS = {
    "compile": ("compile", *OPEN, *(word for stage in STAGES for word in ("-o", stage))),
    "run": ("run", *OPEN, "--inputs", "x.npz", "--output", "y.npz"),
    "tune": ("compile", *OPEN, "--effort", "3", "-o", "a.prog"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_leaves_whole_files(here: Path, name: str) -> None:
    work = command(*COMMANDS[name])
    begun = time.monotonic()
    assert ended(work) == 0
    whole = time.monotonic() - begun
    kept = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    rng = random.Random(f"{SEED}/{name}")
    for _ in range(KILLS):
        for path in here.glob("cache/tune/*.json"):
            path.unlink()
        with aside(work):
            time.sleep(rng.uniform(0, whole))
        for path in here.iterdir():
            if path.suffix in READERS and not path.name.startswith("."):
                READERS[path.suffix](path)
        for path in here.glob("cache/tune/*.json"):
            assert json.loads(path.read_bytes())["format"] == memory.FORMAT
    assert ended(work) == 0
    assert {file: (here / file).read_bytes() for file in kept} == kept


@pytest.mark.slow
def test_commands_share_a_memory_of_trials(here: Path) -> None:
    """Four at once, each with its own output, give what one alone gives."""
    tune = COMMANDS["tune"][:-1]
    assert ended(command(*tune, "alone.prog")) == 0
    for path in here.glob("cache/tune/*.json"):
        path.unlink()
    children = []
    for i in range(4):
        child = os.fork()
        if child == 0:
            try:
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115
                command(*tune, f"{i}.prog")()
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    alone = (here / "alone.prog").read_bytes()
    assert [(here / f"{i}.prog").read_bytes() == alone for i in range(4)] == [True] * 4
