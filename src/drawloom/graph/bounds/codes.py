"""Bounds of operators between floats and small integers.

Rounding to a whole number is monotone: the code moves no further than the
codes of the ends of the interval the quotient lies in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drawloom.graph.bounds.model import Bounded, Case
from drawloom.graph.bounds.steps import divide, image, multiply, product
from drawloom.graph.codes import to_code
from drawloom.graph.dtypes import CODE_FLOATS
from drawloom.graph.ir import Array
from drawloom.graph.ops.convolution import convolve, spread_channels
from drawloom.graph.ops.matrix import spread
from drawloom.graph.ops.quantization import spread_scale
from drawloom.graph.rounding import Wide, integer_range, wide

Errors = tuple[Wide, ...]


def _spread(b: Bounded, rank: int, axis: int) -> Bounded:
    return Bounded(spread(wide(b.value), rank, axis), spread(b.error, rank, axis))


def _spread_scale(case: Case, b: Bounded) -> Bounded:
    """Return scales or zero points spread over the codes, which may fall into blocks."""
    node, shape = case.node, case.value.shape
    return Bounded(spread_scale(node, wide(b.value), shape), spread_scale(node, b.error, shape))


def _code_error(case: Case, quotient: Bounded, shift: Array) -> Wide:
    """Return how far saturate(round(quotient) + shift) moves."""
    dtype = case.dtype
    if dtype in CODE_FLOATS:
        return image(lambda q: wide(to_code(q + shift, dtype)), quotient)
    low, high = integer_range(dtype.numpy)
    return image(lambda q: np.clip(np.rint(q) + shift, low, high), quotient)


def _doubtful(zero: Bounded | None) -> bool:
    return zero is not None and bool(zero.error.any())


def quantize(case: Case) -> Errors:
    """Bound the codes; the quotient may be a product with a rounded reciprocal."""
    x, zero = case.get(0), case.maybe(2)
    if _doubtful(zero):
        return (np.full(case.value.shape, np.inf),)
    axis = case.node.int("axis", 1)
    scale = _spread(case.get(1), x.value.ndim, axis)
    quotient = divide(x, scale, 3.0 * case.machine.division(case.dtype))
    shift = np.zeros(()) if zero is None else spread(wide(zero.value), x.value.ndim, axis)
    return (_code_error(case, quotient, shift),)


def dequantize(case: Case) -> Errors:
    """Bound (x - zero) scale: one product, rounded; or x scale - zero scale, in float32."""
    x, zero = case.get(0), case.maybe(2)
    scale = _spread_scale(case, case.get(1))
    if zero is None:
        return (case.rounded(multiply(x, scale, 0.0).error),)
    centre = _spread_scale(case, zero)
    apart = Bounded(wide(x.value) - centre.value, x.error + centre.error)
    split = 2.0 * case.u * (np.abs(wide(x.value)) + np.abs(centre.value)) * scale.size
    return (case.rounded(multiply(apart, scale, 0.0).error + split),)


def unpack(case: Case) -> Errors:
    """Bound nibbles: nothing is known of those of a byte in doubt."""
    unsure = np.concatenate((case.get(0).error,) * 2, axis=case.node.int("axis"))
    return (np.where(unsure > 0, np.inf, 0.0),)


def _centred(x: Bounded, zero: Bounded | None, axis: int) -> Bounded:
    if zero is None:
        return Bounded(wide(x.value), x.error)
    shift = _spread(zero, x.value.ndim, axis)
    return Bounded(wide(x.value) - shift.value, x.error + shift.error)


def matmul_integer(case: Case) -> Errors:
    """Bound an exact product of integers."""
    a, b = _centred(case.get(0), case.maybe(2), -2), _centred(case.get(1), case.maybe(3), -1)
    return (case.rounded(product(np.matmul, a, b, 0.0)),)


def conv_integer(case: Case) -> Errors:
    """Bound an exact convolution of integers."""
    x, w = _centred(case.get(0), case.maybe(2), 1), _centred(case.get(1), case.maybe(3), 0)
    return (case.rounded(product(lambda p, q: convolve(case.node, p, q), x, w, 0.0)),)


def _requantized(case: Case, total: Bounded, axis: int) -> Errors:
    """Bound saturate(round(total a_scale b_scale / y_scale) + y_zero)."""
    if _doubtful(case.maybe(7)):
        return (np.full(case.value.shape, np.inf),)
    rank = max(total.value.ndim, 1)
    one = _spread(case.get(1), rank, axis)
    each = _spread(case.get(4), rank, axis)
    scale = divide(multiply(one, each, case.u), _spread(case.get(6), rank, axis), case.division)
    return (_code_error(case, multiply(total, scale, 2.0 * case.u), wide(case.get(7).value)),)


def qlinear_matmul(case: Case) -> Errors:
    """Bound an exact product, scaled in float32 and rounded to a code."""
    a, b = _centred(case.get(0), case.maybe(2), -2), _centred(case.get(3), case.maybe(5), -1)
    total = Bounded(np.matmul(a.value, b.value), product(np.matmul, a, b, 0.0))
    return _requantized(case, total, -1)


def qlinear_conv(case: Case) -> Errors:
    """Bound an exact convolution with its bias, scaled in float32 and rounded to a code."""
    x, w = _centred(case.get(0), case.maybe(2), 1), _centred(case.get(3), case.maybe(5), 0)
    value = convolve(case.node, x.value, w.value)
    error = product(lambda p, q: convolve(case.node, p, q), x, w, 0.0)
    bias = case.maybe(8)
    if bias is not None:
        value = value + spread_channels(wide(bias.value), value.ndim)
        error = error + spread_channels(bias.error, value.ndim)
    return _requantized(case, Bounded(value, error), 1)


def dynamic_quantize(case: Case) -> Errors:
    """Bound codes, scale and zero point of a tensor quantized by its own range."""
    x = case.get(0)
    worst = float(x.error.max())
    low, high = min(0.0, float(wide(x.value).min())), max(0.0, float(wide(x.value).max()))
    step = (high - low) / 255.0
    unit = case.machine.division(case.made[1].dtype) + case.machine.own(case.made[1].dtype)
    step_error = (2.0 * worst / 255.0) * (1.0 + unit) + step * 2.0 * unit
    scale = Bounded(np.asarray(step), np.asarray(step_error))
    if step == 0.0:
        unsure = np.inf if worst else 0.0
        return (np.full(x.value.shape, unsure), np.asarray(step_error), np.asarray(unsure))
    zero = divide(Bounded(np.asarray(-low), np.asarray(worst)), scale, 3.0 * unit)
    zero_error = image(lambda z: np.clip(np.rint(z), 0.0, 255.0), zero)
    quotient = divide(x, scale, 3.0 * unit)
    code = image(lambda q: np.clip(np.rint(q) + wide(case.values[2]), 0.0, 255.0), quotient)
    return (code + zero_error, np.asarray(step_error), zero_error)


RULES: dict[str, Callable[[Case], Errors]] = {
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": dynamic_quantize,
    "UnpackInt4": unpack,
    "MatMulInteger": matmul_integer,
    "ConvInteger": conv_integer,
    "QLinearMatMul": qlinear_matmul,
    "QLinearConv": qlinear_conv,
}
