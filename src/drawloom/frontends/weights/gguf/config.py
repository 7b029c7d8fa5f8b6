"""A GGUF file's metadata as the ``config.json`` that Hugging Face has for the same model.

Source: each key's meaning, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; which of
Hugging Face's words it was made from, set_gguf_parameters in llama.cpp's convert_hf_to_gguf.py.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from drawloom.errors import Fault, InputError, Unsupported, nearest
from drawloom.frontends.weights.gguf.header import Header, Listed, read_header
from drawloom.frontends.weights.gguf.read import read_gguf
from drawloom.frontends.weights.stored import KIND
from drawloom.frontends.weights.table import Weights
from drawloom.graph.dtypes import DType
from drawloom.graph.tensor import TensorType

ARCHITECTURE = "general.architecture"
_CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
}
_LLAMA = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}
_GPT2 = {
    "n_embd": "embedding_length",
    "n_layer": "block_count",
    "n_head": "attention.head_count",
    "n_inner": "feed_forward_length",
    "n_positions": "context_length",
    "layer_norm_epsilon": "attention.layer_norm_epsilon",
}
_REALS = ("rms_norm_eps", "layer_norm_epsilon")
# What the rotation of Llama 3.1 and later is made of, besides its factor; the file has only what
# comes of it. Source: rope_scaling of meta-llama/Llama-3.1-8B and Llama-3.2-1B, config.json.
_LLAMA3 = {
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_FREQUENCIES = "rope_freqs.weight"


def gguf_config(path: str | Path) -> dict[str, Any]:
    """Return the configuration of the model in a GGUF file, in Hugging Face's words.

    Only the header is read, and the few numbers of ``rope_freqs.weight`` where there are any.

    Raises:
        InputError: the file is not sound, or lacks what a model of its architecture has; every
            key at fault is listed (``weights.file``).
        Unsupported: an architecture or a rotation that drawloom does not know
            (``weights.config``).
    """
    header = read_header(path)
    name = header.metadata.get(ARCHITECTURE)
    if not isinstance(name, str) or name not in _CLASSES:
        allowed = nearest(name, _CLASSES) if isinstance(name, str) else "a word"
        raise _unsupported(header, ARCHITECTURE, repr(name), allowed)
    keys = _Keys(header, name)
    experts = header.metadata.get(f"{name}.expert_count", 0)
    if experts != 0:
        raise _unsupported(header, f"{name}.expert_count", f"{experts}", "a model without experts")
    config: dict[str, Any] = {"architectures": [_CLASSES[name]], "model_type": name}
    for word, key in (_GPT2 if name == "gpt2" else _LLAMA).items():
        config[word] = keys.real(key) if word in _REALS else keys.count(key)
    config["vocab_size"] = _vocabulary(keys)
    config["tie_word_embeddings"] = not any(info.name == "output.weight" for info in header.infos)
    if name != "gpt2":
        _rotary(keys, config)
    if keys.faults:
        summary = f"'{header.file.path}' does not say what a {name} model has"
        raise InputError(KIND, summary, keys.faults)
    if name != "gpt2":
        _scaled(header, config)
    return config


class _Keys:
    """The metadata of one architecture, and what was found wrong with them."""

    def __init__(self, header: Header, name: str) -> None:
        self.header = header
        self.name = name
        self.faults: list[Fault] = []

    def get(self, key: str) -> Any:
        return self.header.metadata.get(f"{self.name}.{key}")

    def count(self, key: str, default: int | None = None) -> int:
        """Return a whole number of at least 1."""
        value = default if self.get(key) is None else self.get(key)
        if type(value) is int and value >= 1:
            return value
        self.wrong(key, "a whole number of at least 1")
        return 1

    def real(self, key: str, default: float | None = None) -> float:
        """Return a positive number, as short as float32 has it."""
        value = default if self.get(key) is None else self.get(key)
        if isinstance(value, (int, float)) and math.isfinite(value) and value > 0:
            return float(str(np.float32(value)))
        self.wrong(key, "a number above 0")
        return 1.0

    def wrong(self, key: str, allowed: str) -> None:
        """Note what stands at a key."""
        value = self.get(key)
        found = "missing" if value is None else repr(value)[:60]
        self.faults.append(Fault(f"{self.name}.{key}", found, allowed))


def _vocabulary(keys: _Keys) -> int:
    """Return the number of tokens: as it is said, or as the embedding or the list of them has it."""
    if keys.get("vocab_size") is not None:
        return keys.count("vocab_size")
    for info in keys.header.infos:
        if info.name == "token_embd.weight" and len(info.shape) == 2:
            return info.shape[0]
    tokens = keys.header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, Listed):
        return tokens.count
    keys.wrong("vocab_size", "a whole number of at least 1")
    return 1


def _rotary(keys: _Keys, config: dict[str, Any]) -> None:
    """Add key and value heads, their size, and the rotation's base."""
    heads = config["num_attention_heads"]
    config["num_key_value_heads"] = keys.count("attention.head_count_kv", heads)
    size = config["hidden_size"] // heads
    config["head_dim"] = keys.count("attention.key_length", size)
    for key in ("rope.dimension_count", "attention.value_length"):
        if keys.count(key, config["head_dim"]) != config["head_dim"]:
            keys.wrong(key, f"{config['head_dim']}, the size of a head")
    config["rope_theta"] = keys.real("rope.freq_base", 10000.0)
    config["attention_bias"] = keys.name == "qwen2" or any(
        info.name == "blk.0.attn_q.bias" for info in keys.header.infos
    )
    config["hidden_act"] = "silu"


def _scaled(header: Header, config: dict[str, Any]) -> None:
    """Add how the rotation is stretched beyond the context that it was trained on."""
    name = config["model_type"]
    key = f"{name}.rope.scaling"
    kind = header.metadata.get(f"{key}.type", "none")
    if any(info.name == _FREQUENCIES for info in header.infos):
        config["rope_scaling"] = _llama3(header, config)
    elif kind == "none":
        config["rope_scaling"] = None
    elif kind in ("linear", "yarn"):
        factor = header.metadata.get(f"{key}.factor")
        if not isinstance(factor, float) or not math.isfinite(factor) or factor <= 0:
            fault = Fault(f"{key}.factor", repr(factor), "a number above 0")
            raise InputError(KIND, f"'{header.file.path}' does not say its rotation", [fault])
        config["rope_scaling"] = {"rope_type": kind, "factor": factor}
        original = header.metadata.get(f"{key}.original_context_length")
        if original is not None:
            config["rope_scaling"]["original_max_position_embeddings"] = original
    else:
        raise _unsupported(header, f"{key}.type", repr(kind), "one of none, linear, yarn")


def _llama3(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    """Return the scaling whose divisors are those of the file, which has nothing else of it."""
    held = Weights(read_gguf(header.file.path))[_FREQUENCIES]
    n: int = config["head_dim"] // 2
    if held.type != TensorType(DType.F32, (n,)):
        raise _unsupported(header, _FREQUENCIES, held.type.text(), f"f32[{n}], half a head")
    stored = held.read().astype(np.float64)
    factor = float(stored.max(initial=1.0))
    theta: float = config["rope_theta"]
    waves = 2 * np.pi * np.power(theta, np.arange(n) / n)
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    turns = _LLAMA3["original_max_position_embeddings"] / waves
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    expected = 1 / ((1 - smooth) / factor + smooth)
    if not np.allclose(stored, expected, rtol=1e-3):
        allowed = "divisors of the rotation as Llama 3.1 and 3.2 have them"
        raise _unsupported(
            header, _FREQUENCIES, f"from {stored.min(initial=1):g} to {factor:g}", allowed
        )
    return {"rope_type": "llama3", "factor": factor, **_LLAMA3}


def _unsupported(header: Header, where: str, value: str, allowed: str) -> Unsupported:
    summary = f"'{header.file.path}' is of a model that drawloom does not know"
    return Unsupported("weights.config", summary, [Fault(where, value[:60], allowed)])
