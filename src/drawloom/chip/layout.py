"""The channel-blocked layout (Cx): where each channel of each row lies.

A blocked array holds ``batch`` matrices of ``rows x channels``. One matrix is
its full channel blocks one after the other, each ``rows x block`` row-major,
then the tail block, ``rows x tail``. Matrices start at multiples of
``Blocking.align`` bytes. Padding channels hold no defined value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Blocking
from drawloom.units import align_up


@dataclass(frozen=True, slots=True)
class Blocked:
    """The shape of a channel-blocked array and where its parts lie (bytes)."""

    blocking: Blocking
    batch: int
    rows: int
    channels: int
    element: int  # bytes of one element
    unit: int = 0  # bytes whose block width is used, where it is not the element's own

    @property
    def block(self) -> int:
        """Elements of one full block row."""
        return self.blocking.of(self.unit or self.element)

    @property
    def full(self) -> int:
        """Number of full blocks (a tail padded to a full block counts as tail)."""
        return self.channels // self.block

    @property
    def rest(self) -> int:
        """Channels in the tail block."""
        return self.channels % self.block

    @property
    def tail(self) -> int:
        """Padded elements of a tail row; 0 when there is no tail."""
        return self.blocking.tail(self.channels, self.unit or self.element)

    @property
    def width(self) -> int:
        """Padded channels of a row."""
        return self.full * self.block + self.tail

    @property
    def matrix_bytes(self) -> int:
        """Bytes of one matrix without the padding between matrices."""
        return self.rows * self.width * self.element

    @property
    def step(self) -> int:
        """Bytes from one matrix to the next."""
        return align_up(self.matrix_bytes, self.blocking.align)

    @property
    def bytes(self) -> int:
        """Bytes of the whole array."""
        return (self.batch - 1) * self.step + self.matrix_bytes if self.batch else 0

    def offset(self, batch: int, row: int, channel: int) -> int:
        """Byte offset of one element."""
        block, inside = divmod(channel, self.block)
        width = self.block if block < self.full else self.tail
        elements = block * self.rows * self.block + row * width + inside
        return batch * self.step + elements * self.element


def pack(blocked: Blocked, values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return the bytes of ``values`` (batch x rows x channels); padding is zero."""
    assert values.shape == (blocked.batch, blocked.rows, blocked.channels), values.shape
    out = np.zeros(blocked.bytes, np.uint8)
    split = blocked.full * blocked.block
    for index in range(blocked.batch):
        start = index * blocked.step
        head = np.ascontiguousarray(
            values[index, :, :split]
            .reshape(blocked.rows, blocked.full, blocked.block)
            .swapaxes(0, 1)
        )
        raw = head.view(np.uint8).reshape(-1)
        out[start : start + raw.size] = raw
        if blocked.tail:
            rest = np.zeros((blocked.rows, blocked.tail), values.dtype)
            rest[:, : blocked.rest] = values[index, :, split:]
            out[start + raw.size : start + blocked.matrix_bytes] = rest.view(np.uint8).reshape(-1)
    return out


def unpack(
    blocked: Blocked, raw: NDArray[np.uint8], dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Return the values (batch x rows x channels) held in ``raw``."""
    split = blocked.full * blocked.block
    out = np.empty((blocked.batch, blocked.rows, blocked.channels), dtype)
    for index in range(blocked.batch):
        one = raw[index * blocked.step :][: blocked.matrix_bytes].view(dtype)
        head = one[: blocked.rows * split].reshape(blocked.full, blocked.rows, blocked.block)
        out[index, :, :split] = head.swapaxes(0, 1).reshape(blocked.rows, split)
        if blocked.tail:
            rest = one[blocked.rows * split :].reshape(blocked.rows, blocked.tail)
            out[index, :, split:] = rest[:, : blocked.rest]
    return out
