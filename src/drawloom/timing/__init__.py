"""Program -> Trace: what happens when, and what it costs. No value is ever looked at.

What is named here is loaded when it is first used: pricing a collective needs no simulator.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drawloom.timing.hang import Hang
    from drawloom.timing.nodes import NodeRow
    from drawloom.timing.run import ends, time
    from drawloom.timing.trace import Trace

__all__ = ["Hang", "NodeRow", "Trace", "ends", "time"]

_HOME = {"Hang": "hang", "NodeRow": "nodes", "Trace": "trace", "ends": "run", "time": "run"}


def __getattr__(name: str) -> object:
    """Load a public name from its module."""
    if name not in _HOME:
        raise AttributeError(f"module 'drawloom.timing' has no attribute '{name}'")
    value = getattr(import_module(f"drawloom.timing.{_HOME[name]}"), name)
    globals()[name] = value
    return value
