"""Where an engine's op and a graph's operator have one meaning, they give the same values."""

from __future__ import annotations

import numpy as np
import pytest
from tests.execute.building import NUMPY, as_float, get, numbers, one_tile, put

from drawloom.graph.ir import Node
from drawloom.graph.ops import OPS
from drawloom.program.commands import Vector

ONE = {
    "abs": "Abs", "neg": "Neg", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "exp": "Exp",
    "log": "Log", "sin": "Sin", "cos": "Cos", "tanh": "Tanh", "sigmoid": "Sigmoid",
    "relu": "Relu", "softplus": "Softplus", "floor": "Floor", "ceil": "Ceil", "round": "Round",
    "sign": "Sign",
}  # fmt: skip
TWO = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min"}
A, B, DST = 0, 1 << 17, 1 << 18


def evaluated(op: str, *operands: np.ndarray) -> np.ndarray:
    node = Node("n", op, tuple("ab"[: len(operands)]), ("y",))
    with np.errstate(all="ignore"):
        return OPS[op].evaluate(node, operands)[0]


def run(op: str, fmt: str, a: np.ndarray, *b: np.ndarray) -> np.ndarray:
    machine = one_tile(Vector(op, A, DST, a.size, fmt, fmt, B if b else None), spm=1 << 19)
    for address, operand in zip((A, B), (a, *b), strict=False):
        put(machine.spm[0], address, operand)
    machine.run()
    return get(machine.spm[0], DST, fmt, a.size)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        return np.array_equal(as_float(a), as_float(b), equal_nan=True)


@pytest.mark.parametrize("op", ONE)
@pytest.mark.parametrize("fmt", ["f16", "bf16"])
def test_one_operand_on_every_bit_pattern(op: str, fmt: str) -> None:
    patterns = np.arange(1 << 16, dtype=np.uint16).view(NUMPY[fmt])
    assert same(run(op, fmt, patterns), evaluated(ONE[op], patterns))


@pytest.mark.parametrize("op", ONE)
def test_one_operand_in_f32(op: str) -> None:
    bits = np.random.default_rng(41).integers(0, 1 << 32, 5000, np.uint32)
    values = np.concatenate([bits.view(np.float32), numbers(np.random.default_rng(1), "f32", 999)])
    assert same(run(op, "f32", values), evaluated(ONE[op], values))


@pytest.mark.parametrize("op", TWO)
@pytest.mark.parametrize("fmt", ["f16", "bf16", "f32", "i8", "i32"])
def test_two_operands(op: str, fmt: str) -> None:
    rng = np.random.default_rng(42)
    size = NUMPY[fmt].itemsize
    pair = [rng.integers(0, 256, 5000 * size, np.uint8).view(NUMPY[fmt]) for _ in range(2)]
    assert same(run(op, fmt, *pair), evaluated(TWO[op], *pair))
