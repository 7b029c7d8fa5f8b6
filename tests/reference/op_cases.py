"""One or more small cases of every operator, in its graph form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drawloom.graph.ir import Attr


@dataclass
class Case:
    op: str
    arrays: list[Any]
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    n_outputs: int = 1
    rtol: float = 2e-6
    atol: float = 1e-6
    standard: bool = False  # ask ONNX's own evaluator: ONNX Runtime deviates here

    def __str__(self) -> str:
        shapes = "-".join("x".join(map(str, np.shape(a))) for a in self.arrays if a is not None)
        extra = ",".join(f"{k}={v}" for k, v in self.attrs.items())
        return f"{self.op}-{shapes}-{extra}"


rng = np.random.default_rng(7)


def words(text: str) -> list[str]:
    return text.split()


def f32(*shape: int, low: float = -3.0, high: float = 3.0) -> np.ndarray:
    return rng.uniform(low, high, shape).astype(np.float32)


def whole(*shape: int, dtype: Any = np.int32, low: int = -9, high: int = 9) -> np.ndarray:
    return rng.integers(low, high, shape).astype(dtype)


UNIT = f32(3, 5, low=-0.99, high=0.99)
UNARY = [
    Case(op, [f32(4, 7)])
    for op in words(
        "Relu LeakyRelu Elu Selu Celu ThresholdedRelu Sigmoid HardSigmoid HardSwish Silu Swish "
        "Mish Tanh Softplus Softsign Exp Neg Abs Sign Floor Ceil Round Erf Gelu Sin Cos Atan Sinh "
        "Cosh Asinh Identity"
    )
] + [
    Case("Log", [f32(9, low=0.01, high=9)]),
    Case("Sqrt", [f32(9, low=0.01, high=9)]),
    Case("Reciprocal", [f32(9, low=0.1, high=9)]),
    Case("Tan", [UNIT]),
    Case("Asin", [UNIT]),
    Case("Acos", [UNIT]),
    Case("Atanh", [UNIT]),
    Case("Acosh", [f32(9, low=1.01, high=9)]),
    Case("LeakyRelu", [f32(9)], {"alpha": 0.3}),
    Case("Elu", [f32(9)], {"alpha": 0.3}),
    Case("Celu", [f32(9)], {"alpha": 0.3}),
    Case("Selu", [f32(9)], {"alpha": 1.1, "gamma": 2.0}),
    Case("HardSigmoid", [f32(9)], {"alpha": 0.3, "beta": 0.1}),
    Case("ThresholdedRelu", [f32(9)], {"alpha": 0.3}),
    Case("Swish", [f32(9)], {"alpha": 0.3}),
    Case("Gelu", [f32(9)], {"approximate": "tanh"}),
    Case("Round", [np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32)]),
    Case("Relu", [whole(9)]),
    Case("Neg", [whole(9)]),
    Case("Abs", [whole(9, dtype=np.int64)]),
    Case("Sign", [whole(9, dtype=np.int8)]),
    Case("Clip", [f32(9)], {"min": -1.0, "max": 1.0}),
    Case("Clip", [f32(9)], {"max": 1.0}),
    Case("Clip", [whole(9, dtype=np.int8)], {"min": -3.0, "max": 4.0}),
    Case("Not", [whole(9, dtype=np.bool_, low=0, high=2)]),
    Case("BitwiseNot", [whole(9)]),
    Case("IsNaN", [np.array([1, np.nan, np.inf], np.float32)]),
    Case("IsInf", [np.array([1, np.nan, np.inf, -np.inf], np.float32)]),
    Case("IsInf", [np.array([np.inf, -np.inf], np.float32)], {"detect_negative": 0}),
    Case("Cast", [f32(9)], {"to": "i32"}),
    Case("Cast", [f32(9)], {"to": "f16"}),
    Case("Cast", [f32(9)], {"to": "bool"}),
    Case("Cast", [whole(9, dtype=np.int64, low=-300, high=300)], {"to": "u8"}),
    Case("Cast", [whole(9, dtype=np.int64)], {"to": "f32"}),
]
A, B = f32(2, 1, 4), f32(3, 1)
BITS = whole(8, dtype=np.uint8, low=0, high=200)
BINARY = [Case(op, [A, B]) for op in words("Add Sub Mul Div Min Max Greater Less")] + [
    *(Case(op, [whole(12), whole(12, low=1, high=4)]) for op in words("Add Sub Mul Div Min Max")),
    *(Case(op, [whole(20, low=-2, high=2)] * 2) for op in words("Equal Greater GreaterOrEqual")),
    *(Case(op, [whole(20), whole(20)]) for op in words("Less LessOrEqual Equal")),
    Case("Pow", [f32(9, low=0.1, high=3), f32(9)]),
    Case("Pow", [f32(9), np.full((1,), 3, np.int64)]),
    Case("Pow", [whole(9), np.full((1,), 3, np.int32)]),
    Case("Mod", [whole(12), whole(12, low=1, high=4)]),
    Case("Mod", [whole(12), whole(12, low=-4, high=-1)]),
    Case("Mod", [whole(12), whole(12, low=-4, high=-1)], {"fmod": 1}),
    Case("Mod", [f32(12), f32(12)], {"fmod": 1}),
    Case("PRelu", [f32(2, 3, 4), f32(3, 1, low=0)]),
    *(Case(op, [BITS > 80, BITS % 2 > 0]) for op in words("And Or Xor")),
    *(Case(op, [BITS, BITS[::-1].copy()]) for op in words("BitwiseAnd BitwiseOr BitwiseXor")),
    Case("BitShift", [BITS, np.full(8, 2, np.uint8)], {"direction": "LEFT"}),
    Case("BitShift", [BITS, np.full(8, 2, np.uint8)], {"direction": "RIGHT"}),
    Case("Where", [f32(2, 1) > 0, f32(2, 3), f32(3)]),
]
CODES, NARROW = whole(2, 3, 4, dtype=np.uint8, low=0, high=255), whole(4, 5, dtype=np.int8)
ONE, ZERO_U8, ZERO_I8 = np.float32(0.07), np.uint8(120), np.int8(3)
PER_COLUMN = (f32(5, low=0.01, high=0.1), whole(5, dtype=np.int8, low=0, high=1))
MATRIX = [
    Case("MatMul", [f32(2, 3, 4), f32(4, 5)], rtol=1e-5),
    Case("MatMul", [f32(4), f32(2, 4, 5)], rtol=1e-5),
    Case("MatMul", [f32(3, 4), f32(4)], rtol=1e-5),
    Case("MatMul", [f32(4, 3), f32(5, 4)], {"trans_a": 1, "trans_b": 1}, rtol=1e-5),
    Case("MatMul", [f32(2, 1, 3, 4), f32(3, 4, 5)], rtol=1e-5),
    Case("MatMul", [whole(3, 4), whole(4, 5)]),
    Case("MatMulInteger", [CODES, NARROW, ZERO_U8, ZERO_I8]),
    Case("MatMulInteger", [CODES, NARROW]),
    Case("MatMulInteger", [CODES, NARROW, None, whole(5, dtype=np.int8)]),
    Case("QLinearMatMul", [CODES, ONE, ZERO_U8, NARROW, ONE, ZERO_I8, np.float32(3), ZERO_U8]),
    Case(
        "QLinearMatMul",
        [CODES[0], ONE, ZERO_U8, NARROW, *PER_COLUMN, np.float32(3), ZERO_U8],
    ),
]
IMAGE, TAPS = f32(2, 4, 9, 7), f32(6, 4, 3, 2)
QUANTIZED = [
    whole(1, 4, 6, 6, dtype=np.uint8, low=0, high=255),
    ONE,
    ZERO_U8,
    whole(6, 4, 3, 3, dtype=np.int8),
]
CONVOLUTION = [
    Case("Conv", [IMAGE, TAPS], rtol=1e-5, atol=1e-5),
    Case("Conv", [IMAGE, TAPS, f32(6)], {"strides": (2, 3), "pads": (1, 0, 2, 1)}, atol=1e-5),
    Case("Conv", [IMAGE, TAPS], {"dilations": (2, 3), "pads": (1, 1, 1, 1)}, atol=1e-5),
    Case("Conv", [IMAGE, f32(6, 2, 3, 3)], {"group": 2, "strides": (2, 2)}, atol=1e-5),
    Case("Conv", [IMAGE, f32(8, 1, 3, 3)], {"group": 4, "pads": (1, 1, 1, 1)}, atol=1e-5),
    Case("Conv", [f32(2, 3, 9), f32(5, 3, 4)], {"strides": (2,), "pads": (0, 3)}, atol=1e-5),
    Case("Conv", [f32(1, 2, 5, 6, 4), f32(3, 2, 2, 3, 1)], {"strides": (2, 1, 3)}, atol=1e-5),
    Case("ConvTranspose", [IMAGE, f32(4, 3, 3, 2), f32(3)], atol=1e-5),
    Case(
        "ConvTranspose",
        [IMAGE, f32(4, 3, 3, 2)],
        {"strides": (2, 3), "pads": (1, 0, 1, 1), "output_padding": (1, 2)},
        atol=1e-5,
    ),
    Case(
        "ConvTranspose",
        [IMAGE, f32(4, 3, 3, 2)],
        {"group": 2, "dilations": (2, 2), "strides": (2, 2)},
        atol=1e-5,
    ),
    Case("ConvInteger", [QUANTIZED[0], QUANTIZED[3], ZERO_U8]),
    Case(
        "ConvInteger",
        [QUANTIZED[0], QUANTIZED[3].view(np.uint8), ZERO_U8, np.uint8(7)],
        {"pads": (1, 1, 1, 1), "strides": (2, 2)},
    ),
    Case("QLinearConv", [*QUANTIZED, ONE, np.int8(0), np.float32(3), ZERO_U8], {"strides": (2, 1)}),
    Case(
        "QLinearConv",
        [
            *QUANTIZED,
            f32(6, low=0.02, high=0.09),
            np.zeros(6, np.int8),
            np.float32(3),
            ZERO_U8,
            whole(6, low=-900, high=900),
        ],
        {"pads": (1, 1, 1, 1)},
    ),
]
POOL = {"kernel_shape": (3, 2), "strides": (2, 2), "pads": (1, 0, 1, 1)}
POOLING = [
    Case("MaxPool", [IMAGE], POOL),
    Case("MaxPool", [IMAGE], POOL, n_outputs=2),
    Case("MaxPool", [IMAGE], {**POOL, "ceil_mode": 1}),
    Case("MaxPool", [IMAGE], {**POOL, "dilations": (2, 2), "strides": (1, 1)}, n_outputs=2),
    Case("MaxPool", [whole(1, 2, 8, dtype=np.int8)], {"kernel_shape": (3,)}),
    Case("AveragePool", [IMAGE], POOL),
    Case("AveragePool", [IMAGE], {**POOL, "count_include_pad": 1}),
    Case("AveragePool", [IMAGE], {**POOL, "ceil_mode": 1}),
    Case("AveragePool", [IMAGE], {**POOL, "ceil_mode": 1, "count_include_pad": 1}),
    Case(
        "AveragePool",
        [f32(1, 2, 6, 6)],
        {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1},
    ),
    Case("LpPool", [IMAGE], POOL, rtol=1e-5),
    Case("LpPool", [IMAGE], {**POOL, "p": 1}, rtol=1e-5),
]
REDUCTION = [
    Case(op, [f32(2, 3, 4, low=0.1)], attrs, rtol=1e-5)
    for op in words(
        "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum "
        "ReduceLogSumExp ReduceSumSquare"
    )
    for attrs in ({}, {"axes": (1, -1)}, {"axes": (0,), "keepdims": 0})
] + [
    Case("ReduceSum", [whole(3, 4)], {"axes": (0,)}),
    Case("ReduceMax", [whole(3, 4)], {"axes": (0,)}),
    Case("ArgMax", [whole(3, 9, low=0, high=3)], {"axis": 1}),
    Case("ArgMax", [whole(3, 9, low=0, high=3)], {"axis": 1, "select_last_index": 1}),
    Case("ArgMin", [whole(3, 9, low=0, high=3)], {"axis": -1, "keepdims": 0}),
    Case("CumSum", [f32(3, 4)], {"axis": 1}),
    Case("CumSum", [f32(3, 4)], {"axis": 0, "exclusive": 1}),
    Case("CumSum", [whole(3, 4)], {"axis": 1, "reverse": 1, "exclusive": 1}),
    Case("TopK", [f32(3, 9)], {"k": 4}, n_outputs=2),
    Case("TopK", [whole(3, 9, low=0, high=4)], {"k": 5, "axis": 1}, n_outputs=2),
    Case("TopK", [whole(5, 3, low=0, high=4)], {"k": 3, "axis": 0, "largest": 0}, n_outputs=2),
]
ROW = (f32(4, low=0.5), f32(4))
CHANNEL = (f32(4, low=0.5), f32(4))
NORMALIZATION = [
    Case("Softmax", [f32(2, 3, 4)]),
    Case("Softmax", [f32(2, 3, 4)], {"axis": 1}),
    Case("LogSoftmax", [f32(2, 3, 4)], {"axis": 0}),
    Case("Hardmax", [f32(2, 3, 4)], {"axis": 1}),
    Case("LayerNormalization", [f32(2, 3, 4), *ROW], rtol=1e-5),
    Case("LayerNormalization", [f32(2, 3, 4), f32(3, 4)], {"axis": 1, "epsilon": 0.1}, rtol=1e-5),
    Case("RMSNormalization", [f32(2, 3, 4), ROW[0]], {"epsilon": 0.1}, rtol=1e-5),
    Case("InstanceNormalization", [f32(2, 4, 5, 3), *CHANNEL], rtol=1e-5, atol=1e-5),
    Case("GroupNormalization", [f32(2, 4, 5, 3), *CHANNEL], {"num_groups": 2}, atol=1e-5),
    Case(
        "BatchNormalization",
        [f32(2, 4, 5), *CHANNEL, f32(4), f32(4, low=0.5)],
        {"epsilon": 0.01},
        rtol=1e-5,
    ),
    Case("LRN", [f32(2, 9, 3, 3)], {"size": 5, "alpha": 0.1, "beta": 0.6, "bias": 2.0}, rtol=1e-5),
    # ONNX's evaluator fills in only as many channels as the batch is long (1.23)
    Case("LRN", [f32(9, 9, 2, 2)], {"size": 4}, rtol=1e-5, standard=True),
    Case("LpNormalization", [f32(2, 9)], {"p": 1, "axis": 0}),
    Case("LpNormalization", [f32(2, 9)]),
]
HEADS = [f32(2, 4, 5, 8), f32(2, 2, 6, 8), f32(2, 2, 6, 3)]
ATTENTION = [
    Case("Attention", HEADS, attrs, rtol=1e-5)
    for attrs in ({}, {"scale": 0.3}, {"is_causal": 1}, {"softcap": 2.0})
] + [
    Case("Attention", [*HEADS, f32(5, 6)], rtol=1e-5),
    Case("Attention", [*HEADS, f32(2, 1, 5, 6) > -2], rtol=1e-5),
    Case("Attention", [*HEADS, np.zeros((5, 6), np.bool_)], standard=True),
    Case("Attention", [*HEADS, f32(2, 4, 5, 6)], {"is_causal": 1}, rtol=1e-5, standard=True),
]
INDEX = whole(2, 3, dtype=np.int64, low=-4, high=4)
POINTS = np.array([[[0, 1], [-1, 2]]], np.int64)
MOVEMENT = [
    Case("Reshape", [f32(2, 3, 4)], {"shape": (4, 6)}),
    Case("Reshape", [f32(2, 3, 4)], {"shape": (4, -1)}),
    Case("Transpose", [f32(2, 3, 4)], {"perm": (2, 0, 1)}),
    Case("Transpose", [f32(2, 3, 4)]),
    Case("Concat", [f32(2, 3), f32(2, 1), f32(2, 4)], {"axis": -1}),
    Case("Slice", [f32(6, 7)], {"starts": (1, -3), "ends": (100, -1)}),
    Case("Slice", [f32(6, 7)], {"starts": (-1,), "ends": (-100,), "axes": (1,), "steps": (-2,)}),
    Case("Slice", [f32(6, 7)], {"starts": (9,), "ends": (3,), "axes": (-2,)}),
    Case("Expand", [f32(3, 1)], {"shape": (2, 1, 4)}),
    Case("Pad", [f32(3, 4)], {"pads": (1, 0, 2, 3)}),
    Case("Pad", [f32(3, 4), np.float32(7)], {"pads": (1, -1, 0, 3)}),
    *(Case("Pad", [f32(3, 4)], {"pads": (1, 2, 2, 3), "mode": m}) for m in ("reflect", "edge")),
    Case("Pad", [f32(3, 4)], {"pads": (1, 2, 2, 3), "mode": "wrap"}),
    Case("Tile", [f32(2, 3)], {"repeats": (3, 2)}),
    Case("DepthToSpace", [f32(2, 8, 2, 3)], {"blocksize": 2}),
    Case("DepthToSpace", [f32(2, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}),
    Case("SpaceToDepth", [f32(2, 3, 4, 6)], {"blocksize": 2}),
    Case("Gather", [f32(3, 4, 2), INDEX], {"axis": 1}),
    Case("Gather", [f32(5), np.int64(-2)]),
    Case("GatherElements", [f32(2, 4), INDEX], {"axis": 1}),
    Case("GatherND", [f32(2, 4, 3), np.array([[0, 1], [1, -1]], np.int64)]),
    Case("GatherND", [f32(2, 4, 3), np.array([[3], [1]], np.int64)], {"batch_dims": 1}),
    Case("ScatterElements", [f32(2, 4), np.array([[0, 2], [-1, 1]]), f32(2, 2)], {"axis": 1}),
    *(
        Case(
            "ScatterElements",
            [f32(3, 4), np.array([[0, 2, 0], [-1, 1, 0]]), f32(2, 3)],
            {"axis": 1, "reduction": word},
        )
        for word in ("add", "mul", "max", "min")
    ),
    Case("ScatterND", [f32(3, 4, 2), POINTS, f32(1, 2, 2)]),
    Case("ScatterND", [f32(3, 4, 2), POINTS * 0, f32(1, 2, 2)], {"reduction": "add"}),
    Case("TensorScatter", [f32(2, 3, 5, 4), f32(2, 3, 1, 4), np.array([4, 1], np.int64)]),
    Case("TensorScatter", [f32(2, 5, 4), f32(2, 3, 4), np.array([2, 0], np.int64)], {"axis": 1}),
    Case("TensorScatter", [f32(2, 3, 4), f32(2, 3, 3)], {"axis": -1}),
    Case(
        "TensorScatter",
        [f32(2, 5, 4), f32(2, 3, 4), np.array([4, 7], np.int64)],
        {"mode": "circular"},
    ),
    Case("OneHot", [whole(2, 3, low=-5, high=6), f32(2)], {"depth": 4}),
    Case("OneHot", [whole(2, 3, low=-5, high=6), f32(2)], {"depth": 4, "axis": 0}),
    Case("Trilu", [f32(2, 4, 5)], {"k": 1}),
    Case("Trilu", [f32(4, 3)], {"k": -1, "upper": 0}),
    Case("ReverseSequence", [f32(4, 3, 2), np.array([1, 4, 2], np.int64)]),
    Case(
        "ReverseSequence",
        [f32(3, 4), np.array([1, 4, 2], np.int64)],
        {"batch_axis": 0, "time_axis": 1},
    ),
    Case("EyeLike", [f32(3, 4)], {"k": -1}),
    Case("EyeLike", [f32(3, 4)], {"dtype": "i32"}),
]
PIXELS = f32(1, 2, 5, 4)
WHERE = "coordinate_transformation_mode"
RESIZING = [
    Case("Resize", [PIXELS], {"sizes": sizes, "mode": mode, WHERE: place}, atol=1e-5)
    for sizes in ((1, 2, 9, 11), (1, 2, 3, 3))
    for mode in ("nearest", "linear", "cubic")
    for place in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
] + [
    *(
        Case(
            "Resize",
            [PIXELS],
            {"sizes": (1, 2, 10, 12), "mode": "nearest", WHERE: "asymmetric", "nearest_mode": way},
        )
        for way in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ),
    Case("Resize", [PIXELS], {"sizes": (1, 2, 10, 8), "scales": (1.0, 1.0, 2.0, 2.0)}),
    Case(
        "Resize",
        [PIXELS],
        {"sizes": (1, 2, 12, 10), "scales": (1.0, 1.0, 2.5, 2.6), "mode": "linear"},
        atol=1e-5,
    ),
    Case(
        "Resize",
        [PIXELS],
        {"sizes": (1, 2, 8, 9), "mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},
        atol=1e-5,
    ),
    *(
        Case(
            "Resize",
            [f32(1, 1, 9, 8)],
            {"sizes": (1, 1, 4, 5), "mode": m, "antialias": 1},
            atol=1e-5,
        )
        for m in ("linear", "cubic")
    ),
    Case(
        "Resize",
        [PIXELS],
        {
            "sizes": (1, 2, 4, 6),
            "mode": "linear",
            WHERE: "tf_crop_and_resize",
            "roi": (0.0, 0.0, 0.2, -0.25, 1.0, 1.0, 0.9, 1.2),
            "extrapolation_value": 5.0,
        },
        atol=1e-5,
    ),
]
QUANTIZATION = [
    Case("QuantizeLinear", [f32(3, 4), ONE, ZERO_U8]),
    Case("QuantizeLinear", [f32(3, 4), np.float32(0.01), ZERO_I8]),
    Case("QuantizeLinear", [f32(3, 4), ONE]),
    Case("QuantizeLinear", [f32(2, 3, 4), f32(3, low=0.02), whole(3, dtype=np.int8)], {"axis": 1}),
    Case("DequantizeLinear", [whole(3, 4, dtype=np.int8), ONE, ZERO_I8]),
    Case(
        "DequantizeLinear",
        [whole(3, 4, dtype=np.int8), f32(4), whole(4, dtype=np.int8)],
        {"axis": -1},
    ),
    Case("DequantizeLinear", [whole(3, 4), ONE]),
    Case(
        "DequantizeLinear",
        [whole(6, 4, dtype=np.int8), f32(3, 4), whole(3, 4, dtype=np.int8)],
        {"axis": 0, "block_size": 2},
    ),
    Case(
        "DequantizeLinear",
        [whole(2, 6, 3, dtype=np.int8), f32(2, 2, 3)],
        {"axis": 1, "block_size": 3},
    ),
    Case("UnpackInt4", [whole(3, 2, dtype=np.uint8, low=0, high=256)]),
    Case("UnpackInt4", [whole(2, 3, 2, dtype=np.uint8, low=0, high=256)], {"axis": 1}),
    Case("DynamicQuantizeLinear", [f32(3, 4)], n_outputs=3),
    Case("DynamicQuantizeLinear", [f32(3, 4, low=1)], n_outputs=3),
]
CASES = [
    *UNARY, *BINARY, *MATRIX, *CONVOLUTION, *POOLING, *REDUCTION, *NORMALIZATION,
    *ATTENTION, *MOVEMENT, *RESIZING, *QUANTIZATION,
]  # fmt: skip
