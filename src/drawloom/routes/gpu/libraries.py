"""Which tiles the kernel libraries have, and which of them they take for a shape.

cuBLAS and DeepGEMM look for the tile that they expect to be quickest; so do we, by this model's
own times. vLLM's CUTLASS kernels for FP8 on Hopper go by M and N alone.
Source: csrc/quantization/w8a8/cutlass/c3x/scaled_mm_sm90_fp8_dispatch.cuh of vllm-project/vllm
(tiles, clusters, schedules and limits); deep_gemm/jit_kernels of deepseek-ai/DeepGEMM (block
sizes); the tile sizes in the names of cuBLAS's kernels as profilers print them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from drawloom.chip.gpu import Gpu
from drawloom.routes.gpu.fitted import Behaviour
from drawloom.routes.gpu.kernel import Floats, Kernel, Shapes, Tile

STEP_BYTES = 128  # of a row of operands loaded at a time: the widest swizzle of a scratchpad
CLUSTERED = 128 * 128  # results from which tiles come in pairs
PARTS = (1, 2, 3, 4, 6, 8, 16, 32)
MANY_PARTS = 4  # of a tile larger than CLUSTERED at most

_SIDES = {
    8: (64,),
    16: (64, 128),
    32: (64, 128),
    64: (8, 16, 32, 64, 96, 128, 192, 256),
    96: (128, 256),
    128: (64, 96, 128, 160, 192, 224, 256, 320),
    160: (128, 192),
    192: (64, 96, 128, 160, 192),
    224: (128,),
    256: (64, 96, 128, 160),
    320: (128,),
}


# GPUs without clusters have kernels of an older kind, of fewer sizes and half the step.
_OLDER = ((64, 64), (64, 128), (64, 256), (128, 64), (128, 128), (128, 256), (256, 64), (256, 128))


def cublas_tiles(gpu: Gpu, operand_bytes: float) -> list[Tile]:
    """Return cuBLAS's tiles; large ones as pairs that share the operand along either side."""
    step = int(STEP_BYTES / operand_bytes)
    if not gpu.has_clusters:
        return [Tile(m, n, step // 2) for m, n in _OLDER]
    tiles: list[Tile] = []
    for m, sides in _SIDES.items():
        for n in sides:
            clusters = ((2, 1), (1, 2)) if m * n >= CLUSTERED else ((1, 1),)
            tiles += [Tile(m, n, step, *cluster) for cluster in clusters]
    return tiles


# Before its kernels called nvjet came, cuBLAS had for GPUs with clusters those that profilers print as
# sm90_xmma_gemm_..._tilesize64x64x64 and so on: these sizes alone, and one way to share operands,
# along M, where the name says no other (cgasize).
_XMMA = ((64, 64), (64, 128), (128, 128), (128, 256), (256, 128))


def earlier_cublas_tiles(gpu: Gpu, operand_bytes: float) -> list[Tile]:
    """Return the tiles of a cuBLAS of CUDA 12.1, as PyTorch 2.1 to 2.3 brought it."""
    if not gpu.has_clusters:
        return cublas_tiles(gpu, operand_bytes)
    step = int(STEP_BYTES / operand_bytes)
    return [Tile(m, n, step, 2 if m * n >= CLUSTERED else 1, 1) for m, n in _XMMA]


def cublas(
    gpu: Gpu,
    habits: Behaviour,
    number_format: str,
    operand_bytes: float,
    shapes: Shapes,
    tiles: Iterable[Tile] | None = None,
) -> Floats:
    """Return the seconds of cuBLAS's products: the quickest tile and number of parts.

    Args:
        gpu: where.
        habits: of the library's kernels.
        number_format: of the operands.
        operand_bytes: of a number of them.
        shapes: of the products.
        tiles: that the release has; by default those of a recent one.
    """
    best = np.full(shapes.m.shape, np.inf)
    for tile in tiles or cublas_tiles(gpu, operand_bytes):
        kernel = Kernel(gpu, habits, tile, number_format, operand_bytes)
        for parts in PARTS:
            if parts > MANY_PARTS and tile.m * tile.n > CLUSTERED:
                continue
            seconds = kernel.seconds(shapes, parts)
            if parts > 1:
                seconds[shapes.k / parts < habits.split_least] = np.inf
            np.minimum(best, seconds, out=best)
    return best


def quickest(
    gpu: Gpu, habits: Behaviour, number_format: str, tiles: Iterable[Tile], shapes: Shapes
) -> Floats:
    """Return the seconds with the quickest of some tiles for 8-bit operands, sums in one part."""
    times = [Kernel(gpu, habits, tile, number_format, 1).seconds(shapes) for tile in tiles]
    return np.min(times, axis=0)


# M and N up to which a kernel is taken, its tile, and how long its epilogue takes beside the
# overlapped ones' (name of a fitted number). Where is_turned, the weights are the tile's rows.
_FEW = Tile(64, 16, 256, is_overlapped=False)
_VLLM_FP8 = (
    (16, 1280, replace(_FEW, cluster_n=2), "few", True),
    (16, np.inf, _FEW, "few", True),
    (64, 1280, replace(_FEW, cluster_n=4), "few", True),
    (64, np.inf, replace(_FEW, n=64), "some", True),
    (128, np.inf, Tile(64, 128, 128, 2, 1), "", False),
    (np.inf, np.inf, Tile(128, 128, 128, 2, 1), "", False),
)


def vllm_fp8(gpu: Gpu, habits: Behaviour, starts: dict[str, float], shapes: Shapes) -> Floats:
    """Return the seconds of vLLM's CUTLASS products of FP8 with one scale a row and column.

    Args:
        gpu: one that has FP8.
        habits: of these kernels; ``tile_start`` is that of the kernels with overlapped epilogues.
        starts: ``tile_start`` of those without, seconds by ``few`` and ``some``.
        shapes: of the products.
    """
    seconds = np.full(shapes.m.shape, np.nan)
    for most_m, most_n, tile, start, is_turned in _VLLM_FP8:
        here = np.isnan(seconds) & (shapes.m <= most_m) & (shapes.n <= most_n)
        chosen = shapes.of(here)
        used = replace(habits, tile_start=starts[start]) if start else habits
        kernel = Kernel(gpu, used, tile, "f8", 1)
        times = kernel.seconds(chosen.turned() if is_turned else chosen)
        seconds[here] = used.launch + (times - used.launch) * _outside(
            used, tile, chosen, is_turned
        )
    return seconds


def _outside(habits: Behaviour, tile: Tile, shapes: Shapes, is_turned: bool) -> Floats:
    """Return how much longer kernels take whose last tiles reach beyond the rows of M.

    The loads of such a tile are filled with zeros, which takes longer the more of what is loaded
    at a time lies outside: the square of its share, fitted.
    """
    high = tile.n * tile.cluster_n if is_turned else tile.m * tile.cluster_m
    other = tile.m if is_turned else tile.n
    rows = np.ceil(shapes.m / high)
    share = (rows * high - shapes.m) / (high + other)
    return 1 + habits.outside * share**2 / rows


_BLOCK_N = (32, 48, 64, 80, 96, 112, 128, 144, 160)
DEEPGEMM = tuple(
    Tile(m, n, 128, *cluster)
    for m in (64, 128, 256)
    for n in _BLOCK_N
    for cluster in ((1, 1), (2, 1), (1, 2))
    if m * n <= CLUSTERED * 2
)
FLASHINFER = tuple(Tile(m, n, 128) for m in (64, 128) for n in (8, 16, 32))
CUTLASS_BLOCKS = (Tile(128, 128, 128, 2, 1),)
