"""Reading a ``config.json``: of the catalog, of a folder, or handed over as a dictionary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from drawloom.errors import Fault, InputError, Unsupported, nearest
from drawloom.frontends.hf.families import FAMILIES
from drawloom.frontends.hf.figures import Figures

_CATALOG = Path(__file__).parent / "catalog"
_FILE = "config.json"


@dataclass(frozen=True, slots=True)
class Config:
    """A model's figures, and the name a person knows it by."""

    name: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalog.

    Attributes:
        name: what it is called here.
        source: whose configuration the figures are.
        parameters: how many weights the model has, by what its publisher states or its files hold.
        config: the figures, as ``config.json`` says them.
    """

    name: str
    source: str
    parameters: int
    config: Mapping[str, Any]


def catalog_names() -> tuple[str, ...]:
    """Return the names of the models whose figures come with drawloom."""
    return tuple(sorted(path.stem for path in _CATALOG.glob("*.json")))


@cache
def catalog_entry(name: str) -> Entry:
    """Return what the catalog says of a model; its name must be one of ``catalog_names()``."""
    said = json.loads((_CATALOG / f"{name}.json").read_text(encoding="utf-8"))
    return Entry(name, said["source"], said["parameters"], said["config"])


def read_config(where: str | Path | Mapping[str, Any]) -> Config:
    """Return the figures of a model.

    Args:
        where: a name of the catalog, a ``config.json``, a folder that holds one, or what such a
            file says.

    Raises:
        Unsupported: no family that drawloom knows, or an option it does not (``hf.config``).
        InputError: no such model or file; names missing and values wrong, all at once
            (``hf.config``).
    """
    if isinstance(where, Mapping):
        return parse_config(where, "config")
    if isinstance(where, str) and where in catalog_names():
        return parse_config(catalog_entry(where).config, where)
    path = _path_of(where)
    return parse_config(_json_of(path), _name_of(path))


def parse_config(said: Mapping[str, Any], name: str) -> Config:
    """Return the figures that a configuration says; raises as ``read_config`` does."""
    word = said.get("model_type") or said.get("_class_name")
    family = FAMILIES.get(str(word))
    if family is None:
        shown = "missing" if word is None else f"'{word}'"
        fault = Fault("model_type", shown, nearest(str(word), FAMILIES))
        raise Unsupported("hf.config", f"'{name}' is of no family that drawloom knows", [fault])
    try:
        figures = family.figures.model_validate({**said, "model_type": word})
    except ValidationError as error:
        faults = [
            _fault(one["loc"], one["type"], one["msg"], one["input"]) for one in error.errors()
        ]
        raise InputError(
            "hf.config", f"'{name}' is not a configuration of a {word}", faults
        ) from None
    if options := figures.unsupported():
        raise Unsupported("hf.config", f"'{name}' asks for what drawloom cannot do", options)
    if conflicts := figures.conflicts():
        raise InputError("hf.config", f"the figures of '{name}' do not fit together", conflicts)
    return Config(name, figures)


def _fault(where: Sequence[int | str], kind: str, message: str, value: object) -> Fault:
    path = ".".join(map(str, where))
    if kind == "missing":
        return Fault(path, "missing", "must be given")
    return Fault(path, repr(value), message[:1].lower() + message[1:])


def _path_of(where: str | Path) -> Path:
    path = Path(where)
    if path.is_dir():
        path = path / _FILE
    if path.is_file():
        return path
    if isinstance(where, str) and path.suffix != ".json" and len(path.parts) == 1:
        allowed = f"{nearest(where, catalog_names())}; or a folder with a {_FILE}"
        raise InputError("hf.config", f"there is no model '{where}'", [Fault(where, "", allowed)])
    raise InputError("hf.config", f"cannot read '{path}': no such file")


def _name_of(path: Path) -> str:
    """Return a configuration's folder's name, or the file's where it has one of its own."""
    return path.resolve().parent.name if path.name == _FILE else path.stem


def _json_of(path: Path) -> Mapping[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError("hf.config", f"cannot read '{path}': {reason}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError("hf.config", f"'{path}' is not JSON: {error}") from None
    if not isinstance(said, dict):
        raise InputError("hf.config", f"'{path}' is not a configuration: names and their values")
    return cast("dict[str, Any]", said)
