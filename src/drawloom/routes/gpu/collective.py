"""All-reduce among GPUs that a switch joins: rings by protocol, sums in the switch.

A ring passes 2 (n - 1) steps and moves 2 (n - 1) / n of the message over each link. Its protocols
trade latency for rate: LL flags every 8 bytes, LL128 every 128, Simple synchronises by chunk.
Where the switch adds (NVLS), a GPU sends the message once and its share of the sum once more.
The quickest is taken, as NCCL's tuning does. Source: src/graph/tuning.cc of NVIDIA/nccl.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import Gpu
from drawloom.routes.gpu.fitted import behaviour, numbers
from drawloom.routes.gpu.kernel import Floats

PROTOCOLS = ("ll", "ll128", "simple")
LEAST_IN_SWITCH = 3  # of two GPUs a ring moves less


def all_reduce_seconds(
    gpu: Gpu,
    message: NDArray[Any],
    ranks: NDArray[Any],
    *,
    is_float: NDArray[np.bool_] | bool = True,
) -> Floats:
    """Return the seconds of all-reduces within one node, launch included.

    Args:
        gpu: of all ranks.
        message: bytes each GPU holds.
        ranks: GPUs that take part, the same length; of one, nothing happens.
        is_float: whether the numbers are floating-point: the switch adds no 8-bit integers.
    """
    size, n = np.asarray(message, np.float64), np.asarray(ranks, np.float64)
    fitted = numbers("nccl")
    steps, share = 2 * (n - 1), 2 * (n - 1) / n
    rings = [
        fitted[f"{word}_start"]
        + steps * fitted[f"{word}_step"]
        + share * size / (gpu.link_rate * fitted[f"{word}_share"])
        for word in PROTOCOLS
    ]
    best = np.min(rings, axis=0)
    if gpu.has_in_switch_sums:
        sums = fitted["switch_start"] + size * (1 + 1 / n) / (
            gpu.link_rate * fitted["switch_share"]
        )
        has_sums = (n >= LEAST_IN_SWITCH) & np.asarray(is_float)
        best = np.where(has_sums, np.minimum(best, sums), best)
    return np.where(n > 1, best, 0)


def direct_all_reduce_seconds(gpu: Gpu, message: NDArray[Any], ranks: NDArray[Any]) -> Floats:
    """Return the seconds of all-reduces as serving software does them: the quicker of two ways.

    A short message is read from all others at once by one kernel, between two barriers of a
    link's latency each; a long one goes as NCCL does it.
    """
    size, n = np.asarray(message, np.float64), np.asarray(ranks, np.float64)
    fitted = numbers("nccl")
    read = (n - 1) * size / (gpu.link_rate * fitted["simple_share"])
    at_once = behaviour("cublas").launch + 2 * fitted["ll_step"] + read
    return np.where(n > 1, np.minimum(at_once, all_reduce_seconds(gpu, size, n)), 0)


def eager_all_reduce_seconds(gpu: Gpu, message: NDArray[Any], ranks: NDArray[Any]) -> Floats:
    """Return the seconds as a profiler sees them of ranks launched from Python one by one.

    Ranks do not arrive together: the first waits for the last. Skew, and what the machine's NCCL
    gets from the links beside the newer one that the rest is fitted on, are the machine's.
    """
    machine = numbers(f"eager_{gpu.name}")
    alone = all_reduce_seconds(
        replace(gpu, link_rate=gpu.link_rate * machine["link_share"]), message, ranks
    )
    exponent = machine["sharpness"]
    return (alone**exponent + machine["skew"] ** exponent) ** (1 / exponent)
