"""A mapping as text; ``drawloom.mapping.parse`` reads it back.

    text     ::= "drawloom mapping 1" "graph" word hash "chip" word hash "dram" bytes
                 ("note" word word)* repeat* storage* piece*  one line each, pieces several
    repeat   ::= "repeat" first end count                     pieces by number, end not included
    storage  ::= "storage" word kind layout type "at" address ["of" word] [hash]
    piece    ::= ("matrix" | "strip" | "pool" | "copy" | "cpu" | "flash" | "norm") word, indented: field*
    field    ::= key=value ...                                plain fields, several a line
               | key key=value ...                            a part (window), one of a list (runs)
               | key word (key=value ... | value)             one entry of a table (buffers, values)
               | "body", indented: slots | load | step | store
    slots    ::= "slots" kind fmt [slot, ...]
    load     ::= "load" slot "<-" value          store ::= "store" slot "->" value
    step     ::= dst "=" op "(" a [, b] [, number] ")" ["for" node]
    value    ::= 3 | 0.5 | inf | true | word | "-" (none) | [value, ...] | (value, ...)
    hash     ::= "sha256=" hex

Graph and chip stand in it by name and hash: whoever parses it brings both. A storage is
listed once and referred to by its name; ``of`` says which value it holds where the name does
not. A constant storage holds the graph's constant of that name in the storage's format; one
that holds something else has a hash. What equals its default is left out. The text is
canonical: equal mappings give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, partial
from itertools import groupby
from operator import index
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from drawloom.graph.ir import Array, Attr, Graph, TensorType
from drawloom.graph.lazy import Held, LazyTensor, derive, values
from drawloom.graph.text import hash_of
from drawloom.mapping.body import Body, Slot, Step
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.mapping import Mapping as ChipMapping
from drawloom.mapping.pieces import (
    CopyPiece,
    CpuPiece,
    FlashPiece,
    MatrixPiece,
    NormPiece,
    Piece,
    PoolPiece,
    StripPiece,
)

HEAD = "drawloom mapping 1"
BARE = re.compile(r"(?!(?:inf|nan)$)[A-Za-z_./:][A-Za-z0-9_./:\-]*", re.ASCII)
PIECES: dict[str, type[Piece]] = {
    "matrix": MatrixPiece,
    "strip": StripPiece,
    "pool": PoolPiece,
    "copy": CopyPiece,
    "cpu": CpuPiece,
    "flash": FlashPiece,
    "norm": NormPiece,
}
STORAGE_LINE = ("value", "dtype", "shape", "layout", "blocking", "address", "kind")
STEP_LINE = ("op", "dst", "a", "b", "scalar", "node")
SLOT_LINE = ("name", "kind", "fmt")
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a piece or part: how it is laid out, and the type of (each of) its values.

    ``form``: plain, part (a dataclass on its own line), list (of parts), table (by name), body.
    """

    name: str
    form: str
    hint: Any
    default: object  # MISSING when the field must be there


@cache
def fields_of(kind: type) -> dict[str, Field]:
    """Return how each field of a dataclass is written, by name."""
    hints = get_type_hints(kind)
    return {f.name: _field(f.name, hints[f.name], _default(f)) for f in fields(kind)}


def _default(field: Any) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _field(name: str, hint: Any, default: object) -> Field:
    inner = without_none(hint)
    args = get_args(inner)
    if inner is Body:
        return Field(name, "body", Body, default)
    if is_part(inner):
        return Field(name, "part", inner, default if inner is hint else None)
    if get_origin(inner) is Mapping:
        return Field(name, "table", args[1], {})
    if get_origin(inner) is tuple and args[1:] == (Ellipsis,) and is_part(args[0]):
        return Field(name, "list", args[0], ())
    return Field(name, "plain", hint, default)


def without_none(hint: Any) -> Any:
    """Return ``X`` of ``X | None``; any other type as it is."""
    if get_origin(hint) not in (Union, UnionType) or hint == Attr:
        return hint
    rest = [arg for arg in get_args(hint) if arg is not NoneType]
    return rest[0] if len(rest) == 1 else hint


def is_part(hint: Any) -> bool:
    """Whether a type is a dataclass that is written out, not referred to by name."""
    return isinstance(hint, type) and is_dataclass(hint) and hint is not Storage


def mapping_text(mapping: ChipMapping) -> str:
    """Return the mapping's canonical text, ending in a newline."""
    return "\n".join(_Printer(mapping).lines()) + "\n"


def chip_hash(text: str) -> str:
    """Return the SHA-256 of a chip's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def known_contents(graph: Graph, value: str, kind: TensorType) -> Held | None:
    """Return a graph constant in the form a storage holds it; None where the graph has no such."""
    held = graph.constants.held.get(value)
    if held is None or held.size != kind.size:
        return None
    return derive(held, partial(_stored_as, kind), kind)


def _stored_as(kind: TensorType, array: Array) -> Array:
    with np.errstate(all="ignore"):
        return array.astype(kind.dtype.numpy, copy=False).reshape(kind.shape)


def other_contents(mapping: ChipMapping) -> dict[str, Held]:
    """Return the constants that are not the graph's own, by the name of their storage."""
    out: dict[str, Held] = {}
    for name, storage in names_of(mapping.storages).items():
        if storage.kind == "constant":
            held = mapping.constants[storage.address]
            kind = TensorType(storage.dtype, storage.shape)
            plain = known_contents(mapping.graph, storage.value, kind)
            if plain is None or not _same(held, plain):
                out[name] = held
    return out


def _same(one: Held, other: Held) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    without = [isinstance(held, LazyTensor) and held.is_meta for held in (one, other)]
    if any(without):
        return all(without)
    a, b = values(one), values(other)
    bits = f"u{a.dtype.itemsize}"  # so that a NaN equals itself and -0 does not equal 0
    return np.array_equal(np.ascontiguousarray(a).view(bits), np.ascontiguousarray(b).view(bits))


def names_of(storages: Sequence[Storage]) -> dict[str, Storage]:
    """Return storages by the names they have in texts: the value's, with the layout unless dense."""
    out: dict[str, Storage] = {}
    for storage in storages:
        plain = storage.layout == "dense"
        name = word = storage.value if plain else f"{storage.value}.{storage.layout}"
        turn = 1
        while name in out:
            turn += 1
            name = f"{word}/{turn}"
        out[name] = storage
    return out


def word(text: str) -> str:
    """Return a text as it stands in a line: bare where it is plain, else in JSON's quotes."""
    return text if BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def attr_text(value: Any) -> str:
    """Return an attribute of a node; texts always stand in quotes."""
    if isinstance(value, tuple):
        return "[" + ", ".join(attr_text(item) for item in cast("tuple[Any, ...]", value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return float.__repr__(value) if isinstance(value, float) else repr(index(value))


class _Printer:
    def __init__(self, mapping: ChipMapping) -> None:
        self.mapping = mapping
        named = names_of(mapping.storages)
        self.name: dict[Storage, str] = {}
        for name, storage in named.items():
            self.name.setdefault(storage, name)
        self.named = named
        self.others = other_contents(mapping)

    def lines(self) -> Iterator[str]:
        from drawloom.chip.text import chip_text  # slow to import

        it = self.mapping
        graph = hashlib.sha256(it.graph.text().encode()).hexdigest()
        yield HEAD
        yield f"graph {word(it.graph.name)} sha256={graph}"
        yield f"chip {word(it.chip.name)} sha256={chip_hash(chip_text(it.chip))}"
        yield f"dram {it.dram_bytes}"
        for key in sorted(it.notes):
            yield f"note {word(key)} {word(it.notes[key])}"
        for each in it.repeats:
            yield f"repeat {each.first} {each.end} {each.count}"
        yield ""
        for name, storage in self.named.items():
            yield self._storage(name, storage)
        for piece in it.pieces:
            yield ""
            yield from self._piece(piece)

    def _storage(self, name: str, storage: Storage) -> str:
        assert storage.blocking == self.mapping.chip.blocking, storage
        kind = TensorType(storage.dtype, storage.shape).text()
        line = f"storage {word(name)} {storage.kind} {storage.layout} {kind} at {storage.address}"
        line += "" if storage.value == name else f" of {word(storage.value)}"
        line += f" sha256={hash_of(values(self.others[name]))}" if name in self.others else ""
        return line + "".join(f" {p}" for p in self._pairs(storage, STORAGE_LINE))

    def _piece(self, piece: Piece) -> Iterator[str]:
        kind = next(key for key, each in PIECES.items() if type(piece) is each)
        yield f"{kind} {word(piece.name)}"
        yield from _wrapped(self._pairs(piece, ("name",)))
        for name, field in fields_of(type(piece)).items():
            if field.form != "plain":
                yield from (f"  {line}" for line in self._field(field, getattr(piece, name)))

    def _pairs(self, part: object, without: tuple[str, ...] = ()) -> list[str]:
        """Return ``key=value`` for each plain field that is not at its default."""
        out: list[str] = []
        for name, field in fields_of(type(part)).items():
            value = getattr(part, name)
            at_default = field.default is not MISSING and value == field.default
            if field.form == "plain" and name not in without and not at_default:
                out.append(f"{name}={self._value(field.hint, value)}")
        return out

    def _field(self, field: Field, value: Any) -> Iterator[str]:
        match field.form:
            case "part":
                if value is not None:
                    yield self._part(field.name, value)
            case "list":
                for item in value:
                    yield self._part(field.name, item)
            case "table":
                for key, item in value.items():
                    if is_part(field.hint):
                        assert getattr(item, "name", key) == key, (key, item)
                        yield self._part(f"{field.name} {word(key)}", item, ("name",))
                    else:
                        yield f"{field.name} {word(key)} {self._value(field.hint, item)}"
            case _:
                yield "body"
                yield from (f"  {line}" for line in self._body(value))

    def _part(self, head: str, part: object, without: tuple[str, ...] = ()) -> str:
        pairs = self._pairs(part, without)
        for name, field in fields_of(type(part)).items():
            if field.form == "list" and getattr(part, name):
                inside = ", ".join(self._tuple(item) for item in getattr(part, name))
                pairs.append(f"{name}=[{inside}]")
        return " ".join((head, *pairs))

    def _tuple(self, part: object) -> str:
        known = fields_of(type(part)).values()
        return "(" + ", ".join(self._value(f.hint, getattr(part, f.name)) for f in known) + ")"

    def _value(self, hint: Any, value: Any) -> str:
        if value is None:
            return "-"
        if hint == Attr:
            return attr_text(value)
        if isinstance(value, Storage):
            return word(self.name[value])
        if isinstance(value, tuple):
            items = cast("tuple[Any, ...]", value)
            args = get_args(without_none(hint))
            inner = (args[0],) * len(items) if args[1:] == (Ellipsis,) else args
            return "[" + ", ".join(map(self._value, inner, items)) + "]"
        if isinstance(value, str):
            return word(value)
        return _scalar(float(value) if without_none(hint) is float else value)

    def _body(self, body: Body) -> Iterator[str]:
        for (head, more), group in groupby(body.slots, self._slots):
            yield f"{head} [{', '.join(word(slot.name) for slot in group)}]{more}"
        for slot, value in body.loads:
            yield f"load {word(slot)} <- {word(value)}"
        for step in body.steps:
            yield self._step(step)
        for slot, value in body.stores:
            yield f"store {word(slot)} -> {word(value)}"

    def _slots(self, slot: Slot) -> tuple[str, str]:
        more = "".join(f" {pair}" for pair in self._pairs(slot, SLOT_LINE))
        return f"slots {word(slot.kind)} {word(slot.fmt)}", more

    def _step(self, step: Step) -> str:
        operands = [word(name) for name in (step.a, step.b) if name]
        operands += [] if step.scalar is None else [_scalar(float(step.scalar))]
        line = f"{word(step.dst)} = {word(step.op)}({', '.join(operands)})"
        line += f" for {word(step.node)}" if step.node else ""
        return line + "".join(f" {pair}" for pair in self._pairs(step, STEP_LINE))


def _wrapped(pairs: Sequence[str]) -> Iterator[str]:
    line = ""
    for pair in pairs:
        if line and len(line) + len(pair) + 1 > _WIDTH:
            yield line
            line = ""
        line = f"{line} {pair}" if line else f"  {pair}"
    if line:
        yield line
