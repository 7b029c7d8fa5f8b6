"""A graph on a GPU, kernel by kernel: beside the decoder's own sums, bounds, what fusion saves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawloom.chip.gpu import load_gpu
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.frontends.hf.config import catalog_entry
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.tensor import TensorType
from drawloom.quantize.precision import to_precision
from drawloom.routes.gpu.attention import Attention, causal_blocks, prefill_seconds
from drawloom.routes.gpu.decoder import (
    Decoder,
    Placement,
    decode_pass_seconds,
    prefill_pass_seconds,
)
from drawloom.routes.gpu.fitted import behaviour
from drawloom.routes.gpu.kernel import Kernel, Shapes, Tile
from drawloom.routes.gpu.run import run_gpu
from drawloom.routes.walk import Fusion

H200 = load_gpu("h200_sxm")
LLAMA = read_config("llama-3-8b")
F16 = DType.F16


@pytest.mark.parametrize("batch", [1, 16, 128])
def test_a_token_takes_what_the_decoder_route_says(batch: int) -> None:
    trace = run_gpu(model_graph(LLAMA, Request("decode", batch=batch, context=1023)), H200)
    sizes, at = Decoder.of(catalog_entry("llama-3-8b").config), Placement(H200, "bfloat16", 2, 1)
    (expected,) = decode_pass_seconds(sizes, at, np.array([batch]), np.array([1024]))
    assert trace.seconds == pytest.approx(expected, rel=0.1)
    assert next(iter(trace.bound_by())) == "DRAM"


def test_a_prompt_takes_what_the_decoder_route_says() -> None:
    trace = run_gpu(model_graph(LLAMA, Request("prefill", tokens=2048)), H200)
    sizes, at = Decoder.of(catalog_entry("llama-3-8b").config), Placement(H200, "bfloat16", 2, 1)
    (expected,) = prefill_pass_seconds(sizes, at, np.array([2048]))
    assert trace.seconds == pytest.approx(expected, rel=0.05)
    assert next(iter(trace.bound_by())) == "tensor cores"


def test_no_kernel_outruns_dram_or_tensor_cores() -> None:
    for config, request, precision in (
        ("mixtral-8x7b", Request("decode", batch=4, context=64), "bf16"),
        ("vit-b-16", Request("forward", batch=8), "f16"),
        ("sd-1.5-unet", Request("forward", tokens=77), "f16"),
    ):
        graph = to_precision(model_graph(read_config(config), request), precision)
        for each in run_gpu(graph, H200).spans:
            kernel = each.kernel
            assert each.seconds > behaviour("cublas").launch * 0.99
            assert each.seconds > kernel.macs / H200.peak("f16"), kernel.name


@pytest.mark.parametrize(
    "less", [{"epilogues": False}, {"has_flash": False}, {"merges_products": False}]
)
def test_every_part_of_fusion_saves_time(less: dict[str, bool]) -> None:
    builder = GraphBuilder("attention")
    x = builder.input("x", TensorType(F16, (2048, 4096)))

    def product(x: str, n: int, k: int, name: str) -> str:
        return builder.add("MatMul", (x, builder.constant(name, np.zeros((k, n), np.float16))))

    def heads(name: str) -> str:
        cut = builder.add("Reshape", (product(x, 4096, 4096, name),), {"shape": (2048, 32, 128)})
        return builder.add("Transpose", (cut,), {"perm": (1, 0, 2)})

    q, k, v = (heads(name) for name in "qkv")
    scores = builder.add("MatMul", (q, k), {"trans_b": 1})
    scaled = builder.add("Mul", (scores, builder.constant("scale", np.zeros((), np.float16))))
    mixed = builder.add("MatMul", (builder.add("Softmax", (scaled,)), v))
    back = builder.add("Transpose", (mixed,), {"perm": (1, 0, 2)})
    flat = builder.add("Reshape", (back,), {"shape": (2048, 4096)})
    graph = builder.finish((builder.add("Add", (product(flat, 4096, 4096, "o"), x)),))
    assert [each.kernel.kind for each in run_gpu(graph, H200).spans] == [
        "product",
        "attention",
        "product",
    ]
    whole = run_gpu(graph, H200)
    assert run_gpu(graph, H200, replace(Fusion(), **less)).seconds > whole.seconds


def test_kernels_launched_one_by_one_wait_for_the_host() -> None:
    graph = model_graph(read_config("llama-3-8b"), Request("decode", context=64))
    replayed, eager = run_gpu(graph, H200), run_gpu(graph, H200, is_replayed=False)
    assert eager.seconds > 1.1 * replayed.seconds
    assert min(each.seconds for each in eager.spans) > 3 * behaviour("cublas").launch


def test_a_batch_is_one_launch_and_all_its_work() -> None:
    kernel = Kernel(H200, behaviour("cublas"), Tile(128, 128, 64), "bf16", 2)
    sizes = (np.array([1024.0]), np.array([1024.0]), np.array([512.0]))
    one, many = (kernel.seconds(Shapes(*sizes, batch=count)) for count in (1.0, 64.0))
    launch = behaviour("cublas").launch
    assert launch + 15 * (one - launch) < many < 64 * one


def conv(kernel: int) -> Graph:
    builder = GraphBuilder("conv")
    x = builder.input("x", TensorType(F16, (8, 64, 128, 128)))
    w = builder.constant("w", np.zeros((64, 64 * 9 // kernel**2, kernel, kernel), np.float16))
    pads = (kernel // 2,) * 4
    if kernel == 1:
        x = builder.input("wide", TensorType(F16, (8, 64 * 9, 128, 128)))
    return builder.finish((builder.add("Conv", (x, w), {"pads": pads}),))


def test_windows_come_from_the_image() -> None:
    windows, plain = run_gpu(conv(3), H200), run_gpu(conv(1), H200)
    assert windows.macs == plain.macs
    assert windows.seconds < plain.seconds


def test_attention_both_ways_has_twice_the_blocks() -> None:
    assert causal_blocks(1024, 1, 128, 128, 0, 0, 0) == (8, 64, 8)
    assert causal_blocks(1024, 1, 128, 128, 0, 128) == (1, 8, 8)  # the last 128 of a prompt
    one_way, both = prefill_seconds(
        H200, Attention.of(4, 8192, 32, 32, 128, 0, 2, 0, np.array([1, 0]))
    )
    assert 1.5 < both / one_way < 2.1
