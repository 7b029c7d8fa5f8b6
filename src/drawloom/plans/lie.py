"""How the chips of a group hold a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lie:
    """How the chips hold a value.

    Attributes:
        kind: ``whole``; ``part``: chip c of n has slice c * ways // n of ``ways`` along ``axis``;
            ``sum``: the value is the sum of what the chips have; ``free``: an input, not yet said.
        axis: of the parts.
        ways: how many different parts there are.
    """

    kind: str
    axis: int = -1
    ways: int = 1


WHOLE, SUM, FREE = Lie("whole"), Lie("sum"), Lie("free")
