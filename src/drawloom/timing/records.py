"""Where the records of the state are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

from drawloom.timing.state import (
    CAPACITY,
    CHIPS,
    FINISHED,
    FLAGS,
    N_CHIP,
    N_ENGINES,
    N_FLAG,
    N_FLAGS,
    N_PLACES,
    N_QUEUE,
    PLACE_SIZE,
    PLACES,
    QUEUES,
    ROW,
    TILE_SIZE,
    TILES,
    Cells,
)

_Function = TypeVar("_Function", bound=Callable[..., object])
_OPTIONS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}


def part(function: _Function) -> _Function:
    """Compile a part of the event loop, to be called from compiled code only."""
    return cast(_Function, cast(Any, njit)(**_OPTIONS)(function))


@part
def tile_at(s: Cells, tile: int) -> int:
    """Return the place of a tile's record."""
    return s[TILES] + tile * s[TILE_SIZE]


@part
def chip_at(s: Cells, chip: int) -> int:
    """Return the place of a chip's record."""
    return s[CHIPS] + chip * N_CHIP


@part
def queue_at(s: Cells, tile: int, engine: int) -> int:
    """Return the place of a queue's record."""
    return s[QUEUES] + (tile * N_ENGINES + engine) * N_QUEUE


@part
def place_at(s: Cells, tile: int, engine: int, number: int) -> int:
    """Return the place of the record of an engine's command, by its number in issue order."""
    slot = number % s[queue_at(s, tile, engine) + CAPACITY]
    return s[PLACES] + ((tile * N_ENGINES + engine) * s[N_PLACES] + slot) * s[PLACE_SIZE]


@part
def head_row(s: Cells, tile: int, engine: int) -> int:
    """Return the row of the command at the head of a queue."""
    number = s[queue_at(s, tile, engine) + FINISHED]
    return s[place_at(s, tile, engine, number) + ROW]


@part
def flag_at(s: Cells, tile: int, flag: int) -> int:
    """Return the place of a tile's flag."""
    return s[FLAGS] + (tile * s[N_FLAGS] + flag) * N_FLAG
