"""Tokens a second where nobody waits: a decoder over some GPUs, as many sequences as pay.

A replica is ``split`` GPUs that share each layer, in ``stages`` that have layers in turn and work on
batches of their own. In a step a stage gives each sequence of a batch a token and reads the prompts
of those that take the place of what is finished, b / answer of b. The best replica and batch of
those tried is taken, as who wants throughput does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from drawloom.routes.gpu.decoder import (
    Decoder,
    Placement,
    decode_pass_seconds,
    prefill_pass_seconds,
)
from drawloom.routes.gpu.fitted import numbers
from drawloom.routes.gpu.served import MEMORY_SHARE

MOST_SEQUENCES = 4096
TRIED = 2.0 ** np.arange(3, 12)  # sequences of a batch


@dataclass(frozen=True, slots=True)
class Replica:
    """How a model is shared out, and what comes of it.

    Attributes:
        split: GPUs that share each layer.
        stages: parts of the layers.
        batch: sequences of a stage's batch.
        rate: tokens a second of one GPU.
    """

    split: int
    stages: int
    batch: int
    rate: float


def best_replica(
    model: Decoder, at: Placement, backend: str, n_gpus: int, prompt: float, answer: float
) -> Replica | None:
    """Return the replica with the most tokens a second and GPU; None where no replica fits.

    Args:
        model: its sizes.
        at: the GPU and formats; its ``split`` is not looked at.
        backend: whose host time is counted: a key of ``served``.
        n_gpus: that a replica may have at most, joined by one switch.
        prompt: tokens of a prompt in the mean.
        answer: tokens of an answer in the mean.
    """
    found = [
        replica
        for split, stages in _shapes(n_gpus)
        for replica in _replicas(model, at, backend, (split, stages), (prompt, answer))
    ]
    return max(found, key=lambda each: each.rate, default=None)


def _shapes(n_gpus: int) -> Iterator[tuple[int, int]]:
    split = 1
    while split <= n_gpus:
        stages = 1
        while split * stages <= n_gpus:
            yield split, stages
            stages *= 2
        split *= 2


def _replicas(
    model: Decoder,
    at: Placement,
    backend: str,
    shape: tuple[int, int],
    lengths: tuple[float, float],
) -> Iterator[Replica]:
    split, stages = shape
    prompt, answer = lengths
    if model.layers % stages:
        return
    part, where = replace(model, layers=model.layers // stages), replace(at, split=split)
    if model.experts:
        where = replace(where, expert_gpus=split)
    context = prompt + answer / 2  # answers are at all lengths at once
    room = MEMORY_SHARE * at.gpu.dram
    room -= part.weight_bytes(at.number_format, split, where.expert_gpus)
    # A stage keeps its layers' part of the cache of all batches.
    fits = room / (context * part.kv_bytes(at.kv_bytes, split) * stages)
    batches = TRIED[(fits >= TRIED) & (stages * TRIED <= MOST_SEQUENCES)]
    batches = np.unique(np.append(batches, np.floor(min(fits, MOST_SEQUENCES / stages))))
    batches = batches[batches >= 1]
    if not batches.size:
        return
    fitted = numbers(f"serving_{backend}")
    token = decode_pass_seconds(part, where, batches, np.full_like(batches, context))
    (read,) = prefill_pass_seconds(part, where, np.array([prompt]))
    host = (fitted["step"] + fitted["sequence"] * batches) / stages
    step = token + host + fitted["between"] * batches / answer * read
    for batch, each in zip(batches, step, strict=True):
        yield Replica(split, stages, int(batch), float(batch / each / (split * stages)))
