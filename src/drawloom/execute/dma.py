"""Bytes on the move: read, write, move, fill, select, and the transfer of a send.

A contiguous run is one NumPy element of that many bytes (``V64``): a strided
copy then costs one memcpy a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.execute.faults import Index, Refused
from drawloom.execute.memory import Memory, Tile, at
from drawloom.execute.numbers import narrow, stored
from drawloom.program.commands import Dims, Fill, Move, Pick, Read, Select, Send, Write
from drawloom.program.extents import moved_bytes

_BYTE = np.dtype(np.uint8)
_INDEX = np.dtype(np.int64)


@lru_cache(maxsize=4096)
def run_of(n: int) -> np.dtype[Any]:
    """Return the dtype of one contiguous run of ``n`` bytes."""
    return np.dtype((np.void, n))


def read(tile: Tile, command: Read, index: Index) -> None:
    """DRAM to scratchpad, compacting."""
    target, source = at(command.spm, index), at(command.dram, index)
    if not command.dims:
        run = tile.dram.array(source, command.inner, _BYTE)
        tile.spm.array(target, command.inner, _BYTE)[:] = run
        return
    runs = _runs(tile.dram, source, command.inner, command.dims)
    tile.spm.array(target, runs.size, runs.dtype).reshape(runs.shape)[...] = runs


def pick(tile: Tile, command: Pick, index: Index) -> None:
    """Read from the place whose number stands in DRAM."""
    number = int(tile.dram.array(at(command.index, index), 1, _INDEX)[0])
    if not 0 <= number < command.entries:
        raise Refused(f"it picks entry {number}; there are {command.entries}, from 0 on")
    source = at(command.dram, index) + number * command.step
    read(tile, Read(source, command.spm, command.inner, command.dims), index)


def write(tile: Tile, command: Write, index: Index) -> None:
    """Scratchpad to DRAM, spreading."""
    target, source = at(command.dram, index), at(command.spm, index)
    if not command.dims:
        run = tile.spm.array(source, command.inner, _BYTE)
        tile.dram.array(target, command.inner, _BYTE)[:] = run
        return
    runs = _runs(tile.dram, target, command.inner, command.dims)
    runs[...] = tile.spm.array(source, runs.size, runs.dtype).reshape(runs.shape)


def move(tile: Tile, command: Move, index: Index) -> None:
    """Scratchpad to scratchpad; all is read before anything is written."""
    target, source = at(command.dst, index), at(command.src, index)
    runs = _runs(tile.spm, source, command.inner, tuple((s, n) for s, _, n in command.dims))
    spread = _runs(tile.spm, target, command.inner, tuple((t, n) for _, t, n in command.dims))
    # NumPy guards overlapping elements only where they overlap whole.
    spread[...] = runs.copy()


def fill(tile: Tile, command: Fill, index: Index) -> None:
    """Write copies of one value."""
    target = tile.spm.array(at(command.dst, index), command.count, stored(command.fmt))
    target[:] = narrow(np.asarray(command.value, np.float64), command.fmt)


def select(tile: Tile, command: Select, index: Index) -> None:
    """Copy the elements whose mask byte is not zero."""
    element = run_of(command.element)
    mask = tile.spm.array(at(command.mask, index), command.count, _BYTE)
    source = tile.spm.array(at(command.src, index), command.count, element)
    target = tile.spm.array(at(command.dst, index), command.count, element)
    chosen = mask != 0
    target[chosen] = source[chosen]


def send(tile: Tile, command: Send, index: Index, targets: Sequence[int] | None = None) -> None:
    """Gather from this tile's scratchpad, compact in each target's, or in those of some ``targets``."""
    runs = _runs(tile.spm, at(command.src, index), command.inner, command.dims).copy()
    target = at(command.dst, index)
    n = moved_bytes(command.inner, command.dims)
    landed = runs.reshape(-1).view(_BYTE)
    for number in command.targets if targets is None else targets:
        tile.peer(number, command.chip).spm.array(target, n, _BYTE)[:] = landed


def _runs(memory: Memory, address: int, inner: int, dims: Dims) -> NDArray[np.void]:
    shape = tuple(count for _, count in dims)
    strides = tuple(stride for stride, _ in dims)
    return memory.strided(address, run_of(inner), shape, strides)
