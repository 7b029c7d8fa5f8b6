"""Tokens a second where nobody waits: what bounds them, what fits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drawloom.chip.gpu import load_gpu
from drawloom.frontends.hf.config import catalog_entry
from drawloom.routes.gpu.decoder import Decoder, Placement
from drawloom.routes.gpu.offline import best_replica, staged_token_seconds

H200 = load_gpu("h200_sxm")
SMALL = Decoder.of(catalog_entry("llama-3-8b").config)
LARGE = Decoder.of(catalog_entry("llama-3.1-405b").config)
AT = Placement(H200, "fp8_cublas", 1, 1)


def test_no_rate_outruns_the_tensor_cores() -> None:
    found = best_replica(SMALL, AT, "trtllm", 1, 1024, 256)
    assert found is not None
    assert (found.split, found.stages) == (1, 1)
    # Each token of prompt and answer passes all weights once.
    macs = SMALL.weight_bytes("fp8_cublas", 1, 1) * (1024 + 256) / 256
    assert 0 < found.rate < H200.peak("f8") / macs


def test_what_does_not_fit_has_no_replica() -> None:
    assert best_replica(LARGE, AT, "trtllm", 2, 1024, 256) is None


def test_a_token_in_stages_takes_what_the_replica_of_the_same_shape_does() -> None:
    h100 = replace(AT, gpu=load_gpu("h100_sxm"))
    model = Decoder.of(catalog_entry("llama-2-70b").config)
    best = best_replica(model, h100, "trtllm", 8, 155, 290)
    assert best is not None
    assert best.stages > 1
    sequences = float(best.batch * best.stages)
    at = replace(h100, split=best.split)
    token = staged_token_seconds(model, at, "trtllm", best.stages, sequences, (155, 290))
    assert sequences / token == pytest.approx(best.rate * best.split * best.stages)
    # Of what memories do not hold, or layers that do not divide, there is none.
    assert staged_token_seconds(model, at, "trtllm", best.stages, 1e6, (155, 290)) == float("inf")
    assert staged_token_seconds(model, at, "trtllm", 3, 64, (155, 290)) == float("inf")
