"""Run a program in many legal orders, and say where they part: in values, or in a hang.

The first order is that of ``machine.execute``: each command ends before the next one starts. The
others are drawn from a seed (``shuffle``), each with other bytes in memory that nobody wrote, so that
a value that hangs on them shows too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip
from drawloom.errors import DrawloomError, InputError
from drawloom.execute.machine import execute
from drawloom.execute.memory import POISON
from drawloom.execute.queues import Spans, depths_of
from drawloom.execute.shuffle import Shuffled
from drawloom.program.program import Program

_POISONS = (POISON, 0x00, 0x3D, 0xC1)


@dataclass(frozen=True, slots=True)
class Parting:
    """An order that does not end as the first one does.

    Attributes:
        order: its number, from 1 on.
        output: the output that differs; empty where the order does not come to its end.
        first: index of the first element that differs, row-major.
        n_differ: elements that differ.
        fault: what stopped the order, or None.
    """

    order: int
    output: str = ""
    first: int = 0
    n_differ: int = 0
    fault: DrawloomError | None = None

    def text(self) -> str:
        """Return in words what is different."""
        if self.fault is not None:
            return f"order {self.order} does not end:\n{self.fault}"
        return (
            f"order {self.order}: output '{self.output}' differs in {self.n_differ:,} elements, "
            f"the first at {self.first:,}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """What came of all orders.

    Attributes:
        outputs: values of the first order, by name.
        tried: orders run beside the first.
        partings: the first way in which each order differs; none where all agree.
    """

    outputs: dict[str, NDArray[Any]]
    tried: int
    partings: tuple[Parting, ...]


def execute_orders(
    program: Program,
    inputs: Mapping[str, NDArray[Any]],
    orders: int,
    *,
    seed: int = 0,
    chip: Chip | None = None,
    most: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Orders:
    """Run a program in its own order and in ``orders`` others.

    Args:
        program: what to run.
        inputs: an array for each input region, in its format and shape.
        orders: how many other orders to try.
        seed: draws the orders; order n is the same whatever ``orders`` is.
        chip: bounds the queues; without it they hold any number of commands.
        most: stop after so many partings; 0 tries all.
        progress: called with the orders tried, and all that will be.

    Raises:
        InputError, Hang, OutOfBounds, IllegalCommand: as ``execute``, for the program's own order.
    """
    outputs = execute(program, inputs)
    depths = depths_of(chip) if chip else {}
    partings: list[Parting] = []
    spans: Spans = {}
    tried = 0
    for order in range(1, orders + 1):
        rng = Random(f"{seed}.{order}")
        poison = _POISONS[order % len(_POISONS)]
        tried += 1
        try:
            made = Shuffled(program, inputs, rng, depths, poison, spans).run()
        except InputError:
            raise
        except DrawloomError as fault:
            partings.append(Parting(order, fault=fault))
        else:
            partings += _differing(order, outputs, made)
        if progress:
            progress(order, orders)
        if most and len(partings) >= most:
            break
    return Orders(outputs, tried, tuple(partings))


def _differing(
    order: int, wanted: Mapping[str, NDArray[Any]], made: Mapping[str, NDArray[Any]]
) -> list[Parting]:
    """Return the first output that is not the same, byte by byte."""
    for name, value in wanted.items():
        raw = _elements(value)
        off = np.flatnonzero((raw != _elements(made[name])).any(axis=1))
        if off.size:
            return [Parting(order, name, int(off[0]), int(off.size))]
    return []


def _elements(value: NDArray[Any]) -> NDArray[np.uint8]:
    flat = np.ascontiguousarray(value).reshape(-1)
    return flat.view(np.uint8).reshape(flat.size, -1) if flat.size else np.empty((0, 1), np.uint8)
