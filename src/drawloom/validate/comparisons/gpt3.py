"""One layer of GPT-3 175B on four A100, part by part, as LLMCompass measured it: nothing fitted on it.

Eight sequences, 96 heads and 12288 channels shared by four GPUs: prompts of 2048 tokens, and one token
behind 3072 others. Each part is a call of its own from Python, attention three of them; norms and
activations were compiled. Sums over the GPUs were measured apart from the rest, with NCCL's own tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import Gpu, load_gpu
from drawloom.routes.gpu.collective import all_reduce_seconds
from drawloom.routes.gpu.fitted import behaviour
from drawloom.routes.gpu.kernel import Shapes
from drawloom.routes.gpu.libraries import cublas
from drawloom.routes.gpu.pointwise import LAYER_NORM, SOFTMAX, RowKernel
from drawloom.validate.comparison import Outcome
from drawloom.validate.comparisons.layers import CALLS
from drawloom.validate.tables import read_table

GOAL = {"median": 0.12}
WIDTH, HEADS, HEAD_DIM, GPUS, SEQUENCES = 12288, 96, 128, 4, 8
HALF = 2  # bytes of a number
GELU = RowKernel(1, 1)
# Norms stand in the table twice, and so do sums, with one time for both.
TWICE = ("layernorm_ffn", "all_reduce_ffn")


@dataclass(frozen=True, slots=True)
class Pass:
    """What goes through the layer at once: new tokens of each sequence, and all it looks at."""

    tokens: int
    keys: int


PASSES = {"prefill": Pass(2048, 2048), "decode": Pass(1, 3073)}


def parts(gpu: Gpu, step: Pass) -> dict[str, float]:
    """Return the seconds of each part on one of the GPUs, by its name in the table."""
    rows, heads = SEQUENCES * step.tokens, SEQUENCES * HEADS // GPUS
    own = WIDTH // GPUS

    def product(m: int, n: int, k: int, batch: int = 1) -> float:
        shapes = Shapes(*(np.array([float(each)]) for each in (m, n, k)), batch=float(batch))
        return _call("matmul") + float(cublas(gpu, behaviour("cublas"), "bf16", HALF, shapes)[0])

    norm = _call("layernorm") + float(LAYER_NORM.seconds(gpu, rows, WIDTH))
    scores = float(SOFTMAX.seconds(gpu, heads * step.tokens, step.keys))
    message = np.array([rows * WIDTH * HALF])
    total = float(all_reduce_seconds(gpu, message, np.array([GPUS]))[0])
    return {
        "q_k_v": 3 * product(rows, own, WIDTH),
        "q_mul_k": product(step.tokens, step.keys, HEAD_DIM, heads),
        "a_mul_v": product(step.tokens, HEAD_DIM, step.keys, heads),
        "wo": product(rows, WIDTH, own),
        "w1": product(rows, 4 * own, WIDTH),
        "w2": product(rows, WIDTH, 4 * own),
        "softmax": _call("softmax") + scores,
        "layernorm_mha": norm,
        "layernorm_ffn": norm,
        "gelu": _call("gelu") + float(GELU.seconds(gpu, rows, 4 * own)),
        "all_reduce_mha": total,
        "all_reduce_ffn": total,
    }


def _call(name: str) -> float:
    """Return what a call from Python takes beside the launch that a kernel's seconds have."""
    return CALLS[name] - behaviour("cublas").launch


def _outcome(name: str, predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> Outcome:
    return Outcome(f"gpt3.a100.{name}", predicted, measured, calibrated=False, goal=GOAL)


def compare() -> Iterator[Outcome]:
    """Yield the errors of the parts in both phases, of whole layers, and of activations alone."""
    gpu, table = load_gpu("a100_sxm"), read_table("llmcompass_a100_gpt3_layer")
    sums: list[tuple[float, float]] = []
    for phase, step in PASSES.items():
        found, names = parts(gpu, step), table["part"]
        predicted = np.array([found[name] for name in names])
        once = ~np.isin(names, TWICE)
        yield _outcome(f"{phase}_parts", predicted[once], table[phase][once])
        sums.append((predicted.sum(), table[phase].sum()))
    yield _outcome("layer", *np.array(sums).T)
    table = read_table("llmcompass_a100_gelu")
    measured = table["n"] / (table["throughput"] * 1e9)
    yield _outcome("gelu", _call("gelu") + GELU.seconds(gpu, 1, table["n"]), measured)
