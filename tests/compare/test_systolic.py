"""Systolic machines in a comparison: bounds kept, ends in order, what is unknown named."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from drawloom.chip.datasheet import load_datasheet
from drawloom.compare.ask import Ask
from drawloom.compare.bounds import bound_passes
from drawloom.compare.fabrics import link_ends, links_of
from drawloom.compare.machine import parse_machine
from drawloom.compare.passes import Lacking
from drawloom.compare.run import Load, compare
from drawloom.compare.sizes import sizes_of
from drawloom.compare.systolic import systolic_passes
from drawloom.compare.systolic_chips import chips_of
from drawloom.frontends.hf import read_config


def asked(model: str = "llama-3-8b", batch: int = 16) -> Ask:
    config = read_config(model)
    return Ask(config, sizes_of(config), "serve", 2048, 512, batch, "float")


@pytest.mark.parametrize("machine", ["tpu_v5e-16", "tpu_v6e-2", "trn2x4", "gaudi3"])
def test_a_systolic_machine_is_never_quicker_than_its_bound(machine: str) -> None:
    ask, on = asked(), parse_machine(machine)
    made, least = systolic_passes(ask, on), bound_passes(ask, on)
    share = ask.batch / made.copies / made.admitted
    # Trainium's printed peak is more than its arrays make; the bound goes by the print.
    assert made.token.best * max(1, share) >= least.token.low
    assert made.prompt.best >= least.prompt.low
    assert made.token.low <= made.token.best <= made.token.high
    assert made.tensor * made.copies <= on.count


def test_more_chips_share_a_layer_only_where_a_token_comes_sooner() -> None:
    one, four = (systolic_passes(asked(), parse_machine(f"tpu_v6e-{n}")) for n in (1, 4))
    assert one.tensor == 1
    assert four.token.best < one.token.best
    assert four.token_parts["links"] > 0
    assert one.token_parts["links"] == 0


def test_the_model_that_a_chip_cannot_hold_is_shared() -> None:
    (found,) = compare("llama-3-70b", "tpu_v5e-16", Load(batches=(1,)))
    assert found.passes is not None
    assert found.passes.tensor == 16
    assert compare("llama-3-70b", "tpu_v5e-4")[0].passes is None


def test_a_chip_without_a_peak_lacks_it() -> None:
    sheet = load_datasheet("mlu270")
    figures = {name: each for name, each in sheet.figures.items() if name != "peak_int16"}
    with pytest.raises(Lacking, match="the peak of products of 16 bits"):
        chips_of(replace(sheet, figures=MappingProxyType(figures)))


def test_a_chip_of_fixed_point_multiplies_16_bits_as_integers_and_says_so() -> None:
    chips = chips_of(load_datasheet("mlu270"))
    for chip in chips.each():
        assert 2 * chip.peak("bf16") == pytest.approx(64e12)
        assert 2 * chip.peak("i8") == pytest.approx(128e12)
    assert any("fixed point (INT16)" in each for each in chips.rests_on)


def test_a_peak_on_which_sources_disagree_is_slow_and_quick_at_its_ends() -> None:
    chips = chips_of(load_datasheet("mlu590"))
    peaks = [2 * chip.peak("bf16") / 1e12 for chip in (chips.slow, chips.likely, chips.quick)]
    assert peaks == pytest.approx([256, 362, 512], rel=0.01)


def test_an_unknown_rate_to_the_host_is_that_of_others_and_widens_the_bar() -> None:
    ends = link_ends(load_datasheet("mlu270"), 2)
    assert (ends.slow.rate, ends.quick.rate) == (14e9, 64e9)
    assert ends.slow.rate < ends.likely.rate < ends.quick.rate
    assert "host_rate is unknown: 14 to 64 GB/s as on others" in ends.rests_on[-1]


def test_a_rate_of_grade_c_is_a_range_and_that_of_a_system_file_is_none() -> None:
    torus = link_ends(load_datasheet("trainium1"), 16)
    assert torus.slow.rate == pytest.approx(0.9 * torus.likely.rate, rel=1e-6)
    assert torus.quick.rate == pytest.approx(1.1 * torus.likely.rate, rel=1e-6)
    pod = link_ends(load_datasheet("tpu_v5e"), 16)
    assert pod.slow.rate == pod.quick.rate
    (found,) = compare("llama-3-8b", "trainium1x16", Load(batches=(1,), phase="decode"))
    assert found.passes is not None
    assert any(each.startswith("link_rate ") for each in found.passes.rests_on)


@pytest.mark.parametrize(
    ("name", "said"),
    [("kunlun_r200", "arrays of 16 to 256 cells"), ("tpu_v7", "as many arrays as make the peak"),
     ("ascend_910b", "sram is unknown")],
)  # fmt: skip
def test_unknown_numbers_are_those_of_other_arrays_and_said(name: str, said: str) -> None:
    sheet = load_datasheet(name)
    chips = chips_of(sheet)
    assert any(said in each for each in chips.rests_on)
    peak = sheet.ends("peak_bf16") or sheet.ends("peak_fp16")
    assert peak is not None
    word = "bf16"
    for chip in (chips.likely, chips.quick, chips.slow):
        assert 2 * chip.peak(word) == pytest.approx(peak[1], rel=0.2)


def test_a_mixture_reads_the_experts_that_tokens_touch() -> None:
    load = Load(batches=(1,), prompt=512, answer=64)
    (found,) = compare("mixtral-8x7b", "tpu_v4x8", load)
    assert found.passes is not None
    assert not found.passes.is_bound
    # 12.6 billion numbers of a token's 46.4, two bytes each, over eight memories of 1.2 TB/s.
    least = 2 * 12.6e9 / (8 * 1.2e12)
    assert least < found.passes.token.low < 3 * least


def test_other_decoders_run_as_graphs_a_copy_a_chip() -> None:
    (found,) = compare("gpt2", "tpu_v4x8", Load(batches=(8,), prompt=512, answer=64))
    assert found.passes is not None
    assert (found.passes.tensor, found.passes.copies) == (1, 8)


def test_links_are_those_of_the_system_file_or_of_the_datasheet() -> None:
    pod = links_of(load_datasheet("tpu_v5e"), 16)
    assert pod.clock.topology.system.levels[0].rate == 45_000_000_000
    assert pod.assumed == ()
    torus = links_of(load_datasheet("trainium1"), 16).clock.topology.system.levels[0]
    assert (torus.shape, torus.sizes, torus.rate) == ("torus", (4, 4), 48_000_000_000)
    full = links_of(load_datasheet("gaudi3"), 8).clock.topology.system.levels[0]
    assert (full.shape, full.rate) == ("full", 75_000_000_000)
    host = links_of(load_datasheet("kunlun_r200"), 4)
    assert host.clock.topology.system.levels[0].rate == 32_000_000_000
    assert "host's switch" in host.assumed[-1]
    with pytest.raises(Lacking, match="no block of 3 chips"):
        links_of(load_datasheet("tpu_v5e"), 3)


def test_sums_over_a_torus_take_at_least_their_bytes_over_its_links() -> None:
    size = 64 * 2**20
    seconds = links_of(load_datasheet("trainium1"), 16).sum_seconds(size)
    assert seconds >= 2 * 15 / 16 * size / (4 * 48e9)
