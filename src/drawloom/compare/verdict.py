"""A claim put to the model: what comes of it, on which conditions, with the arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from drawloom.chip.datasheet import FIELDS, Datasheet, load_datasheet
from drawloom.compare.claim import Claim, CostCheck, EfficiencyCheck, PeakCheck, RatioCheck
from drawloom.compare.words import number

REACHABLE, ONLY_IF, ABOVE = "reachable", "reachable only if", "above a hard bound"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of arithmetic: what is worked out, how, what comes of it."""

    what: str
    how: str
    result: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What comes of a claim.

    Attributes:
        claim: which.
        word: ``reachable``, ``reachable only if`` or ``above a hard bound``.
        conditions: what must hold, or which bound it is above.
        arithmetic: line by line.
    """

    claim: Claim
    word: str
    conditions: tuple[str, ...]
    arithmetic: tuple[Line, ...]

    def record(self) -> dict[str, Any]:
        """Return the verdict for JSON."""
        return {
            "claim": self.claim.name,
            "statement": self.claim.statement,
            "system": self.claim.system,
            "workload": self.claim.workload,
            "source": self.claim.source,
            "verdict": self.word,
            "conditions": list(self.conditions),
            "arithmetic": [
                {"what": line.what, "how": line.how, "result": line.result}
                for line in self.arithmetic
            ],
        }


def judge(
    claim: Claim, *, has_plans: bool = True, tell: Callable[[str], None] | None = None
) -> Verdict:
    """Return what comes of a claim.

    Args:
        claim: which.
        has_plans: whether a model that chips are said to hold is planned, compiled and timed on them.
        tell: called with what is being worked on.

    Raises:
        InputError: the claim names a model or fabric that there is not.
    """
    from drawloom.compare import verdict_work

    judges: dict[str, Callable[[Claim], Verdict]] = {
        "peak": _peak,
        "ratio": _ratio,
        "efficiency": _efficiency,
        "cost": _cost,
        "throughput": verdict_work.throughput,
        "capacity": partial(verdict_work.capacity, has_plans=has_plans, tell=tell),
        "fabric": verdict_work.fabric,
    }
    return judges[claim.check.kind](claim)


def ends_of(sheet: Datasheet, name: str) -> tuple[float, float] | None:
    """Return the ends of a figure that may not be zero."""
    ends = sheet.ends(name)
    return ends if ends and ends[0] > 0 else None


def shown(name: str, ends: tuple[float, float]) -> str:
    """Return a figure with its unit, or its range."""
    kind = FIELDS[name][0]
    assert kind is not None
    low, high = (kind.text(float(f"{end:.4g}")) for end in ends)
    return low if low == high else f"{low}..{high}"


def times(ends: tuple[float, float]) -> str:
    """Return a ratio, or its range."""
    low, high = number(ends[0]), number(ends[1])
    return low if low == high else f"{low}..{high}"


def _peak(claim: Claim) -> Verdict:
    check, sheet = claim.check, load_datasheet(claim.system)
    assert isinstance(check, PeakCheck)
    ends, memory, power = (
        ends_of(sheet, name) for name in (check.figure, "memory_rate", "power")
    )  # fmt: skip
    asked = shown(check.figure, (check.number, check.number))
    if ends is None:
        condition = f"{check.figure} of '{sheet.name}' is {asked}: no source says what it is"
        return Verdict(claim, ONLY_IF, (condition,), ())
    figure = sheet.figures[check.figure]
    lines = [Line(f"{check.figure} of {sheet.name}", f"datasheet, grade {figure.grade}: {figure.source}",
                  shown(check.figure, ends))]  # fmt: skip
    if memory:
        need = (check.number / memory[1], check.number / memory[0])
        lines.append(Line("operations a byte must serve", f"{asked} / {shown('memory_rate', memory)}",
                          f"{times(need)} a byte of memory"))  # fmt: skip
    if power:
        each = (check.number / power[1] / 1e12, check.number / power[0] / 1e12)
        lines.append(Line("for each watt of the limit", f"{asked} / {shown('power', power)}",
                          f"{times(each)} T a watt"))  # fmt: skip
    if check.number > ends[1]:
        bound = f"the dense peak is {shown(check.figure, ends)}"
        return Verdict(claim, ABOVE, (bound,), tuple(lines))
    if check.number > ends[0]:
        return Verdict(claim, ONLY_IF, (f"the peak is at the upper end of {shown(check.figure, ends)}",),
                       tuple(lines))  # fmt: skip
    condition = "as a peak: work that serves fewer operations a byte is bound by memory"
    return Verdict(claim, REACHABLE, (condition,), tuple(lines))


def ratio_ends(mine: tuple[float, float], theirs: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of a ratio of two figures."""
    return mine[0] / theirs[1], mine[1] / theirs[0]


def _ratio(claim: Claim) -> Verdict:
    check, sheet = claim.check, load_datasheet(claim.system)
    assert isinstance(check, RatioCheck)
    lines: list[Line] = []
    found: dict[str, tuple[float, float]] = {}
    for name in (check.figure, *check.beside):
        mine = ends_of(sheet, name)
        for other in map(load_datasheet, check.over):
            theirs = ends_of(other, name)
            if mine is None or theirs is None:
                continue
            made = ratio_ends(mine, theirs)
            if name == check.figure:
                found[other.name] = made
            lines.append(Line(f"{name} over {other.name}", f"{shown(name, mine)} / {shown(name, theirs)}",
                              f"{times(made)} x"))  # fmt: skip
    reached = [other for other, made in found.items() if made[1] >= check.number]
    if len(check.over) == 1:
        return _named_ratio(claim, check, found.get(check.over[0]), tuple(lines))
    most = {
        name: (mine[0] / check.number, mine[1] / check.number)
        for name in (check.figure, *check.beside)
        if (mine := ends_of(sheet, name))
    }
    conditions = [
        f"the other has at most {shown(name, ends)} of {name}" for name, ends in most.items()
    ]
    which = ", ".join(reached) or "none of " + ", ".join(found)
    conditions.append(f"of the systems put beside it that is {which} (by {check.figure})")
    return Verdict(claim, ONLY_IF, tuple(conditions), tuple(lines))


def _named_ratio(
    claim: Claim, check: RatioCheck, made: tuple[float, float] | None, lines: tuple[Line, ...]
) -> Verdict:
    if made is None:
        return Verdict(claim, ONLY_IF, (f"{check.figure} is so: one of the two is unknown",), lines)
    if made[0] >= check.number:
        others = [f"by {line.what}: {line.result}" for line in lines[1:]]
        return Verdict(claim, REACHABLE, (f"by {check.figure}", *others), lines)
    if made[1] < check.number:
        return Verdict(claim, ABOVE, (f"{check.figure} is {times(made)} times as much",), lines)
    return Verdict(claim, ONLY_IF, (f"{check.figure} is at its upper end",), lines)


def _efficiency(claim: Claim) -> Verdict:
    """Put a ratio of work a joule to the figures a watt of the power limit."""
    check, sheet = claim.check, load_datasheet(claim.system)
    assert isinstance(check, EfficiencyCheck)
    lines: list[Line] = []
    conditions: list[str] = []
    power = ends_of(sheet, "power")
    for name in check.figures:
        shares: list[tuple[float, float, str]] = []
        for other in map(load_datasheet, check.over):
            mine, theirs, watts = (
                ends_of(sheet, name),
                ends_of(other, name),
                ends_of(other, "power"),
            )
            if not (mine and theirs and watts and power):
                continue
            made = ratio_ends(
                (mine[0] / power[1], mine[1] / power[0]),
                (theirs[0] / watts[1], theirs[1] / watts[0]),
            )
            how = (f"({shown(name, mine)} / {shown('power', power)}) / "
                   f"({shown(name, theirs)} / {shown('power', watts)})")  # fmt: skip
            lines.append(Line(f"{name} a watt over {other.name}", how, f"{times(made)} x"))
            shares.append((made[0] / check.number, made[1] / check.number, other.name))
        if shares:
            low, high = min(shares), max(shares)
            conditions.append(
                f"by {name}: the other reaches at most {low[0]:.0%} ({low[2]}) to {high[1]:.0%} "
                f"({high[2]}) of its own figure, while '{sheet.name}' reaches all of its own"
                + ("; over 100%: it holds where both reach theirs" if high[1] > 1 else "")
            )
    conditions.append("or the same work moves fewer bytes or narrower numbers on one of the two")
    return Verdict(claim, ONLY_IF, tuple(conditions), tuple(lines))


def _cost(claim: Claim) -> Verdict:
    """Put a ratio of dollars for the same work to the figures for a dollar."""
    check, sheet = claim.check, load_datasheet(claim.system)
    assert isinstance(check, CostCheck)
    lines: list[Line] = []
    allowed: list[tuple[float, float, str, str]] = []
    for name in check.figures:
        for other in map(load_datasheet, check.over):
            mine, theirs, price = (
                ends_of(sheet, name), ends_of(other, name), ends_of(other, "hour_price"),
            )  # fmt: skip
            if not (mine and theirs and price):
                continue
            ratio = ratio_ends(mine, theirs)
            most = (check.number * price[0] * ratio[0], check.number * price[1] * ratio[1])
            how = f"{check.number:g} x {shown('hour_price', price)} x {times(ratio)} of its {name}"
            lines.append(Line(f"an hour may cost, by {other.name}", how, f"{times(most)} $"))
            allowed.append((*most, name, other.name))
    said = ends_of(sheet, "hour_price")
    conditions = [_allowed(name, [each for each in allowed if each[2] == name])
                  for name in check.figures if any(each[2] == name for each in allowed)]  # fmt: skip
    if said is None:
        conditions.append(f"no price of '{sheet.name}' is public, so none of this can be put to it")
    return Verdict(claim, ONLY_IF, tuple(conditions), tuple(lines))


def _allowed(name: str, found: Sequence[tuple[float, float, str, str]]) -> str:
    low, high = min(found), max(found, key=lambda each: each[1])
    return (
        f"work that {name} binds: an hour of a chip costs at most {number(low[0])} $ (beside "
        f"{low[3]}) to {number(high[1])} $ (beside {high[3]} at its dearest)"
    )
