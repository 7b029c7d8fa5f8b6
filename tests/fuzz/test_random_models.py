"""Small language models of every family, weights as numbers and as codes, have sound programs."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from tests.frontends.hf.tiny import DECODERS
from tests.fuzz.random_models import case, fault, report

from drawloom.program.lower.body import Emitter

SHARDS = 6
SEEDS = int(os.environ.get("DRAWLOOM_FUZZ_MODELS", "60"))
DRAWN = 700  # of which all kinds must be
TURNED = 9  # a seed whose rows, of which halves are exchanged, do not fill a block


def faults(seeds: range) -> list[str]:
    """Return a report of each seed at fault."""
    return [report(c) for c in map(case, seeds) if fault(c)]


@pytest.mark.slow
def test_rows_with_pads_whose_halves_are_exchanged_are_whole() -> None:
    assert not faults(range(TURNED, TURNED + 1))


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_models_have_sound_programs(shard: int) -> None:
    each = SEEDS // SHARDS
    assert not faults(range(shard * each, (shard + 1) * each))


def test_the_models_are_of_every_kind() -> None:
    cases = [case(seed) for seed in range(DRAWN)]
    assert {c.family for c in cases} == set(DECODERS)
    coded = Counter((c.weights, c.group) for c in cases)
    assert len(coded) == 7
    assert min(coded.values()) > DRAWN // 30
    assert {c.request.phase for c in cases} == {"prefill", "decode", "forward"}
    assert {c.precision for c in cases} == {"f32", "f16", "bf16"}
    assert {c.request.tokens for c in cases} >= set(range(1, 71))
    assert sum(c.is_executed for c in cases) > DRAWN // 5


@pytest.mark.slow
def test_rows_whose_halves_nobody_exchanged_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Emitter, "_turn", lambda *_: None)
    assert "unwritten" in fault(case(TURNED))
