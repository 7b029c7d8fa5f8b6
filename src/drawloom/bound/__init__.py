"""Graph × Chip → Bound: a time that no program for the graph can go below, and what sets it."""

from drawloom.bound.graph import bound, layer_bounds
from drawloom.bound.model import Bound, bound_of

__all__ = ["Bound", "bound", "bound_of", "layer_bounds"]
