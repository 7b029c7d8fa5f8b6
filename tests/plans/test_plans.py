"""Plans: what each chip has, which chips make groups, where the time goes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from drawloom.chip.files import load_chip
from drawloom.chip.system import System
from drawloom.chip.system_files import load_system, parse_system
from drawloom.errors import DoesNotFit, InputError
from drawloom.flow import compile
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.plans import plan, search
from drawloom.plans.asked import Candidate
from drawloom.plans.places import Block, blocks, groups, inner
from drawloom.plans.shard import Shares, layers_of, shard, tensor_sizes
from drawloom.plans.span import Spread, compile_folded

SMALL = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "torch_dtype": "float16",
}
STEP = Request("decode", batch=4, context=63)


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(SMALL), encoding="utf-8")
    return str(path)


def four(extra: str = "") -> System:
    return parse_system(
        "name: four\ntitle: four\nchip: tx81\noverhead: 1 us\nswitching: cut-through\n"
        f"levels: [{{shape: mesh, sizes: [2, 2], rate: 25 GB/s, latency: 500 ns{extra}}}]\n"
    )


def test_shards_hold_every_weight_once() -> None:
    config = read_config("llama-3-8b")
    whole = model_graph(config, Request("decode", context=7))
    sharing = Shares(8, 4)
    sizes = [
        model_graph(shard(config, sharing, layers, 64), Request("decode", context=7))
        for layers in layers_of(config, 4)
    ]
    products = [n.inputs[1] for n in whole.nodes if n.op == "MatMul" and "lm_head" not in n.name]
    held = sum(
        g.types[n.inputs[1]].size
        for g in sizes
        for n in g.nodes
        if n.op == "MatMul" and "lm_head" not in n.name
    )
    assert held * sharing.tensor == sum(whole.types[w].size for w in products)


def test_only_what_divides_a_layer_shares_it() -> None:
    config = read_config("llama-3-8b")
    assert tensor_sizes(config, 32, 64) == [1, 2, 4, 8, 16, 32]
    # 14,336 features are 112 blocks of 128: no 32nd of them is whole blocks.
    assert tensor_sizes(config, 32, 128) == [1, 2, 4, 8, 16]
    assert layers_of(config, 3) == [11, 11, 10]


def test_groups_are_blocks_of_living_neighbours() -> None:
    system = replace(load_system("rex1032"), dead_chips=frozenset({5}))
    assert Block((4, 2)) in blocks(system, 8)
    found = groups(system, Block((4, 2)))
    assert found[0] == (0, 1, 2, 3, 8, 9, 10, 11)
    assert len(found) == 3
    fabric = inner(system, Block((4, 2)), found[0])
    assert (fabric.n_places, fabric.is_whole) == (8, True)


def test_a_part_of_a_torus_is_a_mesh_and_its_whole_side_a_ring() -> None:
    system = load_system("rex1032_torus")
    block = Block((8, 2))
    shapes = [level.shape for level in inner(system, block, groups(system, block)[0]).levels]
    assert shapes == ["torus", "mesh"]


def test_a_plan_for_one_chip_takes_what_the_chip_takes(small: str) -> None:
    alone = replace(four(), dead_chips=frozenset({1, 2, 3}))
    made = plan(small, alone, STEP)
    build = compile(model_graph(read_config(small), STEP), load_chip("tx81"))
    assert (made.shares, made.copies, made.groups) == (Shares(1, 1), 1, ((0,),))
    assert made.latency_ps == build.time().total_ps


def test_a_plan_uses_chips_where_that_is_quicker(small: str) -> None:
    made = plan(small, four(), STEP)
    alone = plan(small, replace(four(), dead_chips=frozenset({1, 2, 3})), STEP)
    assert made.round_ps < alone.round_ps
    assert made.round_ps >= made.bound_ps
    used = [chip for group in made.groups for chip in group]
    assert len(used) == len(set(used)) == made.shares.chips * made.copies
    assert sorted({*used, *made.spare}) == [0, 1, 2, 3]


def test_what_chips_alone_are_too_slow_for_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[Candidate] = []

    def as_estimated(_: object, chosen: Candidate, *__: object) -> SimpleNamespace:
        compiled.append(chosen)
        return SimpleNamespace(round_ps=chosen.estimate_ps, shares=chosen.shares)

    monkeypatch.setattr(search, "timed", as_estimated)
    made = plan("llama-3-8b", "n300_t3000", Request("decode", context=2047))
    (chosen,) = compiled  # four chips for a layer read twice as much each, however they are staged
    assert made.shares == chosen.shares == Shares(8, 1)
    assert 0.85 * chosen.chip_ps < chosen.layers_ps < chosen.chip_ps  # the rest is the head
    assert chosen.least_ps == chosen.chip_ps


def test_the_same_is_planned_each_time(small: str) -> None:
    shares = Shares(2, 1)
    assert plan(small, four(), STEP, shares=shares) == plan(small, four(), STEP, shares=shares)


def test_what_fits_nowhere_is_said_with_the_bytes() -> None:
    with pytest.raises(DoesNotFit) as error:
        plan("llama-3.1-405b", four(), Request("decode", context=7))
    assert "error[plan.memory]: 'llama-3.1-405b' does not fit the chips of 'four'" in str(
        error.value
    )
    assert "DRAM of a chip 'tx81'" in str(error.value)


def test_a_model_that_is_no_decoder_is_refused() -> None:
    with pytest.raises(InputError) as error:
        plan("vit-b-16", four(), Request("prefill", tokens=4))
    assert str(error.value) == (
        "error[plan.model]: 'vit-b-16' cannot be shared out\n"
        "  model_type: 'vit' (a decoder with rotary positions)"
    )


@pytest.mark.slow
def test_few_layers_tell_what_all_take(small: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text(json.dumps(SMALL | {"num_hidden_layers": 5}), encoding="utf-8")
    shares = Shares(2, 1)
    made = plan(str(path), four(), replace(STEP, batch=1), shares=shares)
    fabric = inner(four(), made.block, made.groups[0])
    graph = model_graph(read_config(str(path)), replace(STEP, batch=1))
    whole = compile_folded(graph, fabric, Spread(2)).time(load_chip("tx81"))
    assert made.copies == 1
    assert made.step.chip_ps + made.step.sums_ps == pytest.approx(whole.total_ps, rel=1e-3)
    assert made.step.sums_ps == pytest.approx(whole.split(0)["links"], rel=1e-3)
    assert made.step.hidden_ps > 0
