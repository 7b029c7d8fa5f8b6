"""The fields of options dataclasses as flags of a command."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from drawloom.mapping.options import MapOptions

if TYPE_CHECKING:
    from drawloom.frontends.hf.request import Request


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a model that is given by its configuration, and in which form.

    Attributes:
        phase: prefill, decode or forward. (default: decode with --context, else prefill; forward
            where a model has no cache)
        batch: sequences, or images, at a time.
        context: tokens in the cache before a decode step.
        tokens: tokens of each prompt.
        capacity: positions that the cache has room for. (default: as many as are needed)
        weights: float, int8 or int4: weights as integer codes with scales.
        group: inputs that share a scale of int8 or int4 weights: 32 or 128. (default: all of a
            channel)
    """

    phase: str | None = None
    batch: int | None = None
    context: int | None = None
    tokens: int | None = None
    capacity: int | None = None
    weights: str = "float"
    group: int = 0

    def request(self) -> Request | None:
        """Return the request; None where nothing was said.

        Raises:
            InputError: numbers that do not suit the phase (``hf.request``).
        """
        given: dict[str, Any] = {
            key: value
            for key in ("phase", "batch", "context", "tokens", "capacity")
            if (value := getattr(self, key)) is not None
        }
        if not given:
            return None
        from drawloom.frontends.hf.request import Request

        numbers = given.keys() & {"context", "tokens", "capacity"}
        guess = "decode" if self.context is not None else "prefill" if numbers else "forward"
        return Request(**(dict[str, Any](phase=guess) | given))


@dataclass(frozen=True, slots=True)
class Several:
    """How a model is laid over several chips.

    Attributes:
        system: a name of `drawloom fabric`, or a system file.
        chips: chips that share each layer.
        stages: such groups of chips, one after the other.
        apart: chips that share a key head and part its cache by sequences.
        whole_experts: chips have whole experts, not a slice of each.
        split_context: chips have positions of caches, not heads.
        sliced: chips have rows of what sums are added to, where these can be shared out evenly.
        dead: what does not live: chip:5,link:3-4. (default: nothing)
        precision: format of floats: f16, bf16 or f32. (default: the model's)
    """

    system: str = "rex1032"
    chips: int = 2
    stages: int = 1
    apart: int = 1
    whole_experts: bool = False
    split_context: bool = False
    sliced: bool = False
    dead: str = ""
    precision: str = ""


PANELS: dict[str, tuple[type[Any], str]] = {
    "several": (Several, "Several chips"),
    "asked": (Asked, "Models given by their configuration"),
    "mapping": (MapOptions, "Mapper"),
}


def options_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a flag for each field of the dataclasses in ``PANELS`` that it takes."""
    signature = inspect.signature(command, eval_str=True)
    taken = {name: PANELS[name] for name in signature.parameters if name in PANELS}
    added = [_flag(kind, panel, each) for kind, panel in taken.values() for each in fields(kind)]
    kept = [each for name, each in signature.parameters.items() if name not in taken]

    @wraps(command)
    def wrapped(**given: Any) -> None:
        made = {
            name: kind(**{each.name: given.pop(each.name) for each in fields(kind)})
            for name, (kind, _) in taken.items()
        }
        command(**given, **made)

    shown = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in kept] + added
    wrapped.__signature__ = signature.replace(parameters=shown)  # pyright: ignore[reportAttributeAccessIssue]
    wrapped.__annotations__ = {each.name: each.annotation for each in shown}
    return wrapped


def _flag(kind: type[Any], panel: str, field: Any) -> inspect.Parameter:
    """Return a field as a parameter of a command."""
    hint = get_type_hints(kind)[field.name]
    text = attribute_texts(kind.__doc__ or "").get(field.name, "")
    option = typer.Option(help=text, rich_help_panel=panel)
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[hint, option],
    )


def attribute_texts(docstring: str) -> dict[str, str]:
    """Return what a docstring's ``Attributes`` say, each as a sentence."""
    _, _, listed = docstring.partition("Attributes:")
    found = re.findall(r"^\s+(\w+): (.+(?:\n\s{12,}.+)*)", listed, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text[0].upper() + text[1:]) for name, text in found}
