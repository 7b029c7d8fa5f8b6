"""The dimensions of a system: the digits of a chip's number, and how chips that differ in one are joined.

NumPy is not loaded here: what needs no arrays starts without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drawloom.chip.system import System

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One digit of a chip's number, and how chips that differ in it alone are joined."""

    shape: str
    size: int
    stride: int  # a chip's number grows by this for one step
    level: int
    leaf: int = 0  # chips under one switch of a fat tree
    block: int = 0  # chips between two seams

    def digit(self, chips: Ints) -> Ints:
        """Return the coordinates of chips."""
        return chips // self.stride % self.size

    def group(self, chips: Ints) -> Ints:
        """Return which chips differ in this coordinate alone, as numbers from 0."""
        return chips // (self.stride * self.size) * self.stride + chips % self.stride


def dimensions(system: System) -> tuple[Dimension, ...]:
    """Return a system's dimensions, the fastest-counting first."""
    found: list[Dimension] = []
    stride = 1
    for index, level in enumerate(system.levels):
        if level.shape in ("mesh", "torus"):
            blocks = level.blocks or (0,) * len(level.sizes)
            parts = list(zip(level.sizes, blocks, strict=True))[::-1]
        else:
            parts = [(level.chips, 0)]
        for size, block in parts:
            found.append(Dimension(level.shape, size, stride, index, level.leaf, block))
            stride *= size
    return tuple(found)
