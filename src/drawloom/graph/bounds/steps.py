"""Single steps inside a node, each with its own rounding: the parts rules are made of.

``u`` is the unit roundoff of the step. Sums may be taken in any order: n terms
round at most n times, and each of them at a size the sum of magnitudes bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from drawloom.graph.bounds.model import FLUSHED, Bounded, gamma
from drawloom.graph.ir import Array
from drawloom.graph.rounding import Wide, wide

Function = Callable[[Wide], Array]


def _made(value: Array, error: Array, u: float) -> Bounded:
    """Return a step's result: its error, and one rounding of what the machine may have."""
    clean = np.where(np.isnan(error), np.inf, error)
    size = np.where(np.isfinite(value), np.abs(value), 0.0) + clean
    inexact = np.where(size > 0, u * size + FLUSHED, 0.0) if u else 0.0
    return Bounded(value, clean + inexact)


def add(a: Bounded, b: Bounded, u: float) -> Bounded:
    """Return a + b: |d| <= ea + eb."""
    return _made(wide(a.value) + wide(b.value), a.error + b.error, u)


def subtract(a: Bounded, b: Bounded, u: float) -> Bounded:
    """Return a - b: |d| <= ea + eb."""
    return _made(wide(a.value) - wide(b.value), a.error + b.error, u)


def multiply(a: Bounded, b: Bounded, u: float) -> Bounded:
    """Return a * b: |d| <= |a| eb + ea |b| + ea eb."""
    x, y = wide(a.value), wide(b.value)
    return _made(x * y, np.abs(x) * b.error + a.error * b.size, u)


def divide(a: Bounded, b: Bounded, u: float) -> Bounded:
    """Return a / b: |d| <= (ea + |a/b| eb) / (|b| - eb); inf where b may be 0."""
    x, y = wide(a.value), wide(b.value)
    quotient = x / y
    least = np.abs(y) - b.error
    spread = (a.error + np.abs(quotient) * b.error) / np.where(least > 0, least, 1.0)
    return _made(quotient, np.where((least > 0) | (b.error == 0), spread, np.inf), u)


def scaled(a: Bounded, factor: float, u: float) -> Bounded:
    """Return a times a constant that is itself rounded."""
    constant = Bounded(np.asarray(factor), np.asarray(abs(factor) * u))
    return multiply(a, constant, u)


def total(a: Bounded, axes: tuple[int, ...], u: float) -> Bounded:
    """Return the sum along ``axes`` (kept as 1): sum e + gamma_n sum (|a| + e)."""
    n = int(np.prod([a.value.shape[i] for i in axes], dtype=np.int64))
    errors: Any = (a.error + gamma(n, u) * a.size).sum(axis=axes, keepdims=True)
    return _made(wide(a.value).sum(axis=axes, keepdims=True), errors, 0.0)


def mean(a: Bounded, axes: tuple[int, ...], u: float) -> Bounded:
    """Return the mean along ``axes``; the division may be a product with 1/n."""
    n = int(np.prod([a.value.shape[i] for i in axes], dtype=np.int64))
    return scaled(total(a, axes, u), 1.0 / n, u)


def image(function: Function, a: Bounded, turns: Sequence[float] = ()) -> Wide:
    """Return how far f may move when x moves within its error.

    ``function`` must be monotone between its turning points: then it is
    largest and smallest at the ends or at a turning point between them.
    Jumps are allowed. What cannot be evaluated (NaN) gives inf.
    """
    with np.errstate(all="ignore"):
        centre = wide(function(wide(a.value)))
        far = np.maximum(
            np.abs(wide(function(a.high)) - centre), np.abs(wide(function(a.low)) - centre)
        )
        for turn in turns:
            inside = (a.low < turn) & (a.high > turn)
            at_turn = np.abs(wide(function(np.full(centre.shape, turn))) - centre)
            far = np.where(inside, np.maximum(far, at_turn), far)
        # the function's own float64 error, where the ends differ at all
        slack = np.abs(centre) * 2.0**-50
    moved = np.where(np.isnan(far), np.inf, far + np.where(np.isfinite(slack), slack, 0.0))
    return np.where(a.error > 0, moved, 0.0)


def apply(function: Function, a: Bounded, relative: float, turns: Sequence[float] = ()) -> Bounded:
    """Return f(a), where the machine's f has a relative error."""
    with np.errstate(all="ignore"):
        value = wide(function(wide(a.value)))
    return _made(value, image(function, a, turns), relative)


def product(matmul: Callable[[Wide, Wide], Array], a: Bounded, b: Bounded, g: float) -> Wide:
    """Return the error of a sum of products with relative error ``g`` in each term.

    ``matmul`` is bilinear with the magnitudes' signs all plus. With A = |a|,
    |d| <= A eb + ea (B + eb) + g (A + ea)(B + eb): two products, or one where b is exact.
    """
    left = a.error + g * a.size
    error = matmul(left, b.size)
    if b.error.any():
        error = error + matmul(np.abs(wide(a.value)), b.error)
    return np.asarray(error + np.where(error > 0, FLUSHED, 0.0))
