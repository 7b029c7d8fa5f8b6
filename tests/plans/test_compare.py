"""Plans beside others, and caches that chips part among them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.plans.test_plans import four

from drawloom.chip.model import Chip
from drawloom.chip.system import System
from drawloom.chip.system_files import load_system, parse_system
from drawloom.errors import Diagnosis, DoesNotFit, InputError
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.plans.apart import apart
from drawloom.plans.compare import growth
from drawloom.plans.fabric_cost import Amount, fabric_cost
from drawloom.plans.places import Block, groups
from drawloom.plans.plan import Plan, Step
from drawloom.plans.shard import Shares, layers_of, shard


def test_a_parted_cache_holds_a_part_of_the_sequences() -> None:
    config = read_config("llama-3-8b")
    share = shard(config, Shares(32, 1), layers_of(config, 32)[0], 64)
    whole = model_graph(share, Request("decode", batch=8, context=63))
    parted = apart(whole, 4)
    before, after = (g.types["past.0.key"].shape for g in (whole, parted))
    assert (before[0], after[0], before[1:]) == (8, 2, after[1:])
    (node,) = (n for n in parted.nodes if n.op == "Attention" and ".0." in n.name)
    # All queries of the key head, for a quarter of the sequences.
    assert parted.types[node.inputs[0]].shape == (2, 4, 1, 128)
    assert parted.types["logits"] == whole.types["logits"]


def test_a_group_that_a_dead_link_parts_is_none() -> None:
    system = replace(four(), dead_links=frozenset({(0, 1)}))
    assert groups(system, Block((2, 1))) == [(2, 3)]
    assert (
        groups(system, Block((2, 2))) == [(0, 1, 3, 2)] or len(groups(system, Block((2, 2)))) == 1
    )


def test_a_curve_says_where_the_model_does_not_fit() -> None:
    def planner(system: System, request: Request, _: Chip | None) -> Plan:
        if len(system.chips) < 2:
            raise DoesNotFit("plan.memory", "", Diagnosis("", "", "", ()))
        raise InputError("seen", f"{len(system.chips)} chips, batch {request.batch}")

    with pytest.raises(InputError) as error:
        growth(planner, four(), Request("decode", batch=8, context=7), weak=True)
    assert "2 chips, batch 4" in str(error.value)


def test_where_a_step_goes_adds_up() -> None:
    step = Step(100, 5, 20, 3, compute_ps=60, memory_ps=30)
    assert step.split == {"compute": 60, "memory": 30, "links": 23, "waiting": 10}
    assert sum(step.split.values()) == step.ps


def priced(extra: str) -> System:
    return parse_system(
        "name: four\ntitle: four\nchip: tx81\noverhead: 1 us\nswitching: cut-through\n"
        "levels: [{shape: mesh, sizes: [2, 2], rate: 25 GB/s, latency: 500 ns}]\n" + extra
    )


def test_a_fabric_costs_what_its_file_says_and_no_more_is_known() -> None:
    free = fabric_cost(priced(""), 1000)
    assert (free.links, free.usd, free.pj, free.watts(10)) == (4, None, None, None)
    extra = (
        "link_usd: {value: 50, range: [40, 70], grade: D, source: a list}\n"
        "link_energy: {value: 2 pJ/bit/hop, range: [1 pJ/bit/hop, 4 pJ/bit/hop], grade: C, source: b}\n"
    )
    made = fabric_cost(replace(priced(extra), dead_links=frozenset({(0, 1)})), 1000)
    assert made.usd == Amount(150, 120, 210, "D")
    assert made.pj == Amount(16_000, 8_000, 32_000, "C")
    assert made.watts(1000) == Amount(16, 8, 32, "C")


def test_links_of_tx81_have_bounds_and_no_price() -> None:
    for name in ("rex1032", "rex1032_torus", "tx81_hall"):
        cost = fabric_cost(load_system(name), 8)
        assert cost.usd is None
        assert cost.pj
        assert cost.pj.low < cost.pj.value < cost.pj.high
        assert cost.pj.grade == "E"
