"""Served language models on H100 and H200: time per token and to the first, every row.

Kernels are those of the route, none looked up; one set of numbers per backend is fitted on a
tenth by hash, and the rest is reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import load_gpu
from drawloom.frontends.hf.config import catalog_entry
from drawloom.routes.gpu.decoder import Decoder, Placement
from drawloom.routes.gpu.served import Passes, Workload, passes, served, workload
from drawloom.validate.comparison import Outcome
from drawloom.validate.tables import is_tenth, read_table

TOKEN_GOAL = {"median": 0.12}
FIRST_GOAL = {"median": 0.25}
# Of the catalog, or beside the measurements. Llama 3.1 has the sizes of Llama 3.
MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3-8b",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "llama-3-8b",
    "meta-llama/Llama-3.1-70B": "llama-3-70b",
    "Qwen/Qwen3-32B": "qwen3-32b",
    "openai/gpt-oss-120b": "gpt-oss-120b",
    "Qwen/Qwen3-235B-A22B-FP8": "qwen3-235b-a22b",
}
FORMATS = {"": "bfloat16", "fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "fp4"}
# Checkpoints of FP8 ask for a cache of 8 bits; SGLang keeps 16 unless told.
LONG_CACHE = ("sglang",)
# TensorRT-LLM multiplies FP8 with one scale a matrix, by cuBLAS.
BY_CUBLAS = ("trtllm",)
# Harnesses whose prompts and answers vary in length, by how their sources begin: lengths lie
# between 0.8 and 1 of the stated ones (benchmarks of SemiAnalysisAI/InferenceX).
VARIED = "source_file=20"
VARIED_MEAN = 0.9
BACKENDS = ("trtllm", "vllm", "sglang")


@cache
def decoder(path: str) -> Decoder:
    """Return the sizes of a measured model."""
    name = MODELS[path]
    folder = resources.files("drawloom.validate") / "data" / "models"
    file = folder / f"{name}.json"
    if file.is_file():
        return Decoder.of(json.loads(file.read_text(encoding="utf-8"))["config"])
    return Decoder.of(catalog_entry(name).config)


def placement(row: Mapping[str, Any]) -> Placement:
    """Return how a row's model lies on its GPUs."""
    number_format = FORMATS[str(row["gemm_quant_mode"])]
    is_short = number_format == "fp8" and row["backend"] not in LONG_CACHE
    if number_format == "fp8" and row["backend"] in BY_CUBLAS:
        number_format = "fp8_cublas"
    split, slices, spread = (int(row[name]) for name in ("tp_size", "moe_tp_size", "moe_ep_size"))
    if slices > 1 and spread > 1:
        # Those rows multiply the two for GPUs, though their times are of one of them.
        split, slices = spread, 1
    experts = max(slices * spread, split) if decoder(str(row["model_path"])).experts else 1
    gpu = load_gpu(str(row["system"]))
    return Placement(gpu, number_format, 1 if is_short else 2, split, experts)


def all_passes(table: Mapping[str, NDArray[Any]]) -> tuple[Passes, Workload]:
    """Return the times of the passes of every row, and its clients."""
    is_varied = np.char.startswith(table["silicon_data_source"], VARIED)
    mean = np.where(is_varied, VARIED_MEAN, 1.0)
    load = workload(table["batch_size"], table["isl"] * mean, table["osl"] * mean, is_varied)
    groups: dict[tuple[str, Placement], list[int]] = {}
    for at in range(len(table["id"])):
        row = {name: values[at] for name, values in table.items()}
        key = (str(row["model_path"]), placement(row))
        groups.setdefault(key, []).append(at)
    found = [np.empty_like(load.clients) for _ in range(3)]
    for (path, at), chosen in groups.items():
        some = load.chosen(np.array(chosen))
        times = passes(decoder(path), at, some)
        for column, values in zip(found, (times.token, times.prompt, times.admitted), strict=True):
            column[chosen] = values
    return Passes(*found), load


def rows_of(times: Passes, load: Workload, chosen: NDArray[np.bool_]) -> tuple[Passes, Workload]:
    """Return the chosen rows."""
    return (
        Passes(times.token[chosen], times.prompt[chosen], times.admitted[chosen]),
        load.chosen(chosen),
    )


def compare() -> Iterator[Outcome]:
    """Yield the errors of both times by backend, and of all rows."""
    table = read_table("measured_h100_h200")
    reported = ~is_tenth(table, ("id",))
    times, load = all_passes(table)
    token, first = np.empty_like(times.token), np.empty_like(times.token)
    for backend in BACKENDS:
        here = table["backend"] == backend
        token[here], first[here] = served(backend, *rows_of(times, load, here))
    for name, predicted, goal in (("tpot", token, TOKEN_GOAL), ("ttft", first, FIRST_GOAL)):
        measured = table[f"silicon_{name}_ms"] * 1e-3
        for backend in (*BACKENDS, "all"):
            at = reported & ((table["backend"] == backend) | (backend == "all"))
            goal_here = goal if backend == "all" else {}
            outcome = f"serving.{name}.{backend}"
            yield Outcome(outcome, predicted[at], measured[at], calibrated=True, goal=goal_here)
