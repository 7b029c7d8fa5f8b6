"""What an evaluation may do, and what is known of its values.

The reference x is computed without rounding (in float64); the machine computes
some x' with |x' - x| <= error. Every rule keeps that inequality: see the
package's docstring for how.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Node, TensorType
from drawloom.graph.rounding import LARGEST, TINIEST_ERROR, UNIT_ROUNDOFF, Wide, wide

# The bounds' own arithmetic is float64: every roundoff is stated this much larger
# than it is, which pays for it (2**-24 * 2**-20 is 2**9 float64 roundings).
_MARGIN = 1.0 + 2.0**-20
SPLIT = 3.0 * 2.0**-22
"""Relative error of a float32 product made of three products of 11-bit halves.

x = h + l with h = x rounded to 11 bits, so |l| <= 2^-11 |x|; l is rounded to 11 bits too, which
loses at most 2^-22 |x|. Of (h + l)(h' + l') the machine leaves out l l', at most 2^-22 |x x'|, and
loses as much again in h l' and in l h'.
"""
FLUSHED = 2.0**-126
"""Smallest normal float32: what is smaller may be flushed to zero."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How exactly an evaluation computes. The defaults suit float32 engines.

    Attributes:
        function_ulps: error of exp, log, sin, tanh, sigmoid and their like, in
            units in the last place of float32.
        divide_ulps: error of quotients, roots and reciprocals, likewise.
        erf_error: absolute error of erf (a polynomial in float32).
        product_error: relative error of a product of two float32 numbers in a
            matrix product, beside its rounding; 0 where the engine multiplies float32.
    """

    function_ulps: float = 4.0
    divide_ulps: float = 1.0
    erf_error: float = 2.0**-18
    product_error: float = SPLIT

    def inner(self, dtype: DType) -> float:
        """Return the unit roundoff inside a node: float32's, or float64's for f64."""
        return 2.0**-52 if dtype is DType.F64 else 2.0**-24 * _MARGIN

    def own(self, dtype: DType) -> float:
        """Return the unit roundoff of a step that may round to the tensor's own format."""
        return max(self.inner(dtype), UNIT_ROUNDOFF.get(dtype, 0.0) * _MARGIN)

    def grain(self, dtype: DType) -> float:
        """Return the absolute error of a step that may round to the format's subnormals."""
        return FLUSHED if dtype is not DType.F16 else TINIEST_ERROR[dtype]

    def products(self, n: int, dtype: DType) -> float:
        """Return the relative error of each of ``n`` products and its share of their sum.

        Each product rounds once and then as often as it is added; where float32 is split in
        three, each of a few partial sums is added to twice more.
        """
        if dtype is not DType.F32 or not self.product_error:
            return gamma(n + 1, self.inner(dtype))
        return gamma(n + 3, self.inner(dtype)) + self.product_error * _MARGIN

    def function(self, dtype: DType) -> float:
        """Return the relative error of a transcendental function."""
        return 2.0 * self.function_ulps * self.inner(dtype)

    def division(self, dtype: DType) -> float:
        """Return the relative error of a quotient, root or reciprocal."""
        return 2.0 * self.divide_ulps * self.inner(dtype)


def gamma(n: int, u: float) -> float:
    """Return n u / (1 - n u): the relative error of n roundings in a row; inf when n u >= 1."""
    return n * u / (1.0 - n * u) if n * u < 1.0 else np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """A reference value with an elementwise bound on how far the machine's may lie."""

    value: Array
    error: Wide

    @property
    def size(self) -> Wide:
        """The largest magnitude the machine's value can have."""
        return np.abs(wide(self.value)) + self.error

    @property
    def low(self) -> Wide:
        """The smallest value the machine may have."""
        return self._end(-1.0)

    @property
    def high(self) -> Wide:
        """The largest value the machine may have."""
        return self._end(1.0)

    def _end(self, sign: float) -> Wide:
        value = wide(self.value)
        # where the error is lost in the float64 sum, step outwards by more than it
        apart = np.where(self.error > 0, self.error + np.abs(value) * 2.0**-51, 0.0)
        return np.where(np.isinf(value), value, value + sign * apart)

    def holds(self, computed: Array) -> Array:
        """Return where ``computed`` lies within the bound; infinities must be equal."""
        got, value = wide(computed), wide(self.value)
        with np.errstate(invalid="ignore"):
            near = np.abs(got - value) <= self.error
        return near | (got == value) | (self.error == np.inf)


def exact(value: Array) -> Bounded:
    """Return a value the machine has exactly."""
    return Bounded(value, np.zeros(value.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One node to be bounded: its operands with their errors, its reference outputs."""

    node: Node
    machine: Machine
    operands: tuple[Bounded | None, ...]
    kinds: tuple[TensorType | None, ...]
    values: tuple[Array, ...]
    made: tuple[TensorType, ...]

    def get(self, i: int) -> Bounded:
        """Return an operand that must be there."""
        operand = self.operands[i]
        assert operand is not None
        return operand

    def maybe(self, i: int) -> Bounded | None:
        """Return an operand that may be absent."""
        return self.operands[i] if i < len(self.operands) else None

    @property
    def dtype(self) -> DType:
        """The first output's format."""
        return self.made[0].dtype

    @property
    def value(self) -> Wide:
        """The first output's reference value."""
        return wide(self.values[0])

    @property
    def u(self) -> float:
        """Unit roundoff inside the node."""
        return self.machine.inner(self.dtype)

    @property
    def own(self) -> float:
        """Unit roundoff of a step in the tensor's own format."""
        return self.machine.own(self.dtype)

    @property
    def grain(self) -> float:
        """Absolute error of a step in the tensor's own format."""
        return self.machine.grain(self.dtype)

    @property
    def function(self) -> float:
        """Relative error of a transcendental function."""
        return self.machine.function(self.dtype)

    @property
    def division(self) -> float:
        """Relative error of a quotient or root."""
        return self.machine.division(self.dtype)

    def rounded(self, error: Wide, value: Wide | None = None) -> Wide:
        """Return the error after one rounding to the output's format.

        Where the machine's value may overflow the bound is inf; for integers,
        that wrap, too. Errors that came out NaN become inf.
        """
        return rounded(self.value if value is None else value, error, self.dtype)


def rounded(value: Wide, error: Wide, dtype: DType) -> Wide:
    """Return the error of ``value`` after one rounding to ``dtype`` (none for integers)."""
    error = np.where(np.isnan(error), np.inf, error)
    if dtype is DType.BOOL:
        return np.minimum(error, 1.0)
    size = np.where(np.isinf(value), 0.0, np.abs(value)) + error
    if not dtype.is_float:
        bits = 8 * dtype.bytes - (dtype.value[0] == "i")
        return np.where((error > 0) & (size >= 2.0**bits), np.inf, error)
    unit = 2.0**-52 if dtype is DType.F64 else UNIT_ROUNDOFF[dtype] * _MARGIN
    # float32 engines may flush values below their normal range to zero
    tiny = FLUSHED if dtype in (DType.F32, DType.BF16) else TINIEST_ERROR[dtype]
    total = error + unit * size + tiny
    total = np.where(np.isinf(value), error, total)
    total = np.where(value == 0, np.where(error == 0, 0.0, total), total)
    return np.where((size + total > LARGEST[dtype]) & np.isfinite(value), np.inf, total)
