"""Places in an order of their own as few strided accesses: what lies evenly is moved by one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LEVELS = 3  # strided levels that a command has


@dataclass(frozen=True, slots=True)
class Run:
    """Units that stand behind each other, and belong to chips that lie evenly.

    Attributes:
        unit: the first.
        chip: whose that is.
        levels: how chips go on: by how much, how many; outermost first.
    """

    unit: int
    chip: int
    levels: tuple[tuple[int, int], ...] = ()

    def dims(self, step: int) -> tuple[tuple[int, int], ...]:
        """Return the levels of an access where chips lie ``step`` bytes apart."""
        return tuple((by * step, count) for by, count in self.levels)


def even_runs(chips: Sequence[int]) -> list[Run]:
    """Return the runs of an order of chips, the unit of each being its place in it."""
    made: list[Run] = []
    at = 0
    while at < len(chips):
        size, levels = 1, list[tuple[int, int]]()
        for _ in range(_LEVELS):
            block = chips[at : at + size]
            count, by = 1, 0
            while (start := at + count * size) + size <= len(chips):
                by = by or chips[start] - chips[at]
                moved = [chip + count * by for chip in block]
                if by <= 0 or list(chips[start : start + size]) != moved:
                    break
                count += 1
            if count > 1:
                levels.insert(0, (by, count))
                size *= count
        made.append(Run(at, chips[at], tuple(levels)))
        at += size
    return made
