"""Seeds of drawn cases: run by the command line or by a test, each that fails told whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar


class Drawn(Protocol):
    """A case that was drawn."""

    def text(self) -> str: ...


C = TypeVar("C", bound=Drawn)


def main(
    words: list[str],
    case: Callable[[int], C],
    fault: Callable[[C], str],
    report: Callable[[C], str],
) -> int:
    """Run the seeds that the command line names; return how many fail."""
    first, last = int(words[0]), int(words[-1])
    bad = 0
    for seed in range(first, last + 1):
        c = case(seed)
        if first == last:
            print(c.text())
        if fault(c):
            bad += 1
            print(f"--- {report(c)}\n", flush=True)
    print(f"{last - first + 1} seeds, {bad} at fault")
    return bad
