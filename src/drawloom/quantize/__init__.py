"""Graphs with narrower numbers."""

from __future__ import annotations

from drawloom.quantize.precision import to_precision

__all__ = ["to_precision"]
