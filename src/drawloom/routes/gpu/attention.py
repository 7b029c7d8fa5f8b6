"""Flash attention on a GPU, over a prompt and for one token: tiles, splits, softmax, memory.

Queries of one key-value head stand in one tile, so that a tile of rows serves a group of heads.
A tile walks over blocks of keys and values: two products on the tensor cores, and exponentials
on the special function units, which hide only in part behind them.

Tiles, the largest number of splits and the number of sequences beyond which splits are not
planned: hopper/tile_size.h, hopper/heuristics.h, flash_api.cpp of Dao-AILab/flash-attention and
the attention backend of vllm-project/vllm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.gpu import Gpu
from drawloom.routes.gpu.fitted import numbers
from drawloom.routes.gpu.kernel import Floats

ROWS = {64: 192}  # queries of a tile, by size of a head; 128 of any other
KEYS = {64: 128, 128: 128, 192: 96, 256: 80, 512: 64}  # keys of a block
WIDE_ROWS, WIDE = 64, 512  # heads so wide take tiles of fewer queries, and kernels of their own
EXPONENTIALS = 16  # a cycle and SM (CUDA C++ programming guide, compute capability 8.0 and 9.0)
MOST_SPLITS = 32  # of a captured graph
FULL_ENOUGH = 0.8  # of the SMs: with so many tiles keys are not split
PLANNED = 992  # sequences up to which a kernel plans the tiles beforehand
CAPTURED = 512  # sequences of the largest captured graph


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """Attention of many sequences at once, any number of cases: arrays of one length.

    Attributes:
        batch: sequences.
        tokens: of the prompt, or earlier tokens and the new one.
        heads: of queries.
        kv_heads: of keys and values.
        head_dim: size of a head.
        window: how far back a token sees, 0 for all the way.
        kv_bytes: of a number in the cache, 1 or 2; with 1, products run on 8-bit formats.
        queries: of a sequence in a prompt, the last of ``tokens``; 0 for all of them.
        is_causal: 1 where a query sees no later keys.
    """

    batch: Floats
    tokens: Floats
    heads: Floats
    kv_heads: Floats
    head_dim: Floats
    window: Floats
    kv_bytes: Floats
    queries: Floats
    is_causal: Floats

    @staticmethod
    def of(
        batch: Any,
        tokens: Any,
        heads: Any,
        kv_heads: Any,
        head_dim: Any,
        window: Any,
        kv_bytes: Any,
        queries: Any = 0,
        is_causal: Any = 1,
    ) -> Attention:
        """Return the cases from arrays or numbers, spread to one length."""
        given = (
            batch, tokens, heads, kv_heads, head_dim, window, kv_bytes, queries, is_causal,
        )  # fmt: skip
        columns = np.broadcast_arrays(
            *(np.atleast_1d(np.asarray(each, np.float64)) for each in given)
        )
        return Attention(*columns)

    def chosen(self, where: NDArray[np.bool_]) -> Attention:
        """Return some of the cases."""
        return Attention(
            self.batch[where],
            self.tokens[where],
            self.heads[where],
            self.kv_heads[where],
            self.head_dim[where],
            self.window[where],
            self.kv_bytes[where],
            self.queries[where],
            self.is_causal[where],
        )

    def rows(self) -> Floats:
        """Return the queries of a tile."""
        narrow = np.array([ROWS.get(int(size), 128) for size in self.head_dim])
        return np.where(self.head_dim >= WIDE, WIDE_ROWS, narrow)

    def keys(self) -> Floats:
        """Return the keys of a block: those of the next larger head that has a tile of its own."""
        sizes = np.array(sorted(KEYS))
        at = np.searchsorted(sizes, self.head_dim).clip(0, len(sizes) - 1)
        return np.array([KEYS[int(size)] for size in sizes], np.float64)[at]

    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """Return which cases go to which kernels."""
        is_wide = self.head_dim >= WIDE
        is_short = self.kv_bytes < 2
        return {"fa3": ~is_wide & ~is_short, "fa3_fp8": ~is_wide & is_short, "fa4": is_wide}


def prefill_seconds(gpu: Gpu, cases: Attention) -> Floats:
    """Return the seconds of attention over prompts; causal ones store keys and values too."""
    return _by_kernel(cases, "prefill", lambda some, fitted: _prefill(gpu, some, fitted))


def decode_seconds(gpu: Gpu, cases: Attention) -> Floats:
    """Return the seconds of attention of one new token a sequence, storing its key and value."""
    return _by_kernel(cases, "decode", lambda some, fitted: _decode(gpu, some, fitted))


def _by_kernel(
    cases: Attention, phase: str, seconds: Callable[[Attention, dict[str, float]], Floats]
) -> Floats:
    result = np.empty_like(cases.batch)
    for kernel, where in cases.groups().items():
        if where.any():
            result[where] = seconds(cases.chosen(where), numbers(f"{phase}_{kernel}"))
    return result


@cache
def causal_blocks(
    tokens: float,
    group: float,
    rows: float,
    keys: float,
    window: float,
    queries: float = 0,
    is_causal: float = 1,
) -> tuple[int, float, float]:
    """Return tiles of one key-value head, the blocks of keys of all of them, of the longest one."""
    queries = queries or tokens
    tiles = int(np.ceil(queries * group / rows))
    tile = np.arange(tiles)
    earlier = tokens - queries
    first = earlier + np.floor(tile * rows / group)
    last = np.minimum(tokens, earlier + np.ceil((tile + 1) * rows / group))
    start = np.maximum(0, first - window) if window > 0 else np.zeros(tiles)
    end = last if is_causal else np.full(tiles, tokens)
    blocks = np.ceil(end / keys) - np.floor(start / keys)
    return tiles, float(blocks.sum()), float(blocks.max())


def _prefill(gpu: Gpu, cases: Attention, fitted: dict[str, float]) -> Floats:
    rows, keys = cases.rows(), cases.keys()
    group = cases.heads / cases.kv_heads
    queries = np.where(cases.queries > 0, cases.queries, cases.tokens)
    columns = zip(
        cases.tokens, group, rows, keys, cases.window, queries, cases.is_causal, strict=True
    )
    counted = np.array([causal_blocks(*map(float, each)) for each in columns])
    tiles, blocks, longest = counted.T
    step = _step(gpu, rows, keys, cases.head_dim, fitted)
    end = fitted["tile_start"] + 4 * rows * cases.head_dim / (gpu.clock * fitted["store_width"])
    many = cases.batch * cases.kv_heads * tiles
    each = blocks / tiles * step + end
    even, share = fitted["evened"], many / gpu.sms
    work = ((1 - even) * np.ceil(share) + even * share) * each
    work = np.maximum(work, longest * step + end)
    numbers_kv = cases.batch * cases.tokens * cases.kv_heads * cases.head_dim * 2
    numbers_q = cases.batch * queries * cases.heads * cases.head_dim * 2
    dram = gpu.dram_rate * fitted["dram_share"]
    moved = (2 * numbers_q + cases.kv_bytes * numbers_kv) / dram
    stored = cases.is_causal * numbers_kv * queries / cases.tokens
    storing = (2 + cases.kv_bytes) * stored / (gpu.dram_rate * fitted["store_share"])
    together = _joined(work, moved, fitted["sharpness"])
    return fitted["launch"] + fitted["sequence"] * cases.batch + together + storing


def _step(
    gpu: Gpu, rows: Floats, keys: Floats, head_dim: Floats, fitted: dict[str, float]
) -> Floats:
    """Return seconds for one block of keys: two products, exponentials as far as not hidden."""
    products = 2 * rows * keys * head_dim / (gpu.macs("bf16") * gpu.clock)
    exponentials = rows * keys / (EXPONENTIALS * gpu.clock)
    shown = fitted["exponentials_shown"]
    return products / fitted["mma_share"] + shown * exponentials + fitted["step_start"]


def _decode(gpu: Gpu, cases: Attention, fitted: dict[str, float]) -> Floats:
    keys = cases.keys()
    seen = np.where(cases.window > 0, np.minimum(cases.tokens, cases.window + 1), cases.tokens)
    blocks = np.ceil(seen / keys)
    many = cases.batch * cases.kv_heads
    wanted = np.floor(gpu.sms / many).clip(1, np.minimum(MOST_SPLITS, blocks))
    splits = np.where(many >= FULL_ENOUGH * gpu.sms, 1, wanted)
    if fitted["splits_always"]:
        splits = np.where(cases.batch <= CAPTURED, float(MOST_SPLITS), 1)
    block_bytes = keys * cases.head_dim * 2 * cases.kv_bytes
    step = fitted["step_start"] + block_bytes / (gpu.clock * fitted["block_width"])
    end = fitted["tile_start"] + 256 * cases.head_dim / (gpu.clock * fitted["store_width"])
    each = np.ceil(blocks / splits) * step + end
    share = many * splits / gpu.sms
    even = fitted["evened"]
    work = ((1 - even) * np.ceil(share) + even * np.maximum(1, share)) * each
    dram = gpu.dram_rate * fitted["dram_share"]
    moved = many * seen * cases.head_dim * 2 * cases.kv_bytes
    moved += 4 * cases.batch * cases.heads * cases.head_dim
    parts = np.where(splits > 1, splits, 0) * cases.batch * cases.heads * cases.head_dim * 8
    adding = np.where(splits > 1, fitted["split_start"], 0) + parts / dram
    planning = np.where(cases.batch <= PLANNED, fitted["sequence"], 0) * cases.batch
    together = _joined(work, moved / dram, fitted["sharpness"])
    return fitted["launch"] + together + adding + planning


def _joined(one: Floats, other: Floats, sharpness: float) -> Floats:
    return (one**sharpness + other**sharpness) ** (1 / sharpness)
