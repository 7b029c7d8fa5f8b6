"""What pydantic found wrong, told as faults: file and line, field, value, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from drawloom.chip.schema import ChipFile, Entry, ListEntry, kind_of
from drawloom.chip.tree import Place, Tree
from drawloom.errors import Fault, nearest

Path = tuple[str | int, ...]
_SHAPES = {
    "list_type": "a list such as [1, 2, 4]",
    "tuple_type": "two ends, [low, high]",
    "too_long": "two ends, [low, high]",
    "string_type": "one line of text",
    "string_pattern_mismatch": "a word of letters, digits, _ and -",
}


def faults_of(error: ValidationError, tree: Tree) -> list[tuple[Place, Fault]]:
    """Return each fault with its place, for sorting."""
    found: list[tuple[Place, Fault]] = []
    for one in error.errors(include_url=False):
        path = tuple(one["loc"])
        here = tree.nearest(path)
        fault = _fault(dict(one), path, here)
        found.append((here.place, fault))
    return found


def _fault(error: dict[str, Any], path: Path, here: Tree) -> Fault:
    where = f"{here.place} {dotted(path)}".rstrip()
    kind = error["type"]
    if kind == "missing":
        return _missing(where, path)
    if path[-1:] == ("[key]",):
        return Fault(where, "", _allowed_key(path[:-1], error))
    if kind == "extra_forbidden":
        return Fault(where, "", nearest(str(path[-1]), legal(path[:-1])))
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return Fault(where, _quote(here), f"a section with {_fields(path)}")
    if kind == "literal_error":
        options = get_args(_annotation(path))
        return Fault(where, _quote(here), "one of " + ", ".join(_literals(options)))
    if kind in ("quantity", "range", "rule"):
        return Fault(where, "" if kind == "rule" else _quote(here), str(error["msg"]))
    return Fault(where, _quote(here), _SHAPES.get(kind, str(error["msg"])))


def _missing(where: str, path: Path) -> Fault:
    """Return the fault of a field that is not there."""
    if path[-2:-1] == ("range",):
        return Fault(where, "", "two ends, [low, high]")
    owner = _annotation(path[:-1])
    fields = owner.model_fields if _is_model(owner) else {}
    field = fields.get(str(path[-1]))
    if path[-1] == "value" and _is_model(owner):
        return Fault(where, "value missing", kind_of(owner).allowed)
    return Fault(where, "missing", (field.description if field else "") or "a section")


def dotted(path: Path) -> str:
    """Return a path as people write it; an entry's value is the entry."""
    words = [str(step) for step in path if step != "[key]"]
    return ".".join(words[:-1] if words[-1:] == ["value"] else words)


def legal(path: Path) -> list[str]:
    """Return the names of the fields that may stand below ``path``."""
    owner = _annotation(path)
    names = list(owner.model_fields) if _is_model(owner) else []
    return names if path else [*names, "extends"]


def _allowed_key(path: Path, error: dict[str, Any]) -> str:
    keys = _literals(get_args(_annotation(path[:-1])))
    return nearest(str(path[-1]), keys) if keys else _SHAPES.get(error["type"], error["msg"])


def _fields(path: Path) -> str:
    """Return the legal fields below ``path`` for a message, the first few of many."""
    owner = _annotation(path)
    names = legal(path) if _is_model(owner) else _literals(get_args(owner)) or ["names"]
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")


def _literals(options: Iterable[Any]) -> list[str]:
    """Return the words of a Literal, whether bare or as the keys of a dict."""
    words: list[str] = []
    for option in options:
        if isinstance(option, str):
            words.append(option)
        elif get_origin(option) is not None and all(isinstance(w, str) for w in get_args(option)):
            words += get_args(option)
    return words


def _annotation(path: Path) -> Any:
    """Return the type that the schema gives to ``path``; None where it gives none."""
    here: Any = ChipFile
    for step in path:
        if _is_model(here):
            field = here.model_fields.get(str(step))
            here = field.annotation if field else None
        elif get_origin(here) is dict:
            here = get_args(here)[1]
        else:
            return None
    return here


def _is_model(here: Any) -> bool:
    return isinstance(here, type) and issubclass(here, BaseModel)


def is_number(here: Any) -> bool:
    """Whether a type of the schema is a number's entry."""
    return _is_model(here) and issubclass(here, (Entry, ListEntry))


def _quote(here: Tree) -> str:
    return f"'{here.text()}'" if isinstance(here.content, str) else here.text()
