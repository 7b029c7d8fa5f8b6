from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from drawloom.chip.formats import CODES
from drawloom.execute.faults import Refused
from drawloom.execute.numbers import narrow, round_tf32, widen

RNG = np.random.default_rng(3)


def nearest_even(value: float, digits: int, least: int) -> float:
    """Round to ``digits`` binary digits, multiples of 2**least at the finest, exactly."""
    exact = Fraction(value)
    if not exact:
        return value
    step = Fraction(2) ** max(int(np.frexp(value)[1]) - digits, least)
    return float(round(exact / step) * step)


def awkward() -> np.ndarray:
    """Float64 values near the halfway points of short formats, and ordinary ones."""
    halves = np.ldexp(1 + (2 * np.arange(64) + 1) / 256.0, RNG.integers(-20, 15, 64))
    tf32 = np.ldexp(1 + (2 * np.arange(64) + 1) / 2048.0, RNG.integers(-14, 15, 64))
    ties = np.concatenate([halves, tf32])
    beside = [ties * (1 + s * e) for s in (-1, 1) for e in (2.0**-52, 2.0**-40, 2.0**-26)]
    tiny = RNG.normal(size=32) * 2.0**-130
    return np.concatenate([ties, *beside, RNG.normal(size=64), tiny, -ties])


def test_float64_rounds_once_to_bf16() -> None:
    values = awkward()
    expected = [nearest_even(v, 8, -133) for v in values.tolist()]
    assert narrow(values, "bf16").astype(np.float64).tolist() == expected
    twice = values.astype(np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)
    assert twice.tolist() != expected, "the samples do not tell one rounding from two"


def test_float64_rounds_once_to_tf32_and_f16() -> None:
    values = awkward()
    tf32 = [nearest_even(v, 11, -149 + 13) for v in values.tolist()]
    assert narrow(values, "tf32").astype(np.float64).tolist() == tf32
    f16 = [nearest_even(v, 11, -24) for v in values.tolist()]
    assert narrow(values, "f16").astype(np.float64).tolist() == f16


@pytest.mark.parametrize("fmt", ["bf16", "tf32", "f16", "f32"])
def test_infinities_and_overflow(fmt: str) -> None:
    with np.errstate(over="ignore"):
        found = narrow(np.array([np.inf, -np.inf, 1e300, -1e300]), fmt)
    assert found.astype(np.float64).tolist() == [np.inf, -np.inf, np.inf, -np.inf]
    assert np.isnan(narrow(np.array([np.nan]), fmt).astype(np.float64))[0]


def test_poison_stays_nan_through_tf32() -> None:
    poison = np.full(2, 0xFFFFFFFF, np.uint32).view(np.float32)
    assert np.isnan(round_tf32(poison)).all()


def test_floats_saturate_to_integers_and_nan_gives_0() -> None:
    values = np.array([2.5, 3.5, -2.5, 1e30, -np.inf, np.nan, 127.5])
    assert narrow(values, "i8").tolist() == [2, 4, -2, 127, -128, 0, 127]
    assert narrow(values, "u8").tolist() == [2, 4, 0, 255, 0, 0, 128]
    assert narrow(values, "i64").tolist() == [2, 4, -2, 2**63 - 1, -(2**63), 0, 128]
    assert narrow(np.array([2.0**31 - 1, 2.0**31]), "i32").tolist() == [2**31 - 1] * 2


def test_integers_keep_their_low_bits() -> None:
    assert narrow(np.array([128, -129, 300]), "i8").tolist() == [-128, 127, 44]
    assert narrow(np.array([2**40 + 7]), "i32").tolist() == [7]


def test_integers_round_to_nearest_even_floats() -> None:
    values = np.array([2**24 + 1, 2**24 + 3, 2049, 70000])
    assert narrow(values, "f32").tolist() == [2**24, 2**24 + 4, 2049, 70000]
    with np.errstate(over="ignore"):
        assert narrow(values, "f16").tolist()[2:] == [2048, np.inf]
    assert narrow(np.array([257, 259]), "bf16").astype(np.float64).tolist() == [256, 260]


def test_any_to_bool_is_not_zero() -> None:
    assert narrow(np.array([0.0, -0.0, 0.5, np.nan]), "bool").tolist() == [0, 0, 1, 1]
    assert narrow(np.array([0, 256]), "bool").tolist() == [0, 1]


def test_widening_is_exact_for_every_16_bit_pattern() -> None:
    patterns = np.arange(1 << 16, dtype=np.uint16)
    for fmt, dtype in (("f16", np.dtype(np.float16)), ("bf16", np.dtype(ml_dtypes.bfloat16))):
        values = patterns.view(dtype)
        with np.errstate(invalid="ignore"):
            expected = values.astype(np.float32)
        assert np.array_equal(widen(values, fmt), expected, equal_nan=True)
    assert widen(np.array([0, 1, 255], np.uint8), "bool").tolist() == [0, 1, 1]


@pytest.mark.parametrize("fmt", CODES)
def test_no_engine_computes_in_codes(fmt: str) -> None:
    for step in (widen, narrow):
        with pytest.raises(Refused, match=f"no engine computes in format '{fmt}'"):
            step(np.zeros(4, np.float32), fmt)
