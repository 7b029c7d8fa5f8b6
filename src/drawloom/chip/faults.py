"""What pydantic found wrong, told as faults: file and line, field, value, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel, ValidationError

from drawloom.chip.schema import ChipFile, kind_of
from drawloom.chip.tree import Place, Tree
from drawloom.errors import Fault, nearest

Path = tuple[str | int, ...]
Root = type[BaseModel]
_SHAPES = {
    "missing": "two ends, [low, high]",  # of a range: what a section lacks is told as one fault
    "list_type": "a list such as [1, 2, 4]",
    "tuple_type": "two ends, [low, high]",
    "too_long": "two ends, [low, high]",
    "string_type": "one line of text",
    "string_pattern_mismatch": "a word of letters, digits, _ and -",
}


def faults_of(
    error: ValidationError, tree: Tree, is_whole: bool, root: Root = ChipFile
) -> list[Fault]:
    """Return the faults in the order of their lines.

    Args:
        error: what pydantic found.
        tree: the file, for lines and texts.
        is_whole: whether a field that is not there is a fault.
        root: the model of the whole file.
    """
    found: list[tuple[Place, Fault]] = []
    lacking: dict[Path, list[Path]] = {}
    for one in error.errors(include_url=False):
        path = tuple(one["loc"])
        if one["type"] == "missing" and path[-1] != "value" and path[-2:-1] != ("range",):
            lacking.setdefault(path[:-1], []).append(path)
        else:
            here = tree.nearest(path[:-1] if one["type"] == "missing" else path)
            found.append((here.place, _fault(root, dict(one), path, here)))
    if is_whole:
        found += [_lacking(root, section, tree, paths) for section, paths in lacking.items()]
    return [fault for _, fault in sorted(found, key=lambda pair: (pair[0].file, pair[0].line))]


def _lacking(root: Root, section: Path, tree: Tree, paths: list[Path]) -> tuple[Place, Fault]:
    """Return one fault for all fields that a section lacks."""
    here = tree.nearest(section)
    names = ", ".join(str(path[-1]) for path in paths)
    where = f"{here.place} {dotted(section)}".rstrip()
    way_out = "or start from a chip that has them, with 'extends'"
    if section or root is not ChipFile:
        way_out = ""
    if len(paths) == 1:
        way_out = _description(root, paths[0]) or way_out
    return here.place, Fault(where, f"{names} missing", way_out)


def _fault(root: Root, error: dict[str, Any], path: Path, here: Tree) -> Fault:
    where = f"{here.place} {dotted(path)}".rstrip()
    kind = error["type"]
    if kind == "missing" and path[-1] == "value":
        return Fault(where, "value missing", kind_of(_annotation(root, path[:-1])).allowed)
    if path[-1:] == ("[key]",):
        return Fault(where, "", _allowed_key(root, path[:-1], error))
    if kind == "extra_forbidden":
        return Fault(where, "", nearest(str(path[-1]), legal(root, path[:-1])))
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return Fault(where, _quote(here), f"a section with {_fields(root, path)}")
    if kind == "literal_error":
        options = get_args(_annotation(root, path))
        return Fault(where, _quote(here), "one of " + ", ".join(_literals(options)))
    if kind in ("quantity", "range", "rule"):
        return Fault(where, "" if kind == "rule" else _quote(here), str(error["msg"]))
    return Fault(where, _quote(here), _SHAPES.get(kind, str(error["msg"])))


def _description(root: Root, path: Path) -> str:
    """Return what the schema says of a field."""
    owner = _annotation(root, path[:-1])
    field = owner.model_fields.get(str(path[-1])) if _is_model(owner) else None
    return (field.description if field else "") or ""


def dotted(path: Path) -> str:
    """Return a path as people write it; an entry's value, and an end of a range, go without."""
    words = [str(step) for step in path if step != "[key]" and not isinstance(step, int)]
    return ".".join(words[:-1] if words[-1:] == ["value"] else words)


def legal(root: Root, path: Path) -> list[str]:
    """Return the names of the fields that may stand below ``path``."""
    owner = _annotation(root, path)
    names = list(owner.model_fields) if _is_model(owner) else []
    return names if path or root is not ChipFile else [*names, "extends"]


def _allowed_key(root: Root, path: Path, error: dict[str, Any]) -> str:
    keys = _literals(get_args(_annotation(root, path[:-1])))
    return nearest(str(path[-1]), keys) if keys else _SHAPES.get(error["type"], str(error["msg"]))


def _fields(root: Root, path: Path) -> str:
    """Return the legal fields below ``path`` for a message, the first few of many."""
    owner = _annotation(root, path)
    names = legal(root, path) if _is_model(owner) else _literals(get_args(owner)) or ["names"]
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


def _annotation(root: Root, path: Path) -> Any:
    """Return the type that the schema gives to ``path``; None where it gives none."""
    here: Any = root
    for step in path:
        if isinstance(step, int) and get_origin(here) in (list, tuple):
            here = get_args(here)[0]
        elif _is_model(here):
            field = here.model_fields.get(str(step))
            here = _wanted(field.annotation) if field else None
        elif get_origin(here) is dict:
            here = get_args(here)[1]
        else:
            return None
    return here


def _wanted(annotation: Any) -> Any:
    """Return what may stand in a field that may be left out."""
    options = [each for each in get_args(annotation) if each is not NoneType]
    return options[0] if len(options) == 1 and NoneType in get_args(annotation) else annotation


def _is_model(here: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(here, type) and issubclass(here, BaseModel)


def _quote(here: Tree) -> str:
    return f"'{here.text()}'" if isinstance(here.content, str) else here.text()
