"""The registry is whole, and each shape rule says what it wants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import drawloom.graph.ops
from drawloom.errors import InputError
from drawloom.graph.build import infer_node
from drawloom.graph.evaluate import evaluate_node
from drawloom.graph.ir import Attr, Node, TensorType
from drawloom.graph.ops import FAMILIES, OPS
from drawloom.graph.text import parse


def kind(word: str) -> TensorType:
    text = f"drawloom graph 1\ninput x {word}\n"
    return parse(text, {}).types["x"]


def refusal(op: str, words: str, **attrs: Attr) -> str:
    types = {f"x{i}": kind(w) for i, w in enumerate(words.split())}
    node = Node("n", op, tuple(types), ("y",), attrs, "block.7")
    with pytest.raises(InputError) as error:
        infer_node(node, types)
    return error.value.text()


def run(op: str, *arrays: np.ndarray | None, **attrs: Attr) -> np.ndarray:
    node = Node("n", op, tuple(f"x{i}" for i in range(len(arrays))), ("y",), attrs)
    return evaluate_node(node, arrays)[0]


def test_every_family_file_stands_in_the_dict() -> None:
    folder = Path(drawloom.graph.ops.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == set(FAMILIES)


def test_every_operator_stands_under_its_own_name_once() -> None:
    names = [name for family in FAMILIES.values() for name in family]
    assert len(names) == len(set(names)) == len(OPS)
    assert all(OPS[name].name == name for name in names)


REFUSALS = [
    (
        ("Relux", "f32[2]", {}),
        "error[graph.node]: node 'n' (Relux, layer 'block.7') has no such operator\n"
        "  op: 'Relux' (did you mean 'Relu'?)",
    ),
    (
        ("LeakyRelu", "f32[2] f32[2]", {"alhpa": 0.1}),
        "error[graph.node]: node 'n' (LeakyRelu, layer 'block.7') is not well formed\n"
        "  inputs: 2 (takes (x))\n"
        "  attrs.alhpa: 0.1 (did you mean 'alpha'?)",
    ),
    (
        ("Concat", "f32[2]", {"axis": 0.5}),
        "error[graph.node]: node 'n' (Concat, layer 'block.7') is not well formed\n"
        "  attrs.axis: 0.5 (a whole number)",
    ),
    (
        ("Reshape", "f32[2]", {}),
        "error[graph.node]: node 'n' (Reshape, layer 'block.7') is not well formed\n"
        "  attrs.shape: absent (a list of whole numbers)",
    ),
    (
        ("MatMul", "f16[2,3] f16[4,5]", {}),
        "error[graph.shape]: node 'n' (MatMul, layer 'block.7') cannot take its operands\n"
        "  operands: f16[2,3], f16[4,5] (inner dims must agree, 3 is not 4)",
    ),
    (
        ("Add", "f32[2,3] f16[3]", {}),
        "error[graph.shape]: node 'n' (Add, layer 'block.7') cannot take its operands\n"
        "  operands: f32[2,3], f16[3] (operands 0, 1 must have one dtype)",
    ),
    (
        ("Add", "f32[2,3] f32[2]", {}),
        "error[graph.shape]: node 'n' (Add, layer 'block.7') cannot take its operands\n"
        "  operands: f32[2,3], f32[2] (shapes must broadcast: dims equal, or 1, from the right)",
    ),
    (
        ("Exp", "i32[2]", {}),
        "error[graph.shape]: node 'n' (Exp, layer 'block.7') cannot take its operands\n"
        "  operands: i32[2] (operand 0 must be one of f64 f32 f16 bf16)",
    ),
    (
        ("Conv", "f32[1,3,8,8] f32[4,2,3,3]", {}),
        "error[graph.shape]: node 'n' (Conv, layer 'block.7') cannot take its operands\n"
        "  operands: f32[1,3,8,8], f32[4,2,3,3] "
        "(x has 3 channels; w takes 2 in each of 1 groups and gives 4)",
    ),
    (
        ("Conv", "f32[1,3,8,8] f32[4,3,3,3]", {"strides": (0, 1), "pads": (1, 1)}),
        "error[graph.shape]: node 'n' (Conv, layer 'block.7') has an impossible window\n"
        "  attrs.strides: [0, 1] (2 numbers of at least 1)\n"
        "  attrs.pads: [1, 1] (4 numbers of at least 0)",
    ),
    (
        ("MaxPool", "f32[1,3,8,8]", {"kernel_shape": (9, 2)}),
        "error[graph.shape]: node 'n' (MaxPool, layer 'block.7') has an impossible window\n"
        "  window: 9x2 (at most 8x8, the padded input)",
    ),
    (
        ("Softmax", "f32[2,3]", {"axis": 2}),
        "error[graph.shape]: node 'n' (Softmax, layer 'block.7') "
        "cannot take attribute 'axis' with operands f32[2,3]\n"
        "  attrs.axis: 2 (an axis from -2 to 1)",
    ),
    (
        ("Cast", "f32[2]", {"to": "fp16"}),
        "error[graph.shape]: node 'n' (Cast, layer 'block.7') "
        "cannot take attribute 'to' with operands f32[2]\n"
        "  attrs.to: 'fp16' (did you mean 'f16'?)",
    ),
    (
        ("Reshape", "f32[2,3]", {"shape": (4, -1)}),
        "error[graph.shape]: node 'n' (Reshape, layer 'block.7') "
        "cannot take attribute 'shape' with operands f32[2,3]\n"
        "  attrs.shape: (4, -1) (a shape of 6 elements, one dim may be -1)",
    ),
    (
        ("Attention", "f16[1,4,2,8] f16[1,3,2,8] f16[1,3,2,8]", {}),
        "error[graph.shape]: node 'n' (Attention, layer 'block.7') cannot take its operands\n"
        "  operands: f16[1,4,2,8], f16[1,3,2,8], f16[1,3,2,8] (k's 3 heads must divide q's 4)",
    ),
]


@pytest.mark.parametrize(("case", "message"), REFUSALS, ids=lambda v: v[0] if v else "")
def test_a_node_that_cannot_be_says_why(
    case: tuple[str, str, dict[str, Attr]], message: str
) -> None:
    op, words, attrs = case
    assert refusal(op, words, **attrs) == message


REFUSED = [
    ("Concat", "f32[2,3] f32[3,3]", {"axis": 1}),
    ("Slice", "f32[2]", {"starts": (0,), "ends": (1, 2)}),
    ("Slice", "f32[2]", {"starts": (0,), "ends": (1,), "steps": (0,)}),
    ("Slice", "f32[2]", {"starts": (0,), "ends": (1,), "axes": (1,)}),
    ("Expand", "f32[2]", {"shape": (3,)}),
    ("Pad", "f32[2]", {"pads": (1,)}),
    ("Pad", "f32[2]", {"pads": (-3, 0)}),
    ("Tile", "f32[2]", {"repeats": (1, 1)}),
    ("Transpose", "f32[2,3]", {"perm": (0, 0)}),
    ("DepthToSpace", "f32[1,6,2,2]", {"blocksize": 2}),
    ("SpaceToDepth", "f32[1,6,3,2]", {"blocksize": 2}),
    ("GatherElements", "f32[2] i64[3,1]", {}),
    ("GatherND", "f32[2,3] i64[2,3]", {}),
    ("GatherND", "f32[2,3] i64[2,1]", {"batch_dims": 2}),
    ("ScatterElements", "f32[2] i64[1] f32[2]", {}),
    ("ScatterND", "f32[2,3] i64[1,1] f32[1,2]", {}),
    ("TensorScatter", "f32[2,3] f32[2,1]", {"axis": 0}),
    ("TensorScatter", "f32[2,3,4] f32[2,3,1]", {}),
    ("TensorScatter", "f32[2,3,4] f32[2,4,4]", {}),
    ("TensorScatter", "f32[2,3,4] f32[2,1,4] i64[1]", {}),
    ("TensorScatter", "f32[2,3,4] f32[2,1,4] f32[2]", {}),
    ("OneHot", "i64[2] f32[3]", {"depth": 2}),
    ("OneHot", "i64[2] f32[2]", {"depth": 0}),
    ("Trilu", "f32[2]", {}),
    ("ReverseSequence", "f32[2,3] i64[2]", {}),
    ("EyeLike", "f32[2]", {}),
    ("Range", "", {"start": 0.0, "limit": 1.0, "delta": 0.0, "dtype": "f32"}),
    ("MatMul", "f32[] f32[2]", {}),
    ("MatMul", "f32[2,1,2] f32[3,2,1]", {}),
    ("MatMul", "f32[2] f32[2,3]", {"trans_a": 1}),
    ("MatMulInteger", "i8[2,3] i8[3,2] u8[]", {}),
    ("MatMulInteger", "i8[2,3] i8[3,2] i8[] i8[3]", {}),
    ("QLinearMatMul", "u8[2,3] f32[2] u8[] u8[3,2] f32[] u8[] f32[] u8[]", {}),
    ("QLinearConv", "u8[1,1,3] f32[] u8[] u8[2,1,3] f32[3] u8[3] f32[] u8[]", {}),
    ("Conv", "f32[1,3] f32[4,3]", {}),
    ("Conv", "f32[1,3,8] f32[4,3,3] f32[3]", {}),
    ("Conv", "f32[1,3,8] f32[4,3,3]", {"kernel_shape": (2,)}),
    ("ConvTranspose", "f32[1,3,8] f32[4,3,3]", {}),
    ("ConvTranspose", "f32[1,3,8] f32[3,3,3]", {"pads": (9, 9)}),
    ("ConvTranspose", "f32[1,3,8] f32[3,3,3]", {"strides": (1, 1)}),
    ("ConvTranspose", "f32[1,3,8] f32[3,3,3]", {"pads": (1,)}),
    ("LpPool", "f32[1,3,8]", {"kernel_shape": (2,), "p": 0}),
    ("MaxPool", "f32[1,3,8]", {"kernel_shape": (2,), "storage_order": 1}),
    ("MaxPool", "f32[1,3]", {"kernel_shape": ()}),
    ("ReduceMax", "f32[0]", {}),
    ("ReduceSum", "f32[2,3]", {"axes": (1, -1)}),
    ("ArgMax", "f32[0]", {}),
    ("TopK", "f32[2]", {"k": 3}),
    ("PRelu", "f32[2] f32[3,2]", {}),
    ("Where", "f32[2] f32[2] f32[2]", {}),
    ("LpNormalization", "f32[2]", {"p": 3}),
    ("LayerNormalization", "f32[2,3] f32[2]", {}),
    ("InstanceNormalization", "f32[2,3,4] f32[3] f32[4]", {}),
    ("InstanceNormalization", "f32[2] f32[2] f32[2]", {}),
    ("GroupNormalization", "f32[2,3,4] f32[3] f32[3]", {"num_groups": 2}),
    ("LRN", "f32[2]", {"size": 1}),
    ("LRN", "f32[2,3]", {"size": 0}),
    ("QuantizeLinear", "f32[2,3] f32[2] i8[2]", {"axis": 1}),
    ("QuantizeLinear", "f32[2,3] f32[2] i8[]", {}),
    ("QuantizeLinear", "f32[2,3] i32[]", {}),
    ("DequantizeLinear", "i8[2,3] f32[] u8[]", {}),
    ("DequantizeLinear", "i8[4,3] f32[3,3]", {"axis": 0, "block_size": 2}),
    ("DequantizeLinear", "i8[4,3] f32[2,3] i8[2,2]", {"axis": 0, "block_size": 2}),
    ("DequantizeLinear", "i8[4,3] f32[2,3]", {"axis": 0, "block_size": -2}),
    ("UnpackInt4", "i8[4,3]", {}),
    ("UnpackInt4", "u8[4,3]", {"axis": 2}),
    ("DynamicQuantizeLinear", "f32[0]", {}),
    ("Attention", "f32[1,2,3] f32[1,2,3] f32[1,2,3]", {}),
    ("Attention", "f32[1,2,3,4] f32[1,2,3,5] f32[1,2,3,4]", {}),
    ("Attention", "f32[1,2,3,4] f32[1,2,3,4] f32[1,2,3,4] i32[3]", {}),
    ("Attention", "f32[1,2,3,4] f32[1,2,3,4] f32[1,2,3,4] f32[4]", {}),
    ("Attention", "f32[1,2,3,4] f32[1,2,3,4] f32[1,2,3,4]", {"softcap": -1.0}),
    ("Resize", "f32[2,3]", {"sizes": (2,)}),
    ("Resize", "f32[2,3]", {"sizes": (2, 2), "scales": (1.0,)}),
    ("Resize", "f32[2,3]", {"sizes": (2, 2), "coordinate_transformation_mode": "half"}),
    ("Resize", "i32[2,3]", {"sizes": (2, 2), "mode": "linear"}),
]


@pytest.mark.parametrize(("op", "words", "attrs"), REFUSED)
def test_operands_that_do_not_suit_are_refused(op: str, words: str, attrs: dict[str, Attr]) -> None:
    assert refusal(op, words, **attrs).startswith("error[graph.shape]: node 'n' (")


def test_too_many_outputs_are_refused() -> None:
    node = Node("n", "Relu", ("x",), ("y", "z"))
    with pytest.raises(InputError) as error:
        infer_node(node, {"x": kind("f32[2]")})
    assert error.value.text() == (
        "error[graph.node]: node 'n' (Relu) is not well formed\n  outputs: 2 (at most 1)"
    )


def test_an_index_outside_is_refused() -> None:
    with pytest.raises(InputError) as error:
        run("Gather", np.zeros(3), np.array([1, -4]))
    assert error.value.text() == (
        "error[graph.index]: node 'n' (Gather) is given an index outside\n"
        "  indices: -4 (from -3 to 2)"
    )


def test_range_counts_from_start_to_before_limit() -> None:
    whole = run("Range", start=2.0, limit=9.0, delta=3.0, dtype="i64")
    np.testing.assert_array_equal(whole, np.array([2, 5, 8]))
    half = run("Range", start=1.0, limit=0.0, delta=-0.25, dtype="f16")
    np.testing.assert_array_equal(half, np.array([1, 0.75, 0.5, 0.25], np.float16))


def test_casting_beyond_the_range_saturates() -> None:
    x = np.array([300.0, -300.0, np.nan, np.inf, -np.inf, 1.9, -1.9], np.float32)
    np.testing.assert_array_equal(run("Cast", x, to="i8"), [127, -128, 0, 127, -128, 1, -1])
    far = np.array([1e30, -1e30], np.float32)
    ends = np.iinfo(np.int64)
    np.testing.assert_array_equal(run("Cast", far, to="i64"), [ends.max, ends.min])


def test_integer_division_truncates_and_zero_gives_zero() -> None:
    got = run("Div", np.array([7, -7, 7, -7, 3]), np.array([2, 2, -2, -2, 0]))
    np.testing.assert_array_equal(got, [3, -3, -3, 3, 0])


def test_integer_matmul_beyond_float64_wraps() -> None:
    a = np.array([[2**40, 3]], np.int64)
    np.testing.assert_array_equal(run("MatMul", a, a.T), [[9]])


def test_attention_windows_hide_keys() -> None:
    q = np.zeros((1, 1, 4, 1), np.float32)
    v = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1)
    causal = run("Attention", q, q, v, is_causal=1, left_window=1)
    np.testing.assert_array_equal(causal.ravel(), [0, 0.5, 1.5, 2.5])
    last = run("Attention", q[:, :, :1], q, v, is_causal=1, offset=3)
    np.testing.assert_array_equal(last.ravel(), [1.5])
    ahead = run("Attention", q, q, v, left_window=0, right_window=1)
    np.testing.assert_array_equal(ahead.ravel(), [0.5, 1.5, 2.5, 3])


def test_unpacked_nibbles_fill_two_halves() -> None:
    packed = np.array([[0x8F, 0x01], [0x70, 0xF8]], np.uint8)
    whole = [[7, -7], [-8, 0], [0, -8], [-1, 7]]
    np.testing.assert_array_equal(run("UnpackInt4", packed), np.array(whole, np.int8))
    turned = run("UnpackInt4", packed.T, axis=1)
    np.testing.assert_array_equal(turned, np.array(whole, np.int8).T)


def test_the_last_block_of_scales_may_be_short() -> None:
    codes = np.arange(5, dtype=np.int8)
    scales = np.array([1.0, 10.0], np.float32)
    made = run("DequantizeLinear", codes, scales, axis=0, block_size=3)
    np.testing.assert_array_equal(made, [0.0, 1.0, 2.0, 30.0, 40.0])


def test_a_write_outside_the_cache_is_an_error() -> None:
    past, update = np.zeros((2, 3, 1), np.float32), np.ones((2, 2, 1), np.float32)
    with pytest.raises(InputError) as error:
        run("TensorScatter", past, update, np.array([1, 2], np.int32))
    assert error.value.text() == (
        "error[graph.index]: node 'n' (TensorScatter) is given an index outside\n"
        "  write_indices: 3 (positions from 0 to 2)"
    )
