"""Models from a configuration, compiled: the chip computes what the graph says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.frontends.hf.tiny import DECODERS, checkpoint
from tests.reference import nodewise

from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph
from drawloom.quantize import quantize_weights

IMAGES: dict[str, dict[str, Any]] = {
    "vit": {
        "model_type": "vit",
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "image_size": 12,
        "patch_size": 4,
    },
    "dit": {
        "_class_name": "DiTTransformer2DModel",
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 1,
        "sample_size": 8,
        "num_embeds_ada_norm": 10,
    },
    "unet": {
        "_class_name": "UNet2DConditionModel",
        "sample_size": 8,
        "block_out_channels": [16, 32],
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "attention_head_dim": 4,
        "cross_attention_dim": 20,
    },
}
REQUESTS = {
    "decode": Request("decode", context=5, capacity=8),
    "prefill": Request("prefill", tokens=6),
}


def inputs_of(graph: Graph) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    given: dict[str, Any] = {}
    for name in graph.inputs:
        kind = graph.types[name]
        if name == "position":
            given[name] = np.full(kind.shape, 5, np.int32)
        elif kind.dtype is DType.I32:
            given[name] = rng.integers(0, 9, kind.shape).astype(np.int32)
        else:
            given[name] = rng.normal(size=kind.shape).astype(kind.dtype.numpy)
    return given


def same(graph: Graph) -> None:
    given = inputs_of(graph)
    found, wanted = nodewise.run(graph, given), evaluate(graph, given)
    for name, want in wanted.items():
        assert np.ptp(want) > 0.01
        np.testing.assert_allclose(found[name], want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [0, 4, 8])
@pytest.mark.parametrize("phase", REQUESTS)
@pytest.mark.parametrize("name", ["llama", "qwen3_moe", "deepseek_v3", "opt"])
def test_a_decoder(name: str, phase: str, bits: int) -> None:
    config = read_config({**DECODERS[name], "num_hidden_layers": 2})
    graph = model_graph(config, REQUESTS[phase], checkpoint(config))
    same(quantize_weights(graph, bits, 32, smallest=200) if bits else graph)


@pytest.mark.parametrize("name", ["vit", "dit", pytest.param("unet", marks=pytest.mark.slow)])
def test_an_image_model(name: str) -> None:
    config = read_config(IMAGES[name])
    same(model_graph(config, Request("forward"), checkpoint(config)))
