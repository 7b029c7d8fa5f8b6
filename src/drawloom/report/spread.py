"""Error bars: the latency with every number of the hardware at the end of its range.

The program stays as it is and so does the software profile: which software runs is a choice, how
fast the silicon is stands in the sources. All numbers at their slow ends together are further off
than any chip is likely to be; what lies between the ends is what the sources leave open.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from drawloom.chip.model import Chip, Range
from drawloom.chip.ranges import at, uncertain
from drawloom.timing import Trace, time

# Which end of a number's range makes a program slower.
SLOW: dict[str, str] = {
    "clock": "low",
    "matrix.macs_per_cycle.*": "low",
    "matrix.start": "high",
    "matrix.bubble_every": "low",
    "matrix.fixed": "high",
    "matrix.psum_fixed": "high",
    "matrix.depthwise_rate": "low",
    "vector.lanes_*": "low",
    "vector.fixed": "high",
    "vector.rates.*": "high",
    "dram_read.latency": "high",
    "dram_write.latency": "high",
    "*.depth": "low",
    "move.fixed": "high",
    "move.bytes_per_cycle": "low",
    "move.inner_cycles": "high",
    "send.efficiency": "low",
    "cpu.*": "high",
    "noc.bytes_per_cycle": "low",
    "noc.hop": "high",
    "dram.peak": "low",
    "dram.read": "low",
    "dram.write": "low",
    "dram.combined": "low",
    "dram.port": "low",
    "dram.segment": "high",
}
# What says nothing about the speed of the hardware.
OTHER = ("energy.*", "profiles.*", "scratchpad.*", "limits.*", "blocking.*")


def latency_range(trace: Trace) -> Range:
    """Return the latency in picoseconds: with all numbers quick, as they are, all slow."""
    quick, slow = (_latency(trace, ends(trace.chip, slow=slow)) for slow in (False, True))
    return Range(min(quick, trace.latency_ps), trace.latency_ps, max(slow, trace.latency_ps))


def ends(chip: Chip, *, slow: bool) -> Chip:
    """Return the chip with every number of its hardware at its slow end, or quick end."""
    chosen: dict[str, str] = {}
    for path in uncertain(chip):
        for pattern, end in SLOW.items():
            if fnmatchcase(path, pattern):
                chosen[path] = end if slow else {"low": "high", "high": "low"}[end]
    return at(chip, chosen)


def _latency(trace: Trace, chip: Chip) -> float:
    return float(time(trace.program, chip, trace.profile).latency_ps)
