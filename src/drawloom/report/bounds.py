"""The bound of a program's own work, for programs that come without their model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from drawloom.bound import Bound, bound_of
from drawloom.chip.model import Chip
from drawloom.program.commands import Command, Conv, Loop, MatMul, Stream
from drawloom.program.program import Program
from drawloom.timing.costs import macs as command_macs
from drawloom.timing.costs import matrix_format


def program_bound(program: Program, chip: Chip) -> Bound:
    """Return the bound of a program: the multiply-adds it does, its inputs, constants and outputs.

    A program may compute some values more than once, so this may lie above the bound of its graph.
    """
    macs: Counter[str] = Counter()
    for stream in program.streams:
        for command, times in _counted(stream, 1):
            if isinstance(command, (MatMul, Conv)):
                macs[matrix_format(command.fmt)] += times * command_macs(command)
    reads = sum(region.bytes for region in program.named("input").values())
    reads += sum(raw.size for _, raw in program.data)
    brought = {region.address for region in program.named("input").values()}
    writes = sum(
        # What is written over an input is a part of it: how much of it, the regions do not say.
        region.bytes
        for region in program.named("output").values()
        if region.address not in brought
    )
    return bound_of(chip, macs, 0, reads, writes)


def _counted(stream: Stream, times: int) -> Iterable[tuple[Command, int]]:
    for item in stream:
        if isinstance(item, Loop):
            yield from _counted(item.body, times * item.count)
        else:
            yield item, times
