"""Mixtures of experts on GPUs: routing, two grouped products, the weighted sum.

Of E experts, T tokens with K choices each touch E (1 - (1 - K / E)^T) where choices are even;
the weights of those are read, and the rows of each fill whole tiles.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from drawloom.chip.gpu import Gpu
from drawloom.routes.gpu.fitted import behaviour
from drawloom.routes.gpu.kernel import Floats
from drawloom.routes.gpu.pointwise import GATED_ACTIVATION, SUM

ROWS = 16  # of the smallest tile of grouped products; larger ones where experts have more rows
MOST_ROWS = 128
# Kernels beside the two products and the activation: scores of the router, choice of experts,
# sorting tokens by expert, the weighted sum.
SMALL_KERNELS = 4


class Mixture(Protocol):
    """The sizes of a mixture of experts."""

    @property
    def experts(self) -> int:
        """How many experts."""
        ...

    @property
    def chosen(self) -> int:
        """How many a token goes to."""
        ...

    @property
    def width(self) -> int:
        """Of the hidden state."""
        ...

    @property
    def inner(self) -> int:
        """Of an expert."""
        ...


def touched(model: Mixture, tokens: Floats) -> Floats:
    """Return how many experts some tokens go to together."""
    return model.experts * (1 - (1 - model.chosen / model.experts) ** tokens)


def experts_seconds(
    gpu: Gpu, model: Mixture, tokens: Floats, gpus: int, weight_bytes: float, number_format: str
) -> Floats:
    """Return the seconds of one layer's experts, spread evenly over some GPUs."""
    habits = behaviour("cublas")
    used = touched(model, tokens)
    rows = tokens * model.chosen / used
    tile = np.clip(2 ** np.ceil(np.log2(rows)), ROWS, MOST_ROWS)
    padded = np.ceil(rows / tile) * tile * used
    each = 3 * model.width * model.inner / gpus
    dram = gpu.dram_rate * habits.dram_share
    peak = gpu.peak("bf16" if number_format == "bfloat16" else "f8") * habits.power_share
    read = used * each * weight_bytes / dram
    multiplied = padded * each / peak
    exponent = habits.sharpness
    products = (read**exponent + multiplied**exponent) ** (1 / exponent) + 2 * habits.launch
    acted = GATED_ACTIVATION.seconds(gpu, tokens * model.chosen, model.inner / gpus)
    summed = SUM.seconds(gpu, tokens * model.chosen, model.width)
    return products + acted + summed + SMALL_KERNELS * habits.launch
