"""What the fields of a command may hold beside their type.

These are the rules that hold for every program and every chip; what a given chip can do, and
what commands do to each other, is the business of ``check``. A complaint says which field,
what stands there, and what may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Blocking
from drawloom.errors import nearest
from drawloom.program.addresses import addresses
from drawloom.program.commands import (
    Address,
    Command,
    Conv,
    Cpu,
    Loop,
    MatMul,
    Move,
    Pick,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Stream,
    Vector,
    Write,
)
from drawloom.program.fields import Header, Slot, slots
from drawloom.program.kinds import INT, MAX_DEPTH, SHAPE
from drawloom.program.program import Region
from drawloom.program.vector_ops import BINARY_OPS, VECTOR_OPS

N_FLAGS = 64
MAX_LEVELS = 3
REGION_KINDS = ("input", "output", "constant", "temporary")

MOST_TILES = 1 << 12
MOST_RUN = 100_000_000  # commands of a tile, loops run through: hours, whatever runs them
# What one command may ask for, whatever the chip: what reads a program needs no more memory, and
# no wider numbers, than these say.
MOST_BYTES = 1 << 28  # bytes that it moves
MOST_ELEMENTS = 1 << 28  # elements of an operand or a result
MOST_TAPS = 1 << 20  # positions in a window
MOST_WORK = 1 << 40  # multiplications, or elements that windows meet
FAR = 1 << 52  # bytes: no address reaches so far
MOST_BLOCK = 1 << 20

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
    turns = zip(strides, scope.loops, strict=False)
    highest = base + sum(max(0, stride) * max(0, count - 1) for stride, count in turns)
    if highest >= FAR:
        yield "address", f"reaches {highest}", f"below {FAR}"


def _at_least(low: int, most: int = MOST_BYTES) -> Rule:
    def rule(value: int, _: Scope) -> str:
        if low <= value <= most:
            return ""
        return f"{low} or more" if value < low else f"at most {most}"

    return rule


def _all_at_least(low: int) -> Rule:
    def rule(values: tuple[int, ...], _: Scope) -> str:
        if min(values, default=low) < low:
            return f"each {low} or more"
        return "" if max(values, default=low) <= MOST_BYTES else f"each at most {MOST_BYTES}"

    return rule


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
    if any(abs(stride) * level[-1] >= FAR for level in dims for stride in level[:-1]):
        return f"reaches of less than {FAR} bytes"
    return ""


_FROM_0, _FROM_1, _STEP = _at_least(0), _at_least(1), _at_least(0, FAR)
_FORMAT = _out_of(*FORMAT_BYTES)
_SPACE = _out_of("spm", "dram")

_BY_NAME: dict[str, Rule] = {
    **dict.fromkeys(
        ("m", "k", "n", "h", "w", "c", "oc", "kh", "kw", "batch", "element", "entries"), _FROM_1
    ),
    **dict.fromkeys(("step", "a_step", "b_step", "dst_step", "psum_step"), _STEP),
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


def _moved(command: Read | Pick | Write | Move | Send) -> Iterator[Complaint]:
    moved = command.inner
    for level in command.dims:
        moved *= level[-1]
    if moved > MOST_BYTES:
        yield "dims", f"{moved} bytes", f"at most {MOST_BYTES} in one command"
    if isinstance(command, Pick) and command.step * command.entries >= FAR:
        yield "entries", str(command.entries), f"reaches of less than {FAR} bytes"


def _select(command: Select) -> Iterator[Complaint]:
    if command.element * command.count > MOST_BYTES:
        moved = command.element * command.count
        yield "count", f"{moved} bytes", f"at most {MOST_BYTES} in one command"


def _matmul(command: MatMul) -> Iterator[Complaint]:
    m, k, n, batch = command.m, command.k, command.n, command.batch
    if min(m, k, n, batch) < 1:
        return
    largest = batch * max(m * k, k * n, m * n)
    yield from _large("m, k, n", largest, largest * min(m, k, n))
    steps = (command.a_step, command.b_step, command.dst_step, command.psum_step)
    if max(steps) * batch >= FAR:
        yield "batch", str(batch), f"reaches of less than {FAR} bytes"


def _reduce(command: Reduce) -> Iterator[Complaint]:
    yield from _large("h, w, c", command.h * command.w * command.c, 0)


def _large(part: str, elements: int, work: int) -> Iterator[Complaint]:
    if elements > MOST_ELEMENTS:
        yield part, f"{elements} elements", f"at most {MOST_ELEMENTS} in one operand"
    elif work > MOST_WORK:
        yield part, f"{work} multiplications", f"at most {MOST_WORK} in one command"


def _window(command: Conv | Pool) -> Iterator[Complaint]:
    if min(command.strides) < 1:
        return
    high, wide = command.out_hw
    if min(high, wide) < 1:
        yield "result", f"{high}x{wide}", "1x1 or more"
        return
    top, bottom, left, right = command.pads
    padded = (command.h + top + bottom) * (command.w + left + right) * command.c
    taps = command.kh * command.kw
    if taps > MOST_TAPS:
        yield "kh, kw", str(taps), f"at most {MOST_TAPS} positions in a window"
    if isinstance(command, Conv):
        filters = 1 if command.depthwise else command.oc
        largest = max(padded, high * wide * command.oc, taps * filters * command.c)
        yield from _large("h, w, c, oc", largest, high * wide * taps * filters * command.c)
    else:
        yield from _large("h, w, c", padded, high * wide * taps * command.c)


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
            if prod(operand.shape) > MOST_ELEMENTS << 8:
                yield "operand", SHAPE.show(operand.shape), f"at most {MOST_ELEMENTS << 8} elements"
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
    elif region.kind == "input" and not region.fmt:
        yield "fmt", "absent", f"one of {', '.join(sorted(FORMAT_BYTES))}"
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
        allowed = _STEP(getattr(header, name), Scope(0, 0))
        if allowed:
            yield name, str(getattr(header, name)), allowed


def blocking_complaints(blocking: Blocking) -> Iterator[Complaint]:
    """Yield what is wrong with a blocked layout."""
    for slot in slots(Blocking):
        value = getattr(blocking, slot.name)
        if not 1 <= value <= MOST_BLOCK:
            yield slot.name, str(value), "1 or more" if value < 1 else f"at most {MOST_BLOCK}"


def loop_complaints(count: int, depth: int) -> Iterator[Complaint]:
    """Yield what is wrong with a loop that has ``depth`` loops around it."""
    if count < 0:
        yield "count", str(count), "0 or more"
    if depth >= MAX_DEPTH:
        yield "loop", f"{depth} loops around it", f"at most {MAX_DEPTH - 1}"


def length_complaints(streams: Sequence[Stream]) -> Iterator[Complaint]:
    """Yield what is wrong with how many tiles there are, and how much they run."""
    if len(streams) > MOST_TILES:
        yield "tiles", str(len(streams)), f"at most {MOST_TILES}"
        return
    longest = max(map(turns, {id(stream): stream for stream in streams}.values()), default=0)
    if longest > MOST_RUN:
        yield "commands", f"a tile runs {longest}", f"at most {MOST_RUN}"


def turns(stream: Stream) -> int:
    """Return the commands that a stream runs, each turn of a loop counted as one more."""
    return sum(i.count * (1 + turns(i.body)) if isinstance(i, Loop) else 1 for i in stream)


_TOGETHER: dict[type, Callable[[Any], Iterator[Complaint]]] = {
    **dict.fromkeys((Read, Pick, Write, Move, Send), _moved),
    Select: _select,
    MatMul: _matmul,
    Reduce: _reduce,
    Vector: _vector,
    Pool: _window,
    Conv: _conv,
    Cpu: _cpu,
}
