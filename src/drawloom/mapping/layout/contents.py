"""What a constant's storage holds in DRAM."""

from __future__ import annotations

import numpy as np

from drawloom.chip.layout import pack
from drawloom.graph.ir import Array
from drawloom.mapping.layout.storage import Storage


def stored_bytes(storage: Storage, values: Array) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return the DRAM bytes of a constant in its storage's layout."""
    values = np.ascontiguousarray(values)
    if storage.layout == "dense":
        return values.reshape(-1).view(np.uint8)
    if storage.layout == "channel":
        return _channel_bytes(storage, values.reshape(-1))
    blocked = storage.blocked
    if storage.layout == "image":
        moved = values.reshape(blocked.batch, blocked.channels, blocked.rows).swapaxes(1, 2)
    elif storage.layout == "depthwise":
        moved = values.reshape(1, blocked.channels, blocked.rows).swapaxes(1, 2)
    elif storage.layout == "heads":
        moved = values.swapaxes(1, 2).reshape(1, blocked.rows, blocked.channels)
    elif storage.layout == "weights":
        taps = values.reshape(values.shape[0], values.shape[1], -1)
        moved = taps.transpose(2, 0, 1).reshape(1, blocked.rows, blocked.channels)
    else:
        moved = values.reshape(blocked.batch, blocked.rows, blocked.channels)
    return pack(blocked, moved)


def _channel_bytes(storage: Storage, values: Array) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    block = storage.blocking.of(storage.dtype.bytes)
    out = [values[: values.size // block * block]]
    if left := values.size % block:
        width = storage.blocking.tail(values.size, storage.dtype.bytes)
        tail = np.zeros(width, values.dtype)
        tail[:left] = values[-left:]
        out.append(np.tile(tail, block // width))
    return np.concatenate(out).view(np.uint8)
