"""A claim that chips hold a model, put to the plan: who has what, and what a token takes then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drawloom.compare.claim import CapacityCheck
from drawloom.compare.errors import held_words
from drawloom.compare.verdict import Line
from drawloom.errors import DoesNotFit
from drawloom.frontends.hf import Request
from drawloom.plans import Plan, plan
from drawloom.units import PS_PER_S

Tell = Callable[[str], None]


def planned(
    check: CapacityCheck, forms: Mapping[str, str], tell: Tell | None
) -> tuple[list[str], list[Line]]:
    """Return which forms of weights a plan fits with, and what the plan of each form says.

    Args:
        check: the model, and the system file to plan it on.
        forms: what each form of weights is called.
        tell: called with what is being worked on.

    Returns:
        For each form a condition; and lines of arithmetic, none for a form that does not fit.
    """
    request = Request("decode", batch=1, context=check.context)
    conditions: list[str] = []
    lines: list[Line] = []
    for form, word in forms.items():
        try:
            made = plan(check.model, check.plan, request, weights=form, tell=tell)
        except DoesNotFit as error:
            conditions.append(f"no plan with {word} weights: {str(error).splitlines()[0]}")
            continue
        conditions.append(
            f"planned on '{made.system}' with {word} weights: {_sharing(made)}, "
            f"{_giga(made.chip_bytes)} of {_giga(made.has_bytes)} GB a chip"
        )
        lines += _lines(made, word)
    return conditions, lines


def _lines(made: Plan, word: str) -> list[Line]:
    step = made.round_ps / PS_PER_S
    parts = ", ".join(f"{name} {ps / made.step.ps:.0%}" for name, ps in made.step.split.items())
    return [
        Line(f"plan, {word} weights", f"{_sharing(made)} of '{made.system}', compiled and timed",
             f"{1e3 * step:,.4g} ms a token of one sequence"),
        Line("  where it goes", parts, f"{len(made.spare)} chips spare"),
        Line("  held to", held_words(made.trace.chip.name), "links: not validated"),
    ]  # fmt: skip


def _sharing(made: Plan) -> str:
    stages = f", {made.shares.stages} stages" if made.shares.stages > 1 else ""
    return f"{made.shares.tensor} chips share each layer{stages}"


def _giga(size: int) -> str:
    return f"{size / 1e9:,.4g}"
