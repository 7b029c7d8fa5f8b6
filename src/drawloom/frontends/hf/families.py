"""Every family of models there is: what its configuration says, and what builds its graph.

A family is one line here; its figures and its layers have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drawloom.frontends.hf import figures as figs
from drawloom.frontends.hf.decoder import decoder
from drawloom.frontends.hf.net import Net
from drawloom.frontends.hf.request import Request


@dataclass(frozen=True, slots=True)
class Family:
    """A family of models.

    Attributes:
        figures: what its configuration says.
        build: adds the nodes of a request to a graph.
        has_cache: whether there are prefill and decode, or a forward only.
        needs_tokens: whether a forward reads tokens, and so needs their number.
    """

    figures: type[figs.Figures]
    build: Callable[[Net, Any, Request], None]
    has_cache: bool = True
    needs_tokens: bool = True


FAMILIES: dict[str, Family] = {
    "llama": Family(figs.Llama, decoder),
    "mistral": Family(figs.Mistral, decoder),
    "qwen2": Family(figs.Qwen2, decoder),
    "qwen3": Family(figs.Qwen3, decoder),
}
"""Families by the ``model_type``, or the ``_class_name``, of a configuration."""
