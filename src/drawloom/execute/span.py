"""Run the programs of several chips beside each other, for their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError
from drawloom.execute.machine import Machine, run_beside
from drawloom.program.span import Span

Arrays = Mapping[str, NDArray[Any]]


def execute_span(span: Span, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """Return a span's outputs: whole arrays, put together from the chips' parts.

    Args:
        span: what to run.
        inputs: a whole array for each input; chips that hold parts get theirs.

    Raises:
        InputError: as ``execute``; or an array cannot be cut into the chips' parts (``run.inputs``).
        Hang, OutOfBounds, IllegalCommand: as ``execute``.
    """
    machines = [Machine(program) for program in span.programs]
    chips = [machine.tiles for machine in machines]
    for machine in machines:
        for tile in machine.tiles:
            tile.chips = chips
    for machine, own in zip(machines, _parts(span, inputs), strict=True):
        machine.load(own)
    run_beside(machines)
    return {name: _joined(span, name, machines) for name in span.named("output")}


def _parts(span: Span, inputs: Arrays) -> list[dict[str, NDArray[Any]]]:
    """Return what each chip gets of the inputs."""
    wanted = span.named("input")
    faults = [
        Fault(f"inputs.{name}", "absent", "must be given") for name in wanted if name not in inputs
    ]
    faults += [
        Fault(f"inputs.{name}.shape", str(array.shape), f"must be {wanted[name].shape}")
        for name, array in inputs.items()
        if name in wanted and name in span.cuts and array.shape != wanted[name].shape
    ]
    if faults:
        raise InputError("run.inputs", f"the inputs are not what span '{span.name}' takes", faults)
    parts: list[dict[str, NDArray[Any]]] = [{} for _ in span.programs]
    for name in wanted:
        holders = span.holders("input", name)
        for place, (chip, region) in enumerate(holders):
            array = inputs[name]
            if name in span.cuts:
                for axis, start in span.corner(name, place, region, len(holders)).items():
                    array = np.take(array, range(start, start + region.shape[axis]), axis)
            parts[chip][name] = array
    return parts


def _joined(span: Span, name: str, machines: list[Machine]) -> NDArray[Any]:
    holders = span.holders("output", name)
    if name not in span.cuts:
        return machines[holders[0][0]].region(name)
    whole = span.named("output")[name]
    made = np.empty(whole.shape, machines[holders[0][0]].region(name).dtype)
    # Where several chips hold a part, the first of them.
    for place, (chip, region) in reversed(list(enumerate(holders))):
        at = span.corner(name, place, region, len(holders))
        where = tuple(
            slice(at.get(axis, 0), at.get(axis, 0) + size) for axis, size in enumerate(region.shape)
        )
        made[where] = machines[chip].region(name)
    return made
