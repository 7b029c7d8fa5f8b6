"""Random graphs compute what they say, whatever the chip, the options and the precision."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from tests.fuzz.random_graphs import CHIPS, case, fault, report, shrunk

from drawloom.graph.dtypes import DType
from drawloom.graph.ops import OPS

QUICK, SHARDS = 30, 10
SEEDS = int(os.environ.get("DRAWLOOM_FUZZ_GRAPHS", "1000"))
DRAWN = 2000  # of which all kinds must be


def faults(seeds: range) -> list[str]:
    """Return a report of each seed at fault."""
    return [report(c) for c in map(case, seeds) if fault(c)]


def test_a_few_random_graphs_compute_what_they_say() -> None:
    assert not faults(range(QUICK))


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_graphs_compute_what_they_say(shard: int) -> None:
    each = SEEDS // SHARDS
    assert not faults(range(QUICK + shard * each, QUICK + (shard + 1) * each))


def test_a_seed_says_everything() -> None:
    for seed in (3, 4, 5):
        one, other = case(seed), case(seed)
        assert one.text() == other.text()
        for name, array in one.inputs.items():
            assert array.tobytes() == other.inputs[name].tobytes()


@pytest.mark.slow
def test_the_graphs_are_of_every_kind() -> None:
    """Every operator, element type, chip and precision, and graphs of many nodes, come up."""
    cases = [case(seed) for seed in range(DRAWN)]
    ops = Counter(node.op for c in cases for node in c.graph.nodes)
    assert set(ops) == set(OPS)
    dtypes = Counter(kind.dtype for c in cases for kind in c.graph.types.values())
    assert {d for d in DType if not d.is_code} <= set(dtypes)
    assert {c.chip for c in cases} == set(CHIPS)
    assert {c.precision for c in cases} == {"f32", "f16", "bf16"}
    assert sum(len(c.graph.nodes) >= 6 for c in cases) > 200
    assert sum(len(c.graph.outputs) > 1 for c in cases) > 400


def test_a_failing_case_shrinks_to_the_node_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that adds one to every Tanh is caught, and little but the Tanh is left."""
    from drawloom.mapping.fuse import rules

    seed = next(s for s in range(500) if _has(s, "Tanh") and len(case(s).graph.nodes) > 3)
    right = rules.RULES["Tanh"]

    def wrong(body, node, args, fmt):
        return body.op("add", right(body, node, args, fmt), scalar=1.0)

    monkeypatch.setitem(rules.RULES, "Tanh", wrong)
    small = shrunk(case(seed))
    assert fault(small)
    assert [node.op for node in small.graph.nodes] == ["Tanh"]


def _has(seed: int, op: str) -> bool:
    return any(node.op == op for node in case(seed).graph.nodes)
