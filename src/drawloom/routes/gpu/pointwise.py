"""Kernels that pass over rows: norms, softmax, activations, rotations, look-ups, sums.

One thread block a row, a strip of a few elements a thread at a time, so many passes. Blocks run in
waves, as many as an SM holds threads of; those of a wave go in step:

    strip = latency of what it loads + the longer of: its instructions, its bytes at the SM's share
            of the memory
    wave  = start of a block + loads that come before the row + passes x strips + sums over threads
    all   = launch + the longer of: the waves one after the other, DRAM

What the kernel before has just written is still in L2 where it fits, with what is written now. Nothing
here is fitted on row kernels: the launch, the start of a block, DRAM's and L2's shares are those of
matrix kernels; instructions are counted in machine code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drawloom.chip.gpu import Gpu
from drawloom.routes.gpu.fitted import behaviour
from drawloom.routes.gpu.kernel import Floats

# Of an SM: CUDA C++ programming guide, compute capability 8.0 and 9.0.
THREADS_PER_SM = 2048
LANES = 128  # instructions a cycle, counted by thread
SPECIAL = 16  # results a cycle of exponentials, reciprocals, roots
WARP = 32
HALF = 2  # bytes of a 16-bit element
# Cycles of a sum over a block between two passes: ten exchanges within a warp, each with its sum, two
# barriers, a root and a quotient. Assumed, from latencies of some 30 cycles an exchange.
BLOCK_SUM = 600
# A look-up's grid: so many blocks an SM, of so many threads, an element a thread at a time, its row's
# number first. Source: aten/src/ATen/native/cuda/Indexing.cu of pytorch/pytorch.
LOOK_UP_BLOCKS, LOOK_UP_THREADS, LOOK_UP_INSTRUCTIONS = 8, 128, 31


@dataclass(frozen=True, slots=True)
class Pass:
    """One way along a row, by what a thread takes at a time.

    Instructions are those of the loop in the machine code that nvcc 13 makes for compute capability
    8.0; ``benchmarks/validation/count_rows.py`` counts them.

    Attributes:
        instructions: of a thread.
        special: exponentials, reciprocals and roots.
        moved: elements read and written for each that is taken.
        is_again: whether a pass before has read it, so that L2 has it.
    """

    instructions: float
    special: float = 0
    moved: float = 1
    is_again: bool = False


@dataclass(frozen=True, slots=True)
class RowKernel:
    """How a kernel passes over a row.

    Attributes:
        read: elements read for each element of a row.
        written: elements written for each.
        fresh: of those read, how many the kernel before has just written.
        passes: ways of a block along its row; none where elements are spread over all blocks, and
            only DRAM bounds the kernel.
        threads: of a block.
        at_once: elements that a thread takes at a time.
        before: loads that wait for each other before the row's first strip.
        has_shared: whether a pass reads a value for each column that all rows share.
    """

    read: float
    written: float
    fresh: float = 1
    passes: tuple[Pass, ...] = field(default=())
    threads: int = 1024
    at_once: int = 1
    before: int = 0
    has_shared: bool = False

    def seconds(self, gpu: Gpu, rows: Any, width: Any) -> Floats:
        """Return the seconds for rows of 16-bit elements from launch to launch in a graph.

        Args:
            gpu: where.
            rows: how many, an array or a number.
            width: elements of a row.
        """
        rows, width = np.asarray(rows, np.float64), np.asarray(width, np.float64)
        habits = behaviour("cublas")
        each = HALF * rows * width
        dram = gpu.dram_rate * habits.dram_share
        stays = (self.fresh + self.written) * each <= habits.l2_share * gpu.l2
        moved = ((self.read + self.written) * each - np.where(stays, self.fresh * each, 0)) / dram
        if not self.passes:
            return habits.launch + moved
        working = self._cycles(gpu, rows, width, stays) / gpu.clock
        return habits.launch + np.maximum(moved, working)

    def _cycles(self, gpu: Gpu, rows: Floats, width: Floats, stays: Any) -> Floats:
        """Return the cycles of all waves one after the other."""
        used = np.minimum(self.threads, np.ceil(width / (self.at_once * WARP)) * WARP)
        most = np.floor(THREADS_PER_SM / used)
        strips = np.ceil(width / (used * self.at_once))
        blocks = rows / gpu.sms
        full = np.floor(blocks / most)
        rest = np.ceil(blocks - full * most)
        start = behaviour("cublas").tile_switch * gpu.clock

        def wave(held: Floats) -> Floats:
            strip = self._strip(gpu, held * used, stays)
            sums = BLOCK_SUM * (len(self.passes) - 1)
            return start + self.before * gpu.dram_latency + strips * strip + sums

        # Only the first wave finds what rows share in DRAM.
        shared = strips * (gpu.dram_latency - gpu.l2_latency) if self.has_shared else 0.0
        return full * wave(most) + np.where(rest > 0, wave(np.maximum(rest, 1)), 0) + shared

    def _strip(self, gpu: Gpu, threads: Floats, stays: Any) -> Floats:
        """Return the cycles of a strip in all passes, with so many threads on an SM."""
        habits = behaviour("cublas")
        from_dram = gpu.dram_rate * habits.dram_share / (gpu.sms * gpu.clock)
        rate = np.where(stays, habits.l2_width, from_dram)
        first = np.where(stays & (self.fresh > 0), gpu.l2_latency, gpu.dram_latency)
        cycles = np.zeros_like(threads)
        for each in self.passes:
            issued = threads * max(each.instructions / LANES, each.special / SPECIAL)
            moving = threads * self.at_once * HALF * each.moved / rate
            waited = gpu.l2_latency if each.is_again else first
            cycles = cycles + waited + np.maximum(issued, moving)
        return cycles


@dataclass(frozen=True, slots=True)
class LookUp:
    """Rows of a table by number: a number, then an element, one after the other in every thread."""

    read: float = 1
    written: float = 1

    def seconds(self, gpu: Gpu, rows: Any, width: Any) -> Floats:
        """Return the seconds for so many rows of 16-bit elements; see ``RowKernel.seconds``."""
        total = np.asarray(rows, np.float64) * np.asarray(width, np.float64)
        habits = behaviour("cublas")
        moved = (self.read + self.written) * HALF * total / (gpu.dram_rate * habits.dram_share)
        blocks = np.clip(np.ceil(total / LOOK_UP_THREADS), 1, gpu.sms * LOOK_UP_BLOCKS)
        turns = np.ceil(total / (blocks * LOOK_UP_THREADS))
        threads = np.ceil(blocks / gpu.sms) * LOOK_UP_THREADS
        turn = gpu.l2_latency + gpu.dram_latency + threads * LOOK_UP_INSTRUCTIONS / LANES
        return habits.launch + np.maximum(moved, turns * turn / gpu.clock)


# As vLLM's and PyTorch's kernels do it: csrc/layernorm_kernels.cu, activation_kernels.cu and
# pos_encoding_kernels.cu of vllm-project/vllm; aten/src/ATen/native/cuda of pytorch/pytorch.
_SQUARES, _SCALED = Pass(9), Pass(15, is_again=True)
RMS_NORM = RowKernel(1, 1, passes=(_SQUARES, _SCALED), has_shared=True)
GATED_ACTIVATION = RowKernel(2, 1, fresh=2, passes=(Pass(45, special=2, moved=3),))
# A thread turns a pair of elements; the token's position comes first, then the angles' cosines.
ROTATION = RowKernel(1, 1, passes=(Pass(48, moved=2),), threads=512, at_once=2, before=2)
SUM = RowKernel(2, 1)
LOOK_UP = LookUp()
# PyTorch reads a row for its maximum, for its sum and for its result.
SOFTMAX = RowKernel(
    1, 1, at_once=8,
    passes=(Pass(22), Pass(70, special=8, moved=0, is_again=True), Pass(181, special=16, is_again=True)),
)  # fmt: skip
LAYER_NORM = RowKernel(
    1, 1, threads=128, at_once=4, has_shared=True,
    passes=(Pass(83, special=4), Pass(41, is_again=True)),
)  # fmt: skip


def passing(count: int) -> RowKernel:
    """Return a kernel of so many passes over its rows, as plain as a norm's."""
    return RowKernel(1, 1, passes=(_SQUARES, *(_SCALED for _ in range(count - 1))))
