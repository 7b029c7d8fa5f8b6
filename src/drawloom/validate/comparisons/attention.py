"""Attention on one H200, prompts and single tokens; a tenth by hash is for fitting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import load_gpu
from drawloom.routes.gpu.attention import Attention, decode_seconds, prefill_seconds
from drawloom.validate.comparison import Outcome
from drawloom.validate.tables import Columns, is_tenth, read_table

GOAL = {"median": 0.12}
PHASES = {
    "prefill": ("h200_vllm_context_attention", "isl", prefill_seconds),
    "decode": ("h200_vllm_generation_attention", "step", decode_seconds),
}


def cases(table: Columns, phase: str) -> Attention:
    """Return the rows of a table as cases."""
    earlier = 1 if phase == "decode" else 0  # the new token beside the earlier ones
    return Attention.of(
        table["batch_size"],
        table[PHASES[phase][1]].astype(np.float64) + earlier,
        table["num_heads"],
        table["num_key_value_heads"],
        table["head_dim"],
        table["window_size"],
        np.where(table["kv_cache_dtype"] == "fp8", 1, 2),
    )


def is_fitted_on(table: Columns, phase: str) -> NDArray[np.bool_]:
    """Return the tenth of the rows that may be fitted on."""
    size = ("num_heads", "num_key_value_heads", "head_dim")
    names = (
        "kernel_source",
        "batch_size",
        PHASES[phase][1],
        *size,
        "kv_cache_dtype",
        "window_size",
    )
    return is_tenth(table, names)


def compare() -> Iterator[Outcome]:
    """Yield the errors by phase and format of the cache, and by phase."""
    gpu = load_gpu("h200_sxm")
    for phase, (name, _, seconds) in PHASES.items():
        table = read_table(name)
        predicted = seconds(gpu, cases(table, phase))
        measured = table["latency"] * 1e-3
        reported = ~is_fitted_on(table, phase)
        for word in ("bfloat16", "fp8", "all"):
            at = reported & ((table["kv_cache_dtype"] == word) | (word == "all"))
            goal = GOAL if word == "all" else {}
            outcome = f"attention.h200.{phase}.{word}"
            yield Outcome(outcome, predicted[at], measured[at], calibrated=True, goal=goal)
