"""What the fields of a command may hold beside their type.

These are the rules that hold for every program and every chip; what a given chip can do, and
what commands do to each other, is the business of ``check``. A complaint says which field,
what stands there, and what may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Blocking
from drawloom.errors import nearest
from drawloom.program.addresses import addresses
from drawloom.program.commands import Address, Command, Conv, Cpu, Pool, Reduce, Vector
from drawloom.program.fields import Header, Slot, slots
from drawloom.program.kinds import INT, MAX_DEPTH, SHAPE
from drawloom.program.program import Region
from drawloom.program.vector_ops import BINARY_OPS, VECTOR_OPS

N_FLAGS = 64
MAX_LEVELS = 3
REGION_KINDS = ("input", "output", "constant", "temporary")

Complaint = tuple[str, str, str]  # field, what stands there, what is allowed


@dataclass(frozen=True, slots=True)
class Scope:
    """What a command may refer to: tiles, origins, and the loops around it (their counts)."""

    n_tiles: int
    n_origins: int
    loops: tuple[int, ...] = ()


Rule = Callable[[Any, Scope], str]  # returns what is allowed, "" where the value is


def complaints(command: Command, scope: Scope) -> Iterator[Complaint]:
    """Yield what is wrong with a command's fields."""
    for slot, rule in _rules(type(command)):
        value = getattr(command, slot.name)
        allowed = rule(value, scope) if value is not slot.default else ""
        if allowed:
            yield slot.name, slot.kind.show(value), allowed
    for address in addresses(command):
        yield from _address(address, scope)
    together = _TOGETHER.get(type(command))
    if together:
        yield from together(command)


def _address(address: Address, scope: Scope) -> Iterator[Complaint]:
    base, strides = (address, ()) if isinstance(address, int) else (address.base, address.strides)
    if len(strides) > len(scope.loops):
        around = "1 loop" if len(scope.loops) == 1 else f"{len(scope.loops)} loops"
        yield "address", f"moves with i{len(strides) - 1}", f"{around} around it"
        return
    turns = zip(strides, scope.loops, strict=False)
    lowest = base + sum(min(0, stride) * max(0, count - 1) for stride, count in turns)
    if lowest < 0:
        yield "address", f"reaches {lowest}", "0 or more"


def _at_least(low: int) -> Rule:
    return lambda value, _: "" if value >= low else f"{low} or more"


def _all_at_least(low: int) -> Rule:
    return lambda values, _: "" if min(values, default=low) >= low else f"each {low} or more"


def _out_of(*words: str) -> Rule:
    return lambda word, _: "" if word in words else nearest(word, words)


def _flag(flag: int, _: Scope) -> str:
    return "" if 0 <= flag < N_FLAGS else f"0 to {N_FLAGS - 1}"


def _origin(origin: int, scope: Scope) -> str:
    if -1 <= origin < scope.n_origins:
        return ""
    return f"an origin: 0 to {scope.n_origins - 1}" if scope.n_origins else "no origin is listed"


def _tile(tile: int, scope: Scope) -> str:
    return "" if 0 <= tile < scope.n_tiles else f"a tile: 0 to {scope.n_tiles - 1}"


def _tiles(tiles: tuple[int, ...], scope: Scope) -> str:
    if not all(0 <= tile < scope.n_tiles for tile in tiles):
        return f"tiles out of 0 to {scope.n_tiles - 1}"
    return _distinct(tiles, scope)


def _distinct(values: tuple[object, ...], _: Scope) -> str:
    return "" if values and len(set(values)) == len(values) else "one or more, each once"


def _levels(dims: tuple[tuple[int, ...], ...], _: Scope) -> str:
    if len(dims) > MAX_LEVELS:
        return f"at most {MAX_LEVELS} levels"
    if any(level[-1] < 0 for level in dims):
        return "counts of 0 or more"
    return ""


_FROM_0, _FROM_1 = _at_least(0), _at_least(1)
_FORMAT = _out_of(*FORMAT_BYTES)
_SPACE = _out_of("spm", "dram")

_BY_NAME: dict[str, Rule] = {
    **dict.fromkeys(
        ("m", "k", "n", "h", "w", "c", "oc", "kh", "kw", "batch", "element", "entries"), _FROM_1
    ),
    **dict.fromkeys(("fmt", "out_fmt"), _FORMAT),
    **dict.fromkeys(("targets", "tiles"), _tiles),
    **dict.fromkeys(("strides", "dilations"), _all_at_least(1)),
    "pads": _all_at_least(0),
    "dims": _levels,
    "engines": _distinct,
    "flag": _flag,
    "origin": _origin,
    "chip": _at_least(-1),
    "target": _tile,
    "axis": _out_of("c", "w", "h", "hw"),
}
_OF_CLASS: dict[tuple[type, str], Rule] = {
    (Vector, "op"): _out_of(*VECTOR_OPS),
    (Reduce, "op"): _out_of("sum", "max", "min"),
    (Pool, "op"): _out_of("max", "min", "avg"),
}


@cache
def _rules(kind: type) -> list[tuple[Slot, Rule]]:
    """Return the rule of each field that has one; a whole number without one is 0 or more."""
    rules = [
        (slot, _OF_CLASS.get((kind, slot.name)) or _BY_NAME.get(slot.name)) for slot in slots(kind)
    ]
    return [(slot, rule or _FROM_0) for slot, rule in rules if rule or slot.kind is INT]


def _vector(command: Vector) -> Iterator[Complaint]:
    operands = (command.b is not None) + (command.scalar is not None)
    if command.op in BINARY_OPS and operands != 1:
        yield "op", command.op, "with b or scalar, one of them"
    elif command.op in VECTOR_OPS and command.op not in BINARY_OPS and operands:
        yield "op", command.op, "without b and scalar"
    elif command.unit and command.b is None:
        yield "unit", str(command.unit), "only with b"


def _window(command: Conv | Pool) -> Iterator[Complaint]:
    if min(command.strides) > 0 and min(command.out_hw) < 1:
        high, wide = command.out_hw
        yield "result", f"{high}x{wide}", "1x1 or more"


def _conv(command: Conv) -> Iterator[Complaint]:
    yield from _window(command)
    if command.depthwise and command.oc != command.c:
        yield "oc", str(command.oc), f"{command.c}, as c, when depthwise"


def _cpu(command: Cpu) -> Iterator[Complaint]:
    scope = Scope(0, 0)
    for operand in (*command.ins, *command.outs):
        if operand:
            for shown, allowed in (
                (operand.space, _SPACE(operand.space, scope)),
                (operand.fmt, _FORMAT(operand.fmt, scope)),
                (SHAPE.show(operand.shape), _all_at_least(0)(operand.shape, scope)),
            ):
                if allowed:
                    yield "operand", shown, allowed
    keys = [key for key, _ in command.attrs]
    if len(set(keys)) < len(keys):
        yield "attrs", ", ".join(keys), "each once"


def region_complaints(region: Region, dram_bytes: int) -> Iterator[Complaint]:
    """Yield what is wrong with a region."""
    if region.kind not in REGION_KINDS:
        yield "kind", region.kind, nearest(region.kind, REGION_KINDS)
    yield from place_complaints(region.address, region.bytes, dram_bytes)
    if min(region.shape, default=0) < 0:
        yield "shape", SHAPE.show(region.shape), "each 0 or more"
    elif region.fmt and region.fmt not in FORMAT_BYTES:
        yield "fmt", region.fmt, nearest(region.fmt, FORMAT_BYTES)
    elif region.fmt:
        needs = FORMAT_BYTES[region.fmt] * prod(region.shape)
        if needs > region.bytes:
            shape = SHAPE.show(region.shape)
            yield "bytes", str(region.bytes), f"{needs} or more, for {shape} of {region.fmt}"


def place_complaints(address: int, n_bytes: int, dram_bytes: int) -> Iterator[Complaint]:
    """Yield what is wrong with where a region or data lies."""
    if n_bytes < 0:
        yield "bytes", str(n_bytes), "0 or more"
    elif not 0 <= address <= address + n_bytes <= dram_bytes:
        yield "address", f"{address:#x} and {n_bytes} bytes", f"inside DRAM's {dram_bytes} bytes"


def header_complaints(header: Header) -> Iterator[Complaint]:
    """Yield what is wrong with the sizes of a program's memories."""
    for name in ("scratchpad_bytes", "dram_bytes"):
        if getattr(header, name) < 0:
            yield name, str(getattr(header, name)), "0 or more"


def blocking_complaints(blocking: Blocking) -> Iterator[Complaint]:
    """Yield what is wrong with a blocked layout."""
    for slot in slots(Blocking):
        value = getattr(blocking, slot.name)
        if value < 1:
            yield slot.name, str(value), "1 or more"


def loop_complaints(count: int, depth: int) -> Iterator[Complaint]:
    """Yield what is wrong with a loop that has ``depth`` loops around it."""
    if count < 0:
        yield "count", str(count), "0 or more"
    if depth >= MAX_DEPTH:
        yield "loop", f"{depth} loops around it", f"at most {MAX_DEPTH - 1}"


_TOGETHER: dict[type, Callable[[Any], Iterator[Complaint]]] = {
    Vector: _vector,
    Pool: _window,
    Conv: _conv,
    Cpu: _cpu,
}
