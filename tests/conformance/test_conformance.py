"""ONNX's own suite on the program that each model compiles to: right, or refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest
from benchmarks.conformance import GOAL, PAGE, UNION_CASES, UNION_GOAL, page, shares
from tests.conformance.suite import Outcome, in_union, items, run_case
from tests.conftest import GOLDEN

CASES = 2033
SHARDS = 16
BAD = ("wrong", "crashed", "hung")
REAL = 9


@cache
def names() -> tuple[str, ...]:
    return tuple(items())


@cache
def written() -> tuple[Outcome, ...]:
    """Return what the golden files say of every case; the slow tests hold them true."""
    files = sorted((GOLDEN / "conformance").glob("cases_*.txt"))
    assert len(files) == SHARDS
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    return tuple(Outcome.parse(line) for line in lines)


def faults(outcomes: list[Outcome]) -> list[str]:
    return [f"{o.name}: {o.result}: {o.reason}" for o in outcomes if o.result in BAD]


def test_a_sample_of_the_suite_does_what_the_golden_files_say() -> None:
    said = {o.name: o for o in written()}
    node_cases = [name for name in names() if name.startswith("NodeModel.")]
    for name in node_cases[::160]:
        assert run_case(name).text() == said[name].text()


def test_the_suite_is_whole() -> None:
    assert len(names()) == CASES
    assert sorted(o.name for o in written()) == sorted(names())


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_case_passes_or_is_refused_by_name(
    shard: int, golden: Callable[[str, str], None]
) -> None:
    outcomes = [run_case(name) for name in names()[shard::SHARDS]]
    assert not faults(outcomes)
    golden(f"conformance/cases_{shard:02}.txt", "".join(o.text() + "\n" for o in outcomes))


def test_no_case_is_wrong_and_enough_pass() -> None:
    counts = Counter(o.result for o in written())
    assert set(counts) == {"passed", "refused"}
    assert counts["passed"] >= GOAL
    real = [o for o in written() if o.name.startswith("RealModel.")]
    assert [o.result for o in real] == ["passed"] * REAL


def test_what_models_of_pytorch_need_passes() -> None:
    union = [o for o in written() if in_union(o)]
    assert len(union) == UNION_CASES
    assert sum(o.result == "passed" for o in union) >= UNION_GOAL


def test_a_refusal_names_what_is_refused() -> None:
    """An operator, an attribute, a type or a kind of input; never a reason alone."""
    for outcome in written():
        if outcome.result == "refused":
            named = (*outcome.ops, "element type", "a tensor of", "a sequence", "optional", "f32")
            assert any(word.split(".")[-1] in outcome.reason for word in named), outcome


def test_the_page_says_what_the_golden_files_say() -> None:
    stored = PAGE.read_text(encoding="utf-8")
    assert page(written(), shares(stored)) == stored


@pytest.mark.slow
def test_a_sample_of_the_shares_of_cycles_is_right() -> None:
    """Cycles change a little with the mapper: to five parts in a hundred."""
    said = shares(PAGE.read_text(encoding="utf-8"))
    few = [op for op in said if sum(op in o.ops for o in written()) <= 6]
    for op in few[::5]:
        cases = [o.name for o in written() if op in o.ops and o.where not in ("", "constant")]
        found = [run_case(name, timed=True).share or 0.0 for name in cases]
        assert abs(sum(found) / len(found) - said[op]) <= 0.05, op
