"""Small programs for the tests of this room, and the event loop as plain Python."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from numba.core import config as numba_config

from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.program.commands import Command, Loop, MatMul, Move, Read, Vector, Write
from drawloom.program.program import Origin, Program
from drawloom.timing.machine import LOOP_FILES

Item = Command | Loop
ORIGINS = (Origin("p0", "first", "layer.0"), Origin("p1", "second", "layer.1"))
KIB = 1024


@cache
def chip() -> Chip:
    return load_chip("tx81")


def program(*streams: Sequence[Item], origins: Sequence[Origin] = ORIGINS) -> Program:
    return Program(
        name="small",
        chip="tx81",
        blocking=chip().blocking,
        scratchpad_bytes=chip().scratchpad.bytes,
        dram_bytes=1 << 30,
        regions=(),
        data=(),
        streams=tuple(tuple(stream) for stream in streams),
        origins=tuple(origins),
    )


def add(a: int, dst: int, count: int = 2048, origin: int = -1) -> Vector:
    """``count`` FP16 elements of ``a`` plus themselves: 46 + count / 64 cycles."""
    return Vector("add", a, dst, count, "f16", "f16", b=a, origin=origin)


def gemm(a: int, b: int, dst: int, origin: int = -1) -> MatMul:
    """One block of 64 x 64 x 64 (8 KiB each operand): 64 + 18 + 1 cycles."""
    return MatMul(a, b, dst, 64, 64, 64, "f16", "f16", origin=origin)


def read(dram: int, spm: int, n: int = 4 * KIB) -> Read:
    return Read(dram, spm, n)


def write(spm: int, dram: int, n: int = 4 * KIB) -> Write:
    return Write(spm, dram, n)


def move(src: int, dst: int, n: int = 4 * KIB) -> Move:
    return Move(src, dst, n)


@cache
def _plain_advance() -> Any:
    """The event loop loaded a second time, with Numba told not to compile."""
    names = [f"drawloom.timing.{name}" for name in LOOP_FILES]
    package: Any = sys.modules["drawloom.timing"]
    kept = {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]
    config: Any = numba_config
    was, config.DISABLE_JIT = config.DISABLE_JIT, True
    try:
        return importlib.import_module("drawloom.timing.machine").advance
    finally:
        config.DISABLE_JIT = was
        sys.modules.update(kept)
        for name, module in kept.items():
            setattr(package, name.rsplit(".", 1)[1], module)


@contextmanager
def plain_python() -> Iterator[None]:
    """Within this, programs are timed by plain Python instead of compiled code."""
    machine: Any = importlib.import_module("drawloom.timing.machine")
    advance, machine.advance = machine.advance, _plain_advance()
    try:
        yield
    finally:
        machine.advance = advance
