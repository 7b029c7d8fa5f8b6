"""What may go wrong while a program runs, told with the tile and the command.

Engines raise the two short signals ``Outside`` and ``Refused``: they know the
fault but neither the tile nor the command. The machine knows those, and raises
``OutOfBounds`` or ``IllegalCommand`` in their place.
"""

from __future__ import annotations

from dataclasses import MISSING, fields

from drawloom.errors import DrawloomError
from drawloom.program.commands import Affine, Command
from drawloom.program.program import Program

Index = tuple[int, ...]


class Outside(Exception):
    """A signal inside this room: bytes ``first`` to before ``last`` do not lie in a memory."""

    def __init__(self, memory: str, first: int, last: int, size: int) -> None:
        super().__init__(memory, first, last, size)
        self.memory, self.first, self.last, self.size = memory, first, last, size


class Refused(Exception):
    """A signal inside this room: no engine can do what is asked; the argument says why."""


class OutOfBounds(DrawloomError):
    """A command reaches outside a scratchpad or outside DRAM."""


class IllegalCommand(DrawloomError):
    """A command asks for what the machine cannot do."""


def explain(
    program: Program, tile: int, command: Command, index: Index, fault: Outside | Refused
) -> DrawloomError:
    """Return the error to show for a fault, with the tile and the command.

    Args:
        program: holds the origins of commands.
        tile: the tile whose stream holds the command.
        command: what failed.
        index: indices of the enclosing loops, outermost first.
        fault: what the engine found.
    """
    lines = [f"  command  {told(command)}{origin_text(program, command)}"]
    if index:
        lines.append(f"  loops    {', '.join(map(str, index))}")
    if isinstance(fault, Outside):
        head = f"error[run.bounds]: tile {tile} reaches outside {fault.memory}"
        lines.append(f"  reaches  bytes {fault.first:,} to {fault.last:,}")
        lines.append(f"  has      bytes 0 to {fault.size:,}")
        return OutOfBounds("\n".join([head, *lines]))
    head = f"error[run.command]: tile {tile} cannot run a command"
    return IllegalCommand("\n".join([head, *lines, f"  because  {fault}"]))


def told(command: Command) -> str:
    """Return a command as it is written, less its origin and what stands at its default."""
    parts: list[str] = []
    for item in fields(command):
        value = getattr(command, item.name)
        if item.name == "origin" or (item.default is not MISSING and value == item.default):
            continue
        parts.append(f"{item.name}={_address(value) if isinstance(value, Affine) else repr(value)}")
    return f"{type(command).__name__}({', '.join(parts)})"


def origin_text(program: Program, command: Command) -> str:
    """Return `` of node 'conv1', layer 'features.0'``, or nothing where the origin is unknown."""
    if not 0 <= command.origin < len(program.origins):
        return ""
    origin = program.origins[command.origin]
    layer = f", layer '{origin.layer}'" if origin.layer and origin.layer != origin.node else ""
    return f" of node '{origin.node}'{layer}"


def _address(address: Affine) -> str:
    """Return ``1024+64*i0+8*i1``."""
    return "+".join([str(address.base), *(f"{s}*i{k}" for k, s in enumerate(address.strides) if s)])
