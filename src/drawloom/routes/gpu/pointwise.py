"""Kernels that pass over rows: norms, softmax, activations, rotations, look-ups, sums.

One thread block a row, a strip of one element a thread at a time, so many passes. Such a kernel is
bound by DRAM, or by how long the strips of a wave of rows take: each waits for its loads, from
DRAM the first time and from L2 after, and for its instructions. Nothing here is fitted but the
launch and DRAM's share, which matrix kernels give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drawloom.chip.gpu import Gpu
from drawloom.routes.gpu.fitted import behaviour
from drawloom.routes.gpu.kernel import Floats

# Of an SM: CUDA C++ programming guide, compute capability 8.0 and 9.0.
THREADS_PER_SM = 2048
LANES = 128  # instructions a cycle, counted by thread
SPECIAL = 16  # results a cycle of exponentials, reciprocals, roots
# Instructions of a thread for a pass over what it takes at a time, and for each element of it:
# addresses, load, count; convert, multiply, add. Assumed.
PER_ACCESS, PER_ELEMENT = 16, 4
WARP = 32
HALF = 2  # bytes of a 16-bit element


@dataclass(frozen=True, slots=True)
class RowKernel:
    """How a kernel passes over a row.

    Attributes:
        read: elements read for each element of a row.
        written: elements written for each.
        passes: times a block goes along its row.
        threads: of a block.
        at_once: elements that a thread takes at a time.
        special: exponentials, reciprocals and roots for an element.
        is_row_a_block: whether a block does one row; else elements are spread over all blocks,
            and only DRAM bounds the kernel.
    """

    read: float
    written: float
    passes: int = 1
    threads: int = 1024
    at_once: int = 1
    special: int = 0
    is_row_a_block: bool = True

    def seconds(self, gpu: Gpu, rows: Any, width: Any) -> Floats:
        """Return the seconds for rows of 16-bit elements from launch to launch in a graph.

        Args:
            gpu: where.
            rows: how many, an array or a number.
            width: elements of a row.
        """
        rows, width = np.asarray(rows, np.float64), np.asarray(width, np.float64)
        habits = behaviour("cublas")
        dram = gpu.dram_rate * habits.dram_share
        moved = (self.read + self.written) * HALF * rows * width / dram
        if not self.is_row_a_block:
            return habits.launch + moved
        used = np.ceil(width / (self.at_once * WARP)) * WARP
        threads = np.minimum(self.threads, used)
        waves = np.ceil(rows / (gpu.sms * THREADS_PER_SM / threads))
        strips = np.ceil(width / (threads * self.at_once))
        waits = gpu.dram_latency + (self.passes - 1) * gpu.l2_latency
        instructions = self.passes * (PER_ACCESS + PER_ELEMENT * self.at_once)
        special = self.at_once * self.special / SPECIAL
        issued = THREADS_PER_SM * (instructions / LANES + special)
        working = waves * strips * (waits + issued) / gpu.clock
        return habits.launch + np.maximum(moved, working)


# As vLLM's and PyTorch's kernels do it: csrc/layernorm_kernels.cu, activation_kernels.cu and
# pos_encoding_kernels.cu of vllm-project/vllm; aten/src/ATen/native/cuda of pytorch/pytorch.
RMS_NORM = RowKernel(read=1, written=1, passes=2)
GATED_ACTIVATION = RowKernel(read=2, written=1, special=2)
ROTATION = RowKernel(read=1, written=1, threads=512)
SUM = RowKernel(read=2, written=1, is_row_a_block=False)
LOOK_UP = RowKernel(read=1, written=1, is_row_a_block=False)
# PyTorch reads a row for its maximum, for its sum and for its result.
SOFTMAX = RowKernel(read=3, written=1, passes=3, at_once=8, special=2)
LAYER_NORM = RowKernel(read=1, written=1, passes=2, threads=512, at_once=4)
