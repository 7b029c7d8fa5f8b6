"""Parts of a layer on A100 and H100, with nothing fitted on them: vidur's and LLMCompass's tables.

Vidur's times are of kernels alone, as a profiler adds them up; LLMCompass's are of calls from
Python, and begin with what a call takes there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import Gpu, load_gpu
from drawloom.routes.gpu.fitted import behaviour
from drawloom.routes.gpu.gemm import gemm_seconds
from drawloom.routes.gpu.pointwise import (
    GATED_ACTIVATION,
    LAYER_NORM,
    LOOK_UP,
    RMS_NORM,
    ROTATION,
    SOFTMAX,
    SUM,
)
from drawloom.validate.comparison import Outcome
from drawloom.validate.tables import read_table

GOAL = {"median": 0.12}
HEAD_DIM = 128  # of Llama 2
BETWEEN = 1e-6  # seconds between kernels of a graph, which a profiler leaves out; assumed
# Seconds of a call from Python. Source: the overheads of an A100 that LLMCompass adds itself,
# hardware_model/device of PrincetonUniversity/LLMCompass. They are what the least call takes, the
# start and end of its kernel included.
CALLS = {"matmul": 21e-6, "softmax": 12e-6, "layernorm": 45e-6, "gelu": 45e-6}
# Vidur keeps one folder for A100s over PCIe in pairs (the four GPUs of its commands) and one for
# those of a DGX alike; the times are those of the PCIe card, of 300 W and 1935 GB/s.
CARDS = {"a100": "a100_pcie", "h100": "h100_sxm"}
# Vidur's tables came with its first releases, of early 2024, on PyTorch for CUDA 12.1.
RELEASE = "bfloat16_earlier"
MATMULS = ("attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj")


def parts(gpu: Gpu, table: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """Return the seconds of each part that vidur's table has, by its name there."""
    tokens, split = table["num_tokens"].astype(np.int64), table["num_tensor_parallel_workers"]
    width, inner = table["n_embd"].astype(np.int64), table["n_expanded_embd"].astype(np.int64)
    heads, kv_heads = table["n_head"].astype(np.int64), table["n_kv_head"].astype(np.int64)

    def product(n: NDArray[Any], k: NDArray[Any]) -> NDArray[np.float64]:
        return gemm_seconds(gpu, RELEASE, tokens, n, k)

    norm = RMS_NORM.seconds(gpu, tokens, width)
    found = {
        "emb": LOOK_UP.seconds(gpu, tokens, width),
        "input_layernorm": norm,
        "attn_pre_proj": product((heads + 2 * kv_heads) * HEAD_DIM // split, width),
        "attn_rope": ROTATION.seconds(gpu, tokens, (heads + kv_heads) * HEAD_DIM / split),
        "attn_post_proj": product(width, heads * HEAD_DIM // split),
        "post_attention_layernorm": norm,
        "mlp_up_proj": product(2 * inner // split, width),
        "mlp_act": GATED_ACTIVATION.seconds(gpu, tokens, inner / split),
        "mlp_down_proj": product(width, inner // split),
        "add": SUM.seconds(gpu, tokens, width),
    }
    return {name: seconds - BETWEEN for name, seconds in found.items()}


def shapes(table: Mapping[str, NDArray[Any]], model: str) -> dict[str, NDArray[Any]]:
    """Return a table with the sizes that are the same in all its rows put back."""
    sizes = {"7b": (32, 32, 4096, 11008), "70b": (64, 8, 8192, 28672)}[model]
    names = ("n_head", "n_kv_head", "n_embd", "n_expanded_embd")
    count = len(table["num_tokens"])
    return {
        **table,
        **{name: np.full(count, size) for name, size in zip(names, sizes, strict=True)},
    }


def _vidur() -> Iterator[Outcome]:
    for name, card in CARDS.items():
        gpu = load_gpu(card)
        whole: list[tuple[Any, Any]] = []
        by_kind: dict[str, list[tuple[Any, Any]]] = {"matmul": [], "pointwise": []}
        for model in ("7b", "70b"):
            table = shapes(read_table(f"vidur_{name}_llama_2_{model}_hf_mlp"), model)
            predicted = parts(gpu, table)
            measured = {part: table[part] * 1e-3 for part in predicted}
            # The look-up stands before the layers, once a model.
            of_layer = [part for part in predicted if part != "emb"]
            whole.append((sum(predicted[p] for p in of_layer), sum(measured[p] for p in of_layer)))
            for part in predicted:
                kind = "matmul" if part in MATMULS else "pointwise"
                by_kind[kind].append((predicted[part], measured[part]))
        for kind, pairs in (("whole", whole), *by_kind.items()):
            predicted_all, measured_all = (
                np.concatenate(each) for each in zip(*pairs, strict=True)
            )
            seen = measured_all > 0  # a profiler's whole microseconds may be none
            yield Outcome(
                f"layers.{name}.{kind}",
                predicted_all[seen],
                measured_all[seen],
                calibrated=False,
                goal=GOAL,
            )


def _llmcompass() -> Iterator[Outcome]:
    gpu, launch = load_gpu("a100_sxm"), behaviour("cublas").launch
    table = read_table("llmcompass_a100_matmul")
    predicted = (
        CALLS["matmul"] - launch + gemm_seconds(gpu, "bfloat16", table["m"], table["n"], table["k"])
    )
    measured = table["latency"] * 1e-3
    yield Outcome("layers.a100.llmcompass_matmul", predicted, measured, calibrated=False, goal=GOAL)
    for name, kernel in (("softmax", SOFTMAX), ("layernorm", LAYER_NORM)):
        table = read_table(f"llmcompass_a100_{name}")
        elements = table["m"].astype(np.float64) * table["n"]
        predicted = CALLS[name] - launch + kernel.seconds(gpu, table["m"], table["n"])
        measured = elements / (table["throughput"] * 1e9)
        outcome = f"layers.a100.llmcompass_{name}"
        yield Outcome(outcome, predicted, measured, calibrated=False, goal=GOAL)


def compare() -> Iterator[Outcome]:
    """Yield the errors of vidur's parts and whole layers, then of LLMCompass's operators."""
    yield from _vidur()
    yield from _llmcompass()
