"""Mapped programs compute what the graph computes: one small graph an operator form."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from drawloom.chip.files import load_chip
from drawloom.execute.machine import execute
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.options import MapOptions
from drawloom.mapping.pieces import CopyPiece, CpuPiece
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble

TX81 = load_chip("tx81")
F16, F32, BF16, I32, I8, BOOL = DType.F16, DType.F32, DType.BF16, DType.I32, DType.I8, DType.BOOL
# Steps of one rounding unit between two evaluations that round in different places.
UNITS = {F16: 2.0**-10, BF16: 2.0**-7, F32: 2.0**-19}


def draw(seed: int, kind: TensorType, positive: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind.dtype is BOOL:
        return rng.integers(0, 2, kind.shape).astype(bool)
    if not kind.dtype.is_float:
        return rng.integers(-50, 50, kind.shape).astype(kind.dtype.numpy)
    values = rng.standard_normal(kind.shape)
    return (np.abs(values) + 0.1 if positive else values).astype(kind.dtype.numpy)


def check(
    graph: Graph,
    inputs: dict[str, np.ndarray],
    slack: float = 4.0,
    options: MapOptions | None = None,
) -> None:
    program = assemble(map_graph(graph, TX81, options))
    found, wanted = execute(program, inputs), evaluate(graph, inputs)
    assert list(found) == list(graph.outputs)
    for name, want in wanted.items():
        got = found[name]
        assert (got.dtype, got.shape) == (want.dtype, want.shape), name
        kind = graph.types[name].dtype
        if kind.is_float:
            want64 = want.astype(np.float64)
            scale = np.maximum(np.abs(want64), np.sqrt(np.mean(want64**2)) + 1e-30)
            worst = np.max(np.abs(got.astype(np.float64) - want64) / scale, initial=0.0)
            assert worst <= slack * UNITS[kind], (name, worst / UNITS[kind])
        else:
            np.testing.assert_array_equal(got, want)


def one(
    op: str,
    types: list[TensorType],
    attrs: dict | None = None,
    constants: tuple[int, ...] = (),
    positive: bool = False,
    slack: float = 4.0,
) -> None:
    builder = GraphBuilder(op)
    names, inputs = [], {}
    for i, kind in enumerate(types):
        array = draw(i, kind, positive)
        if i in constants:
            names.append(builder.constant(f"c{i}", array))
        else:
            names.append(builder.input(f"x{i}", kind))
            inputs[f"x{i}"] = array
    out = builder.add(op, names, attrs, output="y")
    check(builder.finish([out]), inputs, slack)


def t(dtype: DType, *shape: int) -> TensorType:
    return TensorType(dtype, shape)


@pytest.mark.parametrize("dtype", [F16, BF16, F32])
@pytest.mark.parametrize(
    "shapes",
    [
        ((5, 7), (7, 9)),
        ((1, 64), (64, 64)),
        ((100, 130), (130, 70)),
        ((3, 20, 40), (40, 50)),
        ((2, 3, 33, 65), (2, 3, 65, 17)),
        ((70,), (70, 5)),
        ((2, 3, 8, 16), (16,)),
        ((2, 3, 8, 16), (1, 1, 16, 4)),
        ((2, 1, 8, 16), (3, 16, 4)),
    ],
)
def test_matmul(dtype: DType, shapes: tuple) -> None:
    one("MatMul", [t(dtype, *shapes[0]), t(dtype, *shapes[1])])


def joined(batch: int, channels: tuple[int, int]) -> Graph:
    """Two convolutions joined by their channels, one of them read elsewhere too, and a third behind."""
    rng = np.random.default_rng(2)
    builder = GraphBuilder("joined")
    x = builder.input("x", t(F16, batch, 20, 9, 7))

    def conv(value: str, outs: int) -> str:
        ins = builder.types[value].shape[1]
        w = builder.constant("w", (rng.standard_normal((outs, ins, 1, 1)) / 9).astype(np.float16))
        return builder.add("Conv", (value, w))

    parts = [conv(x, n) for n in channels]
    whole = builder.add("Concat", parts, {"axis": 1})
    return builder.finish([conv(whole, 16), conv(parts[0], 8)])


@pytest.mark.parametrize(
    ("batch", "channels", "copies"), [(1, (64, 128), 0), (1, (64, 70), 1), (2, (64, 64), 1)]
)
def test_joined_images_of_whole_blocks_are_made_in_place(
    batch: int, channels: tuple[int, int], copies: int
) -> None:
    graph = joined(batch, channels)
    mapping = map_graph(graph, TX81)
    moved = [p.nodes[0] for p in mapping.pieces if isinstance(p, CopyPiece)]
    assert sum(name.startswith("concat") for name in moved) == copies
    check(graph, {"x": draw(0, graph.types["x"])}, slack=8.0)


@pytest.mark.parametrize("flags", [(0, 1), (1, 0), (1, 1)])
def test_matmul_transposed(flags: tuple[int, int]) -> None:
    a = (150, 90) if flags[0] else (90, 150)
    b = (70, 150) if flags[1] else (150, 70)
    one("MatMul", [t(F16, 2, *a), t(F16, 2, *b)], {"trans_a": flags[0], "trans_b": flags[1]})


def test_integer_product_is_exact() -> None:
    one("MatMulInteger", [t(I8, 37, 300), t(I8, 300, 130)])


@pytest.mark.parametrize("case", [
    ((1, 3, 17, 19), (8, 3, 3, 3), {"pads": (1, 1, 1, 1)}),
    ((2, 70, 9, 9), (130, 70, 1, 1), {}),
    ((1, 64, 30, 30), (64, 64, 3, 3), {"strides": (2, 2), "pads": (1, 1, 1, 1)}),
    ((1, 5, 30, 20), (7, 5, 7, 5), {"strides": (2, 3), "pads": (3, 2, 1, 0), "dilations": (1, 2)}),
    ((1, 48, 14, 14), (48, 1, 3, 3), {"group": 48, "pads": (1, 1, 1, 1)}),
    ((1, 12, 14, 14), (24, 4, 3, 3), {"group": 3}),
    ((2, 6, 40), (9, 6, 5), {"pads": (2, 2)}),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [F16, F32])
def test_convolution(dtype: DType, case: tuple) -> None:
    x, w, attrs = case
    attrs = {"kernel_shape": w[2:], **attrs}
    one("Conv", [t(dtype, *x), t(dtype, *w), t(dtype, w[0])], attrs, constants=(1, 2))


@pytest.mark.parametrize(
    "op",
    [
        "Relu",
        "Sigmoid",
        "Tanh",
        "Exp",
        "Neg",
        "Abs",
        "Erf",
        "Gelu",
        "Silu",
        "Softplus",
        "HardSwish",
        "HardSigmoid",
        "Elu",
        "LeakyRelu",
        "Floor",
        "Sign",
        "Sin",
    ],
)
@pytest.mark.parametrize("shape", [(7,), (3, 70), (2, 3, 5, 5)])
def test_unary(op: str, shape: tuple[int, ...]) -> None:
    one(op, [t(F16, *shape)])


@pytest.mark.parametrize(
    "op", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Equal", "Less", "GreaterOrEqual"]
)
@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 70), (3, 70)),
        ((3, 70), (70,)),
        ((2, 70, 5, 5), (70, 1, 1)),
        ((5, 6, 70), (5, 6, 1)),
        ((4, 5), (1, 1)),
        ((5, 6, 1), (70,)),
        ((1, 1), (70,)),
        ((4, 1, 5), (3, 1)),
        ((), (4,)),
    ],
)
@pytest.mark.parametrize("constant", [False, True])
def test_binary(op: str, shapes: tuple, constant: bool) -> None:
    one(
        op,
        [t(F16, *shapes[0]), t(F16, *shapes[1])],
        constants=(1,) if constant else (),
        positive=op == "Div",
    )


@pytest.mark.parametrize("shape", [(5, 10), (3, 4, 70), (2, 3, 5, 130)])
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax(op: str, shape: tuple, axis: int) -> None:
    one(op, [t(F16, *shape)], {"axis": axis})


@pytest.mark.parametrize("dtype", [F16, F32])
@pytest.mark.parametrize("shape", [(5, 10), (1, 20, 192), (3, 4, 65)])
def test_norms(dtype: DType, shape: tuple) -> None:
    c = t(dtype, shape[-1])
    one(
        "LayerNormalization",
        [t(dtype, *shape), c, c],
        {"axis": -1, "epsilon": 1e-5},
        constants=(1, 2),
    )
    one("RMSNormalization", [t(dtype, *shape), c], {"axis": -1, "epsilon": 1e-5}, constants=(1,))


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum", "ReduceMax"])
@pytest.mark.parametrize("axes", [(1,), (2, 3), (0, 2), (3,), (0, 1, 2, 3)])
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions(op: str, axes: tuple, keep: int) -> None:
    one(op, [t(F16, 2, 70, 5, 6)], {"axes": axes, "keepdims": keep})


@pytest.mark.parametrize("case", [
    ("MaxPool", {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
    ("MaxPool", {"kernel_shape": (2, 3), "strides": (2, 1), "ceil_mode": 1}),
    ("AveragePool", {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}),
    ("AveragePool", {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 0, 1, 1), "count_include_pad": 1}),
])  # fmt: skip
def test_pools(case: tuple) -> None:
    one(case[0], [t(F16, 2, 70, 13, 11)], case[1])


@pytest.mark.parametrize("case", [
    ("Reshape", {"shape": (6, 350)}, (2, 3, 70, 5)),
    ("Reshape", {"shape": (1, 4, 5)}, (4, 5)),
    ("Transpose", {"perm": (0, 2, 1, 3)}, (2, 5, 12, 64)),
    ("Transpose", {"perm": (1, 0)}, (70, 130)),
    ("Slice", {"starts": (1, 60), "ends": (4, 3), "axes": (0, 1), "steps": (1, -2)}, (5, 70)),
    ("Expand", {"shape": (3, 4, 70)}, (4, 1)),
    ("Pad", {"pads": (1, 0, 2, 3), "mode": "constant"}, (4, 70)),
    ("Pad", {"pads": (1, 0, 2, 3), "mode": "reflect"}, (4, 70)),
    ("Tile", {"repeats": (2, 3)}, (4, 7)),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [F16, DType.I64])
def test_moves(case: tuple, dtype: DType) -> None:
    one(case[0], [t(dtype, *case[2])], case[1])


def test_concat() -> None:
    one("Concat", [t(F16, 2, 70, 3), t(F16, 2, 5, 3), t(F16, 2, 64, 3)], {"axis": 1})


def test_gather_of_inputs_runs_on_the_tile_processor() -> None:
    builder = GraphBuilder("embed")
    table = builder.constant("table", draw(0, t(F16, 50, 70)))
    ids = builder.input("ids", t(DType.I64, 1, 9))
    out = builder.add("Gather", [table, ids], {"axis": 0}, output="y")
    check(builder.finish([out]), {"ids": np.arange(9, dtype=np.int64)[None] * 5})


def test_where_and_bool() -> None:
    one("Where", [t(BOOL, 3, 70), t(F16, 3, 70), t(F16, 1, 70)])
    one("And", [t(BOOL, 3, 70), t(BOOL, 3, 70)])
    one("Not", [t(BOOL, 33)])


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Min"])
def test_int32_is_exact(op: str) -> None:
    one(op, [t(I32, 3, 70), t(I32, 3, 70)])


def block(dtype: DType) -> tuple[Graph, dict[str, np.ndarray]]:
    """A small attention block with everything fused around it."""
    b = GraphBuilder("block")
    s, d, heads = 20, 96, 3
    x = b.input("x", t(dtype, 1, s, d))

    def weight(i: int, *shape: int) -> str:
        return b.constant(
            f"w{i}", (draw(i, t(F32, *shape)) / np.sqrt(shape[0])).astype(dtype.numpy)
        )

    n = b.add("LayerNormalization", [x, weight(1, d), weight(2, d)], {"axis": -1, "epsilon": 1e-5})
    parts = []
    for i in range(3):
        y = b.add("Add", [b.add("MatMul", [n, weight(10 + i, d, d)]), weight(20 + i, d)])
        y = b.add("Reshape", [y], {"shape": (1, s, heads, d // heads)})
        parts.append(b.add("Transpose", [y], {"perm": (0, 2, 1, 3)}))
    scores = b.add("MatMul", [parts[0], parts[1]], {"trans_b": 1})
    scores = b.add("Mul", [scores, b.constant("scale", np.array(0.17, dtype.numpy))])
    mask = np.where(np.tril(np.ones((s, s))) > 0, 0.0, -1e4).astype(dtype.numpy)
    scores = b.add("Add", [scores, b.constant("mask", mask)])
    mixed = b.add("MatMul", [b.add("Softmax", [scores], {"axis": -1}), parts[2]])
    mixed = b.add(
        "Reshape", [b.add("Transpose", [mixed], {"perm": (0, 2, 1, 3)})], {"shape": (1, s, d)}
    )
    h = b.add("Add", [b.add("MatMul", [mixed, weight(30, d, d)]), x])
    gate = b.add("MatMul", [h, weight(31, d, 2 * d)])
    up = b.add("MatMul", [h, weight(32, d, 2 * d)])
    down = b.add("MatMul", [b.add("Mul", [b.add("Silu", [gate]), up]), weight(33, 2 * d, d)])
    out = b.add("Add", [down, h], output="y")
    return b.finish([out]), {"x": draw(99, t(dtype, 1, s, d))}


@pytest.mark.parametrize("dtype", [F16, F32, BF16])
@pytest.mark.parametrize(
    "options", [MapOptions(), MapOptions(fuse=False), MapOptions(multicast=False)]
)
def test_attention_block(dtype: DType, options: MapOptions) -> None:
    graph, inputs = block(dtype)
    check(graph, inputs, slack=16.0, options=options)


def test_bfloat_is_what_ml_dtypes_says() -> None:
    assert BF16.numpy == np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("batch", [16, 31])
@pytest.mark.parametrize("dtype", [F16, F32])
def test_values_stay_in_the_scratchpads(batch: int, dtype: DType) -> None:
    b = GraphBuilder("resident")
    x = b.input("x", t(dtype, batch, 5, 9, 7))
    w = [draw(i, t(F32, 70, c, 3, 3)) / np.sqrt(9 * c) for i, c in enumerate((5, 70))]
    pads = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
    y = b.add("Relu", [b.add("Conv", [x, b.constant("w0", w[0].astype(dtype.numpy))], pads)])
    y = b.add("MaxPool", [y], {"kernel_shape": (2, 2), "strides": (2, 1)})
    z = b.add("Conv", [y, b.constant("w1", w[1].astype(dtype.numpy))], pads)
    z = b.add("Add", [b.add("Sigmoid", [z]), y])
    z = b.add("ReduceMean", [z], {"axes": (2, 3), "keepdims": 1}, output="y")
    graph = b.finish([z])
    mapping = map_graph(graph, TX81)
    held = [s for s in mapping.storages if s.kind == "resident"]
    assert len(held) == 3
    check(graph, {"x": draw(9, graph.types["x"])}, slack=16.0)


def test_attention_heads_stay_in_the_scratchpads() -> None:
    b = GraphBuilder("heads")
    q, k, v = (b.input(n, t(F16, 32, 20, 40)) for n in "qkv")
    scores = b.add("MatMul", [q, k], {"trans_b": 1})
    weights = b.add("Softmax", [scores], {"axis": -1})
    graph = b.finish([b.add("MatMul", [weights, v], output="y")])
    assert sum(s.kind == "resident" for s in map_graph(graph, TX81).storages) == 2
    check(graph, {n: draw(i, graph.types[n]) for i, n in enumerate("qkv")}, slack=8.0)


def test_outputs_come_in_the_order_of_the_model() -> None:
    b = GraphBuilder("two")
    x = b.input("x", t(F16, 3, 70))
    first = b.add("Relu", [x], output="first")
    second = b.add(
        "Reshape",
        [b.add("MatMul", [first, b.constant("w", draw(1, t(F16, 70, 70)))])],
        {"shape": (210,)},
        output="second",
    )
    graph = b.finish([second, first, x])
    check(graph, {"x": draw(0, graph.types["x"])})


def test_a_norm_over_several_axes_with_a_small_weight() -> None:
    b = GraphBuilder("norm")
    x = b.input("x", t(F16, 2, 3, 10))
    y = b.add("RMSNormalization", [x, b.constant("w", draw(1, t(F16, 1)))], {"axis": 1}, output="y")
    check(b.finish([y]), {"x": draw(0, t(F16, 2, 3, 10))})


def test_a_square_image_taken_as_rows_is_turned() -> None:
    """As many channels as columns: image and rows are of one geometry, in another order."""
    b = GraphBuilder("square")
    x = b.input("x", TensorType(F32, (8, 32, 1, 32)))
    w = b.constant("w", np.eye(32, dtype=np.float32).reshape(32, 32, 1, 1))
    flat = b.add("Reshape", [b.add("Conv", [x, w])], {"shape": (8, 32, 32)})
    scale = b.constant("s", np.arange(32, dtype=np.float32))
    graph = b.finish([b.add("Mul", [flat, scale])])
    check(graph, {"x": draw(1, graph.types["x"])})


@pytest.mark.parametrize("exponent", [-9.0, -3.0, -2.0, -1.0, 0.0, 1.0, 3.0, 4.0, 7.0, 8.0, 10.0])
@pytest.mark.parametrize("shape", [(), (5, 7)])
def test_whole_powers_of_negative_numbers(exponent: float, shape: tuple[int, ...]) -> None:
    b = GraphBuilder("power")
    x = b.input("x", TensorType(F32, shape))
    graph = b.finish([b.add("Pow", [x, b.constant("y", np.asarray(exponent, np.float32))])])
    check(graph, {"x": -draw(2, graph.types["x"], positive=True)}, slack=40.0)


@pytest.mark.parametrize(
    ("shape", "attrs"),
    [
        ((1, 3, 40, 50), {"kernel_shape": (9, 11), "strides": (2, 3), "pads": (4, 5, 3, 2)}),
        ((2, 5, 60, 70), {"kernel_shape": (9, 8), "dilations": (2, 3), "ceil_mode": 1}),
        ((1, 1, 600, 800), {"kernel_shape": (40, 50), "dilations": (10, 10), "strides": (9, 9)}),
        ((1, 2, 90_000), {"kernel_shape": (120,), "dilations": (10,), "strides": (7,)}),
    ],
)
def test_pools_of_wide_windows(shape: tuple[int, ...], attrs: dict) -> None:
    b = GraphBuilder("wide")
    x = b.input("x", TensorType(F32, shape))
    graph = b.finish([b.add("MaxPool", [x], attrs)])
    check(graph, {"x": draw(4, graph.types["x"])})


@pytest.mark.parametrize(
    ("shape", "weights", "attrs"),
    [
        ((2, 6, 9, 7), (6, 5, 3, 3), {}),
        ((1, 8, 6, 5), (8, 3, 3, 2), {"strides": (2, 3), "pads": (1, 0, 1, 1)}),
        ((1, 4, 5, 5), (4, 2, 3, 3), {"strides": (2, 2), "output_padding": (1, 1), "group": 2}),
        ((2, 3, 8, 4), (3, 2, 2, 3), {"dilations": (2, 2), "strides": (1, 2)}),
        ((2, 6, 31), (6, 4, 5), {"strides": (3,), "pads": (2, 1)}),
    ],
)
def test_transposed_convolutions_run_on_engines(shape: tuple, weights: tuple, attrs: dict) -> None:
    b = GraphBuilder("transposed")
    x = b.input("x", TensorType(F32, shape))
    w = b.constant("w", draw(5, TensorType(F32, weights)))
    bias = b.constant("b", draw(6, TensorType(F32, (weights[1] * attrs.get("group", 1),))))
    graph = b.finish([b.add("ConvTranspose", [x, w, bias], attrs)])
    check(graph, {"x": draw(7, graph.types["x"])})
    assert not on_processor(graph)


@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("tail", [(1,), (40,)])
def test_norms_with_weights_from_outside_run_on_engines(
    op: str, constant: bool, tail: tuple[int, ...]
) -> None:
    b = GraphBuilder("norm")
    x = b.input("x", TensorType(F32, (3, 20, 40)))
    array = draw(8, TensorType(F32, tail))
    scale = b.constant("s", array) if constant else b.input("s", TensorType(F32, tail))
    graph = b.finish([b.add(op, [x, scale], {"axis": -1, "epsilon": 0.01})])
    given = {"x": draw(9, graph.types["x"])} | ({} if constant else {"s": array})
    check(graph, given, slack=20.0)
    assert not on_processor(graph)


def test_slopes_and_questions_for_nan_run_on_engines() -> None:
    b = GraphBuilder("slopes")
    x = b.input("x", TensorType(F32, (2, 5, 30)))
    sloped = b.add("PRelu", [x, b.input("s", TensorType(F32, (5, 1)))])
    graph = b.finish([sloped, b.add("IsNaN", [sloped])])
    x_values = draw(10, graph.types["x"])
    x_values[0, 0, :3] = np.nan
    check(graph, {"x": np.nan_to_num(x_values), "s": draw(11, graph.types["s"])})
    found = execute(
        assemble(map_graph(graph, TX81)), {"x": x_values, "s": draw(11, graph.types["s"])}
    )
    np.testing.assert_array_equal(found["isnan"], np.isnan(x_values))
    assert not on_processor(graph)


def on_processor(graph: Graph) -> list[str]:
    """Return the nodes that a tile's processor carries out."""
    pieces = map_graph(graph, TX81).pieces
    return [piece.name for piece in pieces if isinstance(piece, CpuPiece)]


@pytest.mark.parametrize("sizes", [(2, 6, 18, 14), (2, 6, 5, 20), (2, 6, 9, 1)])
def test_the_nearest_cells_of_a_resize_are_moved(sizes: tuple[int, ...]) -> None:
    b = GraphBuilder("resize")
    x = b.input("x", TensorType(F16, (2, 6, 9, 7)))
    attrs = {"sizes": sizes, "mode": "nearest", "nearest_mode": "floor"}
    graph = b.finish([b.add("Resize", [x], attrs)])
    check(graph, {"x": draw(12, graph.types["x"])})
    assert not on_processor(graph)


@pytest.mark.parametrize("pads", [(3, 0, 2, 0), (0, 1, 4, 1), (5, 0, 0, 0)])
@pytest.mark.parametrize("kernel", [(1, 2), (2, 1)])
def test_rows_that_see_padding_alone(pads: tuple[int, ...], kernel: tuple[int, int]) -> None:
    builder = GraphBuilder("padded")
    x = builder.input("x", TensorType(DType.F32, (2, 9, 4, 96)))
    rng = np.random.default_rng(0)
    w = builder.constant("w", rng.normal(size=(31, 9, *kernel)).astype(np.float32))
    attrs = {"pads": pads, "kernel_shape": kernel}
    graph = builder.finish([builder.add("Conv", (x, w), attrs, output="y")])
    given = {"x": rng.normal(size=(2, 9, 4, 96)).astype(np.float32)}
    found = execute(assemble(map_graph(graph, TX81)), given)["y"]
    np.testing.assert_allclose(found, evaluate(graph, given)["y"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [64, 70, 7, 130])
def test_a_computed_value_a_channel_is_loaded_as_a_constant_is(channels: int) -> None:
    one("Add", [t(F16, 2, channels, 5, 4), t(F16, 1, channels, 1, 1)])


@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((1, 64, 8, 8), 32),
        ((2, 96, 7, 7), 8),
        ((1, 6, 3, 5), 3),
        ((1, 160, 6, 6), 2),
        ((17, 24, 5, 5), 4),
        ((1, 64, 1, 2), 64),
    ],
)
@pytest.mark.parametrize("dtype", [F16, F32])
def test_group_normalization(dtype: DType, shape: tuple[int, ...], groups: int) -> None:
    made = [t(dtype, *shape), t(dtype, shape[1]), t(dtype, shape[1])]
    attrs = {"num_groups": groups, "epsilon": 1e-5}
    one("GroupNormalization", made, attrs, constants=(1, 2))
