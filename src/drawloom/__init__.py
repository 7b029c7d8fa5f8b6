"""drawloom: an open toolchain for reconfigurable dataflow chips.

    build = drawloom.compile("model.onnx", "tx81")
    build.run({"x": x})       # the values, bit for bit
    build.time().latency_ps   # the time, cycle by cycle

What is named here is loaded when it is first used, so that ``import drawloom`` stays quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drawloom.chip.files import catalog, load_chip
    from drawloom.chip.model import Chip
    from drawloom.errors import DoesNotFit, DrawloomError, InputError
    from drawloom.flow import Build, Options, compile
    from drawloom.graph.ir import Graph
    from drawloom.mapping.mapping import Mapping
    from drawloom.program.program import Program
    from drawloom.timing import Trace

__version__ = "0.1.0"
__all__ = [
    "Build",
    "Chip",
    "DoesNotFit",
    "DrawloomError",
    "Graph",
    "InputError",
    "Mapping",
    "Options",
    "Program",
    "Trace",
    "catalog",
    "compile",
    "load_chip",
]

_HOME = {
    "Build": "flow",
    "Chip": "chip.model",
    "DoesNotFit": "errors",
    "DrawloomError": "errors",
    "Graph": "graph.ir",
    "InputError": "errors",
    "Mapping": "mapping.mapping",
    "Options": "flow",
    "Program": "program.program",
    "Trace": "timing",
    "catalog": "chip.files",
    "compile": "flow",
    "load_chip": "chip.files",
}

_NOTEBOOKS = ("IPython", "marimo")


def __getattr__(name: str) -> object:
    """Load a public name from its room."""
    if name not in _HOME:
        raise AttributeError(f"module 'drawloom' has no attribute '{name}'")
    value = getattr(import_module(f"drawloom.{_HOME[name]}"), name)
    globals()[name] = value
    if any(notebook in sys.modules for notebook in _NOTEBOOKS):
        import_module("drawloom.report.notebook").attach()
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
