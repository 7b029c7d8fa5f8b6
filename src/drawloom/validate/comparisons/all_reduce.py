"""All-reduce within a node: H200 with NCCL's own tool, A100 and H100 as vidur profiled them.

Fitted on 2 and 8 ranks of the H200, and the skew of eager ranks on vidur's 8 workers; the rest
is reported. Between nodes vidur's tables do not say which network they ran on: no answer is
checked there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import load_gpu
from drawloom.routes.gpu.collective import all_reduce_seconds, eager_all_reduce_seconds
from drawloom.validate.comparison import Outcome
from drawloom.validate.tables import read_table, rows

GOAL = {"median": 0.15}
BYTES = {"half": 2, "int8": 1}
FITTED_RANKS = (2, 8)
FITTED_WORKERS = 8


def h200() -> dict[str, NDArray[Any]]:
    """Return ``bytes``, ``ranks``, ``is_float``, ``seconds`` of the H200's all-reduces."""
    table = read_table("nccl_perf")
    some = rows(table, table["op_name"] == "all_reduce")
    width = np.array([BYTES[word] for word in some["nccl_dtype"]])
    return {
        "bytes": some["message_size"].astype(np.int64) * width,
        "ranks": some["num_gpus"],
        "is_float": some["nccl_dtype"] == "half",
        "seconds": some["latency"] * 1e-3,
    }


def vidur(name: str) -> dict[str, NDArray[Any]]:
    """Return ``bytes``, ``ranks``, ``seconds`` of vidur's all-reduces within one node."""
    table = read_table(f"vidur_{name}_dgx_all_reduce")
    some = rows(table, table["devices_per_node"] == table["num_workers"])
    seconds = some["all_reduce"] * 1e-3
    return {"bytes": some["size"], "ranks": some["num_workers"], "seconds": seconds}


def compare() -> Iterator[Outcome]:
    """Yield the errors by table, on the ranks that were not fitted on."""
    table = h200()
    some = rows(table, ~np.isin(table["ranks"], FITTED_RANKS))
    predicted = all_reduce_seconds(
        load_gpu("h200_sxm"), some["bytes"], some["ranks"], is_float=some["is_float"]
    )
    yield Outcome("all_reduce.h200", predicted, some["seconds"], calibrated=True, goal=GOAL)
    for name in ("a100", "h100"):
        table = vidur(name)
        some = rows(table, table["ranks"] != FITTED_WORKERS)
        gpu = load_gpu(f"{name}_sxm")
        predicted = eager_all_reduce_seconds(gpu, some["bytes"], some["ranks"])
        outcome = f"all_reduce.{name}"
        yield Outcome(outcome, predicted, some["seconds"], calibrated=True, goal=GOAL)
