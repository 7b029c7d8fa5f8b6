from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from tests.execute.building import NUMPY, as_float, get, numbers, one_tile, put

from drawloom.execute.faults import IllegalCommand
from drawloom.program.commands import Vector
from drawloom.program.vector_ops import BINARY_OPS, UNARY_OPS

A, B, DST = 0, 1 << 12, 2 << 12
N = 133


def sign(x: float) -> float:
    return (x > 0) - (x < 0)


UNARY: dict[str, Callable[[float], float]] = {
    "copy": lambda x: x,
    "convert": lambda x: x,
    "abs": abs,
    "neg": lambda x: -x,
    "sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
    "rsqrt": lambda x: 1 / math.sqrt(x) if x > 0 else math.nan,
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x,
    "exp": math.exp,
    "exp2": lambda x: 2**x,
    "log": lambda x: math.log(x) if x > 0 else math.nan,
    "log2": lambda x: math.log2(x) if x > 0 else math.nan,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0.0),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "trunc": math.trunc,
    "sign": sign,
    "isnan": lambda x: float(math.isnan(x)),
    "not": lambda x: float(x == 0),
}
BINARY: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "rsub": lambda a, b: b - a,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "rdiv": lambda a, b: b / a,
    "max": max,
    "min": min,
    "eq": lambda a, b: float(a == b),
    "ne": lambda a, b: float(a != b),
    "gt": lambda a, b: float(a > b),
    "ge": lambda a, b: float(a >= b),
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "and": lambda a, b: float(a != 0 and b != 0),
    "or": lambda a, b: float(a != 0 or b != 0),
    "xor": lambda a, b: float((a != 0) != (b != 0)),
}
INTEGER: dict[str, Callable[[int, int], float]] = {
    **{key: BINARY[key] for key in ("add", "sub", "rsub", "mul", "max", "min")},
    **{key: BINARY[key] for key in ("eq", "ne", "gt", "ge", "lt", "le")},
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "div": lambda a, b: int(Fraction(a, b)) if b else 0,
    "rdiv": lambda a, b: int(Fraction(b, a)) if a else 0,
}
UNARY_INTEGER: dict[str, Callable[[int], int]] = {
    "copy": lambda x: x,
    "convert": lambda x: x,
    "abs": abs,
    "neg": lambda x: -x,
    "square": lambda x: x * x,
    "relu": lambda x: max(x, 0),
    "sign": lambda x: (x > 0) - (x < 0),
    "not": lambda x: ~x,
    **dict.fromkeys(("floor", "ceil", "round", "trunc"), lambda x: x),
}


def test_every_op_has_a_reference_here() -> None:
    assert UNARY.keys() == set(UNARY_OPS)
    assert BINARY.keys() == set(BINARY_OPS)
    assert INTEGER.keys() == set(BINARY_OPS)


def to(fmt: str, values: list[float]) -> np.ndarray:
    """Round Python floats (float64) once to a float format."""
    wide = np.array(values, np.float64)
    if fmt != "bf16":
        return wide.astype(NUMPY[fmt])
    # Exactly: nearest of all bf16 numbers, the even one where two are as near.
    every = np.arange(0x7F80, dtype=np.uint16)
    grid = every.view(ml_dtypes.bfloat16).astype(np.float64)
    above = np.clip(np.searchsorted(grid, np.abs(wide)), 1, grid.size - 1)
    low, high = np.abs(wide) - grid[above - 1], grid[above] - np.abs(wide)
    odd = (above - 1) % 2 == 1
    index = np.where((high < low) | ((high == low) & odd), above, above - 1)
    found = np.where(np.isnan(wide), np.nan, np.sign(wide) * grid[index])
    return found.astype(ml_dtypes.bfloat16)


def run(op: str, fmt: str, out_fmt: str, a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    at = None if b is None else B
    machine = one_tile(Vector(op, A, DST, a.size, fmt, out_fmt, at))
    put(machine.spm[0], A, a)
    if b is not None:
        put(machine.spm[0], B, b)
    machine.run()
    assert machine.spm[0][DST + a.size * NUMPY[out_fmt].itemsize] == 0xFF
    return get(machine.spm[0], DST, out_fmt, a.size)


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    return np.array_equal(as_float(found), as_float(expected), equal_nan=True)


@pytest.mark.parametrize("op", UNARY_OPS)
@pytest.mark.parametrize(
    ("fmt", "out_fmt"),
    [
        *(("f16", "f16"), ("bf16", "bf16"), ("f32", "f32"), ("f16", "f32")),
        *(("f32", "f16"), ("f32", "bf16"), ("bf16", "f16")),
    ],
)
def test_unary_floats_are_rounded_once(op: str, fmt: str, out_fmt: str) -> None:
    a = numbers(np.random.default_rng(11), fmt, N)
    expected = to(out_fmt, [UNARY[op](float(x)) for x in a])
    assert same(run(op, fmt, out_fmt, a), expected)


@pytest.mark.parametrize("op", BINARY_OPS)
@pytest.mark.parametrize(
    ("fmt", "out_fmt"),
    [("f16", "f16"), ("bf16", "bf16"), ("f32", "f32"), ("f16", "f32"), ("f32", "bf16")],
)
def test_binary_floats_are_rounded_once(op: str, fmt: str, out_fmt: str) -> None:
    rng = np.random.default_rng(12)
    a, b = numbers(rng, fmt, N), numbers(rng, fmt, N)
    b[:9] = a[:9]
    expected = to(out_fmt, [BINARY[op](float(x), float(y)) for x, y in zip(a, b, strict=True)])
    assert same(run(op, fmt, out_fmt, a, b), expected)


@pytest.mark.parametrize("op", BINARY_OPS)
@pytest.mark.parametrize(
    ("fmt", "out_fmt"), [("i8", "i8"), ("u8", "u8"), ("i32", "i32"), ("i8", "i32")]
)
def test_binary_integers_are_exact_and_wrap(op: str, fmt: str, out_fmt: str) -> None:
    rng = np.random.default_rng(13)
    a, b = numbers(rng, fmt, N), numbers(rng, fmt, N)
    a[:5], b[2:9] = b[:5], 0
    exact = [INTEGER[op](int(x), int(y)) for x, y in zip(a, b, strict=True)]
    expected = np.array([int(e) for e in exact], object) % 2**64
    wrapped = expected.astype(np.uint64).astype(NUMPY[out_fmt])
    assert run(op, fmt, out_fmt, a, b).tolist() == wrapped.tolist()


@pytest.mark.parametrize("op", UNARY_INTEGER)
@pytest.mark.parametrize("fmt", ["i8", "u8", "i16", "i32", "i64"])
def test_unary_integers_are_exact_and_wrap(op: str, fmt: str) -> None:
    a = numbers(np.random.default_rng(14), fmt, N)
    expected = np.array([UNARY_INTEGER[op](int(x)) % 2**64 for x in a], np.uint64)
    assert run(op, fmt, fmt, a).tolist() == expected.astype(NUMPY[fmt]).tolist()


@pytest.mark.parametrize("op", ["and", "or", "xor", "eq", "max", "add"])
def test_bools_are_true_where_the_byte_is_not_zero(op: str) -> None:
    a, b = np.array([0, 0, 1, 255], np.uint8), np.array([0, 2, 0, 1], np.uint8)
    truth = {"max": "or", "add": "or"}.get(op, op)
    expected = [BINARY[truth](bool(x), bool(y)) != 0 for x, y in zip(a, b, strict=True)]
    assert run(op, "bool", "bool", a, b).tolist() == expected


def test_not_of_bool() -> None:
    assert run("not", "bool", "bool", np.array([0, 1, 7], np.uint8)).tolist() == [
        True,
        False,
        False,
    ]


def test_copy_keeps_the_bits_of_a_nan_and_of_an_odd_bool() -> None:
    machine = one_tile(
        Vector("copy", A, DST, 4, "f32", "f32"), Vector("copy", A, B, 4, "bool", "bool")
    )
    machine.spm[0][A : A + 16] = np.arange(240, 256)
    machine.run()
    assert machine.spm[0][DST : DST + 16].tolist() == list(range(240, 256))
    assert machine.spm[0][B : B + 4].tolist() == [240, 241, 242, 243]


def test_convert_saturates_floats_and_keeps_low_bits_of_integers() -> None:
    floats = np.array([0.5, 1.5, 200.0, -1e9, np.nan, np.inf], np.float32)
    assert run("convert", "f32", "i8", floats).tolist() == [0, 2, 127, -128, 0, 127]
    assert run("convert", "i32", "i8", np.array([130, -129], np.int32)).tolist() == [-126, 127]
    assert run("convert", "i32", "f32", np.array([2**24 + 1], np.int32)).tolist() == [2.0**24]
    tf32 = run("convert", "f32", "tf32", np.array([1 + 2**-11, 1 + 3 * 2**-11], np.float32))
    assert tf32.tolist() == [1.0, 1 + 2**-9]


def test_a_compare_may_give_bytes_or_numbers() -> None:
    a, b = np.array([1, 2, np.nan], np.float16), np.array([2, 2, np.nan], np.float16)
    assert run("le", "f16", "bool", a, b).tolist() == [True, True, False]
    assert run("ne", "f16", "f16", a, b).tolist() == [1.0, 0.0, 1.0]
    assert run("eq", "f16", "i8", a, b).tolist() == [0, 1, 0]


def test_max_and_min_hand_on_nan() -> None:
    a, b = np.array([np.nan, 1], np.float32), np.array([1, np.nan], np.float32)
    for op in ("max", "min"):
        assert np.isnan(run(op, "f32", "f32", a, b)).all()


def test_a_scalar_is_rounded_to_the_operands_format_first() -> None:
    machine = one_tile(Vector("add", A, DST, 2, "f16", "f32", scalar=1 + 2**-12))
    put(machine.spm[0], A, np.array([0, 1], np.float16))
    machine.run()
    assert get(machine.spm[0], DST, "f32", 2).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("count", [0, 2, 3, 6, 7])
def test_a_unit_operand_is_used_over_and_over(count: int) -> None:
    machine = one_tile(Vector("rsub", A, DST, count, "i32", "i32", B, unit=3))
    put(machine.spm[0], A, np.zeros(count, np.int32))
    put(machine.spm[0], B, np.array([1, 2, 3], np.int32))
    machine.run()
    assert get(machine.spm[0], DST, "i32", count).tolist() == [1, 2, 3, 1, 2, 3, 1][:count]
    assert machine.spm[0][DST + 4 * count] == 0xFF


def test_a_result_may_lie_on_an_operand() -> None:
    machine = one_tile(Vector("add", A, A + 4, 3, "f32", "f32", A + 4))
    put(machine.spm[0], A, np.array([1, 2, 3, 4], np.float32))
    machine.run()
    assert get(machine.spm[0], A, "f32", 4).tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (
            Vector("addd", 0, 8, 1, "f32", "f32", 16),
            "there is no vector op 'addd': did you mean 'add'?",
        ),
        (Vector("add", 0, 8, 1, "f32", "f32"), "vector op 'add' needs an operand b or a scalar"),
        (Vector("abs", 0, 8, 1, "fp16", "f32"), "there is no format 'fp16': did you mean 'f16'?"),
    ],
)
def test_an_illegal_command_says_why(command: Vector, reason: str) -> None:
    with pytest.raises(IllegalCommand) as caught:
        one_tile(command).run()
    assert str(caught.value).splitlines()[-1] == f"  because  {reason}"
