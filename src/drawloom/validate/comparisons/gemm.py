"""GEMM on one H200, 107,225 rows; M a power of two is for fitting, the rest is reported.

``every_row`` has the rows that were fitted on as well: its goal is set on all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import load_gpu
from drawloom.routes.gpu.gemm import FORMATS, gemm_seconds
from drawloom.validate.comparison import Outcome
from drawloom.validate.tables import read_table

EDGE_S = 20e-6
ABOVE = {"median": 0.05, "p90": 0.15}
BELOW = {"median": 0.10}
# Where the model is how good, by rows: few rows read weights alone, many fill the tensor cores.
REGIONS = ((1, 16), (17, 64), (65, 256), (257, 1025), (1026, 4353))


def is_fitted_on(m: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows may be fitted on: those with M a power of two."""
    return (m & (m - 1)) == 0


def compare() -> Iterator[Outcome]:
    """Yield the errors by format and of all rows, above and below 20 us, then by rows of M."""
    table = read_table("h200_vllm_gemm")
    gpu = load_gpu("h200_sxm")
    m = table["m"].astype(np.int64)
    measured = table["latency"] * 1e-3
    predicted = np.empty_like(measured)
    for word in FORMATS:
        at = table["gemm_dtype"] == word
        predicted[at] = gemm_seconds(gpu, word, m[at], table["n"][at], table["k"][at])
    reported = ~is_fitted_on(m)
    for word in (*FORMATS, "all"):
        of_format = (table["gemm_dtype"] == word) | (word == "all")
        for part, goal, where in (
            ("above_20us", ABOVE, measured > EDGE_S),
            ("below_20us", BELOW, measured <= EDGE_S),
        ):
            at = reported & of_format & where
            if at.any():
                goal_here = goal if word == "all" else {}
                name = f"gemm.h200.{word}.{part}"
                yield Outcome(name, predicted[at], measured[at], calibrated=True, goal=goal_here)
    for part, goal, at in (
        ("above_20us", ABOVE, measured > EDGE_S),
        ("below_20us", BELOW, measured <= EDGE_S),
    ):
        name = f"gemm.h200.every_row.{part}"
        yield Outcome(name, predicted[at], measured[at], calibrated=True, goal=goal)
    for least, most in REGIONS:
        at = reported & (m >= least) & (m <= most)
        name = f"gemm.h200.m_{least}_to_{most}"
        yield Outcome(name, predicted[at], measured[at], calibrated=True)
