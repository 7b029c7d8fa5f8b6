"""Which of many ways to cut a product is quickest, tried on the simulator and remembered."""

from drawloom.tune.search import Tuner, tuned
from drawloom.tune.trial import Bench

__all__ = ["Bench", "Tuner", "tuned"]
