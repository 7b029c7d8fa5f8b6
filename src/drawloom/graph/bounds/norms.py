"""Bounds of softmax, norms and attention, composed of steps in float32.

Softmax. Let every x_i move by at most e_i. Element i is largest when x_i is
high and all others low: hi_i = exp(h_i) / (exp(h_i) + sum over j != i of exp(l_j)),
and smallest the other way round. The machine computes exp(x_i - peak): the
difference rounds at u |x_i - peak|, which widens e_i (the peak itself cancels);
exp (k), the sum (gamma_n) and the quotient (2 u) add a relative error to both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drawloom.graph.bounds.model import Bounded, Case, exact, gamma, rounded
from drawloom.graph.bounds.steps import (
    add,
    apply,
    divide,
    mean,
    multiply,
    product,
    scaled,
    subtract,
    total,
)
from drawloom.graph.bounds.sums import log_sum_exp
from drawloom.graph.ops.attention import attention_scale, score_bias
from drawloom.graph.ops.convolution import spread_channels
from drawloom.graph.ops.normalization import lrn_sums, tail_axes
from drawloom.graph.rounding import Wide, wide

Errors = tuple[Wide, ...]


def softmax_error(x: Bounded, axis: int, case: Case, drop_unit: float = 0.0) -> Wide:
    """Return the error of softmax along ``axis``, before its last rounding.

    ``drop_unit`` is the roundoff of a score's distance to the peak, float32's if not given.
    """
    value = wide(x.value)
    if not value.size:
        return x.error
    with np.errstate(all="ignore"):
        peak = value.max(axis=axis, keepdims=True)
        peak = np.where(np.isfinite(peak), peak, 0.0)
        drop = np.where(np.isfinite(value), value - peak, 0.0)
        worst = np.where(np.isfinite(value), x.error, 0.0).max(axis=axis, keepdims=True)
        # the peak may move, too, before the difference is rounded
        error = x.error + max(drop_unit, case.u) * (np.abs(drop) + x.error + worst)
        centre = np.exp(value - peak)
        high, low = np.exp(value - peak + error), np.exp(value - peak - error)
        share = centre / centre.sum(axis=axis, keepdims=True)
        most = high / (high + low.sum(axis=axis, keepdims=True) - low)
        least = low / (low + high.sum(axis=axis, keepdims=True) - high)
        r = _softmax_rounding(case, value.shape[axis])
        far = np.maximum(most * (1.0 + r) - share, share - least * (1.0 - r))
    # what exp gives below float32's normal range may be flushed to zero
    far = np.minimum(far + 2.0**-120, 1.0 + r)
    # a score of -inf stays -inf, however it was rounded before
    far = np.where((value == -np.inf) & (x.error < np.inf), 0.0, far)
    return np.where(np.isnan(far), np.inf, far)


def _softmax_rounding(case: Case, n: int) -> float:
    k = 1.0 + case.function
    return k * k * (1.0 + gamma(n, case.u)) * (1.0 + case.division) * (1.0 + 2.0 * case.u) - 1.0


def softmax(case: Case) -> Errors:
    """Bound softmax: see the module's docstring."""
    return (case.rounded(softmax_error(case.get(0), case.node.int("axis", -1), case)),)


def log_softmax(case: Case) -> Errors:
    """Bound (x - peak) - log sum exp(x - peak): x moves it by e_i + max e."""
    x, axis = case.get(0), case.node.int("axis", -1)
    whole = log_sum_exp(x, (axis % x.value.ndim,), case)
    peak = wide(x.value).max(axis=axis, keepdims=True)
    shift = case.u * (np.abs(wide(x.value) - peak) + x.error)
    return (case.rounded(x.error + whole.error + shift + case.u * (np.abs(case.value))),)


def lp_normalization(case: Case) -> Errors:
    """Bound x over its norm."""
    x, axes = case.get(0), (case.node.int("axis", -1),)
    if case.node.int("p", 2) == 1:
        norm = total(Bounded(np.abs(wide(x.value)), x.error), axes, case.u)
    else:
        norm = apply(np.sqrt, total(multiply(x, x, case.u), axes, case.u), case.division)
    quotient = divide(x, norm, case.division).error
    return (case.rounded(np.where((norm.value == 0) & (norm.error == 0), 0.0, quotient)),)


def _root(variance: Bounded, case: Case) -> Bounded:
    """Return 1 / sqrt(variance + epsilon); the machine's variance is never negative."""
    epsilon = case.node.float("epsilon", 1e-5)
    inner = add(variance, exact(np.asarray(epsilon)), 2.0 * case.u)
    least = np.maximum(inner.low, epsilon * (1.0 - 2.0 * case.u))
    clipped = Bounded(inner.value, inner.error)
    bound = apply(lambda v: 1.0 / np.sqrt(np.maximum(v, np.min(least))), clipped, 0.0)
    far = np.maximum(bound.error, 1.0 / np.sqrt(least) - bound.value)
    relative = case.function + 2.0 * case.division
    return Bounded(bound.value, far + relative * (bound.value + far))


def standardized(x: Bounded, axes: tuple[int, ...], case: Case) -> Bounded:
    """Return (x - mean) / sqrt(variance + epsilon) over ``axes``."""
    middle = subtract(x, mean(x, axes, case.u), case.u)
    variance = mean(multiply(middle, middle, case.u), axes, case.u)
    return multiply(middle, _root(variance, case), case.u)


def layer(case: Case) -> Errors:
    """Bound layer normalization step by step; the sum may be scaled before the bias."""
    x = case.get(0)
    normal = standardized(x, tail_axes(case.node, x.value.ndim), case)
    result = multiply(normal, case.get(1), case.u)
    bias = case.maybe(2)
    return (case.rounded((result if bias is None else add(result, bias, case.u)).error),)


def rms(case: Case) -> Errors:
    """Bound x / sqrt(mean of squares + epsilon) step by step."""
    x = case.get(0)
    square = mean(multiply(x, x, case.u), tail_axes(case.node, x.value.ndim), case.u)
    normal = multiply(x, _root(square, case), case.u)
    return (case.rounded(multiply(normal, case.get(1), case.u).error),)


def _per_channel(b: Bounded, rank: int) -> Bounded:
    return Bounded(spread_channels(wide(b.value), rank), spread_channels(b.error, rank))


def _affine(case: Case, normal: Bounded) -> Errors:
    """Bound normal * scale + bias, one of each for each channel."""
    rank = normal.value.ndim
    scale = _per_channel(case.get(1), rank)
    result = add(multiply(normal, scale, case.own), _per_channel(case.get(2), rank), case.own)
    return (case.rounded(result.error + case.grain * (2.0 + scale.size)),)


def instance(case: Case) -> Errors:
    """Bound instance normalization: over the spatial axes."""
    x = case.get(0)
    return _affine(case, standardized(x, tuple(range(2, x.value.ndim)), case))


def group(case: Case) -> Errors:
    """Bound group normalization: over a group's channels and positions."""
    x = case.get(0)
    shape = (x.value.shape[0], case.node.int("num_groups"), -1)
    parts = Bounded(wide(x.value).reshape(shape), x.error.reshape(shape))
    normal = standardized(parts, (2,), case)
    back = Bounded(normal.value.reshape(x.value.shape), normal.error.reshape(x.value.shape))
    return _affine(case, back)


def batch(case: Case) -> Errors:
    """Bound (x - mean) / sqrt(var + epsilon) * scale + bias, steps in the tensor's format.

    Or x factor + shift, with factor = scale / sqrt(var + epsilon) and shift = bias - mean factor
    rounded beforehand: mean factor is then as exact as the shift, and no more.
    """
    x = case.get(0)
    centre, variance = (_per_channel(case.get(i), x.value.ndim) for i in (3, 4))
    middle = subtract(x, centre, case.own)
    epsilon = exact(np.asarray(case.node.float("epsilon", 1e-5)))
    root = apply(np.sqrt, add(variance, epsilon, 2.0 * case.own), case.division + case.own)
    (error,) = _affine(case, divide(middle, root, case.division + case.own))
    scale = _per_channel(case.get(1), x.value.ndim)
    return (error + 3.0 * case.own * centre.size * scale.size / root.value,)


def lrn(case: Case) -> Errors:
    """Bound x / (bias + alpha / size * sum of squares) ** beta."""
    node, x = case.node, case.get(0)
    size, beta = node.int("size"), node.float("beta", 0.75)
    squares = multiply(x, x, case.u)
    around = Bounded(
        lrn_sums(node, wide(squares.value)),
        lrn_sums(node, squares.error + gamma(size, case.u) * squares.size),
    )
    inner = scaled(around, node.float("alpha", 1e-4) / size, 2.0 * case.u)
    base = add(inner, exact(np.asarray(node.float("bias", 1.0))), 2.0 * case.u)
    with np.errstate(all="ignore"):
        drift = np.expm1(np.abs(beta * np.log(base.value)) * 2.0 * (case.function + case.u))
    power = apply(lambda v: v**beta, base, case.function + case.u)
    power = Bounded(power.value, power.error + drift * power.size)
    return (case.rounded(divide(x, power, case.division).error),)


def attention(case: Case) -> Errors:
    """Bound attention head by head, in one piece or in parts.

    Scores, their distances to the peak and weights may be rounded to the tensor's format, and the
    weights' sum may be that of rounded ones. Where the scale stands (on q, on k, on both, on the scores) is left open:
    it counts as three roundings of each product.
    """
    q, k, v = (case.get(i) for i in range(3))
    shape = (*q.value.shape[:3], k.value.shape[2])
    mask = case.maybe(3)
    bias = score_bias(case.node, None if mask is None else mask.value, shape)
    doubt = np.broadcast_to(_mask_error(mask), shape)
    error = np.empty(case.value.shape)
    share = q.value.shape[1] // k.value.shape[1]
    for n, head in np.ndindex(*k.value.shape[:2]):
        own = (n, slice(head * share, (head + 1) * share))
        one = (n, slice(head, head + 1))
        weights = _weights(case, _part(q, own), _part(k, one), Bounded(bias[own], doubt[own]))
        values = _part(v, one)
        g = case.machine.products(values.value.shape[-2], case.dtype)
        error[own] = product(np.matmul, weights, values, g)
    return (case.rounded(error),)


def _mask_error(mask: Bounded | None) -> Wide:
    if mask is None:
        return np.zeros(())
    if mask.value.dtype == np.bool_:
        return np.where(mask.error > 0, np.inf, 0.0)
    return mask.error


def _part(b: Bounded, where: tuple[int, slice]) -> Bounded:
    return Bounded(wide(b.value[where]), b.error[where])


def _scaling_grain(case: Case, q: Bounded, k: Bounded, scale: float) -> Wide:
    """Return what rounding q and k to subnormals, once scaled, moves their products by."""
    rows = q.size.sum(axis=-1)[..., :, None] + k.size.sum(axis=-1)[..., None, :]
    return case.grain * max(1.0, abs(scale)) * rows


def _weights(case: Case, q: Bounded, k: Bounded, bias: Bounded) -> Bounded:
    """Return the bounded attention weights of one key head."""
    turned = Bounded(np.swapaxes(k.value, -1, -2), np.swapaxes(k.error, -1, -2))
    features = q.value.shape[-1]
    g = case.machine.products(features + 3, case.dtype) + 3.0 * (case.own - case.u)
    scale = attention_scale(case.node, features)
    scores = Bounded(
        np.matmul(q.value, turned.value) * scale,
        abs(scale) * product(np.matmul, q, turned, g) + _scaling_grain(case, q, k, scale),
    )
    scores = Bounded(scores.value, rounded(scores.value, scores.error, case.dtype))
    if cap := case.node.float("softcap"):
        inner = scaled(scores, 1.0 / cap, 2.0 * case.own)
        scores = scaled(apply(np.tanh, inner, case.function + case.own), cap, 2.0 * case.own)
    scores = add(scores, bias, case.own)
    error = softmax_error(scores, -1, case, case.own)
    with np.errstate(all="ignore"):
        peak = scores.value.max(axis=-1, keepdims=True, initial=-np.inf)
        grown = np.exp(scores.value - np.where(peak == -np.inf, 0.0, peak))
        share = grown / np.maximum(grown.sum(axis=-1, keepdims=True), 1.0)
    empty = (peak == -np.inf) & (scores.error.max(axis=-1, keepdims=True, initial=0.0) < np.inf)
    error = np.where(empty, 0.0, error)
    summed = (case.own + case.grain * share.shape[-1]) * (share + error)
    return Bounded(share, rounded(share, error + np.where(empty, 0.0, summed), case.dtype))


RULES: dict[str, Callable[[Case], Errors]] = {
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "LpNormalization": lp_normalization,
    "LayerNormalization": layer,
    "RMSNormalization": rms,
    "InstanceNormalization": instance,
    "GroupNormalization": group,
    "BatchNormalization": batch,
    "LRN": lrn,
    "Attention": attention,
}
