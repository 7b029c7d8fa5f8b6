"""Which lines a program is made of, and the kind of each of their fields.

A new command class needs one line in ``COMMANDS``; a field with a new annotation needs one
in ``KINDS``. Text, parser and binary follow from that.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any

from drawloom.chip.model import Blocking
from drawloom.program import kinds, operands
from drawloom.program.commands import (
    Arm,
    Barrier,
    Command,
    Conv,
    Cpu,
    Fill,
    Join,
    MatMul,
    Move,
    Pick,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Signal,
    Vector,
    Wait,
    Write,
)
from drawloom.program.kinds import Kind
from drawloom.program.program import Origin, Region

COMMANDS: dict[str, type[Command]] = {
    "read": Read,
    "pick": Pick,
    "write": Write,
    "move": Move,
    "fill": Fill,
    "select": Select,
    "matmul": MatMul,
    "conv": Conv,
    "vector": Vector,
    "reduce": Reduce,
    "pool": Pool,
    "send": Send,
    "arm": Arm,
    "signal": Signal,
    "wait": Wait,
    "join": Join,
    "barrier": Barrier,
    "cpu": Cpu,
}
WORD_OF = {kind: word for word, kind in COMMANDS.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """What a program is called, what it runs on, what it needs."""

    name: str
    chip: str
    scratchpad_bytes: int
    dram_bytes: int


@dataclass(frozen=True, slots=True)
class Note:
    """One short fact about a program."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of the DRAM image: by its bytes if it is short, else by their hash."""

    address: int
    bytes: int
    sha256: str = ""
    hex: str = ""


RECORDS: dict[str, type] = {
    "program": Header,
    "blocking": Blocking,
    "note": Note,
    "region": Region,
    "data": Data,
    "origin": Origin,
}

KINDS: dict[str, Kind] = {
    "int": kinds.INT,
    "Bytes": kinds.INT,
    "float": kinds.FLOAT,
    "float | None": kinds.FLOAT,
    "bool": kinds.BOOL,
    "str": kinds.WORD,
    "Address": kinds.ADDRESS,
    "Address | None": kinds.ADDRESS,
    "Dims": kinds.DIMS,
    "tuple[tuple[int, int, int], ...]": kinds.MOVE_DIMS,
    "tuple[int, int]": kinds.PAIR,
    "tuple[int, int, int, int]": kinds.FOUR,
    "tuple[int, ...]": kinds.TILES,
    "tuple[Engine, ...]": operands.ENGINES,
    "tuple[Operand | None, ...]": operands.OPERANDS,
    "tuple[Operand, ...]": operands.OPERANDS,
    "tuple[tuple[str, AttrValue], ...]": operands.ATTRS,
}
# Where a name says more than its annotation.
NAMED: dict[str, Kind] = {
    "address": kinds.PLACE,
    "shape": kinds.SHAPE,
    "sha256": kinds.HEX,
    "hex": kinds.HEX,
}


@dataclass(frozen=True, slots=True)
class Slot:
    """One field of a line."""

    name: str
    kind: Kind
    required: bool
    default: Any


@cache
def slots(line: type) -> tuple[Slot, ...]:
    """Return the fields of a command or record, in order."""
    return tuple(
        Slot(
            f.name,
            NAMED.get(f.name) or KINDS[str(f.type)],
            f.default is MISSING,
            None if f.default is MISSING else f.default,
        )
        for f in fields(line)
    )
