"""Attention, sums over GPUs, row kernels, experts and whole passes: limits and what grows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawloom.chip.gpu import load_gpu
from drawloom.frontends.hf.config import catalog_entry
from drawloom.routes.gpu.attention import (
    Attention,
    causal_blocks,
    decode_seconds,
    prefill_seconds,
)
from drawloom.routes.gpu.collective import all_reduce_seconds, direct_all_reduce_seconds
from drawloom.routes.gpu.decoder import (
    Decoder,
    Placement,
    decode_pass_seconds,
    prefill_pass_seconds,
)
from drawloom.routes.gpu.experts import touched
from drawloom.routes.gpu.gemm import captured_seconds, gemm_seconds
from drawloom.routes.gpu.pointwise import GATED_ACTIVATION, LOOK_UP, RMS_NORM, SOFTMAX, SUM
from drawloom.routes.gpu.served import passes, served, workload

H200 = load_gpu("h200_sxm")
A100 = load_gpu("a100_sxm")
LLAMA = Decoder.of(catalog_entry("llama-3-8b").config)
MIXTURE = Decoder.of(catalog_entry("qwen3-30b-a3b").config)


def test_a_causal_tile_sees_the_keys_before_its_last_query() -> None:
    assert causal_blocks(256, 1, 128, 128, 0) == (2, 3, 2)
    assert causal_blocks(256, 2, 128, 128, 0) == (4, 6, 2)  # two heads in a tile of 64 tokens
    assert causal_blocks(1024, 1, 128, 128, 128) == (8, 15, 2)  # a window of one block back


def test_long_prompts_take_time_with_the_square_of_tokens() -> None:
    short, long = prefill_seconds(H200, Attention.of(1, [8192, 16384], 32, 8, 128, 0, 2))
    assert 3.5 < long / short < 4.1


def test_prompts_are_not_quicker_than_the_tensor_cores() -> None:
    tokens = np.array([512, 4096, 16384])
    seconds = prefill_seconds(H200, Attention.of(4, tokens, 32, 8, 128, 0, 2))
    assert (seconds > 4 * 32 * 128 * tokens**2 / H200.peak("bf16")).all()


@pytest.mark.parametrize("kv_bytes", [1, 2])
def test_one_token_reads_the_whole_cache(kv_bytes: int) -> None:
    batch, context = np.array([1, 8, 64, 512]), 8192
    seconds = decode_seconds(H200, Attention.of(batch, context, 32, 8, 128, 0, kv_bytes))
    assert (seconds > batch * context * 8 * 128 * 2 * kv_bytes / H200.dram_rate).all()
    assert (np.diff(seconds) > 0).all()


def test_a_window_bounds_what_a_token_reads() -> None:
    near, far = decode_seconds(H200, Attention.of(32, [1024, 65536], 32, 8, 128, 1023, 2))
    assert far == pytest.approx(near)


def test_one_gpu_sums_nothing_and_no_link_is_outrun() -> None:
    size = 2.0 ** np.arange(10, 30)
    for ranks in (2, 4, 8):
        seconds = all_reduce_seconds(H200, size, np.full_like(size, ranks))
        assert (seconds > size / H200.link_rate).all()
        assert (np.diff(seconds) > -1e-9).all()
    assert all_reduce_seconds(H200, size, np.ones_like(size)).tolist() == [0] * len(size)


def test_sums_in_the_switch_are_for_long_messages_of_floats_on_many_gpus() -> None:
    size, ranks = np.array([2.0**29]), np.array([8])
    without = replace(H200, has_in_switch_sums=False)
    assert all_reduce_seconds(H200, size, ranks) < all_reduce_seconds(without, size, ranks)
    whole = all_reduce_seconds(H200, size, ranks, is_float=False)
    assert whole == all_reduce_seconds(without, size, ranks)


def test_short_messages_are_read_at_once() -> None:
    size, ranks = np.array([8192.0]), np.array([8])
    assert direct_all_reduce_seconds(H200, size, ranks) < all_reduce_seconds(H200, size, ranks)


def test_row_kernels_keep_to_dram_once_l2_is_full() -> None:
    rows = np.array([32768, 65536])
    for kernel in (RMS_NORM, GATED_ACTIVATION, SOFTMAX, SUM, LOOK_UP):
        seconds = kernel.seconds(A100, rows, 4096)
        moved = (kernel.read + kernel.written) * 2 * rows * 4096.0
        assert (seconds > moved / A100.dram_rate).all()


def test_a_row_alone_takes_a_strip_after_another() -> None:
    times = RMS_NORM.seconds(A100, 1, 1024 * np.array([1, 2, 8]))
    each = times[1] - times[0]
    assert each > (A100.l2_latency + A100.dram_latency) / A100.clock
    assert times[2] - times[0] == pytest.approx(7 * each)


def test_rows_beyond_a_wave_take_another() -> None:
    at_once = A100.sms * 2  # blocks of 1024 threads
    full, more = GATED_ACTIVATION.seconds(A100, np.array([at_once, at_once + 1]), 11008)
    single = GATED_ACTIVATION.seconds(A100, 1, 11008)
    start = SUM.seconds(A100, 0, 1)
    assert more - full == pytest.approx(single - start)


def test_what_was_just_written_comes_from_l2() -> None:
    cold = replace(SUM, fresh=0)
    small, large = np.array([256, 65536])
    assert SUM.seconds(A100, small, 4096) < cold.seconds(A100, small, 4096)
    assert SUM.seconds(A100, large, 4096) == cold.seconds(A100, large, 4096)


def test_tokens_touch_experts_until_all_are() -> None:
    used = touched(MIXTURE, np.array([1.0, 2.0, 16.0, 10_000.0]))
    assert used[0] == pytest.approx(MIXTURE.chosen)
    assert used[1] < 2 * MIXTURE.chosen
    assert used[3] == pytest.approx(MIXTURE.experts)


def test_a_captured_product_has_no_host_work() -> None:
    m, n, k = (np.array([each]) for each in (64, 4096, 4096))
    assert captured_seconds(H200, "fp8_block", m, n, k) < 0.5 * gemm_seconds(
        H200, "fp8_block", m, n, k
    )


def test_a_decoders_sizes_give_its_weights() -> None:
    entry = catalog_entry("llama-3-8b")
    at = LLAMA.weight_bytes("bfloat16", 1, 1)
    assert at == pytest.approx(2 * entry.parameters, rel=0.001)
    assert LLAMA.kv_bytes(2, 1) == 2 * 32 * 8 * 128 * 2


def test_a_pass_reads_the_weights_and_splits_over_gpus() -> None:
    batch, context = np.array([1, 16, 256]), np.array([1024, 1024, 1024])
    alone = decode_pass_seconds(LLAMA, Placement(H200, "bfloat16", 2, 1), batch, context)
    split = decode_pass_seconds(LLAMA, Placement(H200, "bfloat16", 2, 4), batch, context)
    weights = LLAMA.weight_bytes("bfloat16", 1, 1) - 2 * LLAMA.vocabulary * LLAMA.width
    assert (alone > weights / H200.dram_rate).all()
    assert (split < alone).all()
    assert (split > alone / 4).all()


def test_a_prompt_takes_longer_than_a_token() -> None:
    at = Placement(H200, "fp8", 1, 1)
    one = np.array([1])
    prompt = prefill_pass_seconds(LLAMA, at, np.array([2048]))
    assert prompt > 3 * decode_pass_seconds(LLAMA, at, one, np.array([2048]))


def test_clients_beyond_the_cache_wait_for_a_place() -> None:
    at = Placement(A100, "bfloat16", 2, 1)
    clients = np.array([8, 200, 400])
    load = workload(clients, np.full(3, 4000), np.full(3, 1000), np.ones(3, dtype=np.bool_))
    times = passes(LLAMA, at, load)
    assert times.admitted[0] == 8
    assert times.admitted[1] == times.admitted[2] < 200
    token, first = served("vllm", times, load)
    assert (token > times.token).all()
    assert first[2] - first[1] > 100 * token[1]


def test_prompts_that_come_together_wait_for_each_other() -> None:
    at = Placement(H200, "bfloat16", 2, 1)
    varied = np.array([True, False])
    load = workload(np.full(2, 16), np.full(2, 1024), np.full(2, 256), varied)
    token, first = served("vllm", passes(LLAMA, at, load), load)
    assert token[0] == token[1]
    assert first[0] < first[1]
