"""What a text written by hand may leave out: fields that follow from others, or from the chip.

A field that a line leaves out is filled in before the line becomes a record or a command, so that
a program holds, and prints, all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from drawloom.chip.catalog import CATALOG
from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.layout import Blocked
from drawloom.errors import nearest
from drawloom.program.commands import Conv, MatMul, Pool, Reduce, Vector
from drawloom.program.fields import Data, Header
from drawloom.program.kinds import Bad
from drawloom.program.names import Names
from drawloom.program.program import Origin, Region
from drawloom.units import align_up

_ALIGN = 256  # bytes, where neither the chip nor the text says how operands lie
Values = dict[str, Any]
FOLLOWING = frozenset(
    {"out_fmt", "strides", "pads", "dilations", "address", "bytes", "node", "layer"}
    | {"scratchpad_bytes", "dram_bytes"}
)
"""Fields that may follow from others: where those have faults, nobody misses these."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """A named piece of every tile's scratchpad: a line of a text, no part of the program.

    Attributes:
        name: how addresses call it.
        bytes: its size; -1 for that of ``shape`` elements of ``fmt``.
        address: where it lies; -1 for behind the buffers before.
        fmt: the format of its elements.
        shape: how many there are.
        blocked: whether they lie in the channel-blocked layout, the last axis being the channels.
    """

    name: str
    bytes: int = -1
    address: int = -1
    fmt: str = ""
    shape: tuple[int, ...] = ()
    blocked: bool = False


def fill(kind: type, values: Values, names: Names) -> None:
    """Add the fields that a line leaves out and that follow from what is known.

    Raises:
        Bad: they should follow, and do not: says why.
    """
    rule = _RULES.get(kind)
    if rule:
        rule(values, names)


def place_buffer(buffer: Buffer, names: Names) -> None:
    """Give a buffer its place in the scratchpad, and its name an address.

    Raises:
        Bad: its size does not follow, or its name is taken.
    """
    size, count = buffer.bytes, buffer.bytes
    if buffer.fmt:
        if buffer.fmt not in FORMAT_BYTES:
            raise Bad(nearest(buffer.fmt, FORMAT_BYTES))
        count = prod(buffer.shape)
        size = max(size, _held(buffer, count, names))
    if size < 0 or count < 0:
        raise Bad("a buffer needs bytes, or fmt and shape")
    address = buffer.address
    if address < 0:
        address = align_up(names.spm_end, _align(names))
    if names.spm_bytes and address + size > names.spm_bytes:
        raise Bad(f"ends at byte {address + size:,}; what may be used, at {names.spm_bytes:,}")
    names.place(buffer.name, "spm", address, size, count)
    names.spm_end = max(names.spm_end, address + size)


def _held(buffer: Buffer, count: int, names: Names) -> int:
    element = FORMAT_BYTES[buffer.fmt]
    if not buffer.blocked:
        return count * element
    if not names.blocking:
        raise Bad("a blocked buffer needs a 'blocking' line, or a chip, before it")
    if not buffer.shape or min(buffer.shape) < 1:
        raise Bad("a blocked buffer needs a shape, such as 4x64, of 1 or more each")
    return Blocked(names.blocking, 1, count // buffer.shape[-1], buffer.shape[-1], element).bytes


def _align(names: Names) -> int:
    return max(1, names.blocking.align) if names.blocking else _ALIGN


def _header(values: Values, names: Names) -> None:
    if names.chip:
        values.setdefault("chip", names.chip.name)
    elif values.get("chip") in CATALOG:
        from drawloom.chip.files import load_chip  # here, since it imports pydantic

        names.chip = load_chip(values["chip"])
    if names.chip is None:
        if "chip" in values and not {"scratchpad_bytes", "dram_bytes"} <= values.keys():
            near = nearest(values["chip"], CATALOG)
            raise Bad(f"no chip of the catalog: {near}; else give scratchpad_bytes and dram_bytes")
        return
    values.setdefault("scratchpad_bytes", names.chip.scratchpad.bytes)
    values.setdefault("dram_bytes", names.chip.dram.bytes)
    held = names.chip.scratchpad
    names.spm_end = max(names.spm_end, held.reserve_low)
    names.spm_bytes = min(values["scratchpad_bytes"], held.bytes - held.reserve_high)
    names.blocking = names.blocking or names.chip.blocking


def _region(values: Values, names: Names) -> None:
    fmt, shape = values.get("fmt", ""), values.get("shape", ())
    if fmt in FORMAT_BYTES and min(shape, default=0) >= 0:
        values.setdefault("bytes", FORMAT_BYTES[fmt] * prod(shape))
    values.setdefault("address", align_up(names.dram_end, _align(names)))


def _data(values: Values, _: Names) -> None:
    if values.get("hex"):
        values.setdefault("bytes", len(values["hex"]) // 2)


def _origin(values: Values, _: Names) -> None:
    if "piece" in values:
        values.setdefault("node", values["piece"])
    values.setdefault("layer", "")


def _out_fmt(values: Values, _: Names) -> None:
    if "fmt" in values:
        values.setdefault("out_fmt", values["fmt"])


def _window(values: Values, names: Names) -> None:
    values.setdefault("strides", (1, 1))
    values.setdefault("pads", (0, 0, 0, 0))
    values.setdefault("dilations", (1, 1))
    _out_fmt(values, names)


def _pool(values: Values, names: Names) -> None:
    _window(values, names)
    values.pop("out_fmt", None)


_RULES: dict[type, Callable[[Values, Names], None]] = {
    Header: _header,
    Region: _region,
    Data: _data,
    Origin: _origin,
    Vector: _out_fmt,
    MatMul: _out_fmt,
    Reduce: _out_fmt,
    Conv: _window,
    Pool: _pool,
}
