"""A chip as text: the canonical chip file, and the rows of its table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel

from drawloom.chip.model import Chip, Range, Source
from drawloom.chip.quantity import Kind
from drawloom.chip.schema import ChipFile, Entry, ListEntry, Section, kind_of
from drawloom.chip.tree import FORMAT


@dataclass(frozen=True, slots=True)
class Row:
    """One number of a chip as a table shows it; ``range`` is empty where there is none."""

    path: str
    value: str
    range: str
    grade: str
    source: str


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A number with its path, or the head of a section (``kind`` None)."""

    path: tuple[str, ...]
    value: Any
    kind: Kind | None


def show(chip: Chip) -> tuple[Row, ...]:
    """Return every number of the chip with its unit, range, grade and source."""
    return tuple(
        _row(leaf, leaf.kind, chip.sources[".".join(leaf.path)])
        for leaf in _walk(ChipFile, chip, ())
        if leaf.kind is not None
    )


def chip_text(chip: Chip) -> str:
    """Return the chip as a whole chip file (``.chip.yaml``); loading it gives an equal chip.

    Every number must have a source, and lie inside its range where it has one.
    """
    lines = [f"name: {chip.name}", f"title: {_quoted(chip.title)}", f"format: {FORMAT}"]
    n_sources = 0
    for leaf in _walk(ChipFile, chip, ()):
        head = "  " * (len(leaf.path) - 1) + leaf.path[-1] + ":"
        if leaf.kind is None:
            lines.append(head if leaf.value else f"{head} {{}}")
        else:
            n_sources += 1
            lines.append(f"{head} {_entry(leaf, leaf.kind, chip.sources['.'.join(leaf.path)])}")
    assert n_sources == len(chip.sources), "a source without a number"
    return "\n".join(lines) + "\n"


def _walk(owner: type[Section], part: Any, path: tuple[str, ...]) -> Iterator[_Leaf]:
    """Yield the sections and numbers of a part in the order of its schema."""
    for name, field in owner.model_fields.items():
        if field.annotation is not str:
            yield from _below(field.annotation, getattr(part, name), (*path, name))


def _below(hint: Any, value: Any, path: tuple[str, ...]) -> Iterator[_Leaf]:
    if get_origin(hint) is dict:
        yield _Leaf(path, value, None)
        for key, item in cast("dict[str, Any]", value).items():
            yield from _below(get_args(hint)[1], item, (*path, key))
    elif issubclass(hint, (Entry, ListEntry)):
        yield _Leaf(
            path,
            value.default if isinstance(value, Range) else value,
            kind_of(cast("type[BaseModel]", hint)),
        )
    else:
        yield _Leaf(path, value, None)
        yield from _walk(hint, value, path)


def _row(leaf: _Leaf, kind: Kind, source: Source) -> Row:
    ends = _ends(kind, source)
    shown = " to ".join(ends) if ends else ""
    return Row(".".join(leaf.path), _value(leaf.value, kind), shown, source.grade, source.text)


def _entry(leaf: _Leaf, kind: Kind, source: Source) -> str:
    ends = _ends(kind, source)
    parts = [f"value: {_value(leaf.value, kind)}"]
    parts += [f"range: [{ends[0]}, {ends[1]}]"] if ends else []
    parts += [f"grade: {source.grade}", f"source: {_quoted(source.text)}"]
    return f"{{{', '.join(parts)}}}"


def _value(value: Any, kind: Kind) -> str:
    if isinstance(value, tuple):
        items = cast("tuple[int, ...]", value)
        return f"[{', '.join(kind.text(item) for item in items)}]"
    return kind.text(value)


def _ends(kind: Kind, source: Source) -> tuple[str, str] | None:
    """Return the ends of a number's range; a whole number's ends are whole."""
    if source.low is None or source.high is None:
        return None
    ends = (source.low, source.high)
    low, high = (kind.text(int(end) if kind.whole else end) for end in ends)
    return low, high


def _quoted(text: str) -> str:
    """Return a text as a YAML double-quoted scalar on one line."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in plain)
