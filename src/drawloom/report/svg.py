"""Small SVG words: elements with escaped text, logarithmic axes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10


def tag(name: str, content: str = "", **attrs: object) -> str:
    """Return an element; ``content`` is markup, attributes are escaped (``class_`` is ``class``)."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attrs.items()
    )
    return f"<{name}{shown}>{content}</{name}>" if content else f"<{name}{shown}/>"


def text(content: str, x: float, y: float, **attrs: object) -> str:
    """Return a text element with escaped content."""
    return tag("text", escape(content), x=x, y=y, **attrs)


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class LogAxis:
    """Maps values from ``low`` to ``high`` onto pixels from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """Return the pixel of a value, held within the axis."""
        inside = min(max(value, self.low), self.high)
        part = log10(inside / self.low) / log10(self.high / self.low)
        return self.start + part * (self.stop - self.start)

    def decades(self) -> list[float]:
        """Return the powers of ten on the axis."""
        first, last = ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9)
        return [10.0**power for power in range(first, last + 1)]
