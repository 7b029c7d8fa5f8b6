"""Plans in which chips have whole experts of a mixture: what each holds, does and sends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.plans.test_plans import four

from drawloom.chip.files import load_chip
from drawloom.chip.topology import topology
from drawloom.frontends.hf import Request, read_config
from drawloom.graph.ir import Graph
from drawloom.plans import plan
from drawloom.plans.asked import Asked
from drawloom.plans.experts import HERE, SENT, experts_of
from drawloom.plans.search import _candidates  # pyright: ignore[reportPrivateUsage]
from drawloom.plans.shard import Shares, shard
from drawloom.timing.fabric import FabricClock

MIXTURE = {
    "model_type": "qwen3_moe",
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 512,
    "moe_intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "num_experts": 16,
    "num_experts_per_tok": 2,
    "torch_dtype": "float16",
}
STEP = Request("decode", batch=8, context=63)


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    path = tmp_path / "mixture" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(MIXTURE), encoding="utf-8")
    config = read_config(str(path))
    return Asked(config, four(), load_chip("tx81"), STEP, "float", 0, "", None)


def experts_bytes(graph: Graph) -> int:
    return sum(graph.types[c].bytes for c in graph.constants if ".experts." in c)


def rest_bytes(graph: Graph) -> int:
    return sum(
        graph.types[c].bytes for c in graph.constants if ".experts." not in c and "weight" in c
    )


@pytest.mark.parametrize("kind", [HERE, SENT])
@pytest.mark.parametrize("batch", [8, 16])
def test_four_chips_hold_each_expert_once(asked: Asked, kind: str, batch: int) -> None:
    request = Request("decode", batch=batch, context=63)
    whole = asked.graph(asked.config, request)
    shares = Shares(4, 1, 1, kind)
    own = Request("decode", batch=batch // 4, context=63) if kind == SENT else request
    graph = asked.share(shard(asked.config, shares, 2, 64), own, shares)
    assert experts_bytes(whole) > 0
    assert experts_bytes(graph) * 4 == experts_bytes(whole)
    if kind == SENT:
        assert rest_bytes(graph) == rest_bytes(whole)
    else:
        assert rest_bytes(graph) < rest_bytes(whole) / 2
    (logits,) = (graph.types[v] for v in graph.outputs if not v.startswith("present"))
    assert logits.shape[0] == own.batch


def test_the_search_offers_slices_and_both_ways_of_whole_experts(asked: Asked) -> None:
    assert experts_of(asked.config) == 16
    found = [c for c in _candidates(asked) if c.shares.tensor == 4]
    assert {c.shares.experts for c in found} == {"", HERE, SENT}
    (sent,) = (c for c in found if c.shares.experts == SENT)
    # Two layers, there and back: each chip's 2 sequences times 2 experts, 256 numbers of 2 bytes.
    assert sent.exchanges == 4
    assert sent.sums.bytes == 2 * 2 * 256 * 2
    assert sent.sums.ps == FabricClock(topology(four())).best("all_to_all", 2048).ps
    assert sent.request.batch == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", [HERE, SENT])
def test_plans_with_whole_experts_are_timed(asked: Asked, kind: str, tmp_path: Path) -> None:
    name = str(tmp_path / "mixture" / "config.json")
    made = plan(name, four(), STEP, shares=Shares(4, 1, 1, kind))
    assert made.shares.experts == kind
    assert made.algorithm[0] in (("shifts", "at_once") if kind == SENT else ("halves", "doubling"))
    assert made.step.sums_ps > 0
    assert sum(made.step.split.values()) == made.step.ps
    assert made.round_ps > made.bound_ps
    assert made.hot_link
