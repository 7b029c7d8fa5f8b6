"""What the configurations of mixtures of experts say, beside what a decoder's says."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

from pydantic import AliasChoices, Field, NonNegativeInt

from drawloom.errors import Fault
from drawloom.frontends.hf.experts import Mixture
from drawloom.frontends.hf.figures import Count, Decoder, Positive, Size

_PARTS = ("gate_proj", "up_proj", "down_proj")


def _mixture_conflicts(mixture: Mixture, chosen: str, groups: str) -> list[Fault]:
    faults: list[Fault] = []
    if mixture.n_chosen > mixture.n_experts:
        allowed = f"at most the {mixture.n_experts} experts"
        faults.append(Fault(chosen, str(mixture.n_chosen), allowed))
    if mixture.n_experts % mixture.n_groups:
        allowed = f"a divisor of the {mixture.n_experts} experts"
        faults.append(Fault(groups, str(mixture.n_groups), allowed))
    if not 1 <= mixture.n_chosen_groups <= mixture.n_groups:
        allowed = f"from 1 to the {mixture.n_groups} groups"
        faults.append(Fault("topk_group", str(mixture.n_chosen_groups), allowed))
    return faults


class Mixtral(Decoder):
    """Mixtral: every layer is a mixture."""

    num_key_value_heads: Size | None = 8
    rms_norm_eps: Positive = 1e-5
    rope_theta: Positive = 1e6
    max_position_embeddings: Size = 131072
    num_local_experts: Count = 8
    num_experts_per_tok: Count = 2

    def window(self, layer: int) -> int | None:
        """Return the window, alike for all layers."""
        del layer
        return self.sliding_window or None

    def mixture(self, layer: int) -> Mixture | None:
        """Return the one mixture there is."""
        del layer
        return Mixture(
            module="block_sparse_moe",
            parts=("w1", "w3", "w2"),
            n_experts=self.num_local_experts,
            n_chosen=self.num_experts_per_tok,
            width=self.intermediate_size,
            is_normal=True,
        )

    def conflicts(self) -> list[Fault]:
        """Return what does not fit together, experts among it."""
        mixture = self.mixture(0)
        assert mixture is not None
        return [*super().conflicts(), *_mixture_conflicts(mixture, "num_experts_per_tok", "")]


class _QwenMoe(Decoder):
    max_position_embeddings: Size = 32768
    sliding_window: NonNegativeInt | None = 4096
    decoder_sparse_step: Size = 1
    mlp_only_layers: list[NonNegativeInt] | None = None
    moe_intermediate_size: Size
    num_experts: Annotated[int, Field(ge=0, le=4096)] = Field(
        validation_alias=AliasChoices("num_experts", "num_local_experts")
    )
    num_experts_per_tok: Count
    norm_topk_prob: bool = False

    def mixture(self, layer: int) -> Mixture | None:
        """Return the mixture of the layers that have one."""
        is_dense = layer in (self.mlp_only_layers or ()) or not self.num_experts
        if is_dense or (layer + 1) % self.decoder_sparse_step:
            return None
        return self.all_mixtures()

    def all_mixtures(self) -> Mixture:
        """Return the mixture, alike in all layers that have one."""
        return Mixture(
            module="mlp",
            parts=_PARTS,
            n_experts=self.num_experts,
            n_chosen=self.num_experts_per_tok,
            width=self.moe_intermediate_size,
            is_normal=self.norm_topk_prob,
        )

    def conflicts(self) -> list[Fault]:
        """Return what does not fit together, experts among it."""
        faults = super().conflicts()
        if self.num_experts:
            faults += _mixture_conflicts(self.all_mixtures(), "num_experts_per_tok", "")
        return faults


class Qwen2Moe(_QwenMoe):
    """Qwen 1.5 and 2 with experts: one more that every token goes to, with a gate."""

    qkv_bias: bool = True
    shared_expert_intermediate_size: Size = 5632

    @property
    def has_qkv_bias(self) -> bool:
        """As the configuration says."""
        return self.qkv_bias

    @property
    def has_o_bias(self) -> bool:
        """Never."""
        return False

    def window(self, layer: int) -> int | None:
        """Return the window of the layers that have one: every other, unless it says which."""
        if not self.use_sliding_window:
            return None
        if self.layer_types is not None:
            is_windowed = self.layer_types[layer] == "sliding_attention"
        else:
            is_windowed = layer % 2 == 0 and layer < self.max_window_layers
        return (self.sliding_window or None) if is_windowed else None

    def all_mixtures(self) -> Mixture:
        """Return the mixture with its shared expert."""
        return Mixture(
            module="mlp",
            parts=_PARTS,
            n_experts=self.num_experts,
            n_chosen=self.num_experts_per_tok,
            width=self.moe_intermediate_size,
            is_normal=self.norm_topk_prob,
            shared="shared_expert",
            shared_width=self.shared_expert_intermediate_size,
            has_shared_gate=True,
        )


class Qwen3Moe(_QwenMoe):
    """Qwen 3 with experts."""

    @property
    def has_head_norms(self) -> bool:
        """Always."""
        return True

    def window(self, layer: int) -> int | None:
        """Return the window, alike for all layers, where it is used."""
        del layer
        return (self.sliding_window or None) if self.use_sliding_window else None


class Deepseek(Decoder):
    """DeepSeek: keys and values made of one short latent vector, and fine-grained experts."""

    moe_intermediate_size: Size
    n_routed_experts: Count
    num_experts_per_tok: Count
    n_shared_experts: NonNegativeInt = 1
    first_k_dense_replace: NonNegativeInt = 0
    moe_layer_freq: Size = 1
    routed_scaling_factor: Positive = 1.0
    n_group: Count | None = None
    topk_group: Count | None = None
    kv_lora_rank: Size = 512
    q_lora_rank: Size | None = 1536
    qk_rope_head_dim: Size = 64
    qk_nope_head_dim: Size = 128
    v_head_dim: Size = 128
    rope_interleave: bool = True
    scoring_func: str = Field("")
    topk_method: str = Field("")

    @property
    def rotary_width(self) -> int:
        """Numbers of a head that turn."""
        return self.qk_rope_head_dim

    @property
    def query_width(self) -> int:
        """Numbers of a head's query or key."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def latent_width(self) -> int:
        """Numbers the cache keeps of a token: the latent, and the part of the key that turns."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    @property
    def score_scale(self) -> float:
        """What scores are multiplied by."""
        return self.query_width**-0.5 * self.rope.score_scale

    def mixture(self, layer: int) -> Mixture | None:
        """Return the mixture of all but the first, dense layers."""
        return None if layer < self.first_k_dense_replace else self.all_mixtures()

    @abstractmethod
    def all_mixtures(self) -> Mixture:
        """Return the mixture, alike in all layers that have one."""

    def shared_parts(self) -> dict[str, Any]:
        """Return what the mixtures of both versions have in common."""
        return {
            "module": "mlp",
            "parts": _PARTS,
            "n_experts": self.n_routed_experts,
            "n_chosen": self.num_experts_per_tok,
            "width": self.moe_intermediate_size,
            "scale": self.routed_scaling_factor,
            "shared": "shared_experts" if self.n_shared_experts else "",
            "shared_width": self.moe_intermediate_size * self.n_shared_experts,
            "is_precise": True,
        }

    def conflicts(self) -> list[Fault]:
        """Return what does not fit together, experts among it."""
        return [
            *super().conflicts(),
            *_mixture_conflicts(self.all_mixtures(), "num_experts_per_tok", "n_group"),
        ]

    def choices(self) -> dict[str, tuple[str, ...]]:
        """Return the words that are known, for each option."""
        return {}

    def unsupported(self) -> list[Fault]:
        """Return options of the router that drawloom does not know."""
        faults = super().unsupported()
        for key, known in self.choices().items():
            if (word := getattr(self, key)) and word not in known:
                faults.append(Fault(key, f"'{word}'", "one of " + ", ".join(known)))
        if self.moe_layer_freq != 1:
            faults.append(Fault("moe_layer_freq", str(self.moe_layer_freq), "1"))
        return faults


class DeepseekV2(Deepseek):
    """DeepSeek V2: softmax scores."""

    n_shared_experts: NonNegativeInt = 2

    def choices(self) -> dict[str, tuple[str, ...]]:
        """Return the words that are known."""
        return {
            "scoring_func": ("softmax",),
            "topk_method": ("greedy", "group_limited_greedy"),
        }

    def all_mixtures(self) -> Mixture:
        """Return the mixture; groups count only where the method says so."""
        is_grouped = self.topk_method == "group_limited_greedy"
        return Mixture(
            **self.shared_parts(),
            n_groups=(self.n_group or 1) if is_grouped else 1,
            n_chosen_groups=(self.topk_group or 1) if is_grouped else 1,
        )


class DeepseekV3(Deepseek):
    """DeepSeek V3 and R1: sigmoid scores, chosen with a bias, from the best groups."""

    n_group: Count | None = 8
    topk_group: Count | None = 4
    first_k_dense_replace: NonNegativeInt = 3
    routed_scaling_factor: Positive = 2.5
    norm_topk_prob: bool = True

    def choices(self) -> dict[str, tuple[str, ...]]:
        """Return the words that are known."""
        return {"scoring_func": ("sigmoid",), "topk_method": ("noaux_tc",)}

    def all_mixtures(self) -> Mixture:
        """Return the mixture."""
        return Mixture(
            **self.shared_parts(),
            scoring="sigmoid",
            is_normal=self.norm_topk_prob,
            n_groups=self.n_group or 1,
            n_chosen_groups=self.topk_group or 1,
        )
