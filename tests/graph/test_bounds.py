"""Bounds hold for each operator: where x moves within its error, so does the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference.op_cases import CASES, Case

import drawloom.graph.bounds
from drawloom.graph.bounds import FAMILIES, RULES, Bounded, Machine, local_bounds, node_bounds
from drawloom.graph.build import infer_node
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate_node, widened
from drawloom.graph.ir import Array, Attr, Node, TensorType
from drawloom.graph.ops import OPS
from drawloom.graph.rounding import narrow, wide

FORMATS = (DType.F32, DType.F16, DType.BF16)


def node_of(case: Case) -> Node:
    names = tuple("" if a is None else f"x{i}" for i, a in enumerate(case.arrays))
    outputs = tuple(f"y{i}" for i in range(case.n_outputs))
    attrs = {k: "f64" if v == "f32" else v for k, v in case.attrs.items() if k == "to"}
    return Node("n", case.op, names, outputs, {**case.attrs, **attrs})


def kind_of(array: Any) -> TensorType | None:
    return None if array is None else TensorType(DType.of(array.dtype), array.shape)


def types_of(node: Node, arrays: list[Any]) -> tuple[TensorType, ...]:
    pairs = zip(node.inputs, arrays, strict=True)
    return infer_node(node, {v: kind_of(a) for v, a in pairs if v})  # pyright: ignore[reportArgumentType]


def is_float(array: Any) -> bool:
    return array is not None and array.dtype.kind == "f"


def test_every_operator_has_a_bound() -> None:
    names = [name for family in FAMILIES.values() for name in family]
    assert len(names) == len(set(names))
    assert set(RULES) == set(OPS)


def test_every_family_file_stands_in_the_dict() -> None:
    folder = Path(drawloom.graph.bounds.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "model", "steps"}
    assert files == set(FAMILIES)


# An operand that is a constant in every sensible graph: its error is left out.
EXACT = {("QuantizeLinear", 2), ("OneHot", 1)}


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.3])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_moves_within_its_error_stays_within_the_bound(case: Case, size: float) -> None:
    node = node_of(case)
    rng = np.random.default_rng(3)
    operands: list[Bounded | None] = []
    for i, array in enumerate(case.arrays):
        if array is None:
            operands.append(None)
        elif is_float(array) and (case.op, i) not in EXACT:
            error = size * rng.uniform(0, 1, array.shape) * (rng.uniform(0, 1, array.shape) < 0.7)
            operands.append(Bounded(widened(np.asarray(array)), np.asarray(error)))
        else:
            array = np.asarray(array)
            operands.append(Bounded(widened(array), np.zeros(array.shape)))
    kinds = tuple(kind_of(a) for a in case.arrays)
    made = types_of(node, case.arrays)
    bounded = node_bounds(node, tuple(operands), kinds, made, Machine())
    for trial in range(8):
        moved = tuple(None if b is None else perturbed(b, rng, trial) for b in operands)
        found = evaluate_node(node, moved, wide=True)
        for bound, got, kind in zip(bounded, found, made, strict=False):
            if kind.dtype.is_float:
                got = narrow(wide(got), kind.dtype.numpy)
            check(bound, got)


def perturbed(b: Bounded, rng: np.random.Generator, trial: int) -> Array:
    if not b.error.any():
        return b.value
    steps = rng.uniform(-1, 1, b.value.shape)
    if trial % 2:
        steps = np.sign(steps)
    # what a machine has is a value of the format
    moved = wide((b.value + steps * b.error).astype(np.float32))
    with np.errstate(invalid="ignore"):
        near = np.abs(moved - b.value) <= b.error
    return np.where(near, moved, b.value)


def check(bound: Bounded, got: Array) -> None:
    if bool(bound.holds(got).all()):
        return
    with np.errstate(all="ignore"):
        excess = np.where(bound.holds(got), 0, np.abs(wide(got) - wide(bound.value)) - bound.error)
    at = np.unravel_index(np.argmax(excess), excess.shape)
    pytest.fail(f"{at}: got {got[at]}, reference {bound.value[at]}, error {bound.error[at]}")


@pytest.mark.parametrize("dtype", FORMATS, ids=lambda d: d.value)
@pytest.mark.parametrize("case", [c for c in CASES if any(map(is_float, c.arrays))], ids=str)
def test_one_rounding_stays_within_the_local_bound(case: Case, dtype: DType) -> None:
    node = node_of(case)
    arrays = tuple(
        np.asarray(a).astype(dtype.numpy) if is_float(a) else a if a is None else np.asarray(a)
        for a in case.arrays
    )
    found = evaluate_node(node, arrays)
    for bound, got in zip(local_bounds(node, arrays), found, strict=False):
        check(bound, got)
        assert not np.isinf(bound.error).any()


SHARP = [
    # operator, operand shapes, attributes, bound in units of u times the result's RMS, f16
    ("Add", [(99,), (99,)], {}, 4),
    ("MatMul", [(16, 512), (512, 16)], {}, 6),
    ("Conv", [(1, 32, 9, 9), (8, 32, 3, 3)], {}, 6),
    ("Exp", [(99,)], {}, 20),
    ("Gelu", [(99,)], {}, 20),
    ("Softmax", [(8, 128)], {}, 40),
    ("LayerNormalization", [(4, 256), (256,)], {}, 8),
    ("ReduceSum", [(4, 999)], {"axes": (1,)}, 7),
    ("Attention", [(1, 2, 8, 32)] * 3, {}, 400),
]


@pytest.mark.parametrize(("op", "shapes", "attrs", "most"), SHARP, ids=lambda v: str(v)[:9])
def test_local_bounds_are_sharp(
    op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Attr], most: float
) -> None:
    rng = np.random.default_rng(0)
    arrays = tuple(rng.standard_normal(s).astype(np.float16) for s in shapes)
    node = Node("n", op, tuple(f"x{i}" for i in range(len(arrays))), ("y",), attrs)
    (bound,) = local_bounds(node, arrays)
    size = np.sqrt(np.mean(np.square(wide(bound.value))))
    assert bound.error.max() <= most * 2.0**-11 * size


def known(value: float, error: float) -> Bounded:
    return Bounded(np.array([value]), np.array([error]))


def errors_of(op: str, *operands: Bounded, dtype: DType = DType.F32, **attrs: Attr) -> float:
    names = tuple(f"x{i}" for i in range(len(operands)))
    node = Node("n", op, names, ("y",), attrs)
    kinds = tuple(
        TensorType(DType.BOOL if o.value.dtype == np.bool_ else dtype, o.value.shape)
        for o in operands
    )
    made = infer_node(node, dict(zip(names, kinds, strict=True)))
    return float(node_bounds(node, operands, kinds, made, Machine())[0].error.flat[0])


def test_what_may_be_anything_is_unbounded() -> None:
    assert errors_of("Div", known(1, 0), known(0.1, 0.2)) == np.inf
    assert errors_of("Log", known(0.1, 0.2)) == np.inf
    assert errors_of("Reciprocal", known(0.1, 0.2)) == np.inf
    assert errors_of("Tan", known(1.5, 0.2)) == np.inf
    assert errors_of("Sqrt", known(0.1, 0.2)) == np.inf
    assert errors_of("Mul", known(300, 0), known(300, 0), dtype=DType.F16) == np.inf
    assert errors_of("Add", known(np.nan, 0), known(1, 0)) == np.inf


def test_a_comparison_is_in_doubt_only_where_intervals_touch() -> None:
    assert errors_of("Greater", known(1, 0.1), known(2, 0.1)) == 0
    assert errors_of("Greater", known(1, 0.6), known(2, 0.6)) == 1
    assert errors_of("Greater", known(1, 0), known(1, 0)) == 0


def test_a_choice_in_doubt_may_take_either_branch() -> None:
    doubt = Bounded(np.array([True]), np.array([1.0]))
    sure = Bounded(np.array([True]), np.array([0.0]))
    assert errors_of("Where", sure, known(1, 0.25), known(4, 0.5)) == 0.25
    assert errors_of("Where", doubt, known(1, 0.25), known(4, 0.5)) == 3.75


def test_positions_are_in_doubt_as_far_as_rivals_reach() -> None:
    row = Bounded(np.array([1.0, 3.0, 0.0, 2.9]), np.array([0.1, 0.1, 0.1, 0.1]))
    assert errors_of("ArgMax", row) == 2
    assert errors_of("ArgMax", Bounded(row.value, row.error * 0.1)) == 0


def test_an_infinite_score_hides_its_key() -> None:
    row = Bounded(np.array([[0.0, -np.inf]]), np.array([[0.0, 0.0]]))
    node = Node("n", "Softmax", ("x",), ("y",))
    kind = (TensorType(DType.F32, (1, 2)),)
    (bound,) = node_bounds(node, (row,), kind, kind, Machine())
    assert bound.error[0, 1] == 0
    assert bound.error[0, 0] < 1e-5
