"""What is wrong with a command by itself: sizes beyond the chip's limits, formats its engines do not take."""

from __future__ import annotations

from collections.abc import Iterator

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Chip
from drawloom.program.commands import (
    Command,
    Conv,
    Fill,
    MatMul,
    Move,
    Pool,
    Reduce,
    Send,
    Vector,
)
from drawloom.program.extents import moved_bytes, segments

Fault = tuple[str, str]  # rule, detail
Size = tuple[str, int, int]  # what, how much, the most
STRICTLY = frozenset({"unit", "long"})  # rules that are looked at with the strict ones only
LONG = 32_768  # elements


def broken(command: Command, chip: Chip) -> Iterator[Fault]:
    """Yield the rules that a command breaks wherever it stands, each with figures.

    Source: the sizes are those of ``Chip.limits``, the watchdog that of ``Chip.move``.
    """
    for what, size, most in _sizes(command, chip):
        if size > most:
            yield "limits", f"{what} is {size:,}, at most {most:,}"
    if isinstance(command, Move):
        yield from _watchdog(command, chip)
    if isinstance(command, (MatMul, Conv)) and command.fmt not in _formats(chip):
        yield "engine", f"format '{command.fmt}' of {', '.join(sorted(_formats(chip)))}"
    if isinstance(command, Fill) and command.fmt == "bool":
        yield "engine", "a fill of booleans may stand still: fill as many bytes of 'u8'"
    if isinstance(command, Send) and len(command.targets) not in chip.send.fanout:
        most = ", ".join(map(str, chip.send.fanout))
        yield "engine", f"{len(command.targets)} targets; a send reaches {most}"
    yield from _cautions(command, chip)


def _cautions(command: Command, chip: Chip) -> Iterator[Fault]:
    """Yield what this model of a chip takes and silicon need not: rules of ``STRICTLY``.

    Source: FlagTree cuts reductions of 32,768 elements and more; PJLAB-CHIP/vibe_compiler found that a loop over a
    repeated operand takes it in units of 64 elements: other operands are repeated up to a unit, or cut into some.
    """
    if isinstance(command, Vector) and command.unit > 0:
        block = chip.blocking.of(FORMAT_BYTES.get(command.fmt, 1))
        if command.unit % block and block % command.unit and command.unit < command.count:
            yield (
                "unit",
                f"{command.unit:,} elements are repeated, neither a part nor a multiple of {block}",
            )
    if isinstance(command, Reduce):
        lengths = {"c": command.c, "w": command.w, "h": command.h, "hw": command.h * command.w}
        if lengths[command.axis] >= LONG:
            yield (
                "long",
                f"{lengths[command.axis]:,} elements become one, fewer than {LONG:,} do safely",
            )


def _formats(chip: Chip) -> set[str]:
    eight = {"u8"} if "i8" in chip.matrix.macs_per_cycle else set[str]()
    return {*chip.matrix.macs_per_cycle} | eight


def _sizes(command: Command, chip: Chip) -> Iterator[Size]:
    most = chip.limits
    match command:
        case MatMul():
            yield "m", command.m, most.rows
            yield "batch", command.batch, most.rows
            yield "k", command.k, most.channels
            yield "n", command.n, most.channels
        case Conv() | Pool():
            yield from (("h", command.h, most.rows), ("w", command.w, most.rows))
            yield "c", command.c, most.channels
            yield "a pad", max(command.pads), most.pad
            yield "a side of the window", max(command.kh, command.kw), most.kernel
            yield "a stride", max(*command.strides, *command.dilations), most.stride
            yield "a side of the result", max(command.out_hw), most.rows
            if isinstance(command, Conv):
                yield "oc", command.oc, most.channels
        case Reduce():
            yield from (("h", command.h, most.rows), ("w", command.w, most.rows))
            yield "c", command.c, most.channels
        case _:
            pass


def _watchdog(command: Move, chip: Chip) -> Iterator[Fault]:
    engine = chip.move
    runs, size = segments(command.dims), moved_bytes(command.inner, command.dims)
    if runs > engine.max_inner_moves or (command.dims and size > engine.max_bytes):
        yield (
            "watchdog",
            f"{runs:,} runs of at most {engine.max_inner_moves:,}, "
            f"{size:,} bytes of at most {engine.max_bytes:,}",
        )
