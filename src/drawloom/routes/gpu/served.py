"""Continuous batching in steady state: pass times, concurrency → time per token, to first token.

A fixed number of clients, each sending its next prompt when its answer is whole. While one
answers, the others' prompts are read once each: their passes stand between the answer's tokens.
A prompt waits for those that came with it, and, where the cache holds fewer sequences than there
are clients, for a place. How a backend groups prompts, and what its host does at each step, is
the backend's: one set of numbers for each, fitted on a stated tenth.
"""

from __future__ import annotations

from dataclasses import dataclass
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

# Share of a GPU's memory that weights and cache may take; the backends' defaults lie from 0.85
# to 0.9 (gpu_memory_utilization of vLLM, mem_fraction_static of SGLang, free_gpu_memory_fraction
# of TensorRT-LLM).
MEMORY_SHARE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Clients of one service, any number of cases: arrays of one length.

    Attributes:
        clients: that wait for an answer at any time.
        prompt: tokens of a prompt.
        answer: tokens of an answer.
        is_varied: whether lengths differ from request to request. Where they do not, prompts that
            came together finish together, and the next ones come together again.
    """

    clients: Floats
    prompt: Floats
    answer: Floats
    is_varied: NDArray[np.bool_]

    def chosen(self, where: NDArray[Any]) -> Workload:
        """Return some of the cases."""
        return Workload(
            self.clients[where], self.prompt[where], self.answer[where], self.is_varied[where]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """What passes take: seconds for a token of all sequences at once, and for one prompt.

    ``admitted`` is how many sequences the cache has room for, at most the clients.
    """

    token: Floats
    prompt: Floats
    admitted: Floats


def passes(model: Decoder, at: Placement, load: Workload) -> Passes:
    """Return the passes' times of a model under a load; nothing here is fitted to serving."""
    room = MEMORY_SHARE * at.gpu.dram
    room -= model.weight_bytes(at.number_format, at.split, at.expert_gpus)
    # Answers are at all lengths at once, half of theirs on average.
    context = load.prompt + load.answer / 2
    each = context * model.kv_bytes(at.kv_bytes, at.split)
    admitted = np.clip(np.floor(room / each), 1, load.clients)
    token = decode_pass_seconds(model, at, admitted, context)
    return Passes(token, prefill_pass_seconds(model, at, load.prompt), admitted)


def served(backend: str, times: Passes, load: Workload) -> tuple[Floats, Floats]:
    """Return seconds per token after the first, and seconds to the first, of a backend.

    Args:
        backend: ``vllm``, ``sglang`` or ``trtllm``.
        times: of the passes.
        load: the clients.
    """
    fitted = numbers(f"serving_{backend}")
    others = times.admitted - 1
    step = fitted["step"] + fitted["sequence"] * times.admitted
    per_token = times.token + step + fitted["between"] * others * times.prompt / load.answer
    group = np.where(load.is_varied, 1, fitted["together"])
    together = group + fitted["burst"] * times.admitted
    first = fitted["first"] + times.prompt * together
    answering = first + per_token * load.answer
    return per_token, first + answering * (load.clients / times.admitted - 1)


def workload(
    clients: NDArray[Any], prompt: NDArray[Any], answer: NDArray[Any], is_varied: NDArray[np.bool_]
) -> Workload:
    """Return a workload from arrays of numbers."""
    return Workload(
        np.asarray(clients, np.float64),
        np.asarray(prompt, np.float64),
        np.asarray(answer, np.float64),
        is_varied,
    )
