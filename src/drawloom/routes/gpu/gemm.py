"""Linear layers on a GPU, by format: what runs, quantizing activations and host work included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import Gpu
from drawloom.routes.gpu.fitted import behaviour, numbers
from drawloom.routes.gpu.kernel import Floats, Shapes
from drawloom.routes.gpu.libraries import (
    CUTLASS_BLOCKS,
    DEEPGEMM,
    FLASHINFER,
    cublas,
    earlier_cublas_tiles,
    quickest,
    vllm_fp8,
)

QUANTIZED_AT_ONCE = 2048  # elements of a row that a thread block takes at a time: 256 threads x 8
BLOCKS_PER_SM = 8  # thread blocks of 256 threads that an SM holds (2048 threads)
QUANTIZED_BYTES = 3  # 16 bits read, 8 written
# Rows of M from which vLLM hands products with scales by block to DeepGEMM, and what the sizes
# must divide by; others go to a CUTLASS kernel. Source: kernel names in the measured table.
DEEPGEMM_FROM, BLOCK_N, BLOCK_K = 32, 64, 128
ALIGNED_ROWS = 4  # float32 scales in 16 bytes, the least that a tensor map may be aligned to


def gemm_seconds(
    gpu: Gpu, number_format: str, m: NDArray[Any], n: NDArray[Any], k: NDArray[Any]
) -> Floats:
    """Return the seconds of linear layers [m, k] x [k, n] -> 16-bit [m, n].

    Args:
        gpu: where.
        number_format: one of ``FORMATS``: ``bfloat16`` by cuBLAS; ``bfloat16_earlier`` by that of
            CUDA 12.1; ``fp8`` by vLLM's CUTLASS
            kernels, activations quantized before; ``fp8_block`` with scales by block of 128,
            launched one by one from Python.
        m: rows, whole numbers; n and k of the same length.
        n: columns of the result.
        k: the inner dimension.
    """
    shapes = Shapes(*(np.asarray(each, np.float64) for each in (m, n, k)))
    return FORMATS[number_format](gpu, shapes)


def captured_seconds(
    gpu: Gpu, number_format: str, m: NDArray[Any], n: NDArray[Any], k: NDArray[Any]
) -> Floats:
    """Return the seconds of products in a captured graph: no host work, scales found before.

    As serving software runs them: rounding to 8 bits is part of the kernel before. Formats and
    shapes as ``gemm_seconds`` takes them, and ``fp8_cublas``: FP8 by cuBLAS, one scale a matrix.
    """
    shapes = Shapes(*(np.asarray(each, np.float64) for each in (m, n, k)))
    if number_format == "fp8":
        return vllm_fp8(gpu, behaviour("vllm_fp8"), numbers("vllm_fp8_starts"), shapes)
    if number_format == "fp8_cublas":
        return cublas(gpu, behaviour("cublas"), "f8", 1, shapes)
    if number_format == "fp8_block":
        is_small = shapes.m < DEEPGEMM_FROM
        seconds = np.empty_like(shapes.m)
        habits = replace(behaviour("fp8_block"), launch=behaviour("vllm_fp8").launch)
        for here, tiles in ((is_small, FLASHINFER), (~is_small, DEEPGEMM)):
            chosen = shapes.of(here)
            used = chosen.turned() if tiles is FLASHINFER else chosen
            seconds[here] = quickest(gpu, habits, "f8", tiles, used)
        return seconds
    return FORMATS[number_format](gpu, shapes)


def _bf16(gpu: Gpu, shapes: Shapes) -> Floats:
    return cublas(gpu, behaviour("cublas"), "bf16", 2, shapes)


def _earlier_bf16(gpu: Gpu, shapes: Shapes) -> Floats:
    tiles = earlier_cublas_tiles(gpu, 2)
    return cublas(gpu, behaviour("cublas"), "bf16", 2, shapes, tiles)


def quantizing(gpu: Gpu, shapes: Shapes, fitted: Mapping[str, float]) -> Floats:
    """Return the seconds of the kernels that find scales of activations and round them.

    One thread block a row. Rows come one after another where their scales meet in one number
    (an atomic maximum); a row is read a strip at a time; all of it passes through memory.
    """
    at_once = gpu.sms * BLOCKS_PER_SM
    strips = (np.ceil(shapes.k / QUANTIZED_AT_ONCE) - 1) * np.ceil(shapes.m / at_once)
    moved = QUANTIZED_BYTES * shapes.m * shapes.k / (fitted["dram_share"] * gpu.dram_rate)
    serial = fitted["atomic"] * shapes.m
    return fitted["launch"] + serial + fitted["strip"] * strips + moved


def _fp8(gpu: Gpu, shapes: Shapes) -> Floats:
    product = vllm_fp8(gpu, behaviour("vllm_fp8"), numbers("vllm_fp8_starts"), shapes)
    return product + quantizing(gpu, shapes, numbers("quantize"))


def _fp8_block(gpu: Gpu, shapes: Shapes) -> Floats:
    habits, host = behaviour("fp8_block"), numbers("fp8_block_host")
    is_odd_size = (shapes.n % BLOCK_N != 0) | (shapes.k % BLOCK_K != 0)
    is_small = ~is_odd_size & (shapes.m < DEEPGEMM_FROM)
    is_large = ~is_odd_size & ~is_small
    kernel, launched = np.empty_like(shapes.m), np.empty_like(shapes.m)
    for here, tiles, name in (
        (is_odd_size, CUTLASS_BLOCKS, "cutlass"),
        (is_small, FLASHINFER, "flashinfer"),
        (is_large, DEEPGEMM, "deepgemm"),
    ):
        chosen = shapes.of(here)
        used = chosen.turned() if tiles is FLASHINFER else chosen
        kernel[here] = quickest(gpu, habits, "f8", tiles, used)
        launched[here] = host[name]
    # Scales of rows that do not fill 16 bytes are laid out anew first: one more operator.
    launched[is_large & (shapes.m % ALIGNED_ROWS != 0)] += host["operator"]
    on_gpu = kernel + quantizing(gpu, shapes, numbers("quantize_blocks"))
    exponent = host["sharpness"]
    return (on_gpu**exponent + launched**exponent) ** (1 / exponent)


FORMATS: Mapping[str, Callable[[Gpu, Shapes], Floats]] = {
    "bfloat16": _bf16,
    "bfloat16_earlier": _earlier_bf16,
    "fp8": _fp8,
    "fp8_block": _fp8_block,
}
