"""Channel-blocked operands to dense arrays and back (layout in ``chip/layout.py``).

Rows are seen as two axes, ``r0 x r1`` (image height and width, or kernel
position and output channel), so that one strided copy both unblocks and
transposes or pads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.layout import Blocked
from drawloom.chip.model import Blocking
from drawloom.execute.memory import POISON, Memory
from drawloom.execute.numbers import Values, round_tf32, stored

_BYTE = np.dtype(np.uint8)


@dataclass(frozen=True, slots=True)
class Form:
    """How one blocked matrix of ``rows x channels`` lies in memory (sizes in elements)."""

    fmt: str
    dtype: np.dtype[Any]
    rows: int
    block: int
    full: int
    rest: int
    tail: int

    @property
    def split(self) -> int:
        """Channels in full blocks."""
        return self.full * self.block


@lru_cache(maxsize=4096)
def form(blocking: Blocking, rows: int, channels: int, fmt: str) -> Form:
    """Return the form of a blocked operand; Refused for an unknown format."""
    dtype = stored(fmt)
    lies = Blocked(blocking, 1, rows, channels, dtype.itemsize)
    return Form(fmt, dtype, rows, lies.block, lies.full, lies.rest, lies.tail)


def gather(memory: Memory, address: int, form: Form, out: NDArray[Any], step: int = 0) -> None:
    """Copy a blocked operand into ``out``, cast to its dtype.

    Args:
        memory: where the operand lies.
        address: its first byte.
        form: how it lies.
        out: batch x r0 x r1 x channels, with any strides; r0 * r1 are the form's rows.
        step: bytes from one matrix of the batch to the next.
    """
    if form.full:
        head = _head(memory, address, form, out.shape, step)
        _split(out, form)[...] = _entering(head, form)
    if form.tail:
        tail = _tail(memory, address, form, out.shape, step)
        out[..., form.split :] = _entering(tail, form)


def scatter(memory: Memory, address: int, form: Form, values: Values, step: int = 0) -> None:
    """Copy dense values (batch x r0 x r1 x channels) to where a blocked operand lies.

    Padding channels of the tail are poisoned: they hold no defined value, and a
    program that counts on them shall see that.
    """
    if form.full:
        _head(memory, address, form, values.shape, step)[...] = _split(values, form)
    if form.tail:
        tail = _tail(memory, address, form, values.shape, step)
        tail[...] = values[..., form.split :]
        if form.tail > form.rest:
            _poison(memory, address, form, values.shape[0], step)


def _entering(view: Values, form: Form) -> Values:
    return round_tf32(view) if form.fmt == "tf32" else view


def _split(dense: Values, form: Form) -> Values:
    """View the full blocks of a dense array as batch x full x r0 x r1 x block."""
    batch, r0, r1, _ = dense.shape
    heads = dense[..., : form.split].reshape(batch, r0, r1, form.full, form.block)
    return heads.transpose(0, 3, 1, 2, 4)


def _head(memory: Memory, address: int, form: Form, shape: tuple[int, ...], step: int) -> Values:
    """View the full blocks in memory as batch x full x r0 x r1 x block."""
    batch, r0, r1, _ = shape
    element = form.dtype.itemsize
    row = form.block * element
    return memory.strided(
        address,
        form.dtype,
        (batch, form.full, r0, r1, form.block),
        (step, form.rows * row, r1 * row, row, element),
    )


def _tail(memory: Memory, address: int, form: Form, shape: tuple[int, ...], step: int) -> Values:
    """View the tail in memory, less its padding, as batch x r0 x r1 x rest."""
    batch, r0, r1, _ = shape
    element = form.dtype.itemsize
    row = form.tail * element
    start = address + form.rows * form.split * element
    return memory.strided(
        start, form.dtype, (batch, r0, r1, form.rest), (step, r1 * row, row, element)
    )


def _poison(memory: Memory, address: int, form: Form, batch: int, step: int) -> None:
    element = form.dtype.itemsize
    start = address + (form.rows * form.split + form.rest) * element
    width = (form.tail - form.rest) * element
    row = form.tail * element
    padding = memory.strided(start, _BYTE, (batch, form.rows, width), (step, row, 1))
    padding[...] = POISON
