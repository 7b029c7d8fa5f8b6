"""What ways to cut a matrix piece cost on links and move engines: arrays, a number a candidate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drawloom.mapping.cut.sizes import Ints, Sizes

Cycles = NDArray[np.float64]


def moves(t: Sizes, loads_a: Ints, results: Ints, out_bytes: Ints) -> Cycles:
    """Cycles of a tile's move engine: what is resident comes and goes by it, and what is folded."""
    move, work = t.chip.move, t.work
    each = move.fixed + out_bytes / move.bytes_per_cycle
    cycles = loads_a * t.folding + results * work.local * each
    if work.a_local:
        cycles = cycles + loads_a * (move.fixed + t.bytes_a / move.bytes_per_cycle)
    return cycles.astype(np.float64)


def links(t: Sizes, by: Ints | int, copies: Ints, loads: Ints, size: Ints) -> Cycles:
    """Cycles of a tile in handing an operand's chunks on, of which ``by`` tiles read a part each.

    While a chunk is used the next one comes in: with two slots, from DRAM and then over the links.
    """
    chip = t.chip
    rate = chip.noc.bytes_per_cycle * chip.send.efficiency
    message = chip.profiles["lean"].message if "lean" in chip.profiles else 0
    read = t.gb * t.gm * t.gn * size / by / chip.dram.read * chip.clock + chip.dram_read.latency
    alone = (copies <= 2) & (loads > copies)
    each = size / rate + message + 100 + np.where(alone, read, 0)
    return np.where(np.asarray(by) > 1, loads * each, 0.0).astype(np.float64)
