"""The models that are read whole, at a small size, with random weights and example arguments."""

# pyright: reportAttributeAccessIssue=false
# Where torch is not installed, the checker takes this folder for it.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tests.frontends.torch.vision import Experts, ResNet50, Vit

Made = tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]


def _ids(count: int = 8, batch: int = 1) -> torch.Tensor:
    return torch.randint(0, 100, (batch, count))


def _image(size: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(1, channels, size, size)


def llama(**more: Any) -> Made:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        vocab_size=100,
        **more,
    )
    return LlamaForCausalLM(config), (_ids(),), {"use_cache": False}


def qwen2() -> Made:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        vocab_size=100,
    )
    return Qwen2ForCausalLM(config), (_ids(),), {"use_cache": False}


def gpt2() -> Made:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=100, n_positions=32)
    return GPT2LMHeadModel(config), (_ids(),), {"use_cache": False}


def bert() -> Made:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        vocab_size=100,
        max_position_embeddings=32,
    )
    mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0, 0]])
    return BertModel(config), (_ids(), mask), {}


def mixtral() -> Made:
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        num_local_experts=4,
        vocab_size=100,
        experts_implementation="batched_mm",
    )
    return MixtralForCausalLM(config), (_ids(),), {"use_cache": False}


def mamba() -> Made:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=4, vocab_size=100)
    return MambaForCausalLM(config), (_ids(6),), {"use_cache": False}


def whisper() -> Made:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        num_mel_bins=8,
        max_source_positions=16,
        max_target_positions=16,
        vocab_size=100,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    more = {"decoder_input_ids": _ids(4), "use_cache": False}
    return WhisperForConditionalGeneration(config), (torch.randn(1, 8, 32),), more


def unet() -> Made:
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    more = {"encoder_hidden_states": torch.randn(1, 5, 16), "return_dict": False}
    return model, (_image(8, 4), torch.tensor(7)), more


def dit() -> Made:
    from diffusers import DiTTransformer2DModel

    model = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        num_layers=2,
        sample_size=8,
        patch_size=2,
        norm_num_groups=4,
        num_embeds_ada_norm=10,
    )
    more = {"timestep": torch.tensor([7]), "class_labels": torch.tensor([3]), "return_dict": False}
    return model, (_image(8, 4),), more


MODELS: dict[str, Callable[[], Made]] = {
    "llama": llama,
    "llama eager": lambda: llama(attn_implementation="eager"),
    "qwen2": qwen2,
    "gpt2": gpt2,
    "bert": bert,
    "mixtral": mixtral,
    "experts": lambda: (Experts(16, 24, 4), (torch.randn(2, 5, 16),), {}),
    "resnet50": lambda: (ResNet50(8, 10), (_image(48),), {}),
    "vit": lambda: (Vit(32, 8, 48, 2, 4), (_image(32),), {}),
    "unet": unet,
    "dit": dit,
    "mamba": mamba,
    "whisper": whisper,
}
EXTRA = {
    "experts": "torch",
    "resnet50": "torch",
    "vit": "torch",
    "unet": "diffusers",
    "dit": "diffusers",
}
"""The package a model comes from, where it is not transformers."""


def made(name: str) -> Made:
    """Return a model in evaluation mode with weights that spread its values, and arguments."""
    torch.manual_seed(3)
    model, args, kwargs = MODELS[name]()
    with torch.no_grad():
        for key, buffer in model.named_buffers():
            if key.endswith("running_mean"):
                buffer.uniform_(-0.1, 0.1)
            elif key.endswith("running_var"):
                # about what default weights make of values of unit variance
                buffer.uniform_(0.1, 0.3)
    return model.eval(), args, kwargs
