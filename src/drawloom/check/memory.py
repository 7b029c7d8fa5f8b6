"""Who touched which bytes last: one memory as segments with their last writer and readers since."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drawloom.check.findings import Place

Clock = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """A command's touch of some bytes: who did it, when by its queue's count, after what."""

    place: Place
    queue: int  # of all queues of the chip; -1: before the program began
    serial: int
    clock: Clock
    is_covered: bool  # whether hazard checks of its tile look at it
    is_exact: bool = True  # whether it touches every byte of its ranges


@dataclass(slots=True)
class Segment:
    """Bytes that have the same history."""

    writer: Access | None = None
    readers: dict[int, Access] = field(default_factory=dict[int, Access])

    def copy(self) -> Segment:
        """Return the same history, to go on by itself."""
        return Segment(self.writer, dict(self.readers))


class Memory:
    """The history of a scratchpad or of the DRAM."""

    def __init__(self, size: int) -> None:
        """Start with bytes that nobody wrote."""
        self.size = size
        self._starts = [0]
        self._segments = [Segment()]

    def _cut(self, at: int) -> int:
        """Let a segment begin at a byte; return its index."""
        index = bisect_right(self._starts, at) - 1
        if self._starts[index] == at:
            return index
        self._starts.insert(index + 1, at)
        self._segments.insert(index + 1, self._segments[index].copy())
        return index + 1

    def segments(self, start: int, stop: int) -> Iterator[tuple[int, Segment]]:
        """Yield where segments of a range begin, and their history; cut at the ends of the range."""
        if start >= stop:
            return
        first = self._cut(start)
        last = self._cut(stop) if stop < self.size else len(self._starts)
        for index in range(first, last):
            yield self._starts[index], self._segments[index]

    def write(self, start: int, stop: int, access: Access) -> None:
        """Make an access the last writer of a range."""
        if start >= stop:
            return
        first = self._cut(start)
        last = self._cut(stop) if stop < self.size else len(self._starts)
        self._starts[first:last] = [start]
        self._segments[first:last] = [Segment(access)]

    def gap(self, start: int, stop: int) -> int | None:
        """Return the first byte of a range that nobody wrote."""
        for begin, segment in self.segments(start, stop):
            if segment.writer is None:
                return begin
        return None

    def is_unwritten(self, start: int, stop: int) -> bool:
        """Whether nobody wrote any byte of a range."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_left(self._starts, stop)
        return all(segment.writer is None for segment in self._segments[first:last])
