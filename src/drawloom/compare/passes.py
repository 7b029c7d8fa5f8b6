"""What a route says of a model on a machine: the time of its passes, and what that rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drawloom.compare.span import Span

PARTS = ("matrix", "memory", "links", "rest")


@dataclass(frozen=True, slots=True)
class Passes:
    """The passes of one copy of a model.

    Attributes:
        way: how the answer was found, in a few words.
        tensor: chips that share each layer.
        stages: groups of chips that follow each other.
        copies: of the model on the machine; each has its share of the batch.
        token: seconds of one token for all sequences of a copy.
        prompt: seconds of reading one prompt.
        admitted: sequences of a copy that the memory has room for, at most its share.
        token_parts: seconds that the token's pass needs of each resource, by ``PARTS``; what one
            waits for the other counts as ``rest``.
        prompt_parts: of the prompt's pass.
        energy: joules of one token's pass and of one prompt's on all chips of a copy, where the
            mechanism counts them.
        steady: of a bound alone: seconds between two tokens while prompts are read as well.
        is_bound: whether the times are only what no program can go below.
        lacks: why it is only that: numbers that are unknown, or what the route does not model.
        rests_on: numbers that are a range, and what was assumed, in words.
        unlike: why errors measured on this machine say nothing of these passes; empty where they do.
    """

    way: str
    tensor: int
    stages: int
    copies: int
    token: Span
    prompt: Span
    admitted: float
    token_parts: Mapping[str, float]
    prompt_parts: Mapping[str, float]
    energy: tuple[Span, Span] | None = None
    steady: Span | None = None
    is_bound: bool = False
    lacks: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()
    unlike: str = ""


class Lacking(Exception):
    """A route cannot answer: numbers of the chip that are unknown, or work it does not model."""

    def __init__(self, *what: str) -> None:
        """Say what is lacking, a phrase each."""
        super().__init__(*what)
        self.what = what


def binding(parts: Mapping[str, float]) -> str:
    """Return the part that takes longest; empty where there is none."""
    return max(parts, key=lambda name: parts[name], default="")
