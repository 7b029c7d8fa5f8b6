"""Whether drawloom deals with an altered artefact as it should: one clear error, or it is used."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz import artefact_kinds
from tests.fuzz.judge import MOST_LINES, Tell, Wrong

from drawloom.check import check
from drawloom.chip.files import load_chip, parse_chip
from drawloom.chip.model import Chip
from drawloom.chip.text import chip_text
from drawloom.cli.arrays import random_inputs
from drawloom.errors import DoesNotFit, DrawloomError, InputError
from drawloom.execute.machine import execute
from drawloom.flow import Build, assemble_read
from drawloom.graph.files import read_graph
from drawloom.mapping.files import read_mapping
from drawloom.program.check_fields import turns
from drawloom.program.files import read_program
from drawloom.program.fits import refuse_misfit
from drawloom.program.parse import parse
from drawloom.program.program import Program
from drawloom.program.span_files import read_span
from drawloom.program.text import blobs, text
from drawloom.report import figures
from drawloom.timing import time
from drawloom.timing.files import read_trace

assert artefact_kinds.KINDS  # registers the kinds in the process that judges
MOST_TURNS = 5_000
"""Longer programs are read, and not run here."""
FORBIDDEN = (
    "pickle.find_class",
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.fork",
    "shutil.rmtree",
)
_SEEN: list[str] = []


def judge_artefact(path: Path, tell: Tell) -> str:
    """Return ``refused``, ``read`` or ``agrees`` for the mutant at ``path``.

    Raises:
        Wrong: it ran something, or what was read prints otherwise.
        Exception: anything but an error for a person.
    """
    _SEEN.clear()
    try:
        word = JUDGES[path.suffix](path)
    except (DoesNotFit, InputError) as error:
        said = error.text()
        if not said.startswith("error[") or said.count("\n") > MOST_LINES:
            raise Wrong(f"an unclear message: {said[:200]!r}") from error
        word = "refused"
    if _SEEN:
        raise Wrong(f"it ran {_SEEN}")
    return word


def _program(path: Path) -> str:
    program = read_program(path)
    printed = text(program)
    if text(parse(printed, blobs(program))) != printed:
        raise Wrong("it prints otherwise than it reads")
    chip = load_chip(program.chip)
    refuse_misfit(program, chip)
    return _used(program, chip)


def _used(program: Program, chip: Chip) -> str:
    if sum(map(turns, program.streams)) > MOST_TURNS:
        return "read"
    check(program, chip)
    inputs = random_inputs(program, None, 1)
    ran = _ended(lambda: execute(program, inputs))
    timed = _ended(lambda: time(program, chip))
    return "agrees" if ran and timed else "read"


def _ended(use: Callable[[], object]) -> bool:
    """Whether a program came to its end; else it said why."""
    try:
        use()
    except DrawloomError as error:
        if not error.args:
            raise Wrong("an empty message") from error
        return False
    return True


def _graph(path: Path) -> str:
    graph = read_graph(path)
    assert graph.text()
    return "read"


def _mapping(path: Path) -> str:
    mapping = read_mapping(path)
    assert mapping.text()
    return _used(assemble_read(mapping, path.name), mapping.chip)


def _build(path: Path) -> str:
    build = Build.load(path)
    assert build.graph.text()
    return _used(build.program, build.chip)


def _trace(path: Path) -> str:
    trace = read_trace(path)
    assert trace.text()
    figures(trace, bounded=False)
    return "read"


def _span(path: Path) -> str:
    span = read_span(path)
    assert span.text()
    for program in span.programs:
        assert text(program)
    return "read"


def _chip(path: Path) -> str:
    chip = parse_chip(path.read_text(errors="replace"), path.name, path.parent)
    assert chip_text(parse_chip(chip_text(chip))) == chip_text(chip)
    return "read"


JUDGES: dict[str, Callable[[Path], str]] = {
    ".prog": _program,
    ".txt": _program,
    ".graph": _graph,
    ".map": _mapping,
    ".build": _build,
    ".trace": _trace,
    ".span": _span,
    ".yaml": _chip,
}


def _hook(event: str, _: tuple[Any, ...]) -> None:
    if event in FORBIDDEN:
        _SEEN.append(event)


if multiprocessing.current_process().name != "MainProcess":
    # What is compiled once, and loaded once, is so before memory is bounded and the clock runs.
    _kernel = parse("drawloom program 1\nprogram name=n chip=tx81\ntile 0:\n  arm flag=0\n")
    time(_kernel, load_chip("tx81"))
    check(_kernel, load_chip("tx81"))
    sys.addaudithook(_hook)
