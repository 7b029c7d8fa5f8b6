"""Bounds of sums of products: matrix products, convolutions, pools, reductions.

n terms summed in any order in float32 come out within gamma_n of the sum of
their magnitudes; the products' own roundings count as one term more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drawloom.graph.bounds.model import Bounded, Case, gamma
from drawloom.graph.bounds.steps import (
    apply,
    image,
    mean,
    multiply,
    product,
    total,
)
from drawloom.graph.evaluate import evaluate_node
from drawloom.graph.ir import Array
from drawloom.graph.ops.convolution import convolve, scatter_taps, spread_channels
from drawloom.graph.ops.pooling import pool_counts, pool_window, window_sums
from drawloom.graph.ops.reduction import reduced_axes
from drawloom.graph.ops.resizing import axis_weights, resized_axes
from drawloom.graph.rounding import Wide, wide

Errors = tuple[Wide, ...]


def product_gamma(case: Case, n: int) -> float:
    """Return the relative error of each of ``n`` products and its share of the sum's."""
    return case.machine.products(n, case.dtype) if case.dtype.is_float else 0.0


def matmul(case: Case) -> Errors:
    """Bound |A| eB + eA |B| + eA eB + gamma (|A| + eA)(|B| + eB)."""
    a, b = (_turned(case, i, key) for i, key in enumerate(("trans_a", "trans_b")))
    error = product(np.matmul, a, b, product_gamma(case, a.value.shape[-1]))
    return (case.rounded(error),)


def _turned(case: Case, i: int, key: str) -> Bounded:
    x = case.get(i)
    if not case.node.int(key):
        return x
    return Bounded(np.swapaxes(x.value, -1, -2), np.swapaxes(x.error, -1, -2))


def convolution(case: Case) -> Errors:
    """Bound as a matrix product with one row for each window; the bias is added after.

    The sum may be rounded to the format before the bias is added.
    """
    x, w = case.get(0), case.get(1)
    terms = int(np.prod(w.value.shape[1:]))
    error = product(lambda p, q: convolve(case.node, p, q), x, w, product_gamma(case, terms))
    return (_biased(case, error),)


def transposed(case: Case) -> Errors:
    """Bound as a product in which each output sums at most all taps of all channels."""
    x, w = case.get(0), case.get(1)
    terms = int(np.prod(w.value.shape[2:])) * w.value.shape[0] // case.node.int("group", 1)
    error = product(lambda p, q: scatter_taps(case.node, p, q), x, w, product_gamma(case, terms))
    return (_biased(case, error),)


def _biased(case: Case, error: Wide) -> Wide:
    bias = case.maybe(2)
    if bias is None:
        return case.rounded(error)
    shift = Bounded(*(spread_channels(wide(part), error.ndim) for part in (bias.value, bias.error)))
    before = case.value - shift.value
    return case.rounded(case.rounded(error, before) + shift.error)


def _axes(case: Case) -> tuple[int, ...]:
    return reduced_axes(case.node, case.get(0).value.ndim)


def _shaped(case: Case, b: Bounded) -> Errors:
    """Round a reduction's result, in the output's shape."""
    return (case.rounded(b.error.reshape(case.value.shape)),)


def _unit(case: Case) -> float:
    return case.u if case.dtype.is_float else 0.0


def reduce_sum(case: Case) -> Errors:
    """Bound sum e + gamma_n sum (|x| + e)."""
    return _shaped(case, total(case.get(0), _axes(case), _unit(case)))


def reduce_mean(case: Case) -> Errors:
    """Bound a sum over n; integers truncate."""
    b = mean(case.get(0), _axes(case), _unit(case))
    if not case.dtype.is_float and b.error.any():
        b = Bounded(b.value, b.error + 1.0)
    return _shaped(case, b)


def reduce_size(case: Case) -> Errors:
    """Bound the sum of magnitudes."""
    x = case.get(0)
    return _shaped(case, total(Bounded(np.abs(wide(x.value)), x.error), _axes(case), _unit(case)))


def _squares(case: Case) -> Bounded:
    x = case.get(0)
    return total(multiply(x, x, _unit(case)), _axes(case), _unit(case))


def reduce_squares(case: Case) -> Errors:
    """Bound the sum of squares: 2 |x| e + e^2 each."""
    return _shaped(case, _squares(case))


def reduce_norm(case: Case) -> Errors:
    """Bound the root of a sum of squares: monotone."""
    root = apply(lambda s: np.sqrt(np.maximum(s, 0.0)), _squares(case), case.division)
    return _shaped(case, root)


def reduce_product(case: Case) -> Errors:
    """Bound prod (|x| + e)(1 + u) - prod |x|."""
    x, axes = case.get(0), _axes(case)
    n = int(np.prod([x.value.shape[i] for i in axes], dtype=np.int64))
    most = x.size.prod(axis=axes, keepdims=True)
    least = np.abs(wide(x.value)).prod(axis=axes, keepdims=True)
    spread = np.where(most > least, (most - least) * (1.0 + 2.0**-40) + n * most * 2.0**-52, 0.0)
    return _shaped(case, Bounded(least, spread + gamma(n, _unit(case)) * most))


def reduce_log_sum(case: Case) -> Errors:
    """Bound log of a sum: monotone; inf where the sum may not be positive."""
    return _shaped(case, apply(np.log, total(case.get(0), _axes(case), case.u), case.function))


def log_sum_exp(x: Bounded, axes: tuple[int, ...], case: Case) -> Bounded:
    """Return log sum exp along ``axes``, kept as 1; computed as peak + log sum exp(x - peak).

    It moves no further than the largest e (its slopes are a softmax: positive,
    summing to 1). The differences round at u (|x - peak| + 2e), which exp turns
    into a relative error; exp adds k, the sum gamma_n; log of a factor 1 + r
    is at most r / (1 - r); log adds k of itself, the last sum u.
    """
    value = wide(x.value)
    peak = value.max(axis=axes, keepdims=True, initial=-np.inf)
    n = int(np.prod([value.shape[i] for i in axes], dtype=np.int64))
    worst = x.error.max(axis=axes, keepdims=True, initial=0.0)
    with np.errstate(all="ignore"):
        shifted = np.where(np.isfinite(value), np.abs(value - peak), 0.0)
        depth = shifted.max(axis=axes, keepdims=True, initial=0.0) + 2.0 * worst
        exponent = np.log(np.exp(value - peak).sum(axis=axes, keepdims=True))
        r = (1.0 + np.expm1(case.u * depth)) * (1.0 + case.function) * (
            1.0 + gamma(n, case.u)
        ) - 1.0
        factor = np.where(r < 0.5, r / (1.0 - np.minimum(r, 0.5)), np.inf)
    inner = factor + (case.function + case.u) * (np.abs(exponent) + worst)
    result = peak + exponent
    error = worst + inner + case.u * (np.abs(result) + worst)
    return Bounded(result, np.where(np.isnan(error), np.inf, error))


def reduce_log_sum_exp(case: Case) -> Errors:
    """Bound as ``log_sum_exp`` says."""
    return _shaped(case, log_sum_exp(case.get(0), _axes(case), case))


def reduce_extreme(case: Case) -> Errors:
    """Bound max and min: monotone, never rounded."""
    x, axes = case.get(0), _axes(case)
    find = np.max if case.node.op == "ReduceMax" else np.min
    centre = find(wide(x.value), axis=axes, keepdims=True)
    return (
        _reach(x, centre, lambda end: find(end, axis=axes, keepdims=True)).reshape(
            case.value.shape
        ),
    )


def _reach(x: Bounded, centre: Wide, function: Callable[[Wide], Array]) -> Wide:
    """Return how far a monotone function of many elements moves."""
    if not x.error.any():
        return np.zeros(centre.shape)
    with np.errstate(invalid="ignore"):
        up, down = function(x.high) - centre, centre - function(x.low)
    far = np.maximum(up, down)
    return np.where(np.isnan(far), np.where(np.isinf(centre), 0.0, np.inf), far)


def running_sum(case: Case) -> Errors:
    """Bound the sums so far, each of at most n terms."""
    x = case.get(0)
    g = gamma(x.value.shape[case.node.int("axis")], _unit(case))
    summed = evaluate_node(case.node, (x.error + g * x.size,), wide=True)[0]
    return (case.rounded(summed),)


def max_pool(case: Case) -> Errors:
    """Bound the largest: monotone; its position is in doubt where errors are."""
    x = case.get(0)

    def pooled(values: Wide) -> Array:
        return evaluate_node(case.node, (values,), wide=True)[0]

    errors = [_reach(x, case.value, pooled)]
    if len(case.values) > 1:
        errors.append(np.where(pooled(x.error) > 0, np.inf, 0.0))
    return tuple(errors)


def average_pool(case: Case) -> Errors:
    """Bound a window's sum over its count; the division may be a product with 1/n."""
    x = case.get(0)
    window = pool_window(case.node, x.value.shape)
    g = gamma(int(np.prod(window.kernel)), case.u)
    counts = pool_counts(case.node, x.value.shape)
    error = window_sums(window, x.error + g * x.size) / counts
    return (case.rounded(error + 2.0 * case.u * (np.abs(case.value) + error)),)


def lp_pool(case: Case) -> Errors:
    """Bound the p-th root of a sum of p-th powers, monotone in the magnitudes."""
    x, p = case.get(0), case.node.int("p", 2)
    window = pool_window(case.node, x.value.shape)
    sizes = np.abs(wide(x.value))
    moved = image(lambda v: np.maximum(v, 0.0) ** p, Bounded(sizes, x.error))
    g = gamma(int(np.prod(window.kernel)) + p, case.u)
    powers = Bounded(window_sums(window, sizes**p), window_sums(window, moved + g * x.size**p))
    root = apply(lambda s: np.maximum(s, 0.0) ** (1.0 / p), powers, 2.0 * case.function)
    return (case.rounded(root.error),)


def interpolated(case: Case) -> Wide:
    """Return the error of a linear or cubic Resize: |W| (e + gamma (|x| + e)) axis by axis."""
    x, sizes = case.get(0), case.node.ints("sizes")
    shape = x.value.shape
    axes = resized_axes(case.node, shape)
    weights = [np.abs(axis_weights(case.node, i, shape[i], sizes[i])) for i in axes]
    taps = sum(int((w > 0).sum(axis=1).max()) + 2 for w in weights)
    error = x.error + gamma(taps, case.u) * x.size
    for axis, matrix in zip(axes, weights, strict=True):
        error = np.moveaxis(np.tensordot(matrix, error, (1, axis)), 0, axis)
    return case.rounded(error)


RULES: dict[str, Callable[[Case], Errors]] = {
    "MatMul": matmul,
    "Conv": convolution,
    "ConvTranspose": transposed,
    "ReduceSum": reduce_sum,
    "ReduceMean": reduce_mean,
    "ReduceL1": reduce_size,
    "ReduceL2": reduce_norm,
    "ReduceSumSquare": reduce_squares,
    "ReduceProd": reduce_product,
    "ReduceLogSum": reduce_log_sum,
    "ReduceLogSumExp": reduce_log_sum_exp,
    "ReduceMax": reduce_extreme,
    "ReduceMin": reduce_extreme,
    "CumSum": running_sum,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "LpPool": lp_pool,
}
