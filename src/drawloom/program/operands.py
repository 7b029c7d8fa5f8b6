"""The kinds of field that are neither number nor word: engines, operands, attributes."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from drawloom.program.commands import AttrValue, Engine, Operand
from drawloom.program.kinds import (
    SHAPE,
    Bad,
    Kind,
    pack_address,
    read_address,
    sequence,
    show_address,
    unpack_address,
)
from drawloom.program.packing import Broken, Packer, Unpacker

Attrs = tuple[tuple[str, AttrValue], ...]

_ENGINES = [engine.value for engine in Engine]


_ENGINES_FORM = "engines out of " + ", ".join(_ENGINES)


def _read_engine(text: str) -> Engine:
    if text not in _ENGINES:
        raise Bad(_ENGINES_FORM)
    return Engine(text)


def _unpack_engine(raw: Unpacker) -> Engine:
    word = raw.word()
    if word not in _ENGINES:
        raise Broken(f"there is no engine '{word}'")
    return Engine(word)


ENGINES = sequence(
    Kind(
        lambda engine: engine.value, _read_engine, lambda out, e: out.word(e.value), _unpack_engine
    ),
    _ENGINES_FORM,
)

_OPERAND = re.compile(r"([a-z0-9]+):([a-z0-9]+)\[([0-9x]*)\]@(\S+)")
_OPERANDS_FORM = "operands like spm:f32[4x8]@0x1000,- with - for one left out"


def _show_operand(operand: Operand | None) -> str:
    if operand is None:
        return "-"
    shape = "x".join(map(str, operand.shape))
    return f"{operand.space}:{operand.fmt}[{shape}]@{show_address(operand.address)}"


def _read_operand(text: str) -> Operand | None:
    if text == "-":
        return None
    found = _OPERAND.fullmatch(text)
    if not found:
        raise Bad(_OPERANDS_FORM)
    space, fmt, shape, address = found.groups()
    return Operand(space, read_address(address), fmt, SHAPE.read(shape or "()"))


def _pack_operand(out: Packer, operand: Operand | None) -> None:
    out.word(operand.space if operand else "")
    if operand:
        out.word(operand.fmt)
        pack_address(out, operand.address)
        SHAPE.pack(out, operand.shape)


def _unpack_operand(raw: Unpacker) -> Operand | None:
    space = raw.word()
    if not space:
        return None
    fmt, address = raw.word(), unpack_address(raw)
    return Operand(space, address, fmt, SHAPE.unpack(raw))


OPERANDS = sequence(
    Kind(_show_operand, _read_operand, _pack_operand, _unpack_operand), _OPERANDS_FORM
)

# --- attributes: JSON in text, each value after a mark of its type in binary ---

_ATTRS_FORM = 'attributes like {"axis":1,"perm":[0,2,1]}, as JSON writes them'
_BOOL_MARK, _INT_MARK, _FLOAT_MARK, _WORD_MARK, _TUPLE_MARK = range(5)


def _show_attrs(attrs: Attrs) -> str:
    pairs = (f"{_json(key)}:{_json(value)}" for key, value in attrs)
    return "{" + ",".join(pairs) + "}"


def _json(value: AttrValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as the pairs in it."""


def _read_attrs(text: str) -> Attrs:
    try:
        found = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise Bad(_ATTRS_FORM) from None
    if not isinstance(found, _Pairs):
        raise Bad(_ATTRS_FORM)
    return tuple((key, _attr(value)) for key, value in found)


def _attr(value: Any) -> AttrValue:
    is_list = isinstance(value, list) and not isinstance(value, _Pairs)
    return tuple(map(_scalar, cast("list[Any]", value))) if is_list else _scalar(value)


def _scalar(value: Any) -> Any:
    fits = not isinstance(value, int) or -(1 << 63) <= value < 1 << 63
    if not isinstance(value, (int, float, str)) or not fits:
        raise Bad(_ATTRS_FORM)
    return value


def _pack_attrs(out: Packer, attrs: Attrs) -> None:
    out.uint(len(attrs))
    for key, value in attrs:
        out.word(key)
        if isinstance(value, tuple):
            out.uint(_TUPLE_MARK)
            out.uint(len(value))
            for item in value:
                _pack_scalar(out, item)
        else:
            _pack_scalar(out, value)


def _pack_scalar(out: Packer, value: float | str) -> None:
    if isinstance(value, bool):
        out.uint(_BOOL_MARK)
        out.uint(value)
    elif isinstance(value, int):
        out.uint(_INT_MARK)
        out.int(value)
    elif isinstance(value, float):
        out.uint(_FLOAT_MARK)
        out.float(value)
    else:
        out.uint(_WORD_MARK)
        out.word(value)


def _unpack_attrs(raw: Unpacker) -> Attrs:
    return raw.many(_unpack_attr)


def _unpack_attr(raw: Unpacker) -> tuple[str, AttrValue]:
    key, mark = raw.word(), raw.uint()
    if mark == _TUPLE_MARK:
        return key, raw.many(lambda raw: _unpack_scalar(raw, raw.uint()))
    return key, _unpack_scalar(raw, mark)


def _unpack_scalar(raw: Unpacker, mark: int) -> Any:
    if mark == _BOOL_MARK:
        return raw.uint() != 0
    if mark == _INT_MARK:
        return raw.int()
    if mark == _FLOAT_MARK:
        return raw.float()
    if mark == _WORD_MARK:
        return raw.word()
    raise Broken("an attribute of no known type")


ATTRS = Kind(_show_attrs, _read_attrs, _pack_attrs, _unpack_attrs)
