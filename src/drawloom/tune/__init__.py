"""Which of many ways to cut a product is quickest, tried on the simulator and remembered."""

from drawloom.tune.quick import Quick
from drawloom.tune.search import Tuner, mapped, tuned
from drawloom.tune.trial import Bench

__all__ = ["Bench", "Quick", "Tuner", "mapped", "tuned"]
