"""What values show: results that do not fit their format, and outputs that are not what the graph says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drawloom.check.findings import Finding, Place
from drawloom.errors import DrawloomError
from drawloom.graph.bounds import bounds
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph
from drawloom.graph.rounding import UNIT_ROUNDOFF
from drawloom.program.addresses import at
from drawloom.program.commands import Command
from drawloom.program.program import Program

# Of an output's largest value: more than f32, and products of parts of it, go wrong by.
OFF = 2.0**-12
# Of the coarsest format, in units of its roundoff: what they add up to in deep models, and in any.
ROUNDINGS, FEW_ROUNDINGS = 32, 6
# By how much more a program may be off than the model is that rounds each result of a node once.
DRIFTS = 8

Arrays = Mapping[str, NDArray[Any]]
_HOW = {
    "infinite": "{value:.6g} becomes infinite in '{fmt}'",
    "undefined": "finite operands give {value} in '{fmt}'",
    "saturated": "{value:.6g} is put to the end of '{fmt}'",
    "wrapped": "{value:.0f} loses high bits in '{fmt}'",
}


class Misfit(Protocol):
    """Results of one command that do not fit their format, as ``execute.watch`` notes them."""

    tile: int
    command: Command
    how: str
    fmt: str
    index: tuple[int, ...]
    element: tuple[int, ...]
    value: float
    count: int
    total: int


def misfits(program: Program, found: Iterable[Misfit]) -> Iterator[Finding]:
    """Yield a finding for each command whose results do not fit."""
    for one in found:
        yield _overflow(program, one)


def stopped(fault: DrawloomError) -> Finding:
    """Return the finding about a run that does not come to its end."""
    return Finding("stopped", None, None, str(fault).replace("\n", "\n  "))


def _overflow(program: Program, one: Misfit) -> Finding:
    commands = program.commands(one.tile)
    number = next((k for k, command in enumerate(commands) if command is one.command), -1)
    place = Place(one.tile, at(one.command, one.index), number=number, turns=one.index)
    element = ", ".join(map(str, one.element))
    said = _HOW[one.how].format(value=one.value, fmt=one.fmt)
    detail = f"element {element}: {said}; so do {one.count:,} of {one.total:,}"
    return Finding("overflow", place, None, detail, (one.tile, number, one.how))


def wrong(graph: Graph, inputs: Arrays, outputs: Arrays) -> Iterator[Finding]:
    """Yield outputs that lie further from the graph's values than rounding takes them.

    They are held to the bound on all roundings, which grows with depth, and to what the model itself is off by where
    it rounds each result once, eightfold, within shares of the output's largest value. Nothing is said where the
    program's inputs and outputs are not those of the graph.

    Args:
        graph: what the program was compiled from.
        inputs: an array for each input.
        outputs: what the program made of them.
    """
    if set(graph.outputs) != set(outputs) or set(graph.inputs) != set(inputs):
        return
    unit = max(_unit(graph), default=0.0)
    with np.errstate(all="ignore"):
        rounded = evaluate(graph, inputs)
        for name, bound in bounds(graph, inputs).items():
            meant, made = bound.value.astype(np.float64), outputs[name].astype(np.float64)
            allowed = bound.error
            if graph.types[name].dtype.is_float:
                allowed = np.minimum(allowed, _most(meant, rounded[name].astype(np.float64), unit))
            off = np.isfinite(meant) & ~(np.abs(made - meant) <= allowed)
            if off.any():
                yield _differs(name, meant, made, off)


def _most(meant: NDArray[Any], rounded: NDArray[Any], unit: float) -> float:
    """Return by how much an output may be off, from how much it is where each node's result is rounded once."""
    finite = np.isfinite(meant) & np.isfinite(rounded)
    largest = float(np.abs(meant[np.isfinite(meant)]).max(initial=0.0))
    drift = float(np.abs(rounded - meant)[finite].max(initial=0.0))
    least, most = (max(OFF, n * unit) * largest for n in (FEW_ROUNDINGS, ROUNDINGS))
    return min(max(DRIFTS * drift, least), most)


def _unit(graph: Graph) -> Iterator[float]:
    for kind in graph.types.values():
        yield UNIT_ROUNDOFF.get(kind.dtype, 0.0)


def _differs(name: str, meant: NDArray[Any], made: NDArray[Any], off: NDArray[np.bool_]) -> Finding:
    first = int(np.flatnonzero(off.reshape(-1))[0])
    element = ", ".join(str(int(k)) for k in np.unravel_index(first, meant.shape)) or "0"
    detail = (
        f"output '{name}', element {element}: {made.reshape(-1)[first]:.6g}, the model says "
        f"{meant.reshape(-1)[first]:.6g}; {int(off.sum()):,} of {off.size:,} differ"
    )
    return Finding("values", None, None, detail, (name,))
