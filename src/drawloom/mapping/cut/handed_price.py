"""What it costs to convolve an image that every tile holds: arrays, a number a candidate.

Such a layer has few pixels. Its weights have mostly been read before it begins, so that what its parts
take one after the other counts, not what DRAM takes: the first operands' way to their places, products,
what is done with the last result, and its way to all tiles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.cut.prices import links, moves
from drawloom.mapping.cut.sizes import Ints, Sizes, ceil

Ns = NDArray[np.float64]
LATE = 0.1  # of the first weights are not there yet
ENTRIES = 2  # links by which a corner of the grid is reached


def handed_price(
    t: Sizes, loads_a: Ints, loads_b: Ints, copies_b: Ints, by_b: Ints | int, cpu: Ns
) -> Ns:
    """Return nanoseconds of each candidate.

    Args:
        t: the candidates.
        loads_a: how often a tile loads a chunk of the image.
        loads_b: how often one of the weights.
        copies_b: how many chunks of weights it holds.
        by_b: tiles that share a chunk of weights.
        cpu: nanoseconds in which a tile's processor hands commands over.
    """
    chip, work = t.chip, t.work
    ns = 1e9 / chip.clock
    batches, mc, nc, kc = t.counts
    results, tiles = batches * mc * nc, t.gb * t.gm * t.gn
    out_bytes = t.rows * t.outs * FORMAT_BYTES[work.out_fmt]
    profile = min(chip.profiles.values(), key=lambda p: p.issue)
    rate = chip.noc.bytes_per_cycle * chip.send.efficiency
    part = t.bytes_b / by_b
    weights = loads_b * (chip.move.fixed + part / chip.move.bytes_per_cycle)
    mover = moves(t, loads_a, results, out_bytes) + weights
    matrix = results * kc * t.mean_cycles
    noc = links(t, by_b, copies_b, loads_b, t.bytes_b)
    each = work.passes * (chip.vector.fixed + t.rows * t.outs / chip.vector.lanes_16)
    meeting = profile.barrier + profile.message + t.bytes_b / rate
    first = (
        2 * chip.move.fixed
        + (t.bytes_a + part) / chip.move.bytes_per_cycle
        + np.where(np.asarray(by_b) > 1, meeting, 0)
    )
    runs = ceil(t.outs, chip.blocking.of(FORMAT_BYTES[work.out_fmt]))
    messages = results * np.where(t.gm == 1, 1, runs) * work.sent
    each_message = out_bytes / np.where(t.gm == 1, 1, runs) / rate
    link = profile.message * work.sent + messages * tiles * (each_message + profile.wait) / ENTRIES
    last = each + chip.move.fixed + out_bytes / chip.move.bytes_per_cycle
    arms = messages * tiles * profile.wait
    busiest = np.maximum.reduce([matrix, noc, mover, cpu / ns, results * each])
    taps = work.window.kernel[0] * work.window.kernel[1] if work.window else 1
    once = taps * work.k * work.n * FORMAT_BYTES[work.fmt]
    read = np.maximum(0, tiles * loads_b * part - once) + LATE * tiles * part
    return (first + busiest + last + link + arms) * ns + read / chip.dram.read * 1e9
