"""Bounds of operators on two or three operands that broadcast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drawloom.graph.bounds.model import Bounded, Case
from drawloom.graph.bounds.pointwise import exact_or_unknown
from drawloom.graph.bounds.steps import add, divide, multiply, subtract
from drawloom.graph.rounding import Wide, wide

Errors = tuple[Wide, ...]
Step = Callable[[Bounded, Bounded, float], Bounded]


def _arithmetic(step: Step) -> Callable[[Case], Errors]:
    """Bound one step, then its rounding; integers do not round, but may wrap."""

    def rule(case: Case) -> Errors:
        return (case.rounded(step(case.get(0), case.get(1), 0.0).error),)

    return rule


def quotient(case: Case) -> Errors:
    """Bound a / b; for integers the reference and the machine may truncate apart by 1."""
    a, b = case.get(0), case.get(1)
    error = divide(a, b, case.division if case.dtype.is_float else 0.0).error
    if not case.dtype.is_float:
        doubtful = (a.error > 0) | (b.error > 0)
        error = np.where(doubtful, error + 1.0, 0.0)
    return (case.rounded(error),)


def _extreme(function: Callable[[Wide, Wide], Wide]) -> Callable[[Case], Errors]:
    """Bound min or max: monotone in both operands, never rounded."""

    def rule(case: Case) -> Errors:
        a, b = case.get(0), case.get(1)
        up = function(a.high, b.high) - case.value
        down = case.value - function(a.low, b.low)
        same = (a.error == 0) & (b.error == 0)
        far = np.maximum(up, down)
        return (np.where(same, 0.0, np.where(np.isnan(far), np.inf, far)),)

    return rule


def compared(case: Case) -> Errors:
    """Bound a comparison: in doubt where the operands' intervals touch."""
    a, b = case.get(0), case.get(1)
    reach = a.error + b.error
    with np.errstate(invalid="ignore"):
        apart = np.abs(wide(a.value) - wide(b.value)) > reach
    return (np.where((reach > 0) & ~apart, 1.0, 0.0),)


def logical(case: Case) -> Errors:
    """Bound and, or, xor of truth values: in doubt where an operand's doubt decides."""
    a, b = case.get(0), case.get(1)
    x, y = wide(a.value) > 0, wide(b.value) > 0
    doubt_a, doubt_b = a.error > 0, b.error > 0
    if case.node.op == "And":
        doubt = (doubt_a & (y | doubt_b)) | (doubt_b & (x | doubt_a))
    elif case.node.op == "Or":
        doubt = (doubt_a & (~y | doubt_b)) | (doubt_b & (~x | doubt_a))
    else:
        doubt = doubt_a | doubt_b
    return (doubt.astype(np.float64),)


def chosen(case: Case) -> Errors:
    """Bound Where: the branch's error, or what lies between the branches in doubt."""
    condition, a, b = case.get(0), case.get(1), case.get(2)
    x, y = wide(a.value), wide(b.value)
    taken = wide(condition.value) > 0
    with np.errstate(invalid="ignore"):
        apart = np.where(x == y, 0.0, np.abs(x - y)) + a.error + b.error
    apart = np.where(np.isnan(apart), np.inf, apart)
    return (np.where(condition.error > 0, apart, np.where(taken, a.error, b.error)),)


def power(case: Case) -> Errors:
    """Bound x ** y, computed as exp(y log x), or for a whole y of at most 8 as products.

    With k the error of exp and log, exp's argument is off by |y log x| (k + u),
    and so the result by that factor, relatively, plus k. The operands' errors
    move the result no further than the corners of their intervals do, for x > 0;
    for x <= 0 only exact operands are bounded, but for squares.
    """
    x, y = case.get(0), case.get(1)
    base, exponent = wide(x.value), wide(y.value)
    with np.errstate(all="ignore"):
        size = np.abs(exponent * np.log(np.abs(base)))
        relative = np.where(base == 0, 0.0, np.expm1(size * 2.0 * (case.function + case.u)))
        corners = [np.power(a, b) for a in (x.low, x.high) for b in (y.low, y.high)]
        moved = np.max([np.abs(c - case.value) for c in corners], axis=0)
    even = (exponent == 2.0) & (y.error == 0)
    square = 2.0 * np.abs(base) * x.error + x.error**2
    legal = (x.low > 0) | ((x.error == 0) & (y.error == 0))
    moved = np.where(even, square, np.where(legal & ~np.isnan(moved), moved, np.inf))
    moved = np.where((x.error == 0) & (y.error == 0), 0.0, moved)
    if not case.dtype.is_float:
        return (case.rounded(moved + np.where(moved > 0, 1.0, 0.0)),)
    rounding = (relative + case.function + 2.0 * case.own) * (np.abs(case.value) + moved)
    return (case.rounded(moved + rounding),)


def remainder(case: Case) -> Errors:
    """Bound a mod b: as far as a moves within one period, else anything below |b|."""
    a, b = case.get(0), case.get(1)
    divisor = np.abs(wide(b.value))
    with np.errstate(all="ignore"):
        split = np.trunc if case.node.int("fmod") else np.floor
        within = split(a.low / wide(b.value)) == split(a.high / wide(b.value))
    moved = np.where(within, a.error, 2.0 * divisor)
    moved = np.where(b.error > 0, np.inf, moved)
    return (case.rounded(np.where(a.error + b.error == 0, 0.0, moved)),)


def parametric_relu(case: Case) -> Errors:
    """Bound x < 0 ? slope x : x = max(x, 0) + slope min(x, 0): each part moves as x does."""
    x, slope = case.get(0), case.get(1)
    value = wide(x.value)
    above = np.maximum(x.high, 0.0) - np.maximum(value, 0.0)
    above = np.maximum(above, np.maximum(value, 0.0) - np.maximum(x.low, 0.0))
    middle = np.minimum(value, 0.0)
    reach = np.maximum(middle - np.minimum(x.low, 0.0), np.minimum(x.high, 0.0) - middle)
    below = multiply(Bounded(middle, reach), slope, 2.0 * case.own).error
    return (case.rounded(above + below + np.where(value < 0, case.grain, 0.0)),)


RULES: dict[str, Callable[[Case], Errors]] = {
    "Add": _arithmetic(add),
    "Sub": _arithmetic(subtract),
    "Mul": _arithmetic(multiply),
    "Div": quotient,
    "Min": _extreme(np.minimum),
    "Max": _extreme(np.maximum),
    "Pow": power,
    "Mod": remainder,
    "PRelu": parametric_relu,
    "Where": chosen,
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), compared),
    **dict.fromkeys(("And", "Or", "Xor"), logical),
    **dict.fromkeys(("BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor"), exact_or_unknown),
}
