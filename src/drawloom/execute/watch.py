"""Run a program on values, and note where a result does not fit its format.

    infinite    a finite sum or result is beyond what a float format holds
    undefined   finite operands of a vector command give no number: a quotient by 0, a root of -1
    saturated   a float is put to an integer format's end
    wrapped     an integer loses high bits: an accumulator of 32 bits, or a narrower result

What is no number already, such as what pads a block, is passed over: only what was finite can overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.execute.faults import Index
from drawloom.execute.machine import Machine
from drawloom.execute.memory import Tile, at
from drawloom.execute.numbers import FLOATS, Values, stored, watched
from drawloom.execute.walker import ENGINES
from drawloom.program.commands import Command, Vector
from drawloom.program.program import Program


@dataclass(slots=True)
class Overflow:
    """Results of one command, in all its turns, that do not fit.

    Attributes:
        tile: where it ran, and ``command`` as it is written.
        how: ``infinite``, ``undefined``, ``saturated`` or ``wrapped``.
        fmt: the format that holds too little.
        index: the turns of the loops around it when it first happened.
        element: place of the first such element among the command's results, row-major.
        value: what it would have been.
        count: elements of which this is so.
        total: elements that were looked at.
    """

    tile: int
    command: Command
    how: str
    fmt: str
    index: Index
    element: tuple[int, ...]
    value: float
    count: int = 0
    total: int = 0


@dataclass(slots=True)
class _Watcher:
    """Knows which command is at work, and what came of those before."""

    found: dict[tuple[int, int, str, str], Overflow] = field(default_factory=dict[Any, Any])
    now: tuple[int, Command, Index] | None = None

    def engine(self, run: Callable[..., None]) -> Callable[..., None]:
        """Return what runs a kind of command, watched."""

        def watching(tile: Tile, command: Command, index: Index) -> None:
            self.now = (tile.number, command, index)
            whole = _operands(tile, command, index) if isinstance(command, Vector) else None
            run(tile, command, index)
            if whole is not None and isinstance(command, Vector):
                self._undefined(tile, command, index, whole)
            self.now = None

        return watching

    def rounding(self, values: Values, fmt: str, result: Values) -> None:
        """Note what did not fit."""
        if self.now is None or fmt == "bool" or not values.size:
            return
        if fmt in FLOATS:
            bad = np.isfinite(values) & ~np.isfinite(result.astype(np.float64, copy=False))
            self._note("infinite", fmt, bad, values)
            return
        info = np.iinfo(stored(fmt))
        if values.dtype.kind == "f":
            whole = np.rint(values)
            bad = np.isfinite(whole) & ((whole < info.min) | (whole > info.max))
            self._note("saturated", fmt, bad, values)
        elif values.dtype != np.bool_ and values.dtype.itemsize > np.dtype(stored(fmt)).itemsize:
            bad = (values < info.min) | (values > info.max)
            self._note("wrapped", fmt, bad, values)

    def _undefined(
        self, tile: Tile, command: Vector, index: Index, whole: NDArray[np.bool_]
    ) -> None:
        if command.out_fmt not in FLOATS or command.fmt not in FLOATS:
            return
        made = tile.spm.array(at(command.dst, index), command.count, stored(command.out_fmt))
        bad = whole & ~np.isfinite(made.astype(np.float64))
        known = self.found.get(self._key("infinite", command.out_fmt))
        if known is None:  # else it was said already of what this command gives
            self._note("undefined", command.out_fmt, bad, made.astype(np.float64))

    def _key(self, how: str, fmt: str) -> tuple[int, int, str, str]:
        assert self.now is not None
        return self.now[0], id(self.now[1]), how, fmt

    def _note(self, how: str, fmt: str, bad: NDArray[np.bool_], values: Values) -> None:
        count = int(bad.sum())
        assert self.now is not None
        tile, command, index = self.now
        key = self._key(how, fmt)
        if count and key not in self.found:
            shape = tuple(size for size in bad.shape if size > 1) or (1,)
            first = int(np.flatnonzero(bad)[0])
            place = tuple(int(k) for k in np.unravel_index(first, shape))
            value = float(values.reshape(-1)[first])
            self.found[key] = Overflow(tile, command, how, fmt, index, place, value)
        if key in self.found:
            self.found[key].count += count
            self.found[key].total += bad.size


def _operands(tile: Tile, command: Vector, index: Index) -> NDArray[np.bool_] | None:
    """Return which elements of a vector command have finite operands; None where they are no floats."""
    if command.fmt not in FLOATS:
        return None
    a = tile.spm.array(at(command.a, index), command.count, stored(command.fmt))
    whole = np.isfinite(a.astype(np.float64))
    if command.b is not None:
        n = command.unit or command.count
        b = tile.spm.array(at(command.b, index), n, stored(command.fmt))
        whole = whole & np.resize(np.isfinite(b.astype(np.float64)), command.count)
    elif command.scalar is not None:
        whole = whole & bool(np.isfinite(command.scalar))
    return whole


def overflows(
    program: Program, inputs: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, NDArray[Any]], list[Overflow]]:
    """Return a program's outputs, and which commands' results did not fit.

    Args:
        program: what to run.
        inputs: an array for each input region, in its format and shape.

    Raises:
        InputError, Hang, OutOfBounds, IllegalCommand: as ``machine.execute``.
    """
    watcher = _Watcher()
    machine = Machine(program)
    machine.engines = {kind: watcher.engine(run) for kind, run in ENGINES.items()}
    machine.load(inputs)
    with watched(watcher.rounding):
        machine.run()
    outputs = {name: machine.region(name) for name in program.named("output")}
    return outputs, list(watcher.found.values())
