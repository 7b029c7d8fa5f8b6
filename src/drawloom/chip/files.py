"""Read a chip file: a chip of the catalog, a person's own, or one laid over another.

A file says every number of ``Chip``, or ``extends: <chip or path>`` and only
what differs. A number stands alone (``clock: 1 GHz``) or as an entry
(``clock: {value: 1 GHz, source: ..., grade: B, range: [0.7 GHz, 1.4 GHz]}``).
This module imports pydantic and ruamel.yaml; import it where it is used, so
that ``import drawloom`` stays quick.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, cast, get_type_hints

from pydantic import BaseModel, ValidationError

from drawloom.chip.catalog import CATALOG
from drawloom.chip.faults import faults_of
from drawloom.chip.model import Chip, Range, Source
from drawloom.chip.schema import ChipFile, Entry, ListEntry, Section
from drawloom.chip.tree import Place, Tree, over, read
from drawloom.errors import Fault, InputError, nearest

_FOLDER = Path(__file__).parent / "catalog"


def catalog() -> tuple[str, ...]:
    """Return the names of the chips that come with drawloom."""
    return tuple(sorted(CATALOG))


def load_chip(name_or_path: str | Path) -> Chip:
    """Return a chip of the catalog by name, or the one in a chip file.

    Raises InputError (``chip.file``) with every fault of the file, each with its line, field,
    value and what is allowed; or, for an unknown chip, with the nearest known one.
    """
    if isinstance(name_or_path, str) and name_or_path in CATALOG:
        return _from_catalog(name_or_path)
    path = _path_of(str(name_or_path))
    return parse_chip(_text_of(path), path.name, path.parent, (path.resolve(),))


def parse_chip(
    text: str,
    file: str = "text",
    folder: Path | None = None,
    opened: tuple[Path, ...] = (),
    *,
    alone: bool = False,
) -> Chip:
    """Return the chip that a text describes.

    Args:
        text: the YAML of a chip file.
        file: how messages and sources call the text.
        folder: where ``extends: other.chip.yaml`` looks; by default the working folder.
        opened: chip files that are being read already, so that a circle of extends is noticed.
        alone: whether it may extend chips of the catalog only, as one that came in another file.

    Raises InputError (``chip.file``) with all faults at once.
    """
    given = _resolve(text, file, None if alone else folder or Path(), opened)
    parsed, faults = _validate(given)
    if parsed is None or faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise InputError("chip.file", f"{count} in {file}", faults)
    return _chip(parsed, given.tree)


@dataclass(frozen=True, slots=True)
class _Given:
    """What a file says with all it extends, and what is wrong with its form."""

    tree: Tree
    faults: tuple[Fault, ...]
    is_whole: bool = True  # False when a file it extends could not be opened


@cache
def _from_catalog(name: str) -> Chip:
    return parse_chip(_text_of(_FOLDER / f"{name}.yaml"), f"{name}.yaml", _FOLDER)


def _path_of(name: str) -> Path:
    """Return the path that ``name`` means; raises InputError when it means nothing."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 or path.is_file():
        return path
    raise InputError("chip.file", f"there is no chip '{name}'", [Fault(name, "", _unknown(name))])


def _unknown(name: str) -> str:
    return f"{nearest(name, CATALOG)}; or the path of a chip file"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError("chip.file", f"cannot read '{path}': {reason}") from None
    except UnicodeDecodeError:
        raise InputError("chip.file", f"cannot read '{path}': not UTF-8 text") from None


def _resolve(text: str, file: str, folder: Path | None, opened: tuple[Path, ...]) -> _Given:
    """Return a file laid over what it extends."""
    tree, faults = read(text, file)
    own = dict(tree.section)
    extends = own.pop("extends", None)
    if extends is None:
        return _Given(Tree(tree.place, own), tuple(faults))
    base = _base(extends, folder, opened)
    top = Tree(tree.place, _titles(base.tree, file, tree.place) | own)
    return _Given(over(base.tree, top), (*faults, *base.faults), base.is_whole)


def _base(extends: Tree, folder: Path | None, opened: tuple[Path, ...]) -> _Given:
    """Return what ``extends`` names; a fault when there is no such thing."""
    name = extends.text()
    if name in CATALOG:
        return _catalog_file(name)
    if folder is None:
        fault = Fault(f"{extends.place} extends", f"'{name}'", nearest(name, CATALOG))
        return _Given(Tree(extends.place, {}), (fault,), is_whole=False)
    path = folder / name
    if path.is_file() and path.resolve() not in opened:
        return _resolve(_text_of(path), path.name, path.parent, (*opened, path.resolve()))
    allowed = "a file that does not extend this one" if path.is_file() else _unknown(name)
    fault = Fault(f"{extends.place} extends", f"'{name}'", allowed)
    return _Given(Tree(extends.place, {}), (fault,), is_whole=False)


@cache
def _catalog_file(name: str) -> _Given:
    return _resolve(_text_of(_FOLDER / f"{name}.yaml"), f"{name}.yaml", _FOLDER, ())


def _titles(base: Tree, file: str, place: Place) -> dict[str, Tree]:
    """Return the name and title of a file that extends another and gives none itself."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", file.split(".")[0])
    name = stem if re.match(r"[A-Za-z_]", stem) else f"chip_{stem}"
    title = base.section.get("title", Tree(place, "chip")).text()
    return {"name": Tree(place, name), "title": Tree(place, f"{title}, changed in {file}")}


def _validate(given: _Given) -> tuple[ChipFile | None, list[Fault]]:
    """Return the checked file, or None, and all faults in the order of their lines."""
    try:
        return ChipFile.model_validate(given.tree.plain()), list(given.faults)
    except ValidationError as error:
        return None, [*given.faults, *faults_of(error, given.tree, given.is_whole)]


def _chip(parsed: ChipFile, tree: Tree) -> Chip:
    sources: dict[str, Source] = {}
    values = _values(parsed, tree, (), sources)
    return Chip(**values, sources=sources)


def _values(
    part: Section, tree: Tree, path: tuple[str, ...], sources: dict[str, Source]
) -> dict[str, Any]:
    """Return the arguments of the type that ``part`` makes; notes each number's source."""
    hints = get_type_hints(part.MAKES)
    names = [f.name for f in fields(part.MAKES) if f.name != "sources"]
    return {
        name: _value(getattr(part, name), hints[name], tree, (*path, name), sources)
        for name in names
    }


def _value(
    given: object, hint: Any, tree: Tree, path: tuple[str, ...], sources: dict[str, Source]
) -> Any:
    """Return one field of the model: a text, a number, a range, a part or a table of these."""
    if isinstance(given, (Entry, ListEntry)):
        return _number(cast("BaseModel", given), hint, tree, path, sources)
    if isinstance(given, Section):
        return given.MAKES(**_values(given, tree, path, sources))
    if isinstance(given, dict):
        below = hint.__args__[1]
        table = cast("dict[str, object]", given)
        return {k: _value(v, below, tree, (*path, k), sources) for k, v in table.items()}
    return given


def _number(
    entry: Any, hint: Any, tree: Tree, path: tuple[str, ...], sources: dict[str, Source]
) -> Any:
    """Return an entry's number and note its source; without one, the line says where it stands."""
    ends = getattr(entry, "range", None) or (None, None)
    low, high = (None if end is None else float(end) for end in ends)
    source = entry.source
    if source is None:
        source = f"user file {tree.nearest(path).place}"
    sources[".".join(path)] = Source(source, entry.grade or "F", low, high)
    if isinstance(entry, ListEntry):
        return tuple(entry.value)
    if hint is Range:
        value = float(entry.value)
        return Range(value if low is None else low, value, value if high is None else high)
    return entry.value
