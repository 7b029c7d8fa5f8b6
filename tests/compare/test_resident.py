"""Chips that keep weights in SRAM in a comparison, and errors that figures carry."""

from __future__ import annotations

import pytest

from drawloom.compare.errors import class_errors
from drawloom.compare.run import Load, compare
from drawloom.validate.comparison import run_comparisons


def test_a_model_takes_as_many_chips_as_hold_it_and_copies_take_the_others() -> None:
    few, enough, twice = compare(
        "llama-3-8b", "groqx100,groqx160,groqx320", Load(batches=(4,), prompt=512, answer=128)
    )
    assert few.passes is None
    assert "stages of" in few.short
    assert "has    100 chips" in few.short
    assert enough.passes is not None
    assert twice.passes is not None
    assert enough.passes.tensor * enough.passes.stages <= 160
    assert twice.passes.copies == 2 * enough.passes.copies
    assert enough.token is not None
    assert enough.token.low < enough.token.best < enough.token.high


def test_a_wafer_holds_it_and_links_only_bring_out_the_results() -> None:
    (found,) = compare("llama-3-8b", "wse3", Load(batches=(1,), prompt=512, answer=128))
    assert found.passes is not None
    assert (found.passes.tensor, found.passes.stages) == (1, 1)
    assert found.token is not None
    assert 0 < found.passes.token_parts["links"] < 0.01 * found.token.best


def test_a_chip_without_a_file_gets_a_bound() -> None:
    (found,) = compare("llama-3-8b", "wse2", Load(batches=(1,), prompt=512, answer=128))
    assert found.passes is not None
    assert found.passes.is_bound
    assert any("no file" in lack for lack in found.passes.lacks)


def test_a_mixture_keeps_all_experts_and_reads_those_it_needs() -> None:
    load = Load(batches=(1,), prompt=64, answer=8, weights="int8")
    (found,) = compare("mixtral-8x7b", "groqx2000", load)
    assert found.passes is not None
    assert not found.passes.is_bound
    weights = 46.7e9  # of Mixtral 8x7B, a byte each
    assert found.passes.tensor * found.passes.stages > weights / 230e6


def test_a_bound_carries_no_error_of_a_class() -> None:
    (found,) = compare("llama-3-8b", "sn40l", Load(batches=(1,)))
    assert found.passes is not None
    assert found.passes.is_bound
    assert (found.errors, found.borrowed) == ((), ())
    assert found.token == found.passes.steady


def test_latent_attention_goes_by_its_graph_with_bars_of_other_models() -> None:
    (found,) = compare("deepseek-v3", "h200x8", Load(batches=(1,), weights="int8"))
    assert found.passes is not None
    assert found.passes.tensor == 8
    assert found.errors == ()
    assert found.token is not None
    assert found.token.high > 1.5 * found.token.best
    # 37.6 billion numbers of a token's weights, a byte each, over eight memories.
    assert found.passes.token.best > 36e9 / (8 * 4.8e12)


def test_other_decoders_run_as_graphs_on_gpus() -> None:
    one, four = compare("gpt2", "h200,h200x4", Load(batches=(8,), prompt=512, answer=128))
    assert one.passes is not None
    assert four.passes is not None
    assert not one.passes.is_bound
    assert four.passes.copies == 4
    assert one.token is not None
    assert four.token is not None
    assert four.token.best < one.token.best


@pytest.mark.slow
def test_errors_are_those_that_validate_computes() -> None:
    names = {name.split(".")[0] for name in class_errors()}
    found = {each.name: each for each in run_comparisons(sorted(names))}
    for name, error in class_errors().items():
        now = found[name]
        assert (error.median, error.p90) == pytest.approx((now.median, now.p90), abs=0.002), name
        assert (error.count, error.calibrated) == (now.count, now.calibrated)
