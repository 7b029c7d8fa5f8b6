"""Each node of real models, at the operands the chip had, lies within its derived bound.

Every value is stored. A node's reference is float64 on the chip's own operands, its bound is
what ``graph/bounds`` derives: no tolerance is set here. Rounding once to nearest is allowed half
a step and often uses all of it, so the largest share is near 1 where a node is one step (Add,
Mul, Cast), and near it too where float32 sums are rounded to 16 bits at the end; in float32 the
bounds of long sums are worst cases, of which a few per cent are used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.reference import nodewise, samples
from tests.reference.op_cases import CASES, Case

from drawloom.graph.bounds import local_bounds
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, Node, TensorType
from drawloom.graph.ops import OPS
from drawloom.graph.rounding import wide
from drawloom.mapping.options import MapOptions

Made = Callable[[], tuple[Graph, samples.Inputs]]
SAMPLES: dict[str, Made] = {
    "digits": lambda: samples.digits(16),
    "llama of 32": lambda: samples.llama(32),
    "vit of 2 blocks": lambda: samples.with_noise(samples.small_vit()),
    "resnet18 of 64 pixels": lambda: samples.with_noise(samples.small_resnet18()),
}
LARGE: dict[str, Made] = {
    "llama of 128": lambda: samples.llama(128),
    "resnet50 of 64 pixels": lambda: samples.with_noise(samples.resnet50_of_64()),
}
# What these give they were given.
MOVES = frozenset({"Reshape", "Transpose", "Slice", "Concat", "Relu", "MaxPool", "Gather"})


@cache
def judged(name: str, precision: str, options: MapOptions | None = None) -> list[nodewise.Judged]:
    graph, inputs = (SAMPLES | LARGE)[name]()
    return nodewise.judge(nodewise.in_format(graph, precision), inputs, options)


def hold(found: list[nodewise.Judged]) -> None:
    assert len({j.value for j in found}) == len(found) > 9
    assert [j.text() for j in found if j.broken] == []
    # A bound that says nothing would prove nothing.
    assert [j.text() for j in found if j.unbounded] == []
    assert {j.share for j in found if j.node.op in MOVES} <= {0.0}


@pytest.mark.parametrize(
    "precision", ["f16", *(pytest.param(word, marks=pytest.mark.slow) for word in ("bf16", "f32"))]
)
@pytest.mark.parametrize("name", SAMPLES)
def test_each_node_stays_within_its_bound(name: str, precision: str) -> None:
    hold(judged(name, precision))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["f16", "bf16", "f32"])
@pytest.mark.parametrize("name", LARGE)
def test_each_node_of_a_larger_model_stays_within_its_bound(name: str, precision: str) -> None:
    hold(judged(name, precision))


@pytest.mark.parametrize("options", [MapOptions(fuse=False), MapOptions(multicast=False)], ids=str)
def test_however_it_is_mapped(options: MapOptions) -> None:
    hold(judged("vit of 2 blocks", "f16", options))


def test_sixteen_bits_use_most_of_their_bound() -> None:
    """The bound is sharp: a chip that rounded once more, or to fewer bits, would break it."""
    found = judged("llama of 32", "f16")
    for op in ("MatMul", "Add", "Mul", "Softmax", "RMSNormalization"):
        assert max(j.share for j in found if j.node.op == op) > 0.9, op


# Steps of the last place by which a sum of four positive products must be wrong to be noticed.
NOTICED = {"f16": 1, "bf16": 1, "f32": 11}


@pytest.mark.parametrize("precision", NOTICED)
def test_a_value_off_by_a_step_is_noticed(precision: str) -> None:
    rng = np.random.default_rng(5)
    dtype = DType(precision).numpy
    arrays = tuple(rng.uniform(1, 2, s).astype(dtype) for s in ((9, 4), (4, 5)))
    (bound,) = local_bounds(Node("n", "MatMul", ("a", "b"), ("y",)), arrays)
    right = evaluate(product(arrays), dict(zip("ab", arrays, strict=True)))["y"]
    assert bound.holds(right).all()
    step = 2.0 ** np.ceil(np.log2(wide(right))) * float(ml_dtypes.finfo(dtype).eps)
    for sign in (-1, 1):
        assert not bound.holds((wide(right) + sign * NOTICED[precision] * step).astype(dtype)).any()


def product(arrays: tuple[np.ndarray, ...]) -> Graph:
    builder = GraphBuilder("product")
    kinds = (TensorType(DType.of(a.dtype), a.shape) for a in arrays)
    names = [builder.input(n, k) for n, k in zip("ab", kinds, strict=True)]
    return builder.finish([builder.add("MatMul", names, output="y")])


# Operator by operator: every case of the reference tests, in each format.


def single(case: Case, dtype: DType) -> tuple[Graph, samples.Inputs]:
    """A graph of one node whose operands are all inputs."""
    builder = GraphBuilder(case.op)
    names: list[str] = []
    inputs: samples.Inputs = {}
    for i, given in enumerate(case.arrays):
        if given is None:
            names.append("")
            continue
        array = np.asarray(given)
        if array.dtype.kind == "f":
            array = array.astype(dtype.numpy)
        kind = TensorType(DType.of(array.dtype), array.shape)
        names.append(builder.input(f"x{i}", kind))
        inputs[f"x{i}"] = array
    made = builder.add_many(
        case.op, names, case.attrs, outputs=[f"y{i}" for i in range(case.n_outputs)]
    )
    return builder.finish(made), inputs


def is_float(case: Case) -> bool:
    return any(a is not None and np.asarray(a).dtype.kind == "f" for a in case.arrays)


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16, DType.F32], ids=lambda d: d.value)
@pytest.mark.parametrize("case", [c for c in CASES if is_float(c)], ids=str)
def test_each_operator_stays_within_its_bound(case: Case, dtype: DType) -> None:
    graph, inputs = single(case, dtype)
    found = nodewise.judge(graph, inputs)
    assert [j.text() for j in found if j.broken] == []


@pytest.mark.parametrize("case", [c for c in CASES if not is_float(c)], ids=str)
def test_each_operator_on_integers_is_exact(case: Case) -> None:
    graph, inputs = single(case, DType.F32)
    same(graph, inputs)


def test_cases_are_of_every_operator() -> None:
    assert {case.op for case in CASES} == set(OPS) - {"Range"}  # its length is a value's


def same(graph: Graph, inputs: samples.Inputs) -> None:
    """The chip's values and the graph's are the same bits."""
    found, wanted = nodewise.run(graph, inputs), evaluate(graph, inputs)
    for name, want in wanted.items():
        assert found[name].dtype == want.dtype, name
        np.testing.assert_array_equal(found[name], want, err_msg=name)


# Integers of random shapes.


def drawn(rng: np.random.Generator, dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    if dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(bool)
    info: Any = np.iinfo(dtype.numpy)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return rng.integers(info.min, info.max, shape, dtype=dtype.numpy, endpoint=True)


def applied(op: str, arrays: list[np.ndarray], **attrs: object) -> tuple[Graph, samples.Inputs]:
    case = Case(op, list(arrays), attrs)  # pyright: ignore[reportArgumentType]
    return single(case, DType.F32)


def sizes(rng: np.random.Generator, most: int, rank: int) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(1, most, rank))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kinds", [(DType.I8, DType.I8), (DType.U8, DType.U8), (DType.U8, DType.I8),
                                   (DType.I8, DType.U8)], ids=str)  # fmt: skip
def test_integer_products_of_any_shape_are_exact(kinds: tuple[DType, DType], seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, k, n = sizes(rng, 300, 3)
    batch = sizes(rng, 4, seed % 3)
    a, b = (drawn(rng, d, s) for d, s in zip(kinds, ((*batch, m, k), (k, n)), strict=True))
    same(*applied("MatMulInteger", [a, b]))


def test_an_integer_product_of_extremes_is_exact() -> None:
    a = np.full((33, 5000), -128, np.int8)
    same(*applied("MatMulInteger", [a, a.T.copy()]))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Min", "Max", "Less", "Equal"])
def test_int32_of_any_shape_is_exact_and_wraps(op: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = sizes(rng, 40, 1 + seed % 4)
    other = tuple(1 if rng.integers(3) == 0 else n for n in shape)
    same(*applied(op, [drawn(rng, DType.I32, shape), drawn(rng, DType.I32, other)]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMax", "ReduceMin"])
def test_int32_reductions_are_exact(op: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = drawn(rng, DType.I32, sizes(rng, 60, 3)) >> 8
    same(*applied(op, [x], axes=(1 + seed % 2,), keepdims=1))


WHOLE = (DType.I8, DType.U8, DType.I32, DType.I64, DType.BOOL)


@pytest.mark.parametrize("source", WHOLE, ids=lambda d: d.value)
@pytest.mark.parametrize("target", WHOLE, ids=lambda d: d.value)
def test_casts_between_integers_keep_their_low_bits(source: DType, target: DType) -> None:
    rng = np.random.default_rng(3)
    same(*applied("Cast", [drawn(rng, source, (7, 83))], to=target.value))


@pytest.mark.parametrize("source", [DType.F16, DType.BF16, DType.F32], ids=lambda d: d.value)
@pytest.mark.parametrize("target", WHOLE, ids=lambda d: d.value)
def test_casts_of_floats_to_integers_cut_off(source: DType, target: DType) -> None:
    low = 0.0 if target is DType.U8 else -120.0
    x = np.random.default_rng(4).uniform(low, 120.0, (5, 97)).astype(source.numpy)
    x[0, :4] = 0.5, 1.5, 2.5, 0.0
    case = Case("Cast", [x], {"to": target.value})
    same(*single(case, source))


@pytest.mark.parametrize("source", WHOLE, ids=lambda d: d.value)
@pytest.mark.parametrize("target", [DType.F16, DType.BF16, DType.F32], ids=lambda d: d.value)
def test_casts_of_integers_to_floats_round_once(source: DType, target: DType) -> None:
    x = drawn(np.random.default_rng(6), source, (5, 97))
    same(*applied("Cast", [x], to=target.value))


def test_laying_a_graph_open_changes_no_value() -> None:
    """Storing everything fuses less, yet what was stored before is the same."""
    graph, inputs = SAMPLES["digits"]()
    graph = nodewise.in_format(graph, "f16")
    plain = nodewise.run(graph, inputs)
    full = nodewise.run(nodewise.laid_open(graph), inputs)
    assert set(plain) < set(full)
    for name, want in plain.items():
        np.testing.assert_array_equal(full[name], want)
