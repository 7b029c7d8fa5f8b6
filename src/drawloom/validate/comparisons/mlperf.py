"""Results of MLPerf Inference v5.1 on H100 and H200: tokens a second offline; seconds where requests come.

Nothing is fitted on them; host times of TensorRT-LLM and vLLM are those of ``serving``. How a model
is shared out no result says: the quickest way is taken, within a node. Where requests come one by one
(``Server``, ``Interactive``), so many are in flight as come in the mean time of one (Little's law, with
the measured rate and mean latency); asked is what a token then takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from drawloom.chip.gpu import load_gpu
from drawloom.frontends.hf.config import catalog_entry
from drawloom.routes.gpu.decoder import Decoder, Placement
from drawloom.routes.gpu.offline import best_replica, staged_token_seconds
from drawloom.routes.gpu.served import MEMORY_SHARE, passes, served, workload
from drawloom.validate.comparison import Outcome
from drawloom.validate.tables import read_table

# Model of the catalog, and tokens of a prompt in the mean. Sources: mlcommons.org/2025/04
# llm-inference-v5 (405B); mlcommons.org/2025/09 small-llm-inference-5-1 (8B); of the prompts for
# Llama 2 no document says it: assumed, about half of an answer.
MODELS = {
    "llama3.1-8b": ("llama-3-8b", 778.0),
    "llama3.1-405b": ("llama-3.1-405b", 9400.0),
    "llama2-70b": ("llama-2-70b", 155.0),
}
GPUS = {"H100": "h100_sxm", "H200": "h200_sxm"}


@cache
def gpu_rate(model: str, gpu: str, backend: str, n_gpus: int, answer: float) -> float:
    """Return the predicted tokens a second of one GPU."""
    name, prompt = MODELS[model]
    sizes = Decoder.of(catalog_entry(name).config)
    at = Placement(load_gpu(GPUS[gpu]), "fp8_cublas", 1, 1)
    best = best_replica(sizes, at, backend, n_gpus, prompt, answer)
    assert best is not None, (model, gpu, n_gpus)
    return best.rate


@cache
def token_seconds(
    model: str, gpu: str, backend: str, n_gpus: int, in_flight: float, answer: float
) -> float:
    """Return the predicted seconds between two tokens with so many requests on so many GPUs."""
    name, prompt = MODELS[model]
    sizes, chip = Decoder.of(catalog_entry(name).config), load_gpu(GPUS[gpu])
    found: list[float] = []
    split = 1
    while split <= min(n_gpus, chip.link_gpus):
        at = Placement(chip, "fp8_cublas", 1, split)
        if sizes.weight_bytes("fp8_cublas", split, 1) < MEMORY_SHARE * chip.dram:
            each = max(1.0, in_flight * split / n_gpus)
            load = workload(
                np.array([each]), np.array([prompt]), np.array([answer]), np.array([True])
            )
            times = passes(sizes, at, load)
            if times.admitted[0] >= each:  # first tokens came soon, so all of them were at work
                found.append(float(served(backend, times, load)[0][0]))
        stages = 2
        while split * stages <= min(n_gpus, chip.link_gpus):
            each = in_flight * split * stages / n_gpus
            found.append(staged_token_seconds(sizes, at, backend, stages, each, (prompt, answer)))
            stages *= 2
        split *= 2
    return min(found)


def _served() -> Iterator[Outcome]:
    table = read_table("mlperf_v5_1_served")
    in_flight = table["samples_per_s"] * table["lat"]
    predicted = np.array(
        [
            token_seconds(
                *(str(table[key][row]) for key in ("model", "gpu", "backend")),
                int(table["gpus"][row]),
                round(float(in_flight[row]), 1),
                round(float(table["tokens_per_s"][row] / table["samples_per_s"][row]), 1),
            )
            for row in range(len(in_flight))
        ]
    )
    for word in ("Server", "Interactive"):
        at = table["scenario"] == word
        name = f"mlperf.{word.lower()}.tpot"
        yield Outcome(name, predicted[at], table["tpot"][at], calibrated=False)


def compare() -> Iterator[Outcome]:
    """Yield the errors by model, and of all rows; then where requests come one by one."""
    yield from _offline()
    yield from _served()


def _offline() -> Iterator[Outcome]:
    table = read_table("mlperf_v5_1_offline")
    count = len(table["model"])
    predicted = np.array(
        [
            table["gpus"][row]
            * gpu_rate(
                str(table["model"][row]),
                str(table["gpu"][row]),
                str(table["backend"][row]),
                int(table["gpus_per_node"][row]),
                round(float(table["tokens_per_s"][row] / table["samples_per_s"][row]), 1),
            )
            for row in range(count)
        ]
    )
    for word in (*MODELS, "all"):
        at = (table["model"] == word) | (word == "all")
        name = f"mlperf.offline.{word}"
        yield Outcome(name, predicted[at], table["tokens_per_s"][at], calibrated=False)
