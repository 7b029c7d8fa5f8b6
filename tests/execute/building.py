"""Small programs and blocked operands for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence

import ml_dtypes
import numpy as np

from drawloom.chip.layout import Blocked, pack, unpack
from drawloom.chip.model import Blocking
from drawloom.execute.machine import Machine
from drawloom.program.commands import Command, Loop
from drawloom.program.program import Origin, Program, Region
from drawloom.units import Bytes

BLOCKING = Blocking(block=64, block_8bit=128, min_tail=4, align=Bytes(256))
SPM = 1 << 18
NUMPY = {
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f32": np.dtype(np.float32),
    "tf32": np.dtype(np.float32),
    "i8": np.dtype(np.int8),
    "u8": np.dtype(np.uint8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
}
Item = Command | Loop


def program(
    *streams: Sequence[Item],
    regions: Sequence[Region] = (),
    data: Sequence[tuple[int, np.ndarray]] = (),
    dram: int = 4096,
    spm: int = SPM,
    origins: Sequence[Origin] = (),
) -> Program:
    return Program(
        name="small",
        chip="test",
        blocking=BLOCKING,
        scratchpad_bytes=spm,
        dram_bytes=dram,
        regions=tuple(regions),
        data=tuple(data),
        streams=tuple(tuple(stream) for stream in streams),
        origins=tuple(origins),
    )


def one_tile(*items: Item, dram: int = 4096, spm: int = SPM) -> Machine:
    """Return a machine with one tile that has not run yet."""
    return Machine(program(items, dram=dram, spm=spm))


def raw(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(array.tobytes(), np.uint8)


def put(memory: np.ndarray, address: int, array: np.ndarray) -> None:
    """Store an array densely."""
    data = raw(array)
    memory[address : address + data.size] = data


def get(memory: np.ndarray, address: int, fmt: str, *shape: int) -> np.ndarray:
    """Load a dense array."""
    n = int(np.prod(shape)) * NUMPY[fmt].itemsize
    return memory[address : address + n].view(NUMPY[fmt]).reshape(shape).copy()


def lies(rows: int, channels: int, fmt: str, batch: int = 1) -> Blocked:
    return Blocked(BLOCKING, batch, rows, channels, NUMPY[fmt].itemsize)


def put_blocked(memory: np.ndarray, address: int, array: np.ndarray, fmt: str) -> Blocked:
    """Store (batch x) rows x channels in the blocked layout; padding is left as it is."""
    values = array.astype(NUMPY[fmt]).reshape(-1, array.shape[-2], array.shape[-1])
    batch, rows, channels = values.shape
    blocked = lies(rows, channels, fmt, batch)
    data = pack(blocked, values)
    used = pack(blocked, np.full(values.shape, -1, f"i{NUMPY[fmt].itemsize}")) != 0
    memory[address : address + data.size][used] = data[used]
    return blocked


def get_blocked(
    memory: np.ndarray, address: int, rows: int, channels: int, fmt: str, batch: int = 1
) -> np.ndarray:
    blocked = lies(rows, channels, fmt, batch)
    values = unpack(blocked, memory[address : address + blocked.bytes], NUMPY[fmt])
    return values if batch > 1 else values[0]


def as_float(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)


def numbers(rng: np.random.Generator, fmt: str, *shape: int) -> np.ndarray:
    """Return ordinary numbers of a format; integers over their whole range."""
    dtype = NUMPY[fmt]
    if fmt == "bool":
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    return rng.normal(size=shape).astype(dtype)
