"""A Llama in plain torch, its parameters named as Hugging Face names them.

Grouped-query attention, rotary positions, RMSNorm, SwiGLU, tied embeddings; no cache, no dropout.
It reads the names of a Hugging Face ``config.json``; ``LlamaForCausalLM`` reads what it saves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Config = dict[str, Any]


class RMSNorm(nn.Module):
    """Scale each vector to a root mean square of one, then by a learnt weight."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config["hidden_size"]))
        self.eps = config["rms_norm_eps"]

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] to the same shape."""
        return x / torch.sqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    """Causal attention whose query heads share the fewer key and value heads in groups."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden, width = config["hidden_size"], config["head_dim"]
        heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.width = width
        self.group = heads // kv_heads
        self.q_proj = nn.Linear(hidden, heads * width, bias=False)
        self.k_proj = nn.Linear(hidden, kv_heads * width, bias=False)
        self.v_proj = nn.Linear(hidden, kv_heads * width, bias=False)
        self.o_proj = nn.Linear(heads * width, hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[batch, length, hidden] to the same shape."""
        q, k, v = (self._heads(p(x)) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = (t.repeat_interleave(self.group, dim=1) for t in (k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.width)).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU: a gated layer up, a layer down."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] to the same shape."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention, then the feed-forward network; each normalised before and added after."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[batch, length, hidden] to the same shape."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    """Everything below the language-model head."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.width, self.theta = config["head_dim"], config["rope_theta"]
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config)

    def forward(self, ids: Tensor) -> Tensor:
        """[batch, length] token ids to [batch, length, hidden]."""
        x = self.embed_tokens(ids)
        cos, sin = rotations(ids.shape[1], self.width, self.theta)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


class Llama(nn.Module):
    """Token ids to logits, through the transposed embedding."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.model = Body(config)
        deviation = config["initializer_range"]
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=deviation)

    def forward(self, ids: Tensor) -> Tensor:
        """[batch, length] token ids to [batch, length, vocabulary] logits."""
        return functional.linear(self.model(ids), self.model.embed_tokens.weight)


def rotations(length: int, width: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, [length, width] each; the two halves are alike."""
    rates = theta ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), rates).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + width/2) of [..., length, width] by its angle."""
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin
