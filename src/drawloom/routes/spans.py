"""What a route gives: when each kernel runs, and what it is bound by.

Spans follow one another; a route that overlaps kernels has put the overlap into their times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drawloom.routes.fuse import Kernel


@dataclass(frozen=True, slots=True)
class Span:
    """One kernel in time.

    Attributes:
        kernel: what it does.
        seconds: it takes.
        parts: seconds of each resource that it uses, were the others no bounds, by name.
        binds: the resource that takes longest.
    """

    kernel: Kernel
    seconds: float
    parts: Mapping[str, float]
    binds: str


def span(kernel: Kernel, seconds: float, parts: Mapping[str, float]) -> Span:
    """Return a span that its longest part binds."""
    return Span(kernel, seconds, parts, max(parts, key=lambda name: parts[name]))


@dataclass(frozen=True, slots=True)
class RouteTrace:
    """The kernels of one graph on one kind of chip, in their order.

    Attributes:
        graph: name of the graph.
        chip: name of the chip.
        n_chips: how many of them work on it.
        spans: one for each kernel.
    """

    graph: str
    chip: str
    n_chips: int
    spans: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        """From the first kernel's begin to the last one's end."""
        return sum(each.seconds for each in self.spans)

    @property
    def macs(self) -> int:
        """Multiply-adds of all kernels."""
        return sum(each.kernel.macs for each in self.spans)

    def bound_by(self) -> dict[str, float]:
        """Return the seconds of the kernels that each resource binds, the most first."""
        return self._summed(lambda each: each.binds)

    def by_kind(self) -> dict[str, float]:
        """Return the seconds by kind of kernel, the most first."""
        return self._summed(lambda each: each.kernel.kind)

    def by_layer(self) -> dict[str, float]:
        """Return the seconds by layer of the user's model, in their order."""
        found: dict[str, float] = {}
        for each in self.spans:
            found[each.kernel.layer] = found.get(each.kernel.layer, 0) + each.seconds
        return found

    def text(self) -> str:
        """Return a line for each kernel: its time, what binds it, its layer and nodes."""
        chips = f"{self.n_chips} x {self.chip}" if self.n_chips > 1 else self.chip
        lines = [f"{self.graph} on {chips}: {1e6 * self.seconds:.1f} us"]
        for each in self.spans:
            kernel = each.kernel
            lines.append(
                f"  {1e6 * each.seconds:10.2f} us  {kernel.kind:<10}{each.binds:<14}"
                f"{kernel.layer} ({len(kernel.nodes)} nodes)"
            )
        return "\n".join(lines)

    def _summed(self, name_of: Callable[[Span], str]) -> dict[str, float]:
        found: dict[str, float] = {}
        for each in self.spans:
            found[name_of(each)] = found.get(name_of(each), 0) + each.seconds
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))
