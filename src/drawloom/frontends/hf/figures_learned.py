"""What the configurations of decoders with learnt positions say: GPT-2 and OPT."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from drawloom.errors import Fault
from drawloom.frontends.hf.figures import (
    Count,
    Figures,
    Positive,
    Size,
    must_divide,
    unknown_activation,
)


class Gpt2(Figures):
    """GPT-2: one product for query, key and value; weights stand as [in, out]."""

    vocab_size: Size
    n_embd: Size
    n_layer: Count
    n_head: Size
    n_positions: Size = 1024
    n_inner: Size | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: Positive = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True

    @property
    def most_positions(self) -> int | None:
        """Positions the model has learnt."""
        return self.n_positions

    @property
    def inner_width(self) -> int:
        """Features inside a layer's network."""
        return self.n_inner or 4 * self.n_embd

    def score_scale(self, layer: int) -> float:
        """Return what the scores of a layer are multiplied by."""
        scale = (self.n_embd // self.n_head) ** -0.5 if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale

    def unsupported(self) -> list[Fault]:
        """Return an unknown activation, or the attention to another model's tokens."""
        faults = unknown_activation("activation_function", self.activation_function)
        if self.add_cross_attention:
            faults.append(Fault("add_cross_attention", "True", "False"))
        return faults

    def conflicts(self) -> list[Fault]:
        """Return heads that do not divide the features."""
        return must_divide(self, "n_head", "n_embd")


class Opt(Figures):
    """OPT: learnt positions that begin at row 2 of their table."""

    FIRST_ROW: ClassVar[int] = 2

    vocab_size: Size
    hidden_size: Size
    num_hidden_layers: Count
    num_attention_heads: Size
    ffn_dim: Size
    max_position_embeddings: Size = 2048
    do_layer_norm_before: bool = True
    remove_final_layer_norm: bool = Field(False, validation_alias="_remove_final_layer_norm")
    word_embed_proj_dim: Size | None = None
    activation_function: str = "relu"
    enable_bias: bool = True
    layer_norm_elementwise_affine: bool = True
    tie_word_embeddings: bool = True

    @property
    def most_positions(self) -> int | None:
        """Positions the model has learnt."""
        return self.max_position_embeddings

    @property
    def word_width(self) -> int:
        """Numbers in a word's embedding."""
        return self.word_embed_proj_dim or self.hidden_size

    @property
    def has_final_norm(self) -> bool:
        """Whether what the layers give is normalised."""
        return self.do_layer_norm_before and not self.remove_final_layer_norm

    def unsupported(self) -> list[Fault]:
        """Return an unknown activation, or norms without weights."""
        faults = unknown_activation("activation_function", self.activation_function)
        if not self.layer_norm_elementwise_affine:
            faults.append(Fault("layer_norm_elementwise_affine", "False", "True"))
        return faults

    def conflicts(self) -> list[Fault]:
        """Return heads that do not divide the features."""
        return must_divide(self, "num_attention_heads", "hidden_size")
