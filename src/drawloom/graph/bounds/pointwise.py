"""Bounds of operators that act on each element by itself.

An activation's error has two parts: how far the function moves while x moves
within its own error (exact where the function is monotone between known
turning points), and the roundings of the steps that compute it, as a relative
part of the result and an absolute part. Steps may round to the tensor's own
format (unit roundoff u, and half a subnormal, the grain, below its normal
range); k is the relative error of a transcendental function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drawloom.graph.bounds.model import Bounded, Case
from drawloom.graph.bounds.steps import apply, image
from drawloom.graph.codes import to_code
from drawloom.graph.dtypes import CODE_FLOATS, DType
from drawloom.graph.evaluate import evaluate_node
from drawloom.graph.ir import Array, Node
from drawloom.graph.rounding import Wide, narrow, wide

Errors = tuple[Wide, ...]
Part = Callable[[Case, Wide], Array | float]


def _nothing(_case: Case, _size: Wide) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Activation:
    """How one function is computed: its roundings and where it turns.

    ``relative`` and ``absolute`` are given the largest magnitude x may have.
    """

    relative: Part = _nothing
    absolute: Part = _nothing
    turns: Callable[[Node], tuple[float, ...]] = lambda node: ()

    def __call__(self, case: Case) -> Errors:
        """Return the error of the node's output."""
        x = case.get(0)

        def function(values: Wide) -> Array:
            return evaluate_node(case.node, (values,), wide=True)[0]

        moved = image(function, x, self.turns(case.node))
        size = np.abs(case.value) + moved
        error = moved + self.relative(case, x.size) * size + self.absolute(case, x.size)
        return (case.rounded(np.where(x.error == np.inf, np.inf, error)),)


def _primitive(case: Case, _size: Wide) -> float:
    return case.function


def _quotient(case: Case, _size: Wide) -> float:
    return case.division


def _own(times: float) -> Part:
    return lambda case, _size: times * case.own


def moved_exactly(case: Case) -> Errors:
    """Bound a monotone function whose result needs no rounding."""

    def function(values: Wide) -> Array:
        return evaluate_node(case.node, (values,), wide=True)[0]

    return (case_limits(case, image(function, case.get(0))),)


def case_limits(case: Case, error: Wide) -> Wide:
    """Return an error that needs no rounding, NaN as inf."""
    return np.where(np.isnan(error), np.inf, error)


def kept(case: Case) -> Errors:
    """Bound a function that moves no further than x and needs no rounding."""
    return (case.get(0).error,)


def _silu_relative(case: Case, size: Wide) -> Array | float:
    """Add u for each: sigmoid's rounding, the product's; u |alpha x| where x is scaled."""
    alpha = case.node.float("alpha", 1.0)
    inner = 0.0 if alpha == 1.0 else 2.0 * case.own * abs(alpha) * size
    return case.function + 3.0 * case.own + inner


def _silu_absolute(case: Case, size: Wide) -> Array:
    """Bound the gate's grain, and alpha x's times the gate's slope (1/4), times x."""
    return 2.0 * case.grain * size


def _mish_absolute(case: Case, size: Wide) -> Array:
    """Bound the grains of softplus and of its tanh (slope at most 1), times x."""
    return 2.0 * case.grain * size


def _leaky_absolute(case: Case, _size: Wide) -> float:
    return case.grain


def _elu_absolute(scale: Callable[[Node], float]) -> Part:
    """Bound s (exp(x) - 1): the difference cancels, so that exp's error stays absolute."""
    return lambda case, _size: scale(case.node) * (case.function + 4.0 * case.u) + 2.0 * case.grain


def _gelu_absolute(case: Case, size: Wide) -> Array:
    """Bound x/2 (1 + gate): the sum cancels, so that the gate's error stays absolute."""
    steps = 0.5 * case.machine.erf_error + case.function + 8.0 * case.u
    return size * (steps + case.grain) + 2.0 * case.grain


def _hard_gate(case: Case, size: Wide, slope: float, shift: float) -> Array:
    """Return the rounding of slope x + shift, both constants rounded too."""
    grains = case.grain * (2.0 + size)
    return 3.0 * case.own * (abs(slope) * size + abs(shift)) + grains


def _hard_swish_absolute(case: Case, size: Wide) -> Array:
    return size * _hard_gate(case, size, 1.0 / 6.0, 0.5)


def _hard_sigmoid_absolute(case: Case, size: Wide) -> Array:
    alpha, beta = case.node.float("alpha", 0.2), case.node.float("beta", 0.5)
    return np.minimum(_hard_gate(case, size, alpha, beta), 1.0)


def _silu_turns(node: Node) -> tuple[float, ...]:
    alpha = node.float("alpha", 1.0)
    return (-1.2784645427610738 / alpha,) if alpha else ()


def _gelu_turns(node: Node) -> tuple[float, ...]:
    if node.str("approximate", "none") == "tanh":
        return (-0.7524614220710162,)
    return (-0.7517915795575003,)


def _at(*points: float) -> Callable[[Node], tuple[float, ...]]:
    return lambda node: points


def waves(case: Case) -> Errors:
    """Bound sin and cos: slope at most 1, range at most 2."""
    moved = np.minimum(case.get(0).error, 2.0)
    return (case.rounded(moved + case.function * np.minimum(np.abs(case.value) + moved, 1.0)),)


def tangent(case: Case) -> Errors:
    """Bound tan: monotone between poles; inf where a pole lies within the error."""
    x = case.get(0)
    crossed = np.floor(x.low / np.pi + 0.5) != np.floor(x.high / np.pi + 0.5)
    bound = apply(np.tan, x, case.function)
    return (case.rounded(np.where(crossed, np.inf, bound.error)),)


def poles(case: Case) -> Errors:
    """Bound 1/x: monotone on either side of 0, inf where 0 lies within the error."""
    x = case.get(0)
    crossed = (x.low <= 0) & (x.high >= 0) & (x.error > 0)
    bound = apply(np.reciprocal, x, case.division)
    return (case.rounded(np.where(crossed, np.inf, bound.error)),)


def softsign(case: Case) -> Errors:
    """Bound x / (1 + |x|): monotone; a sum, a quotient."""
    bound = apply(lambda x: x / (1.0 + np.abs(x)), case.get(0), case.division + 2.0 * case.own)
    return (case.rounded(bound.error),)


def clip(case: Case) -> Errors:
    """Bound min(max(x, low), high): monotone; the bounds are rounded to the format."""
    (error,) = moved_exactly(case)
    x = case.get(0)
    for key, touched in (("min", np.less_equal), ("max", np.greater_equal)):
        if key in case.node.attrs and case.dtype.is_float:
            end = case.node.float(key)
            off = abs(float(narrow(np.asarray(end), case.dtype.numpy)) - end)
            reach = x.low if key == "min" else x.high
            slack = off if key == "min" else -off
            error = error + np.where(touched(reach, end + slack), off, 0.0)
    return (error,)


def thresholded(case: Case) -> Errors:
    """Bound x > alpha ? x : 0: either of the two where alpha's rounding or x's error decides."""
    x, alpha = case.get(0), case.node.float("alpha", 1.0)
    off = abs(float(narrow(np.asarray(alpha), case.dtype.numpy)) - alpha)
    doubtful = np.abs(wide(x.value) - alpha) <= x.error + off
    doubtful &= (x.error > 0) | (off > 0)
    return (np.where(doubtful, x.size, np.where(wide(x.value) > alpha, x.error, 0.0)),)


def cast(case: Case) -> Errors:
    """Bound a conversion: truncation is monotone; bool is in doubt where x may be 0."""
    x = case.get(0)
    if case.dtype.is_float:
        kind = case.kinds[0]
        widening = kind is not None and kind.dtype.is_float and kind.dtype.bytes < case.dtype.bytes
        return (x.error if widening else case.rounded(x.error),)
    if case.dtype.value == "bool":
        return (np.where((x.error > 0) & (np.abs(wide(x.value)) <= x.error), 1.0, 0.0),)
    if not x.error.any():
        return (x.error,)
    if case.dtype.is_code:
        return (_code_error(case, x),)
    return (case.rounded(image(np.trunc, Bounded(wide(x.value), x.error))),)


def _code_error(case: Case, x: Bounded) -> Wide:
    """Return how far a code moves: float codes that saturate are monotone, low bits are not."""
    plain = case.dtype in CODE_FLOATS and case.dtype is not DType.F8E8M0
    if not plain or not case.node.int("saturate", 1):
        return np.where(x.error > 0, np.inf, 0.0)
    return image(lambda v: wide(to_code(v, case.dtype)), Bounded(wide(x.value), x.error))


def unknown_where_unbounded(case: Case) -> Errors:
    """Bound a question about the value's kind: in doubt where nothing is known."""
    return (np.where(case.get(0).error == np.inf, 1.0, 0.0),)


def exact_or_unknown(case: Case) -> Errors:
    """Bound an operator on bits: nothing is known where any operand is in doubt."""
    doubt = sum(np.where(x.error > 0, np.inf, 0.0) for x in case.operands if x is not None)
    return (np.broadcast_to(np.asarray(doubt, np.float64), case.value.shape),)


_RATIONAL = Activation(_quotient)
_SMOOTH = Activation(_primitive)
_HALF_PI = 1.5707963267948966

RULES: dict[str, Callable[[Case], Errors]] = {
    "Relu": moved_exactly,
    "Floor": moved_exactly,
    "Ceil": moved_exactly,
    "Round": moved_exactly,
    "Sign": moved_exactly,
    "Identity": kept,
    "Neg": kept,
    "Abs": kept,
    "Not": kept,
    "Clip": clip,
    "ThresholdedRelu": thresholded,
    "Cast": cast,
    "IsNaN": unknown_where_unbounded,
    "IsInf": unknown_where_unbounded,
    "BitwiseNot": exact_or_unknown,
    "Sqrt": _RATIONAL,
    "Reciprocal": poles,
    "Softsign": softsign,
    "Sin": waves,
    "Cos": waves,
    "Tan": tangent,
    "Cosh": Activation(_primitive, turns=_at(0.0)),
    **dict.fromkeys(
        (
            "Exp",
            "Log",
            "Tanh",
            "Sigmoid",
            "Softplus",
            "Asin",
            "Acos",
            "Atan",
            "Sinh",
            "Asinh",
            "Acosh",
            "Atanh",
        ),
        _SMOOTH,
    ),
    "Erf": Activation(_primitive, lambda case, _: case.machine.erf_error),
    "Gelu": Activation(_own(3.0), _gelu_absolute, _gelu_turns),
    "Silu": Activation(_silu_relative, _silu_absolute, _silu_turns),
    "Swish": Activation(_silu_relative, _silu_absolute, _silu_turns),
    "Mish": Activation(
        lambda case, _: 2.0 * case.function + 4.0 * case.own,
        _mish_absolute,
        _at(-1.1924590946194143),
    ),
    "HardSigmoid": Activation(_nothing, _hard_sigmoid_absolute),
    "HardSwish": Activation(_own(2.0), _hard_swish_absolute, _at(-1.5)),
    "LeakyRelu": Activation(_own(3.0), _leaky_absolute, _at(0.0)),
    "Elu": Activation(
        _own(3.0), _elu_absolute(lambda n: abs(n.float("alpha", 1.0))), turns=_at(0.0)
    ),
    "Celu": Activation(
        _own(3.0), _elu_absolute(lambda n: abs(n.float("alpha", 1.0))), turns=_at(0.0)
    ),
    "Selu": Activation(
        _own(4.0),
        _elu_absolute(
            lambda n: abs(
                n.float("alpha", 1.6732632423543772) * n.float("gamma", 1.0507009873554805)
            )
        ),
        turns=_at(0.0),
    ),
}
