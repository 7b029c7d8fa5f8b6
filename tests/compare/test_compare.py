"""Comparisons: counts, bounds, routes, bars; what is unknown is said and never made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drawloom.chip.datasheet import load_datasheet
from drawloom.compare.answer import Answer
from drawloom.compare.ask import Ask
from drawloom.compare.bounds import bound_passes
from drawloom.compare.errors import error_of
from drawloom.compare.gpu import gpu_passes
from drawloom.compare.gpu_chips import peak_ends
from drawloom.compare.machine import parse_machine, parse_machines
from drawloom.compare.passes import Lacking
from drawloom.compare.power import token_joules
from drawloom.compare.price import parse_prices
from drawloom.compare.run import Load, compare
from drawloom.compare.sizes import prompt_need, sizes_of, token_need
from drawloom.compare.span import Span, exactly
from drawloom.compare.words import basis_lines, basis_text, explain, figures_text, span_text
from drawloom.errors import InputError
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.frontends.hf.config import catalog_entry
from drawloom.graph.dtypes import DType


def asked(model: str = "llama-3-8b", batch: int = 16, weights: str = "float") -> Ask:
    config = read_config(model)
    return Ask(config, sizes_of(config), "serve", 2048, 512, batch, weights)


@pytest.mark.parametrize(
    "name", ["gpt2", "llama-3-8b", "llama-3-70b", "mixtral-8x7b", "opt-6.7b", "qwen3-30b-a3b",
             "deepseek-v3"],
)  # fmt: skip
def test_all_weights_are_counted(name: str) -> None:
    sizes = sizes_of(read_config(name))
    # What a graph keeps beside its weights (tables of angles, masks) is less than a millionth.
    assert sizes.weights == pytest.approx(catalog_entry(name).parameters, rel=1e-6)


def test_deepseek_has_37_billion_active_weights_and_a_latent_cache() -> None:
    sizes = sizes_of(read_config("deepseek-v3"))
    # Its paper: 671 B in all, 37 B a token with embeddings; 512 + 64 numbers a token and layer.
    assert sizes.active + sizes.table == pytest.approx(37.5e9, rel=0.01)
    assert sizes.cached == ((0, 61 * (512 + 64)),)


@pytest.mark.parametrize("tokens", [1, 7, 300])
def test_needs_agree_with_the_graph_of_the_whole_pass(tokens: int) -> None:
    from drawloom.bound.work import node_macs

    config = read_config("gpt2")
    sizes = sizes_of(config)
    for request, need in (
        (Request("prefill", batch=1, tokens=tokens), prompt_need(sizes, tokens)),
        (Request("decode", batch=3, context=tokens), token_need(sizes, 3, tokens)),
    ):
        graph = model_graph(config, request, None, DType.BF16)
        macs = sum(node_macs(node, graph.types)[1] for node in graph.nodes)
        assert need.macs == pytest.approx(macs, rel=1e-9)


def test_a_few_tokens_touch_few_experts_and_many_touch_all() -> None:
    sizes = sizes_of(read_config("qwen3-30b-a3b"))
    assert sizes.read_weights(1) == pytest.approx(sizes.active)
    assert sizes.read_weights(10_000) == pytest.approx(sizes.weights - sizes.table)


def test_the_bound_of_a_step_is_its_bytes_over_the_memory_rate() -> None:
    ask = asked()
    need = token_need(ask.sizes, 16, ask.context)
    made = bound_passes(ask, parse_machine("h200x8"))
    by_hand = (2 * need.weights + 2 * need.cache) / (8 * 4.8e12)
    assert made.token == Span(by_hand, None, by_hand)
    assert made.is_bound


@pytest.mark.parametrize("machine", ["h200", "mi300x"])
def test_a_gpu_is_never_quicker_than_its_bound(machine: str) -> None:
    batch = 48
    ask, on = asked(batch=batch), parse_machine(machine)
    made, least = gpu_passes(ask, on), bound_passes(ask, on)
    share = batch / made.copies / made.admitted
    assert made.token.low * max(1, share) >= least.token.low
    assert made.prompt.low >= least.prompt.low
    assert sum(made.token_parts.values()) == pytest.approx(
        made.token.best + min(made.token_parts["matrix"], made.token_parts["memory"])
    )


def test_more_gpus_take_no_longer_and_a_larger_batch_gives_more() -> None:
    one, two = compare("llama-3-8b", "h200,h200x2")
    (more,) = compare("llama-3-8b", "h200", Load(batches=(32,)))
    assert one.token is not None
    assert two.token is not None
    assert one.rate is not None
    assert more.rate is not None
    assert two.token.best < one.token.best
    assert more.rate.best > one.rate.best


def test_figures_of_a_validated_route_carry_its_error() -> None:
    (found,) = compare("llama-3-8b", "h200")
    error = error_of("h200_sxm", "serve", "token")
    assert error is not None
    assert found.token is not None
    assert found.token.value is not None
    assert found.token.low == pytest.approx(found.token.value / (1 + error.median))
    assert [each.name for each in found.errors] == ["serving.tpot.vllm", "serving.ttft.vllm"]


def test_unknown_numbers_of_a_gpu_are_those_of_others_and_said() -> None:
    (found,) = compare("llama-3-8b", "b200")
    assert found.passes is not None
    assert any("clock is unknown: 1.41 to 2.4 GHz" in each for each in found.passes.rests_on)
    assert "memory_rate 7.7..8 TB/s (grade B)" in found.passes.rests_on
    assert found.passes.token.low < found.passes.token.best < found.passes.token.high


def test_bars_of_a_gpu_that_was_not_measured_are_at_least_those_of_one_that_was() -> None:
    own, other = compare("llama-3-8b", "h200,mi300x")
    assert (own.borrowed, other.errors) == ((), ())
    assert [each.name for each in other.borrowed] == ["serving.tpot.vllm", "serving.ttft.vllm"]
    share = other.borrowed[0].median
    assert other.token is not None
    assert other.token.low <= other.token.best / (1 + share)
    assert other.token.high >= other.token.best / (1 - share)
    assert "not validated; at least" in basis_text(other)


def test_a_chip_without_a_memory_rate_gets_a_bound_that_names_it() -> None:
    (found,) = compare("llama-3-8b", "metax_c588", Load(weights="int8"))
    assert found.passes is not None
    assert found.passes.is_bound
    assert "memory_rate is unknown" in found.passes.lacks
    assert figures_text(found)["token"] == "?"
    with pytest.raises(Lacking):
        gpu_passes(asked(), parse_machine("metax_c588"))


@pytest.mark.parametrize(
    ("name", "low", "high", "why"),
    [("metax_c550", 240, 360, "from the peak of metax_c500"), ("metax_c600", 375, 625, "half of peak_fp8"),
     ("h200_sxm", 989, 989, "")],
)  # fmt: skip
def test_an_unknown_peak_is_a_range_that_says_where_it_is_from(
    name: str, low: float, high: float, why: str
) -> None:
    found = peak_ends(load_datasheet(name))
    assert found is not None
    assert (found.low / 1e12, found.high / 1e12) == pytest.approx((low, high), rel=0.01)
    assert bool(found.assumed) == bool(why)
    assert why in "".join(found.assumed)


def test_what_does_not_fit_says_by_how_much() -> None:
    (found,) = compare("llama-3-70b", "r200x4")
    assert found.passes is None
    assert "needs  141.9 GB" in found.short
    assert "has    57.6 GB" in found.short
    assert "10 chips" in found.short


def cost(found: Answer) -> float:
    assert found.cost is not None
    return found.cost.best


def test_cost_is_price_over_tokens_and_an_unknown_price_is_an_unknown_cost() -> None:
    said, given = compare("llama-3-8b", "h200"), compare("llama-3-8b", "h200", prices=("h200=7",))
    assert cost(given[0]) == pytest.approx(2 * cost(said[0]))
    assert given[0].rate is not None
    assert given[0].rate.value is not None
    assert cost(given[0]) == pytest.approx(7 / 3600 / given[0].rate.value * 1e6)
    assert compare("llama-3-8b", "tpu_v4x4")[0].cost is None


def test_prices_that_are_none_are_told_together() -> None:
    with pytest.raises(InputError) as raised:
        parse_prices(("h200=cheap", "h2000=1", "h100=3..2"))
    assert raised.value.text() == (
        "error[compare.price]: these are no prices\n"
        "  h200=cheap (a system and dollars an hour: h200=2.5 or tx81=0.4..0.8)\n"
        "  h2000 (did you mean 'h200'?)\n"
        "  h100=3..2 (a system and dollars an hour: h200=2.5 or tx81=0.4..0.8)"
    )


def test_machines_are_read_with_their_counts() -> None:
    made = parse_machines("tx81x32, h200x8,r200x4,tpu_v5e-16,mlu370_x4,r480_x8x2")
    assert [(each.sheet.name, each.count) for each in made] == [
        ("tsingmicro_tx81", 32), ("h200_sxm", 8), ("kunlun_r200", 4), ("tpu_v5e", 16),
        ("mlu370_x4", 1), ("kunlun_r480_x8", 2),
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"h201x8|did you mean 'h20'"):
        parse_machines("h201x8,h200x0")


def test_the_host_is_a_part_of_a_service_that_can_be_left_out() -> None:
    (with_host,) = compare("llama-3-8b", "h200")
    (without,) = compare("llama-3-8b", "h200", Load(has_host=False))
    assert with_host.token is not None
    assert without.token is not None
    assert without.token.best < with_host.token.best
    assert without.errors == ()


def test_words_say_who_wins_and_whether_the_bars_overlap() -> None:
    lines = explain(compare("llama-3-8b", "h200,h100,sn40l"))
    assert lines[1].startswith("  soonest: h200, 1.2")
    assert "because its memories together are read quicker" in lines[2]
    assert any("it cannot be the soonest" in line for line in lines)


def test_spans_keep_their_order_through_arithmetic() -> None:
    span = Span(1, 2, 4)
    assert span.over(8) == Span(2, 4, 8)
    assert span.times(exactly(3)) == Span(3, 6, 12)
    assert span.plus(Span(1, None, 1)) == Span(2, None, 5)
    assert Span(2, 2, 2).widened(0.5) == Span(2 / 1.5, 2, 4)
    assert span_text(span) == "2 (1..4)"
    assert span_text(Span(3, None, 5), bound=">=") == ">= 3..5"
    assert span_text(Span(0, None, 5)) == "<= 5"
    assert span_text(None) == "?"


def test_energy_of_a_gpu_lies_between_idling_beside_its_memory_and_the_power_limit() -> None:
    (found,) = compare("llama-3-8b", "h200", Load(phase="decode"))
    assert found.energy is not None
    assert found.rate is not None
    need = found.ask.token_need(16)
    # HBM at half of 5.5 pJ a bit, and 15 % of 700 W for as long as a token of 16 sequences takes.
    memory = 2 * (need.weights + need.cache) / 16 * 8 * 2.75e-12
    assert found.energy.low == pytest.approx(memory + 0.15 * 700 / found.rate.high)
    assert found.energy.high == pytest.approx(700 / found.rate.low)
    assert any("idle, the least known" in line for line in basis_lines(found))


def test_energy_without_a_power_limit_is_unknown_and_says_so() -> None:
    (found,) = compare("llama-3-8b", "tpu_v5e-4", Load(batches=(1,), phase="decode"))
    assert found.energy is None
    assert "energy: the power limit is unknown" in basis_lines(found)


def test_the_energy_that_a_server_was_measured_at_lies_in_the_range() -> None:
    # 8 H200: 25,262 tokens/s of Llama 2 70B in FP8 at 5,640 W at the wall. Source: MLPerf Inference v5.1.
    sheet = load_datasheet("h200_sxm")
    ask = replace(asked("llama-2-70b", 1024, "int8"), prompt=155, answer=294)
    passes = replace(bound_passes(ask, parse_machine("h200x8")), admitted=1024.0)
    found = token_joules(ask, sheet, 8, passes, exactly(25_262.0))
    assert found is not None
    assert found.low < 5640 / 25_262
    assert found.high == pytest.approx(5600 / 25_262)
