"""Decoders from their configuration: steps with a cache say what one pass over all tokens says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tests.frontends.hf.tiny import DECODERS, checkpoint, forward, ids_of, steps, tiny

from drawloom.errors import InputError
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, Node

BYTE_LLAMA = Path(__file__).parents[3] / "examples" / "byte_llama"


@pytest.mark.parametrize("name", DECODERS)
def test_steps_with_a_cache_say_what_one_pass_says(name: str) -> None:
    config = tiny(name)
    tensors = checkpoint(config)
    ids = ids_of(config, 2, 11)
    whole = forward(config, tensors, ids)
    assert np.ptp(whole) > 1.0
    for at, logits in enumerate(steps(config, tensors, ids, prompt=6, capacity=13), start=5):
        np.testing.assert_allclose(logits, whole[:, at], rtol=1e-4, atol=1e-4)


def test_sequences_of_a_batch_may_stand_at_different_positions() -> None:
    config = tiny("mistral")
    tensors = checkpoint(config)
    ids = ids_of(config, 2, 9)
    whole = forward(config, tensors, ids)
    graph = model_graph(config, Request("decode", batch=2, context=8), tensors)
    prefill = model_graph(config, Request("prefill", batch=2, tokens=8, capacity=9), tensors)
    filled = evaluate(prefill, {"input_ids": ids[:, :8]})
    given = {k: filled[k.replace("past", "present")] for k in graph.inputs if "past" in k}
    position = np.array([3, 8], np.int32)
    step = evaluate(
        graph, {"input_ids": ids[[0, 1], position][:, None], "position": position, **given}
    )
    np.testing.assert_allclose(step["logits"], whole[[0, 1], position], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["llama", "qwen3", "deepseek_v3", "gpt2", "opt"])
def test_a_cache_that_a_prompt_fills_is_what_it_makes(name: str) -> None:
    config = tiny(name)
    tensors = checkpoint(config)
    ids = {"input_ids": ids_of(config, 2, 6)}
    tight = model_graph(config, Request("prefill", batch=2, tokens=6), tensors)
    roomy = model_graph(config, Request("prefill", batch=2, tokens=6, capacity=9), tensors)
    assert tight.outputs == roomy.outputs
    assert len(roomy.nodes) == len(tight.nodes) + sum(n.op == "Pad" for n in roomy.nodes)
    made, wanted = evaluate(tight, ids), evaluate(roomy, ids)
    np.testing.assert_array_equal(made["logits"], wanted["logits"])
    for value in tight.outputs[1:]:
        filled, empty = np.split(wanted[value], [6], axis=-2)
        np.testing.assert_array_equal(made[value], filled)
        assert not empty.any()


def test_the_byte_level_llama_gives_its_stored_logits() -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    said = json.loads((BYTE_LLAMA / "config.json").read_text())
    config = read_config({**said, "torch_dtype": "float32"})
    tensors = safetensors.load_file(BYTE_LLAMA / "model.safetensors")
    with np.load(BYTE_LLAMA / "reference.npz") as stored:
        ids, logits = stored["ids"].astype(np.int32), stored["logits"]
    graph = model_graph(config, Request("forward", tokens=ids.shape[-1]), tensors)
    made = evaluate(graph, {"input_ids": ids.reshape(1, -1)})["logits"]
    np.testing.assert_allclose(made.reshape(logits.shape), logits, rtol=0, atol=1e-3)


def form(graph: Graph, node: Node, i: int) -> tuple[object, ...]:
    """Return a node with the number of its layer, and of the one before, left out of all names."""

    def bare(word: str) -> str:
        return re.sub(rf"\b(layers|past|present)\.({i}|{i - 1})\b", which, word)

    def which(found: re.Match[str]) -> str:
        return f"{found[1]}.{'own' if int(found[2]) == i else 'last'}"

    types = [graph.types[v].text() for v in (*node.inputs, *node.outputs)]
    names = [bare(v) for v in (node.name, node.layer, *node.inputs, *node.outputs)]
    return (node.op, tuple(sorted(node.attrs.items())), *types, *names)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3", "mixtral", "deepseek_v3"])
def test_layers_repeat_node_by_node(name: str, phase: str) -> None:
    request = Request("decode", context=7) if phase == "decode" else Request("prefill", tokens=7)
    graph = model_graph(tiny(name), request)
    layers = [
        [form(graph, n, i) for n in graph.nodes if n.layer.startswith(f"model.layers.{i}")]
        for i in (1, 2)
    ]
    assert layers[0] == layers[1]
    assert len(layers[0]) > 20


def test_a_checkpoint_is_checked_whole() -> None:
    config = tiny("llama")
    tensors = checkpoint(config)
    del tensors["model.norm.weight"]
    tensors["lm_head.weight"] = tensors["lm_head.weight"].T
    tensors["model.layers.0.mlp.up_proj.weight"] = np.zeros((48, 32), np.int8)
    with pytest.raises(InputError) as error:
        model_graph(config, Request("forward", tokens=3), tensors)
    assert error.value.text() == (
        "error[hf.weights]: the checkpoint is not one of 'config'\n"
        "  model.layers.0.mlp.up_proj.weight: i8[48,32] (floats of shape [48, 32])\n"
        "  model.norm.weight: missing (f32[32])\n"
        "  lm_head.weight: f32[32,61] (floats of shape [61, 32])"
    )
