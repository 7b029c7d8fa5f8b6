"""Offline results of MLPerf Inference v5.1 on H100 and H200: tokens a second of whole systems.

Nothing is fitted on them; host times of TensorRT-LLM and vLLM are those of ``serving``. How a model
is shared out no result says: the quickest way is taken, within a node.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from drawloom.chip.gpu import load_gpu
from drawloom.frontends.hf.config import catalog_entry
from drawloom.routes.gpu.decoder import Decoder, Placement
from drawloom.routes.gpu.offline import best_replica
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


def compare() -> Iterator[Outcome]:
    """Yield the errors by model, and of all rows."""
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
