"""``check --explain``: what is missing is named, and mends the program."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import pytest
from benchmarks.measures.checker_mutants import MUTATIONS
from benchmarks.measures.checker_works import Subject, subject
from tests.check.test_check import BY_HAND
from typer.testing import CliRunner

from drawloom.check import check
from drawloom.check.explain import Explained, explain
from drawloom.check.findings import Lines
from drawloom.check.mend import mended
from drawloom.chip.files import load_chip
from drawloom.cli.app import app
from drawloom.program.line_numbers import line_numbers
from drawloom.program.parse import parse
from drawloom.program.program import Program

TX81 = load_chip("tx81")
CASES = {
    "a join before a send": ("  join engines=vector\n", "", "join engines=vector   before hand.prog.txt:12:"),
    "a wait for what is sent": ("  wait flag=3\n", "", "wait flag=3   before hand.prog.txt:18:"),
    "a wait that comes too late": (
        "  wait flag=3\n  write spm=0x0 dram=0x100 inner=16 #0\n",
        "  write spm=0x0 dram=0x100 inner=16 #0\n  wait flag=3\n",
        "wait flag=3, moved up from hand.prog.txt:19,   before hand.prog.txt:18:",
    ),
    "a signal behind the arm, as nothing else tells": (
        "  barrier tiles=0..1\n", "", "signal target=0 flag=0   before hand.prog.txt:16:"
    ),
    "an arm": ("  arm flag=3\n", "", "arm flag=3   before hand.prog.txt:16:"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_missing_is_named_by_line_and_mends_it(name: str) -> None:
    before, after, said = CASES[name]
    text = BY_HAND.replace(before, after)
    program = parse(text)
    lines = Lines("hand.prog.txt", line_numbers(text))
    found = check(program, TX81)
    told = [explain(program, TX81, one, lines) for one in found]
    assert any(said in one.text() for one in told), [one.text() for one in told]
    assert all(one.is_tried for one in told)
    for one, reason in zip(found, told, strict=True):
        left = check(mended(program, reason.edits), TX81)
        assert (one.rule, one.where) not in {(each.rule, each.where) for each in left}


def test_bytes_that_nobody_has_written_yet_name_who_does() -> None:
    text = BY_HAND.replace(
        "  read dram=0x0 spm=0x0 inner=16 #0\n  vector op=mul a=0x0 dst=0x100",
        "  vector op=mul a=0x0 dst=0x100",
    ).replace(
        "  join engines=vector\n", "  read dram=0x0 spm=0x0 inner=16 #0\n  join engines=vector\n"
    )
    program = parse(text)
    (found,) = check(program, TX81)
    said = explain(program, TX81, found, Lines("hand.prog.txt", line_numbers(text))).text()
    assert "written too late by hand.prog.txt:10: tile 0: read dram=0x0 spm=0x0 inner=16" in said


def test_lines_of_loops_and_of_tiles_that_share_a_stream() -> None:
    text = BY_HAND[: BY_HAND.index("tile 0:")] + (
        "tile 0..1 as t:\n  loop 2 as i:\n    arm flag=t\n    loop 3:\n      signal target=t flag=t\n"
        "  wait flag=1\n\ntile 2..3:\n  arm flag=2\n"
    )
    assert line_numbers(text) == ((10, 12, 13), (10, 12, 13), (16,), (16,))


def test_the_command_line_explains(tmp_path: Path) -> None:
    path = tmp_path / "hand.prog.txt"
    path.write_text(BY_HAND.replace("  wait flag=3\n", ""), encoding="utf-8")
    made = CliRunner().invoke(app, ["check", str(path), "--explain"])
    assert made.exit_code == 1
    assert "of the scratchpad of tile 1, 16 in all" in made.output
    assert "wait flag=3   before hand.prog.txt:18: tile 1: write spm=0x0" in made.output


@cache
def of(name: str) -> Subject:
    return subject(name)


def planted(kind: str, name: str, most: int) -> Iterator[Program]:
    rng = Random(f"explain.{kind}.{name}")
    for _ in range(most):
        mutant = MUTATIONS[kind](of(name).program, rng)
        if mutant is not None:
            yield mutant


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gemm", "gemm on 16 tiles", "llama block"])
@pytest.mark.parametrize("kind", ["drop a join", "drop a wait"])
def test_what_is_missing_mends_planted_faults_of_order(kind: str, name: str) -> None:
    chip = of(name).chip
    told: list[list[Explained]] = []
    for mutant in planted(kind, name, 12):
        found = [one for one in check(mutant, chip) if one.rule in ("race", "unarmed")]
        if found:
            told.append([explain(mutant, chip, one) for one in found])
    # Of one that lacks a command, some finding names what puts it right.
    mends = [any(one.is_tried for one in each) for each in told]
    assert sum(mends) * 4 >= len(mends) * 3, mends
