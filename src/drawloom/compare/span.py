"""A figure with its error bar: least, likely, most, and what the bar rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite


@dataclass(frozen=True, slots=True)
class Span:
    """A figure and how far off it may be.

    Attributes:
        low: the least it may be.
        value: what is likely; None where only a bound is known.
        high: the most it may be; infinite where nothing bounds it from above.
    """

    low: float
    value: float | None
    high: float

    def __post_init__(self) -> None:
        """Keep the three in order."""
        assert self.low <= self.high, self
        assert self.value is None or self.low <= self.value <= self.high, self

    @staticmethod
    def of(low: float, value: float | None, high: float) -> Span:
        """Return the span of three figures, whichever order the ends come in."""
        given = [low, high] if value is None else [low, value, high]
        return Span(min(given), value, max(given))

    @property
    def best(self) -> float:
        """The likely figure, or the bound where there is none."""
        return self.low if self.value is None else self.value

    @property
    def is_exact(self) -> bool:
        """Whether there is nothing to either side."""
        return self.low == self.value == self.high

    def map(self, change: Callable[[float], float]) -> Span:
        """Return the span of a monotone function of the figure."""
        value = None if self.value is None else change(self.value)
        return Span.of(change(self.low), value, change(self.high) if isfinite(self.high) else inf)

    def over(self, amount: float) -> Span:
        """Return ``amount`` over the figure: a rate where the figure is a time."""
        value = None if self.value is None else amount / self.value
        low = 0.0 if not isfinite(self.high) else amount / self.high
        return Span(low, value, amount / self.low if self.low else inf)

    @property
    def is_known(self) -> bool:
        """Whether anything at all is known."""
        return self.value is not None or self.low > 0 or isfinite(self.high)

    def times(self, other: Span) -> Span:
        """Return the product of two figures that are not negative."""
        one, two = self.value, other.value
        value = None if one is None or two is None else one * two
        return Span.of(self.low * other.low, value, self.high * other.high)

    def plus(self, other: Span) -> Span:
        """Return the sum of two figures."""
        one, two = self.value, other.value
        value = None if one is None or two is None else one + two
        return Span(self.low + other.low, value, self.high + other.high)

    def widened(self, share: float) -> Span:
        """Return the span with an error |said / true - 1| of at most ``share`` to both sides."""
        high = self.high / (1 - share) if share < 1 else inf
        return Span(self.low / (1 + share), self.value, high)

    def record(self) -> dict[str, float | None]:
        """Return the three for JSON; an open end is null."""
        high = self.high if isfinite(self.high) else None
        return {"low": self.low, "value": self.value, "high": high}


def exactly(value: float) -> Span:
    """Return a figure without an error."""
    return Span(value, value, value)
