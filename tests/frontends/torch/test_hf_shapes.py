"""Graphs of full-size models do the operations of torch.export, in number and in shape."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.frontends.hf.config import catalog_entry
from drawloom.graph.ir import Graph, Node

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

# transformers writes GPT-2's gelu out; its tanh stands for it
ACTIVATIONS = {"silu": "Silu", "gelu": "Gelu", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Gelu"}
Work = Counter[tuple[Any, ...]]


def exported(name: str, tokens: int, context: int, **changes: Any) -> Work:
    """Return the work that torch.export sees in transformers' model, on the meta device.

    With a ``context`` it is a step that finds so many tokens in its cache.
    """
    said = {**catalog_entry(name).config, **changes}
    kind = said.pop("model_type")
    config = transformers.AutoConfig.for_model(kind, **said)
    config._attn_implementation = "sdpa"
    config._experts_implementation = "batched_mm"
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
    past: list[Any] = []
    if context:
        heads, width = said["num_key_value_heads"], said.get("head_dim", 0)
        width = width or said["hidden_size"] // said["num_attention_heads"]
        shape = (1, heads, context, width)
        kinds = {"dtype": torch.bfloat16, "device": "meta"}
        past = [torch.zeros(shape, **kinds) for _ in range(2 * said["num_hidden_layers"])]

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any, past: list[Any]) -> Any:
            cache: Any = transformers.DynamicCache() if past else None
            for i in range(len(past) // 2):
                cache.update(past[2 * i], past[2 * i + 1], i)
            return self.model(ids, past_key_values=cache, use_cache=bool(past)).logits

    program = torch.export.export(Logits().eval(), (ids, past), strict=False)
    width = said.get("moe_intermediate_size", said.get("intermediate_size", 0))
    found: Work = Counter()
    for node in program.graph.nodes:
        if node.op == "call_function":
            found.update(_torch_work(node, width))
    return found


def _torch_work(node: Any, width: int) -> list[tuple[Any, ...]]:
    op = str(node.target).split(".")[1] if "." in str(node.target) else str(node.target)
    values = [a.meta.get("val") for a in node.args if hasattr(a, "meta")]
    shapes = [tuple(v.shape) for v in values if hasattr(v, "shape")]
    if op == "linear":
        return [product((), math.prod(shapes[0][:-1]), shapes[1][1], shapes[1][0])]
    if op == "addmm":
        return [product((), shapes[1][0], *shapes[2])]
    if op in ("mm", "matmul", "bmm"):
        return _experts(shapes, width)
    if op == "scaled_dot_product_attention":
        return [("attention", shapes[0], shapes[1][2:], shapes[2][2:])]
    if op == "rsqrt":  # transformers writes a norm out; its root is one number a row
        return [("norm", math.prod(shapes[0]))]
    if op == "layer_norm":
        return [("norm", math.prod(shapes[0][:-1]))]
    if op == "embedding":
        return [("embedding", shapes[0], math.prod(shapes[1]))]
    if op in ACTIVATIONS:
        return [(ACTIVATIONS[op], math.prod(shapes[0]))]
    return [("topk", math.prod(shapes[0]), node.args[1])] if op == "topk" else []


def _experts(shapes: list[tuple[int, ...]], width: int) -> list[tuple[Any, ...]]:
    """An expert's weight [out, in] times a token; gate and up are one there, and two here."""
    (pairs, rows, inner), (_, _, one) = shapes
    assert one == 1
    parts = 2 if rows == 2 * width else 1
    return [product((pairs,), 1, inner, rows // parts)] * parts


def product(batch: tuple[int, ...], rows: int, inner: int, width: int) -> tuple[Any, ...]:
    return ("product", math.prod(batch), rows, inner, width)


def work(graph: Graph) -> Work:
    found: Work = Counter()
    for node in graph.nodes:
        found.update(_graph_work(graph, node))
    return found


def _graph_work(graph: Graph, node: Node) -> list[tuple[Any, ...]]:
    shapes = [graph.types[v].shape for v in node.inputs]
    if node.op == "MatMul":
        if node.name.endswith("experts.sum"):
            return []  # torch multiplies and adds
        inner, width = shapes[1][-2:][:: -1 if node.int("trans_b") else 1]
        if len(shapes[1]) == 2:
            return [product((), math.prod(shapes[0][:-1]), inner, width)]
        return [product(shapes[1][:-2], shapes[0][-2], inner, width)]
    if node.op == "Attention":
        return [("attention", shapes[0], shapes[1][2:], shapes[2][2:])]
    if node.op in ("RMSNormalization", "LayerNormalization"):
        return [("norm", math.prod(shapes[0][:-1]))]
    # rotary angles are looked up here and computed there
    if node.op == "Gather" and len(shapes[0]) == 2 and node.inputs[0].endswith(".weight"):
        return [("embedding", shapes[0], math.prod(shapes[1]))]
    if node.op == "Slice" and node.inputs[0] in graph.constants:
        return [("embedding", shapes[0], graph.types[node.outputs[0]].shape[0])]
    if node.op in ACTIVATIONS.values():
        return [(node.op, math.prod(shapes[0]))]
    return [("topk", math.prod(shapes[0]), node.int("k"))] if node.op == "TopK" else []


MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "llama-3-8b": (512, {}),
    "qwen3-4b": (512, {}),
    "gpt2": (256, {}),
    "opt-6.7b": (256, {}),
    "qwen2.5-7b": (128, {}),
    "mixtral-8x7b": (4, {}),
    "qwen3-30b-a3b": (16, {"num_hidden_layers": 4}),
    "deepseek-v3": (16, {"num_hidden_layers": 5}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_forward_does_the_work_of_torch_export(name: str) -> None:
    tokens, changes = MODELS[name]
    config = read_config({**catalog_entry(name).config, **changes})
    ours = work(model_graph(config, Request("forward", tokens=tokens)))
    theirs = exported(name, tokens, 0, **changes)
    assert (ours - theirs, theirs - ours) == ({}, {})
    assert sum(ours.values()) > 60


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama-3-8b", "qwen3-4b", "mixtral-8x7b"])
def test_a_step_does_the_work_of_torch_export(name: str) -> None:
    config = read_config({**catalog_entry(name).config, "num_hidden_layers": 4})
    ours = work(model_graph(config, Request("decode", context=1000)))
    theirs = exported(name, 1, 1000, num_hidden_layers=4)
    assert (ours - theirs, theirs - ours) == ({}, {})
    assert sum(ours.values()) > 40
