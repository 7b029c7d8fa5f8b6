"""Kernels of mixtures with tokens grouped by expert, and products of 8 bits."""

from __future__ import annotations

import pytest

from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.dtypes import DType
from drawloom.plans.shard import Shares, shard
from drawloom.routes.fuse import Kernel, fuse
from drawloom.routes.mixture import MARK, Experts, grouped, narrowed, rounded
from drawloom.routes.work import Products

CONFIG = shard(read_config("mixtral-8x7b"), Shares(1, 1), 1, 1)
EXPERTS = Experts(8, 2)
WIDTH, INNER = 4096, 14336


def kernels(request: Request) -> tuple[Kernel, ...]:
    return fuse(model_graph(CONFIG, request, None, DType.BF16))


def experts(found: tuple[Kernel, ...]) -> list[Products]:
    works = [each.work for each in found if MARK in each.name]
    return [work for work in works if isinstance(work, Products) and work.has_weights]


def test_one_token_touches_its_experts_and_many_touch_all() -> None:
    assert [EXPERTS.touched(tokens) for tokens in (1, 2, 1000)] == [2, 4, 8]


def test_a_prompt_multiplies_each_token_with_its_experts_alone() -> None:
    tokens = 512
    plain = kernels(Request("prefill", tokens=tokens))
    found = experts(grouped(plain, EXPERTS))
    assert sum(work.macs for work in experts(plain)) == 8 * tokens * 3 * WIDTH * INNER
    assert sum(work.macs for work in found) == 2 * tokens * 3 * WIDTH * INNER
    assert all(work.right_bytes == 2 * 8 * WIDTH * INNER for work in found)


def test_tokens_that_meet_at_an_expert_read_it_once() -> None:
    plain = kernels(Request("decode", batch=4, context=16))
    found = grouped(plain, EXPERTS)
    touched = EXPERTS.touched(4)
    for work in experts(found):
        assert (work.batch, work.m) == (touched, 2)
        assert work.right_bytes == 2 * touched * WIDTH * INNER
    kept = [each.kept_bytes for each in found if each.kept_bytes]
    assert kept == [2 * 8 * WIDTH * INNER] * 3


def test_a_router_is_one_kernel() -> None:
    found = grouped(kernels(Request("prefill", tokens=64)), EXPERTS)
    assert sum(".gate." in each.name or ".gates" in each.name for each in found) == 1 + 1


def test_products_of_8_bits_read_half_the_weights() -> None:
    plain = kernels(Request("prefill", tokens=64))
    found = narrowed(plain, "f8")
    for one, other in zip(plain, found, strict=True):
        if isinstance(one.work, Products) and one.work.has_weights:
            assert isinstance(other.work, Products)
            assert other.work.number_format == "f8"
            assert other.constant_bytes == pytest.approx(one.constant_bytes / 2, rel=0.01)
        else:
            assert other == one


def test_products_of_32_bits_may_multiply_16() -> None:
    config = shard(read_config("deepseek-v3"), Shares(8, 1), 4, 1)
    graph = model_graph(config, Request("decode", batch=1, context=16), None, DType.BF16)
    words = {each.work.number_format for each in rounded(fuse(graph)) if isinstance(each.work, Products)}  # fmt: skip
    assert words == {"bf16"}
