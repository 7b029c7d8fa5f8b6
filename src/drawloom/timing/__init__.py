"""Program -> Trace: what happens when, and what it costs. No value is ever looked at."""

from drawloom.timing.hang import Hang
from drawloom.timing.nodes import NodeRow
from drawloom.timing.run import time
from drawloom.timing.trace import Trace

__all__ = ["Hang", "NodeRow", "Trace", "time"]
