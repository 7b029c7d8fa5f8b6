"""Error bars: the latency with every number of the hardware at the end of its range.

The program stays as it is and so does the software profile: which software runs is a choice, how
fast the silicon is stands in the sources. All numbers at their slow ends together are further off
than any chip is likely to be; what lies between the ends is what the sources leave open.
"""

from __future__ import annotations

from drawloom.chip.model import Chip, Range
from drawloom.chip.ranges import OTHER, SLOW, ends
from drawloom.timing import Trace, time

__all__ = ["OTHER", "SLOW", "ends", "latency_range"]


def latency_range(trace: Trace) -> Range:
    """Return the latency in picoseconds: with all numbers quick, as they are, all slow."""
    quick, slow = (_latency(trace, ends(trace.chip, slow=slow)) for slow in (False, True))
    return Range(min(quick, trace.latency_ps), trace.latency_ps, max(slow, trace.latency_ps))


def _latency(trace: Trace, chip: Chip) -> float:
    return float(time(trace.program, chip, trace.profile).latency_ps)
