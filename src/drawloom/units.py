"""Bytes, cycles, picoseconds, picojoules and hertz as types of their own.

The types cost nothing at run time; they exist so that a function which wants
bytes cannot be handed cycles without the type checker noticing.
"""

from typing import NewType

Bytes = NewType("Bytes", int)
Cycles = NewType("Cycles", int)
Picoseconds = NewType("Picoseconds", int)
Picojoules = NewType("Picojoules", float)
Hertz = NewType("Hertz", int)

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
PS_PER_S = 10**12


def ceil_div(a: int, b: int) -> int:
    """Return the smallest integer not below ``a / b`` (``b`` > 0)."""
    return -(-a // b)


def align_up(n: int, step: int) -> int:
    """Return the smallest multiple of ``step`` not below ``n``."""
    return ceil_div(n, step) * step


def align_down(n: int, step: int) -> int:
    """Return the largest multiple of ``step`` not above ``n``."""
    return n // step * step
