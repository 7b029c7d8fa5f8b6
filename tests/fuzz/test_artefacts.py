"""Altered artefacts of drawloom's own are refused with a clear error, or used as they stand.

``DRAWLOOM_FUZZ_SEED=7`` draws other mutants; ``DRAWLOOM_FUZZ_ARTEFACT='conv.prog command:3'`` runs
one again, as a failure names it.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.fuzz.artefact_judge import judge_artefact
from tests.fuzz.artefact_kinds import draw_artefact
from tests.fuzz.mutants import Mutant
from tests.fuzz.test_mutants import told
from tests.fuzz.watch import Outcome, Watch
from tests.program.sample import sample
from tests.test_artefacts import graph, mapping, program, trace

from drawloom import flow
from drawloom.chip.files import load_chip
from drawloom.chip.system_files import load_system
from drawloom.chip.text import chip_text
from drawloom.graph.files import write_graph
from drawloom.mapping.files import write_mapping
from drawloom.program.files import read_program, write_program
from drawloom.program.span import Span
from drawloom.program.span_files import write_span
from drawloom.timing.files import write_trace

SEED = int(os.environ.get("DRAWLOOM_FUZZ_SEED", "20261125"))
ONE = os.environ.get("DRAWLOOM_FUZZ_ARTEFACT", "")
MANY = int(os.environ.get("DRAWLOOM_FUZZ_ARTEFACTS", "2000"))
PROGRAMS = int(os.environ.get("DRAWLOOM_FUZZ_PROGRAMS", "1000"))
KERNELS = Path(__file__).parents[2] / "examples" / "kernels"


@cache
def seeds() -> dict[str, bytes]:
    """Return a sound file of each type, small ones."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_graph(graph(), folder / "conv.graph")
        write_mapping(mapping(), folder / "conv.map")
        write_program(program(), folder / "conv.prog")
        write_program(sample(), folder / "sample.prog")
        norm = read_program(KERNELS / "rmsnorm.prog.txt")
        write_program(norm, folder / "norm.prog")
        write_program(norm, folder / "norm.prog.txt")
        write_trace(trace(), folder / "conv.trace")
        flow.compile(graph(), "tx81").save(folder / "conv.build")
        write_span(Span("conv", load_system("rex1032"), (3,), (program(),)), folder / "conv.span")
        (folder / "tx81.chip.yaml").write_text(chip_text(load_chip("tx81")))
        (folder / "hand.prog.txt").write_bytes((KERNELS / "rmsnorm.prog.txt").read_bytes())
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".data"}


def outcomes(mutants: list[Mutant]) -> Iterator[Outcome]:
    watch = Watch(seeds(), judge_artefact)
    try:
        for mutant in mutants:
            outcome = watch.judge(mutant)
            yield watch.shrunk(outcome) if outcome.failed else outcome
    finally:
        watch.close()


def run(first: int, count: int, kinds: tuple[str, ...] = ("",)) -> Counter[str]:
    """Judge mutants and return how many came to what; fail where one is a failure."""
    names = [name for name in seeds() if name.endswith(kinds)]
    mutants = [draw_artefact(SEED, i, names) for i in range(first, first + count)]
    found = list(outcomes(mutants))
    failures = [outcome for outcome in found if outcome.failed]
    if failures:
        pytest.fail(told(failures).replace("FUZZ_MUTANT", "FUZZ_ARTEFACT"), pytrace=False)
    return Counter(outcome.word for outcome in found)


def test_sound_artefacts_are_read_and_used() -> None:
    words = {o.mutant.seed: o.word for o in outcomes([Mutant(name, ()) for name in seeds()])}
    assert set(words.values()) <= {"agrees", "read"}
    assert {name for name, word in words.items() if word == "agrees"} >= {
        "conv.prog",
        "conv.map",
        "conv.build",
        "norm.prog",
        "norm.prog.txt",
        "hand.prog.txt",
    }


def test_some_altered_artefacts() -> None:
    words = run(0, 150)
    assert words["refused"] > 50
    assert words["agrees"] > 5


@pytest.mark.slow
@pytest.mark.parametrize("part", range(MANY // 1000))
def test_many_altered_artefacts(part: int) -> None:
    words = run(1000 * (part + 1), 1000)
    assert words["refused"] > 300
    assert words["agrees"] > 30


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PROGRAMS // 1000))
def test_many_altered_programs(part: int) -> None:
    """Programs alone, as binaries and as texts."""
    words = run(1_000_000 + 1000 * part, 1000, (".prog", ".prog.txt"))
    assert words["refused"] > 300
    assert words["agrees"] > 30


@pytest.mark.skipif(not ONE, reason="names no mutant: DRAWLOOM_FUZZ_ARTEFACT")
def test_one_altered_artefact_again() -> None:
    (outcome,) = outcomes([Mutant.parse(ONE)])
    assert not outcome.failed, told([outcome])
