"""Compiled code that every part of the walk shares: addresses, clocks, and the way through loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from numba import njit, types
from numba.extending import intrinsic

from drawloom.check.code import N_ROW, OP, TEMPLATE, TURNS
from drawloom.check.state import (
    BASES,
    CLOCK,
    COUNTS,
    CPU_QUEUE,
    DONE,
    MOVES,
    N_CLOCK,
    N_ENGINES,
    N_KEPT,
    N_LEVELS,
    ROWS,
    STANDS,
    STARTS,
    STRIDES,
    TURNS_DONE,
)
from drawloom.check.templates import END, LOOP

if TYPE_CHECKING:
    from drawloom.check.state import Cells

_Function = TypeVar("_Function", bound=Callable[..., object])
_OPTIONS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}


def part(function: _Function) -> _Function:
    """Compile a part of the walk, to be called from compiled code only, once for all its callers."""
    made = cast(Any, njit)(**_OPTIONS)(function)
    choose = made.get_call_template

    def chosen(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        # Else Numba compiles a function anew for each constant that it is handed.
        return choose(tuple(cast(Any, types).unliteral(one) for one in args), kws)

    made.get_call_template = chosen
    return cast(_Function, made)


@cast(Any, intrinsic)
def first_of(_: Any, array: Any) -> Any:
    """Return where an array's numbers begin, to be read and written by place.

    Numba spends most of its time on arrays as arguments: their shapes, strides and counts of references. A bare
    pointer has none of these.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, values[0]).data

    return types.CPointer(types.int64)(array), generate


@part
def address(s: Cells, place: int, tile: int) -> int:
    """Return an address at the turns of the loops around."""
    at = s[s[BASES] + place]
    move = s[s[MOVES] + place]
    if move >= 0:
        levels = s[N_LEVELS]
        stride = s[STRIDES] + move * levels
        turn = s[TURNS_DONE] + tile * (levels + 1)
        for level in range(levels):
            at += s[stride + level] * s[turn + level]
    return at


@part
def tick(s: Cells, tile: int) -> int:
    """Count a command of a processor."""
    queue = tile * N_ENGINES + CPU_QUEUE
    s[s[COUNTS] + queue] += 1
    serial = s[s[COUNTS] + queue]
    s[s[CLOCK] + tile * s[N_CLOCK] + queue] = serial
    return serial


@part
def raise_to(s: Cells, clock: int, other: int) -> None:
    """Bring a clock after another; both by where they stand."""
    for k in range(s[N_CLOCK]):
        if s[other + k] > s[clock + k]:
            s[clock + k] = s[other + k]


@part
def follow(s: Cells, tile: int, row: int) -> int:
    """Let a tile stand at the next command from a row on, -1 at its end; steps over loops."""
    levels = s[N_LEVELS]
    turns = s[TURNS_DONE] + tile * (levels + 1)
    level = s[turns + levels]
    end = s[s[STARTS] + tile + 1]
    at = s[ROWS] + row * N_ROW
    while row < end and s[at + OP] <= END:
        if s[at + OP] == LOOP:
            s[turns + level] = 0
            level += 1
            row += 1
        elif s[turns + level - 1] + 1 < s[at + TURNS]:
            s[turns + level - 1] += 1
            row = s[at + TEMPLATE] + 1
        else:
            level -= 1
            s[turns + level] = 0
            row += 1
        at = s[ROWS] + row * N_ROW
    s[turns + levels] = level
    s[s[STANDS] + tile] = row if row < end else -1
    return s[s[STANDS] + tile]


@part
def done_at(s: Cells, queue: int, serial: int) -> int:
    """Return where the clock of a queue's command stands."""
    return s[DONE] + (queue * s[N_KEPT] + serial % s[N_KEPT]) * s[N_CLOCK]
