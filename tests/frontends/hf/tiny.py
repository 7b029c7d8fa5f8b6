"""Small models of every family, with random weights by their Hugging Face names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from drawloom.errors import InputError
from drawloom.frontends.hf import Config, Request, model_graph, read_config
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Array, Graph

LLAMA = {
    "model_type": "llama",
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100.0,
}
YARN = {
    "type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 0.8,
}
DEEPSEEK = {
    **LLAMA,
    "num_key_value_heads": 4,
    "q_lora_rank": 24,
    "kv_lora_rank": 20,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12,
    "v_head_dim": 10,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "moe_intermediate_size": 20,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
}
GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 61,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 24,
}
OPT = {
    "model_type": "opt",
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 48,
    "max_position_embeddings": 24,
}
DECODERS: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "llama-biases": {**LLAMA, "attention_bias": True, "mlp_bias": True, "head_dim": 12},
    "llama-tied": {**LLAMA, "tie_word_embeddings": True, "num_key_value_heads": 1},
    "mistral": {**LLAMA, "model_type": "mistral", "sliding_window": 5},
    "qwen2": {
        **LLAMA,
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": 4,
        "max_window_layers": 1,
    },
    "qwen3": {**LLAMA, "model_type": "qwen3", "head_dim": 16},
    "mixtral": {**LLAMA, "model_type": "mixtral", "num_local_experts": 4},
    "mixtral-many": {**LLAMA, "model_type": "mixtral", "num_local_experts": 8},
    "qwen2_moe": {
        **LLAMA,
        "model_type": "qwen2_moe",
        "num_experts": 6,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 20,
        "shared_expert_intermediate_size": 28,
        "mlp_only_layers": [1],
    },
    "qwen3_moe": {
        **LLAMA,
        "model_type": "qwen3_moe",
        "head_dim": 16,
        "num_experts": 6,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 20,
        "norm_topk_prob": True,
        "decoder_sparse_step": 2,
    },
    "gpt2": GPT2,
    "gpt2-scaled": {
        **GPT2,
        "scale_attn_by_inverse_layer_idx": True,
        "n_inner": 40,
        "tie_word_embeddings": False,
    },
    "opt": OPT,
    "opt-after": {**OPT, "do_layer_norm_before": False, "word_embed_proj_dim": 24},
    "deepseek_v2": {
        **DEEPSEEK,
        "model_type": "deepseek_v2",
        "topk_method": "group_limited_greedy",
        "q_lora_rank": None,
        "routed_scaling_factor": 1.5,
    },
    "deepseek_v2-greedy": {**DEEPSEEK, "model_type": "deepseek_v2", "topk_method": "greedy"},
    "deepseek_v3": {**DEEPSEEK, "model_type": "deepseek_v3", "rope_scaling": YARN},
    "deepseek_v3-biases": {
        **DEEPSEEK,
        "model_type": "deepseek_v3",
        "attention_bias": True,
        "n_group": 1,
        "topk_group": 1,
    },
}


def checkpoint(config: Config, seed: int = 0) -> dict[str, Array]:
    """Return random tensors for every name that the errors of an empty checkpoint ask for."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, Array] = {}
    request = Request("forward", tokens=4)
    try:
        model_graph(config, request, tensors)
    except InputError as error:
        for fault in error.faults:
            shape = tuple(map(int, fault.allowed.split("[")[1].split("]")[0].split(",")))
            size = 0.3 if len(shape) > 1 else 0.1
            tensors[fault.path] = rng.normal(0.0, size, shape).astype(np.float32)
            if ("norm" in fault.path or ".ln_" in fault.path) and fault.path.endswith("weight"):
                tensors[fault.path] += np.float32(1.0)
    return tensors


def ids_of(config: Config, batch: int, tokens: int, seed: int = 1) -> Array:
    vocabulary = getattr(config.figures, "vocab_size")  # noqa: B009
    return np.random.default_rng(seed).integers(0, vocabulary, (batch, tokens)).astype(np.int32)


def forward(config: Config, tensors: dict[str, Array], ids: Array) -> Array:
    graph = model_graph(
        config, Request("forward", batch=ids.shape[0], tokens=ids.shape[1]), tensors
    )
    return evaluate(graph, {"input_ids": ids})["logits"]


def pasts(graph: Graph, values: dict[str, Array]) -> dict[str, Array]:
    """Return the cache that a step hands to the next."""
    return {
        k: values[k.replace("past", "present", 1)] for k in graph.inputs if k.startswith("past")
    }


def steps(
    config: Config, tensors: dict[str, Array], ids: Array, prompt: int, capacity: int
) -> Iterator[Array]:
    """Yield the logits of the prompt's last token, then of each token that follows."""
    batch = ids.shape[0]
    request = Request("prefill", batch=batch, tokens=prompt, capacity=capacity)
    graph = model_graph(config, request, tensors)
    values = evaluate(graph, {"input_ids": ids[:, :prompt]})
    yield values["logits"]
    request = Request("decode", batch=batch, context=prompt, capacity=capacity)
    graph = model_graph(config, request, tensors)
    for at in range(prompt, ids.shape[1]):
        position = np.full(batch, at, np.int32)
        given = {"input_ids": ids[:, at : at + 1], "position": position, **pasts(graph, values)}
        values = evaluate(graph, given)
        yield values["logits"]


def tiny(name: str) -> Config:
    return read_config(DECODERS[name])
