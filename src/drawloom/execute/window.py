"""Reductions and pools of the vector engine, on channel-blocked operands.

Sums and averages run in float64 (integers: int64) and are rounded once; a NaN
wins every max and min it takes part in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from drawloom.errors import nearest
from drawloom.execute.blocked import Form, form, gather, scatter
from drawloom.execute.faults import Index, Refused
from drawloom.execute.memory import Tile, at
from drawloom.execute.numbers import FLOATS, Values, narrow
from drawloom.program.commands import Pool, Reduce
from drawloom.program.extents import reduced_shape

_AXES = {"c": 3, "w": 2, "h": 1, "hw": (1, 2)}
_REDUCE: dict[str, np.ufunc] = {"sum": np.add, "max": np.maximum, "min": np.minimum}
_POOL: dict[str, np.ufunc] = {"avg": np.add, "max": np.maximum, "min": np.minimum}


def reduce(tile: Tile, command: Reduce, index: Index) -> None:
    """Reduce one blocked array along an axis."""
    if command.op not in _REDUCE or command.axis not in _AXES:
        raise Refused(f"there is no reduction '{command.op}' along '{command.axis}'")
    lies = form(tile.blocking, command.h * command.w, command.c, command.fmt)
    values = np.empty((1, command.h, command.w, command.c), _wide(lies))
    gather(tile.spm, at(command.src, index), lies, values)
    reduced: Values = _REDUCE[command.op].reduce(values, axis=_AXES[command.axis])
    rows, channels = reduced_shape(command)
    out = form(tile.blocking, rows, channels, command.out_fmt)
    result = narrow(reduced.reshape(1, 1, rows, channels), command.out_fmt)
    scatter(tile.spm, at(command.dst, index), out, result)


def pool(tile: Tile, command: Pool, index: Index) -> None:
    """Take the max, min or average of each window of one blocked image."""
    if command.op not in _POOL:
        raise Refused(f"there is no pool '{command.op}': {nearest(command.op, _POOL)}")
    lies = form(tile.blocking, command.h * command.w, command.c, command.fmt)
    image = _padded(tile, command, index, lies)
    result = _windows(image, command)
    if command.op == "avg":
        result = result / _divisors(command)
    high, wide = command.out_hw
    out = form(tile.blocking, high * wide, command.c, command.fmt)
    scatter(tile.spm, at(command.dst, index), out, narrow(result, command.fmt))


def _wide(lies: Form) -> np.dtype[Any]:
    return np.dtype(np.float64 if lies.fmt in FLOATS else np.int64)


def _padded(tile: Tile, command: Pool, index: Index, lies: Form) -> Values:
    """Return the image, 1 x high x wide x c, with padding that never wins and adds nothing."""
    top, bottom, left, right = command.pads
    shape = (1, command.h + top + bottom, command.w + left + right, command.c)
    image = np.full(shape, _neutral(command.op, _wide(lies)))
    inside = image[:, top : top + command.h, left : left + command.w]
    gather(tile.spm, at(command.src, index), lies, inside)
    return image


def _neutral(op: str, dtype: np.dtype[Any]) -> Any:
    if op == "avg":
        return dtype.type(0)
    if dtype.kind == "f":
        return dtype.type(-np.inf if op == "max" else np.inf)
    info = np.iinfo(dtype)
    return dtype.type(info.min if op == "max" else info.max)


def _windows(image: Values, command: Pool) -> Values:
    """Combine, for each position inside the window, the elements it meets."""
    high, wide = command.out_hw
    if min(high, wide) < 1:
        raise Refused(f"the window is larger than the padded image: result {(high, wide)}")
    (down, along), (dy, dx) = command.strides, command.dilations
    function = _POOL[command.op]
    result: Values | None = None
    for ky in range(command.kh):
        rows = slice(ky * dy, ky * dy + (high - 1) * down + 1, down)
        for kx in range(command.kw):
            columns = slice(kx * dx, kx * dx + (wide - 1) * along + 1, along)
            part = image[:, rows, columns]
            result = part.copy() if result is None else function(result, part, out=result)
    assert result is not None
    return result


def _divisors(command: Pool) -> Values:
    """Return the elements each window counts, high x wide x 1."""
    if command.count_pad:
        return np.asarray(command.kh * command.kw)
    high, wide = command.out_hw
    top, _, left, _ = command.pads
    down, along = command.strides
    dy, dx = command.dilations
    rows = _inside(high, down, command.kh, dy, top, command.h)
    columns = _inside(wide, along, command.kw, dx, left, command.w)
    return np.outer(rows, columns)[:, :, None]


def _inside(n: int, stride: int, taps: int, dilation: int, pad: int, size: int) -> Values:
    """Return, for each of ``n`` windows along one axis, the taps that meet the image."""
    positions = np.arange(n)[:, None] * stride + np.arange(taps) * dilation - pad
    return np.sum((positions >= 0) & (positions < size), axis=1)
