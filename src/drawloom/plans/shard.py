"""What one chip has of a model: fewer heads, a slice of each product, some of the layers.

A product that feeds heads or the inner features of an MLP is cut by its outputs, the one behind it
by its inputs, so that a layer ends in two sums over the chips of a group. An expert is cut as an MLP
is: every chip has a slice of all experts. Where there are fewer key heads than chips in a group,
chips share a head and hold it twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from drawloom.errors import Fault, InputError
from drawloom.frontends.hf.config import Config
from drawloom.frontends.hf.figures import Decoder
from drawloom.plans.experts import SENT
from drawloom.units import align_up, ceil_div

# What is cut by the chips of a group, where a family has it.
_WIDTHS = ("intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size")
_CUT = ("num_attention_heads", *_WIDTHS)


@dataclass(frozen=True, slots=True)
class Shares:
    """How many chips share each layer, and how many such groups follow each other.

    ``apart`` chips look at one key head: each holds the cache of its part of the batch, and attends
    with all of the head's queries. With 1, each holds all of the batch, for its own queries.

    ``experts`` says how a group has those of a mixture: by slices (""), each chip whole ones of its own
    for all tokens (``here``), or for what other chips send it (``sent``): then each chip has all else
    of a layer, and its own sequences.
    """

    tensor: int
    stages: int
    apart: int = 1
    experts: str = ""

    @property
    def chips(self) -> int:
        """Chips of one copy of the model."""
        return self.tensor * self.stages


def decoder_of(config: Config) -> Decoder:
    """Return a model's figures.

    Raises:
        InputError: it is no decoder that can be shared out (``plan.model``).
    """
    figures = config.figures
    if not isinstance(figures, Decoder):
        fault = Fault("model_type", f"'{figures.model_type}'", "a decoder with rotary positions")
        raise InputError("plan.model", f"'{config.name}' cannot be shared out", [fault])
    return figures


def tensor_sizes(config: Config, most: int, block: int) -> list[int]:
    """Return by how many chips each layer can be shared: what divides all that is cut.

    Slices of an MLP must be whole blocks of channels.
    """
    figures = decoder_of(config)
    heads, kv = figures.num_attention_heads, figures.n_kv
    widths = [int(getattr(figures, key)) for key in _WIDTHS if getattr(figures, key, None)]
    return [
        t
        for t in range(1, most + 1)
        if heads % t == 0
        and (kv % t == 0 or t % kv == 0)
        and all(n % t == 0 and (t == 1 or n // t % block == 0) for n in widths)
    ]


def layers_of(config: Config, stages: int) -> list[int]:
    """Return the layers of each stage: as even as can be, the last ones with fewer."""
    layers = decoder_of(config).num_hidden_layers
    return [layers // stages + (stage < layers % stages) for stage in range(stages)]


def shard(config: Config, shares: Shares, layers: int, block: int) -> Config:
    """Return the model as one chip of a group has it, with this many layers.

    Its slice of the vocabulary is whole blocks of channels; the last chips' may be padding.
    """
    figures = decoder_of(config)
    t = 1 if shares.experts == SENT else shares.tensor
    width = "moe_intermediate_size"
    whole = (width if hasattr(figures, width) else "intermediate_size",) if shares.experts else ()
    update: dict[str, Any] = {
        key: getattr(figures, key) // t
        for key in _CUT
        if getattr(figures, key, None) and key not in whole
    }
    update["head_dim"] = figures.width
    update["num_key_value_heads"] = max(1, figures.n_kv // t)
    update["vocab_size"] = align_up(ceil_div(figures.vocab_size, t), block)
    update |= _stage(figures, shares, layers)
    name = f"{config.name}.{t}x{shares.stages}"
    return replace(config, name=name, figures=_changed(figures, update))


def stage_of(config: Config, shares: Shares, layers: int) -> Config:
    """Return the model with some layers of a stage, as all chips of a group have it together."""
    figures = decoder_of(config)
    return replace(config, figures=_changed(figures, _stage(figures, shares, layers)))


def period_of(config: Config, shares: Shares) -> tuple[int, int]:
    """Return how many layers a stage begins with before all are alike, and after how many they are again."""
    figures = decoder_of(config)
    before = 0 if shares.stages > 1 else int(getattr(figures, "first_k_dense_replace", 0) or 0)
    types = figures.layer_types
    if types is None:
        return before, 1
    same = (
        n
        for n in range(1, len(types))
        if all(a == b for a, b in zip(types, types[n:], strict=False))
    )
    return before, next(same, len(types))


def _stage(figures: Decoder, shares: Shares, layers: int) -> dict[str, Any]:
    update: dict[str, Any] = {"num_hidden_layers": layers}
    if figures.layer_types is not None:
        update["layer_types"] = figures.layer_types[:layers]
    if shares.stages > 1 and getattr(figures, "first_k_dense_replace", 0):
        # A stage of mixtures alone is the one that takes longest.
        update["first_k_dense_replace"] = 0
    return update


def _changed(figures: Decoder, update: dict[str, Any]) -> Decoder:
    known = {key: value for key, value in update.items() if key in type(figures).model_fields}
    return figures.model_copy(update=known)
