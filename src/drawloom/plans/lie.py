"""How the chips of a group hold a value."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Lie:
    """How the chips hold a value.

    Attributes:
        kind: ``whole``; ``part``: chip c of n has slice c * ways // n of ``ways`` along ``axis``;
            ``sum``: the value is the sum of what the chips have; ``free``: an input, not yet said.
        axis: of the parts.
        ways: how many different parts there are.
        rows: of a part: into how many slices it is also cut along axis 0; chip c has slice
            c % rows of them.
    """

    kind: str
    axis: int = -1
    ways: int = 1
    rows: int = 1

    def at(self, axis: int) -> Lie:
        """Return the same parts along another axis."""
        return replace(self, axis=axis)


WHOLE, SUM, FREE = Lie("whole"), Lie("sum"), Lie("free")
