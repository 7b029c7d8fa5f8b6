"""A chip at both ends of what its sources leave open, and the systems of a route that say what others leave out."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Generic, TypeVar

from drawloom.chip.datasheet import Datasheet, datasheet_names, load_datasheet

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ends(Generic[T]):
    """A chip at the likely, the quick and the slow end of what its sources leave open.

    Attributes:
        likely: as its sources have it.
        quick: where all that is open is for it.
        slow: where all that is open is against it.
        rests_on: what was assumed, in words; empty where nothing is open.
    """

    likely: T
    quick: T
    slow: T
    rests_on: tuple[str, ...]

    def each(self) -> tuple[T, T, T]:
        """Return the three."""
        return self.likely, self.quick, self.slow


def at_end(ends: tuple[float, float], end: int | None, value: float | None = None) -> float:
    """Return a number at its low (0) or high (1) end; without one what is likely.

    That is ``value`` where somebody says it, else the geometric middle of both ends.
    """
    if end is not None:
        return ends[end]
    return sqrt(ends[0] * ends[1]) if value is None else value


def sheets_of(route: str) -> list[Datasheet]:
    """Return the systems of the catalog that a route is for."""
    return [sheet for sheet in map(load_datasheet, datasheet_names()) if sheet.route == route]
