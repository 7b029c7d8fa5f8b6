"""Altered files are refused with a clear error, or read as they stand; nothing else happens.

``DRAWLOOM_FUZZ_SEED=7`` draws other mutants; ``DRAWLOOM_FUZZ_MUTANT='digits.onnx cut:3'`` runs
one again, as a failure names it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping

import pytest
from tests.fuzz.mutants import Mutant, draw
from tests.fuzz.originals import kinds_of, node_originals, originals
from tests.fuzz.watch import Outcome, Watch, judged

SEED = int(os.environ.get("DRAWLOOM_FUZZ_SEED", "20261125"))
ONE = os.environ.get("DRAWLOOM_FUZZ_MUTANT", "")
PARTS = 10
"""The slow run is so many tests, so that two processes share it."""


def told(failures: list[Outcome]) -> str:
    lines = [f"{len(failures)} mutants of DRAWLOOM_FUZZ_SEED={SEED}:"]
    for outcome in failures[:20]:
        lines.append(f"DRAWLOOM_FUZZ_MUTANT='{outcome.mutant.text()}': {outcome.word}")
        lines.append(outcome.detail)
    return "\n".join(lines)


def run(first: int, count: int, seeds: Mapping[str, bytes]) -> Counter[str]:
    """Judge mutants and return how many came to what; fail where one is a failure."""
    kinds = {name: kinds_of(name) for name in seeds}
    mutants = [draw(SEED, i, kinds) for i in range(first, first + count)]
    words: Counter[str] = Counter()
    failures: list[Outcome] = []
    for outcome in judged(mutants, seeds):
        words[outcome.word] += 1
        if outcome.failed:
            failures.append(outcome)
    if failures:
        pytest.fail(told(failures), pytrace=False)
    return words


@pytest.mark.parametrize("seeds", [originals, pytest.param(node_originals, marks=pytest.mark.slow)])
def test_sound_files_are_read_and_agree(seeds: Callable[[], dict[str, bytes]]) -> None:
    sound = [Mutant(name, ()) for name in seeds()]
    made = {outcome.mutant.seed: outcome.word for outcome in judged(sound, seeds())}
    wrong = {name: word for name, word in made.items() if word not in ("agrees", "read")}
    assert wrong == {}
    assert sum(word == "agrees" for word in made.values()) > len(made) * 0.8


def test_some_mutants() -> None:
    words = run(0, 300, originals())
    assert words["refused"] > 100
    assert words["agrees"] > 15


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_ten_thousand_mutants(part: int) -> None:
    words = run(1000 * (part + 1), 10_000 // PARTS, originals() | node_originals())
    assert words["refused"] > 300
    assert words["agrees"] > 60


def test_a_mutant_is_made_again_from_its_name() -> None:
    kinds = {name: kinds_of(name) for name in originals()}
    for number in range(100):
        mutant = draw(SEED, number, kinds)
        assert Mutant.parse(mutant.text()) == mutant
        again = Mutant.parse(mutant.text()).bytes(originals())
        assert again == mutant.bytes(originals())


@pytest.mark.skipif(not ONE, reason="names no mutant: DRAWLOOM_FUZZ_MUTANT")
def test_one_mutant_again() -> None:
    seeds = originals()
    watch = Watch(seeds if ONE.split()[0] in seeds else seeds | node_originals())
    outcome = watch.judge(Mutant.parse(ONE))
    watch.close()
    assert not outcome.failed, told([outcome])
