"""A collective as data: who sends which part of its buffer to whom, step by step.

Each chip holds a buffer of ``units`` equal units, numbered alike on all chips. In a step all
transfers run at once: what they send is what their chips held before it. Steps that differ only
in which units they carry are one ``Stage``, so that a ring of 1,024 chips is one stage and not a
million transfers. A ``Chain`` is stages one after the other over its own share of the buffer; the
chains of a ``Schedule`` run beside each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Units = Callable[[int], Ints]  # step -> first unit of each transfer


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Steps with the same senders, receivers and sizes.

    Transfer ``i`` of step ``s`` carries the ``count`` units from ``first(s)[i]`` on, of chip
    ``source[i]``, to the units from ``into(s)[i]`` on, of chip ``target[i]``, and adds them to
    what is there where ``adds``, else writes them over it.
    """

    lane: int  # what of the fabric it has to itself: 2 x dimension + way round; -1: all of it
    steps: int
    source: Ints
    target: Ints
    count: int
    first: Units
    adds: bool
    into: Units | None = None  # none: where they come from

    def landing(self, step: int) -> Ints:
        """Return the first unit that each transfer writes."""
        return (self.into or self.first)(step)


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Stages in order, over a buffer of ``units`` units.

    ``homes`` says by chip which unit is its own, before an all-gather or behind a reduce-scatter;
    with none it is the one of its number.
    """

    units: int
    stages: tuple[Stage, ...]
    homes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Chains that run beside each other; each moves an equal share of the buffer.

    ``splits`` is into how many parts the share of a chain is cut, so that one part can be on one
    dimension while another part is on the next.
    """

    kind: str
    name: str
    chains: tuple[Chain, ...]
    splits: int = 1
