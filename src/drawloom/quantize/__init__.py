"""Graphs with narrower numbers."""

from __future__ import annotations

from drawloom.quantize.integers import to_integers
from drawloom.quantize.precision import to_precision
from drawloom.quantize.weights import quantize_weights

__all__ = ["quantize_weights", "to_integers", "to_precision"]
