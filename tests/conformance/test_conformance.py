"""ONNX's own suite on the program that each model compiles to: right, or refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest
from tests.conformance.suite import Outcome, items, run_case

CASES = 2033
LEAST_PASSED = 1600
SHARDS = 16
BAD = ("wrong", "crashed", "hung")


@cache
def names() -> tuple[str, ...]:
    return tuple(items())


def faults(outcomes: list[Outcome]) -> list[str]:
    return [f"{o.name}: {o.result}: {o.reason}" for o in outcomes if o.result in BAD]


def refusals(outcomes: list[Outcome]) -> str:
    return "".join(f"{o.name}: {o.reason}\n" for o in outcomes if o.result == "refused")


def test_a_sample_of_the_suite_passes_or_is_refused_by_name() -> None:
    node_cases = [name for name in names() if name.startswith("NodeModel.")]
    outcomes = [run_case(name) for name in node_cases[::40]]
    assert not faults(outcomes)
    assert Counter(o.result for o in outcomes)["passed"] >= 38


def test_the_suite_is_whole() -> None:
    assert len(names()) == CASES


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_case_passes_or_is_refused_by_name(
    shard: int, golden: Callable[[str, str], None]
) -> None:
    outcomes = [run_case(name) for name in names()[shard::SHARDS]]
    assert not faults(outcomes)
    golden(f"conformance/refused_{shard:02}.txt", refusals(outcomes))


@pytest.mark.slow
def test_at_least_so_many_cases_pass() -> None:
    """What is not among the refusals that the shards hold passes."""
    from tests.conftest import GOLDEN

    files = sorted((GOLDEN / "conformance").glob("refused_*.txt"))
    assert len(files) == SHARDS
    refused = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    assert CASES - refused >= LEAST_PASSED
