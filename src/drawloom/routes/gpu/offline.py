"""Tokens a second where nobody waits: a decoder over some GPUs, as many sequences as pay.

A replica is ``split`` GPUs that share each layer, in ``stages`` that have layers in turn and work on
batches of their own. In a step a stage gives each sequence of a batch a token and reads the prompts
of those that take the place of what is finished, b / answer of b. The best replica and batch of
those tried is taken, as who wants throughput does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.routes.gpu.decoder import (
    Decoder,
    Placement,
    decode_pass_seconds,
    prefill_pass_seconds,
)
from drawloom.routes.gpu.fitted import numbers
from drawloom.routes.gpu.kernel import Floats
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
    if model.layers % stages:
        return
    fits = _room(model, at, shape, lengths)
    batches = TRIED[(fits >= TRIED) & (stages * TRIED <= MOST_SEQUENCES)]
    batches = np.unique(np.append(batches, np.floor(min(fits, MOST_SEQUENCES / stages))))
    batches = batches[batches >= 1]
    if not batches.size:
        return
    step = _step(model, at, backend, shape, lengths, batches)
    for batch, each in zip(batches, step, strict=True):
        yield Replica(split, stages, int(batch), float(batch / each / (split * stages)))


def staged_token_seconds(
    model: Decoder,
    at: Placement,
    backend: str,
    stages: int,
    sequences: float,
    lengths: tuple[float, float],
) -> float:
    """Return the seconds between two tokens of a sequence where layers are in stages.

    Args:
        model: its sizes.
        at: the GPU, formats, and how many share each layer.
        backend: whose host time is counted: a key of ``served``.
        stages: parts of the layers, each at work on a batch of its own.
        sequences: in flight in all stages together.
        lengths: tokens of a prompt and of an answer in the mean.

    Returns:
        Infinity where the stages cannot be made or their memories do not hold the sequences.
    """
    shape, batch = (at.split, stages), sequences / stages
    if model.layers % stages or batch < 1 or batch > _room(model, at, shape, lengths):
        return float("inf")
    (step,) = _step(model, at, backend, shape, lengths, np.array([batch]))
    return stages * float(step)


def _part(model: Decoder, at: Placement, shape: tuple[int, int]) -> tuple[Decoder, Placement]:
    """Return a stage's layers, and where they are."""
    split, stages = shape
    where = replace(at, split=split)
    if model.experts:
        where = replace(where, expert_gpus=split)
    return replace(model, layers=model.layers // stages), where


def _room(
    model: Decoder, at: Placement, shape: tuple[int, int], lengths: tuple[float, float]
) -> float:
    """Return of how many sequences a stage's batch can be."""
    split, stages = shape
    part, where = _part(model, at, shape)
    context = lengths[0] + lengths[1] / 2  # answers are at all lengths at once
    room = MEMORY_SHARE * at.gpu.dram
    room -= part.weight_bytes(at.number_format, split, where.expert_gpus)
    # A stage keeps its layers' part of the cache of all batches.
    return room / (context * part.kv_bytes(at.kv_bytes, split) * stages)


def _step(
    model: Decoder,
    at: Placement,
    backend: str,
    shape: tuple[int, int],
    lengths: tuple[float, float],
    batches: NDArray[Any],
) -> Floats:
    """Return the seconds in which a stage gives each sequence of a batch a token."""
    prompt, answer = lengths
    part, where = _part(model, at, shape)
    fitted = numbers(f"serving_{backend}")
    context = np.full_like(batches, prompt + answer / 2)
    token = decode_pass_seconds(part, where, batches, context)
    (read,) = prefill_pass_seconds(part, where, np.array([prompt]))
    host = (fitted["step"] + fitted["sequence"] * batches) / shape[1]
    return token + host + fitted["between"] * batches / answer * read
