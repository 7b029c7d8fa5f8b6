"""The addresses of a command: which of its fields they are, and the same command at others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from operator import attrgetter
from typing import Any

from drawloom.program.commands import Address, Affine, Command, Cpu, Fill, Operand, Vector


@cache
def address_fields(kind: type) -> tuple[str, ...]:
    """Names of the fields of a command class that hold an address, in order (none for ``Cpu``)."""
    return tuple(f.name for f in fields(kind) if str(f.type).startswith("Address"))


def addresses(command: Command) -> tuple[Address, ...]:
    """Return the addresses of a command in the order of its fields; absent ones are left out."""
    return addresses_of(type(command))(command)


@cache
def addresses_of(kind: type) -> Callable[[Any], tuple[Address, ...]]:
    """Return what reads the ``addresses`` of commands of a class."""
    if kind is Cpu:
        return lambda c: tuple(o.address for o in (*c.ins, *c.outs) if o is not None)
    get = _getter(address_fields(kind))
    if _optional(kind) is None:
        return get
    return lambda c: found if None not in (found := get(c)) else _there(found)


def _there(found: tuple[Address | None, ...]) -> tuple[Address, ...]:
    return tuple(a for a in found if a is not None)


def dram_fields(command: Command) -> tuple[bool, ...]:
    """Return for each of ``addresses(command)`` whether it is one of DRAM."""
    if isinstance(command, Cpu):
        return tuple(o.space == "dram" for o in (*command.ins, *command.outs) if o is not None)
    return _in_dram(type(command)) or (False,) * len(addresses(command))


@cache
def _in_dram(kind: type) -> tuple[bool, ...]:
    """Which address fields of a command class are of DRAM; nothing where none is."""
    found = tuple(name in ("dram", "index") for name in address_fields(kind))
    return found if any(found) else ()


def with_addresses(command: Command, new: Sequence[Address]) -> Command:
    """Return the command with its addresses, as ``addresses`` lists them, replaced."""
    left = iter(new)
    if isinstance(command, Cpu):
        ins = tuple(o and replace(o, address=next(left)) for o in command.ins)
        outs = tuple(replace(o, address=next(left)) for o in command.outs)
        return replace(command, ins=ins, outs=outs)
    values = list(_getter(_names(type(command)))(command))
    for place in _places(type(command)):
        if values[place] is not None:
            values[place] = next(left)
    return type(command)(*values)


def at(command: Command, index: tuple[int, ...]) -> Command:
    """Return the command with plain addresses, as it runs at these loop indices."""
    old = addresses(command)
    if not any(isinstance(address, Affine) for address in old):
        return command
    return with_addresses(command, [a.at(index) if isinstance(a, Affine) else a for a in old])


def likeness(command: Command) -> tuple[object, ...]:
    """Everything a command says but its addresses; equal for commands that differ in those alone.

    Floats are taken by their text, which tells 0.0 from -0.0.
    """
    kind = type(command)
    match command:
        case Cpu():
            operands = tuple(_plain(o) for o in (*command.ins, *command.outs))
            attrs = repr(command.attrs)
            return kind, command.op, len(command.ins), operands, attrs, command.origin
        case Fill():
            return kind, command.fmt, command.count, repr(command.value), command.origin
        case Vector():
            scalar = repr(command.scalar)
            return kind, _absent(command), scalar, _plain_getter(kind)(command)
        case _:
            return kind, _absent(command), _plain_getter(kind)(command)


def _plain(operand: Operand | None) -> tuple[object, ...] | None:
    return operand and (operand.space, operand.fmt, operand.shape)


def _absent(command: Command) -> bool:
    optional = _optional(type(command))
    return optional is not None and getattr(command, optional) is None


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


@cache
def _plain_getter(kind: type) -> Callable[[object], tuple[Any, ...]]:
    return _getter(tuple(name for name in _names(kind) if name not in address_fields(kind)))


@cache
def _places(kind: type) -> tuple[int, ...]:
    return tuple(_names(kind).index(name) for name in address_fields(kind))


@cache
def _optional(kind: type) -> str | None:
    """The one address field that may be absent."""
    found = [f.name for f in fields(kind) if f.type == "Address | None"]
    assert len(found) <= 1, kind
    return found[0] if found else None


@cache
def _getter(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    """Read several fields at once, always as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    if not names:
        return lambda _: ()
    get = attrgetter(names[0])
    return lambda command: (get(command),)
