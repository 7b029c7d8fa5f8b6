"""Inputs of a program, drawn from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.graph.dtypes import DType
from drawloom.program.program import Program


def drawn_inputs(program: Program, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Standard normal floats, bytes from -9 to 8, other integers 3, booleans both."""
    rng = np.random.default_rng(seed)
    found: dict[str, NDArray[Any]] = {}
    for name, region in program.named("input").items():
        kind = DType(region.fmt)
        if kind.is_float:
            value = rng.standard_normal(region.shape)
        elif kind is DType.BOOL:
            value = rng.integers(0, 2, region.shape)
        else:
            low, high = (-9, 9) if kind is DType.I8 else (3, 4)
            value = rng.integers(low, high, region.shape)
        found[name] = value.astype(kind.numpy)
    return found
