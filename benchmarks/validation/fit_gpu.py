"""Fit what no document gives, on the rows of the measurements that are for it: fitted.json.

    python benchmarks/validation/fit_gpu.py [NAME ...]

GEMM: rows with M a power of two; attention: a tenth by hash; all-reduce: 2 and 8 ranks.
Each group of numbers is fitted by Nelder-Mead on the mean of |log(predicted / measured)|, a row
counting at most 0.5, from where fitted.json stands.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from drawloom.chip.gpu import load_gpu
from drawloom.routes.gpu import fitted
from drawloom.routes.gpu.attention import Attention
from drawloom.routes.gpu.collective import all_reduce_seconds, eager_all_reduce_seconds
from drawloom.routes.gpu.gemm import gemm_seconds
from drawloom.routes.gpu.served import served as served_seconds
from drawloom.validate.comparisons import all_reduce, serving
from drawloom.validate.comparisons import attention as comparison
from drawloom.validate.tables import is_tenth, read_table

SEED = 0
MOST = 0.5  # of a row's error that counts
PULL = 0.002  # towards where the fit starts, so that what rows do not tell stays

Values = dict[str, dict[str, float]]


def gemm(number_format: str) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    table = read_table("h200_vllm_gemm")
    m = table["m"].astype(np.int64)
    chosen = np.flatnonzero((table["gemm_dtype"] == number_format) & ((m & (m - 1)) == 0))
    rows = {name: table[name][chosen] for name in ("m", "n", "k")}
    rows["seconds"] = table["latency"][chosen] * 1e-3
    gpu = load_gpu("h200_sxm")
    return rows, lambda r: gemm_seconds(gpu, number_format, r["m"], r["n"], r["k"])


def attention(phase: str, kernel: str) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    name, _, seconds = comparison.PHASES[phase]
    table = read_table(name)
    given = comparison.cases(table, phase)
    where = np.flatnonzero(comparison.is_fitted_on(table, phase) & given.groups()[kernel])
    rows = {key: getattr(given, key)[where] for key in given.__slots__}
    rows["seconds"] = table["latency"][where] * 1e-3
    gpu = load_gpu("h200_sxm")
    return rows, lambda r: seconds(gpu, Attention(*(r[key] for key in given.__slots__)))


def nccl() -> tuple[dict[str, Any], Callable[[Any], Any]]:
    table = all_reduce.h200()
    rows = {key: each[np.isin(table["ranks"], (2, 8))] for key, each in table.items()}
    gpu = load_gpu("h200_sxm")
    return rows, lambda r: all_reduce_seconds(gpu, r["bytes"], r["ranks"], is_float=r["is_float"])


def eager(name: str) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    table = all_reduce.vidur(name)
    is_fitted_on = table["ranks"] == all_reduce.FITTED_WORKERS
    rows = {key: each[is_fitted_on] for key, each in table.items()}
    gpu = load_gpu(f"{name}_sxm")
    return rows, lambda r: eager_all_reduce_seconds(gpu, r["bytes"], r["ranks"])


def served(backend: str) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    table = read_table("measured_h100_h200")
    chosen = is_tenth(table, ("id",)) & (table["backend"] == backend)
    times, load = serving.rows_of(*serving.all_passes(table), chosen)
    seconds = [table[f"silicon_{name}_ms"][chosen] * 1e-3 for name in ("tpot", "ttft")]
    # Both times of every row, one after the other; no row is left out, so places need no mixing.
    rows = {"seconds": np.concatenate(seconds), "place": np.arange(2 * chosen.sum())}
    return rows, lambda r: np.concatenate(served_seconds(backend, times, load))[r["place"]]


# What is fitted together: the rows, and by group which numbers stay as they are.
FITS: dict[str, tuple[Callable[[], Any], Mapping[str, set[str]], int]] = {
    "cublas": (lambda: gemm("bfloat16"), {"cublas": {"stages", "outside"}}, 1500),
    "vllm_fp8": (
        lambda: gemm("fp8"),
        {
            "vllm_fp8": {"stages", "split_start", "split_least"},
            "vllm_fp8_starts": set(),
            "quantize": set(),
        },
        3000,
    ),
    "fp8_block": (
        lambda: gemm("fp8_block"),
        {
            "fp8_block": {"stages", "split_start", "split_least", "outside"},
            "quantize_blocks": {"atomic", "strip"},
            "fp8_block_host": {"operator"},
        },
        2500,
    ),
}
FITS |= {
    "nccl": (nccl, {"nccl": set()}, 500),
    **{
        f"eager_{name}": (partial(eager, name), {f"eager_{name}_sxm": set()}, 1000)
        for name in ("a100", "h100")
    },
}
FITS |= {
    f"serving_{backend}": (partial(served, backend), {f"serving_{backend}": set()}, 1000)
    for backend in serving.BACKENDS
}
KERNELS = ("fa3", "fa3_fp8", "fa4")
FITS |= {
    f"{phase}_{kernel}": (
        partial(attention, phase, kernel),
        {f"{phase}_{kernel}": {"splits_always"}},
        2500,
    )
    for phase in comparison.PHASES
    for kernel in KERNELS
}

# Shares that cannot pass what the chip has, and norms that cannot be less than a sum.
AT_MOST_ONE = ("mma_share", "dram_share", "store_share", "evened", "overlap")
AT_LEAST_ONE = ("sharpness",)


def fit(name: str, stored: dict[str, Any], tries: int) -> None:
    make, groups, most_rows = FITS[name]
    rows, predict = make()
    count = len(rows["seconds"])
    pick = np.random.default_rng(SEED).permutation(count)[:most_rows]
    some = {key: values[pick] for key, values in rows.items()}
    keys = [(g, n) for g, fixed in groups.items() for n in stored[g]["values"] if n not in fixed]
    first = np.array([stored[g]["values"][n] for g, n in keys])

    def put(logs: Any) -> None:
        for (group, number), value in zip(keys, first * np.exp(logs), strict=True):
            if number in AT_MOST_ONE:
                value = min(value, 1.0)
            if number in AT_LEAST_ONE:
                value = max(value, 1.0)
            stored[group]["values"][number] = float(value)
        fitted._stored = lambda: stored  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]

    def loss(logs: Any) -> float:
        put(logs)
        errors = np.abs(np.log(predict(some) / some["seconds"]))
        return float(np.minimum(errors, MOST).mean() + PULL * np.square(logs).mean())

    start = np.zeros(len(keys))
    simplex = np.vstack([start, start + 0.15 * np.eye(len(keys))])
    options = {"maxfev": tries, "initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-6}
    put(minimize(loss, start, method="Nelder-Mead", options=options).x)
    errors = np.abs(predict(rows) / rows["seconds"] - 1)
    note = f"median error on all {count} such rows {np.median(errors):.4f}"
    for group in groups:
        values = stored[group]["values"]
        stored[group]["values"] = {n: float(f"{v:.4g}") for n, v in values.items()}
        stored[group]["fitted"] = f"{name}: {note}, {len(pick)} of them fitted on, seed {SEED}"
    print(name, note)


def main() -> None:
    path = Path(fitted.FILE)
    stored = json.loads(path.read_text())
    for name in sys.argv[1:] or FITS:
        fit(name, stored, tries=900)
        path.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
