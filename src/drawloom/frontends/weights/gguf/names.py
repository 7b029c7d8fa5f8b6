"""Hugging Face's names for the tensors of a GGUF file, and what its makers did to them undone.

llama.cpp's converter renames tensors and changes some: for the llama architecture it turns the
rows of the query and key projections so that the two halves of a rotary pair lie side by side;
GPT-2's Conv1D weights it stores as those of linear layers.

Source: LlamaModel.permute and GPT2Model.modify_tensors in llama.cpp's convert_hf_to_gguf.py,
https://github.com/ggml-org/llama.cpp; names as in gguf-py/gguf/tensor_mapping.py beside it.
"""

from __future__ import annotations

import re
from functools import partial
from typing import cast

import numpy as np

from drawloom.errors import Fault, Unsupported
from drawloom.frontends.weights.gguf.header import Header
from drawloom.frontends.weights.stored import not_sound
from drawloom.frontends.weights.table import Refused
from drawloom.graph.lazy import Array, LazyTensor
from drawloom.graph.tensor import TensorType

_LLAMA = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GPT2 = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
# Architecture: the names, and how Hugging Face calls a layer.
NAMES: dict[str, tuple[dict[str, str], str]] = {
    "llama": (_LLAMA, "model.layers"),
    "qwen2": (_LLAMA, "model.layers"),
    "qwen3": (_LLAMA, "model.layers"),
    "gpt2": (_GPT2, "transformer.h"),
}
_TURNED = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}
_CONV1D = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
_PARTS = re.compile(r"(?:blk\.(\d{1,9})\.)?(\w+)\.(weight|bias)")

Held = dict[str, LazyTensor | Refused]


def renamed(held: Held, header: Header) -> Held:
    """Return tensors under Hugging Face's names, and as Hugging Face has them.

    A name that the architecture does not know stays, and so do all of an architecture that is
    not known.

    Raises:
        InputError: two tensors come to one name, or the number of heads is not sound
            (``weights.file``).
        Unsupported: the file is one part of several.
    """
    parts = header.metadata.get("split.count", 1)
    path = header.file.path
    if parts != 1:
        fault = Fault(path.name, f"one of {parts} parts", "one file, as llama-gguf-split --merge")
        raise Unsupported("weights.file", f"'{path}' is not the whole model", [fault])
    architecture = header.metadata.get("general.architecture")
    if architecture not in NAMES:
        return held
    out: Held = {}
    faults: list[Fault] = []
    for name, tensor in held.items():
        new = hugging_face_name(name, architecture)
        if new in out:
            faults.append(Fault(f"tensor '{name}'", f"'{new}' again", "each name once"))
        try:
            out[new] = _as_before(name, tensor, architecture, header)
        except _Uneven as uneven:
            faults.append(Fault(f"tensor '{name}'", *uneven.args))
    if faults:
        raise not_sound(path, faults)
    return out


def hugging_face_name(name: str, architecture: str) -> str:
    """Return Hugging Face's name of a tensor, or the same where there is none."""
    table, layers = NAMES[architecture]
    match = _PARTS.fullmatch(name)
    if match is None or match[2] not in table:
        return name
    layer, word, part = match.groups()
    known = f"{table[word]}.{part}"
    return known if layer is None else f"{layers}.{int(layer)}.{known}"


class _Uneven(Exception):
    """A projection whose rows its heads do not share: what was found, what is allowed."""


def _as_before(
    name: str, tensor: LazyTensor | Refused, architecture: str, header: Header
) -> LazyTensor | Refused:
    """Return a tensor as it was before llama.cpp's converter."""
    match = _PARTS.fullmatch(name)
    if isinstance(tensor, Refused) or match is None:
        return tensor
    word = match[2]
    if architecture == "gpt2" and word in _CONV1D and len(tensor.shape) == 2:
        kind = TensorType(tensor.type.dtype, tensor.shape[::-1])
        return tensor.map(_transposed, kind)
    if architecture != "llama" or word not in _TURNED:
        return tensor
    return tensor.map(partial(_turned_back, heads=_heads(word, tensor, header)), tensor.type)


def _heads(word: str, tensor: LazyTensor, header: Header) -> int:
    """Return the number of heads of a projection, which its rows must be shared by evenly."""
    every = header.metadata.get("llama.attention.head_count")
    heads = header.metadata.get(f"llama.{_TURNED[word]}", every)
    if type(heads) is not int or heads < 1:
        raise _Uneven(f"llama.{_TURNED[word]} {heads!r}", "a whole number of at least 1")
    rows = tensor.shape[0] if tensor.shape else 1
    if rows % (2 * heads):
        raise _Uneven(f"{rows} rows", f"a multiple of 2 x {heads} heads")
    return heads


def _turned_back(array: Array, heads: int) -> Array:
    """Return rows in the order of two halves, from that of pairs."""
    pairs = array.reshape(heads, array.shape[0] // heads // 2, 2, *array.shape[1:])
    return cast(Array, np.swapaxes(pairs, 1, 2).reshape(array.shape))


def _transposed(array: Array) -> Array:
    return array.T
