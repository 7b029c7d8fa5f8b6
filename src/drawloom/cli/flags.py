"""The fields of an options dataclass as flags of a command."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from drawloom.mapping.options import MapOptions


def mapper_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a flag for each field of ``MapOptions``; it takes them as ``mapping``."""
    hints = get_type_hints(MapOptions)
    about = attribute_texts(MapOptions.__doc__ or "")
    added = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=Annotated[
                hints[each.name],
                typer.Option(help=about.get(each.name, ""), rich_help_panel="Mapper"),
            ],
        )
        for each in fields(MapOptions)
    ]
    signature = inspect.signature(command, eval_str=True)
    kept = [each for name, each in signature.parameters.items() if name != "mapping"]

    @wraps(command)
    def wrapped(**given: Any) -> None:
        chosen = {each.name: given.pop(each.name) for each in fields(MapOptions)}
        command(**given, mapping=MapOptions(**chosen))

    shown = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in kept] + added
    wrapped.__signature__ = signature.replace(parameters=shown)  # pyright: ignore[reportAttributeAccessIssue]
    wrapped.__annotations__ = {each.name: each.annotation for each in shown}
    return wrapped


def attribute_texts(docstring: str) -> dict[str, str]:
    """Return what a docstring's ``Attributes`` say, each as a sentence."""
    _, _, listed = docstring.partition("Attributes:")
    found = re.findall(r"^\s+(\w+): (.+(?:\n\s{12,}.+)*)", listed, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text[0].upper() + text[1:]) for name, text in found}
