"""Every family of models there is: what its configuration says, and what builds its graph.

A family is one line here; its figures and its layers have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from drawloom.frontends.hf import figures as figs
from drawloom.frontends.hf import figures_learned as learned
from drawloom.frontends.hf import figures_moe as moe
from drawloom.frontends.hf import figures_vision as vision
from drawloom.frontends.hf.decoder import HEADS, decoder
from drawloom.frontends.hf.dit import dit
from drawloom.frontends.hf.latent import LATENT
from drawloom.frontends.hf.learned import gpt2, opt
from drawloom.frontends.hf.net import Net
from drawloom.frontends.hf.request import Request
from drawloom.frontends.hf.unet import unet
from drawloom.frontends.hf.vit import vit


@dataclass(frozen=True, slots=True)
class Family:
    """A family of models.

    Attributes:
        figures: what its configuration says.
        build: adds the nodes of a request to a graph.
        root: the module whose parts nodes are named after, with a dot.
        has_cache: whether there are prefill and decode, or a forward only.
        needs_tokens: whether a forward reads tokens, and so needs their number.
    """

    figures: type[figs.Figures]
    build: Callable[[Net, Any, Request], None]
    root: str = "model."
    has_cache: bool = True
    needs_tokens: bool = True


_DECODER = partial(decoder, HEADS)

FAMILIES: dict[str, Family] = {
    "DiTTransformer2DModel": Family(vision.Dit, dit, "", has_cache=False, needs_tokens=False),
    "UNet2DConditionModel": Family(vision.UnetText, unet, "", has_cache=False, needs_tokens=False),
    "UNet2DModel": Family(vision.Unet, unet, "", has_cache=False, needs_tokens=False),
    "deepseek_v2": Family(moe.DeepseekV2, partial(decoder, LATENT)),
    "deepseek_v3": Family(moe.DeepseekV3, partial(decoder, LATENT)),
    "gpt2": Family(learned.Gpt2, gpt2, "transformer."),
    "llama": Family(figs.Llama, _DECODER),
    "mistral": Family(figs.Mistral, _DECODER),
    "mixtral": Family(moe.Mixtral, _DECODER),
    "opt": Family(learned.Opt, opt, "model.decoder."),
    "qwen2": Family(figs.Qwen2, _DECODER),
    "qwen2_moe": Family(moe.Qwen2Moe, _DECODER),
    "qwen3": Family(figs.Qwen3, _DECODER),
    "qwen3_moe": Family(moe.Qwen3Moe, _DECODER),
    "vit": Family(vision.Vit, vit, "vit.", has_cache=False, needs_tokens=False),
}
"""Families by the ``model_type``, or the ``_class_name``, of a configuration."""
