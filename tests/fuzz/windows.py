"""Steps that move or pick elements, and those whose windows slide over images; see ``steps``."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.fuzz.maker import Maker
from tests.fuzz.steps import Made, Step

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType


def _window(m: Maker, size: tuple[int, ...]) -> dict[str, Any]:
    """Strides, dilations, pads and a kernel for the axes of an image."""
    kernel = [min(max(n, 1), m.pick(1, 1, 2, 3, 3, 5)) for n in size]
    dilations = [
        m.pick(1, 1, 1, 2) if (k - 1) * 2 < n else 1 for k, n in zip(kernel, size, strict=True)
    ]
    attrs: dict[str, Any] = {"kernel_shape": tuple(kernel)}
    if m.chance(0.7):
        attrs["strides"] = tuple(m.pick(1, 1, 2, 3) for _ in size)
    if m.chance(0.5):
        attrs["dilations"] = tuple(dilations)
    if m.chance(0.7):
        attrs["pads"] = tuple(m.whole(0, k - 1) for k in (*kernel, *kernel))
    return attrs


def convolution(m: Maker, x: str) -> Made:
    """In one, two and three dimensions; dense, grouped, depthwise, transposed; of integers."""
    kind = m.kind(x)
    if len(kind.shape) not in (3, 4, 5) or not kind.size or not kind.shape[1]:
        return None
    channels, size = kind.shape[1], kind.shape[2:]
    attrs = _window(m, size)
    kernel = attrs["kernel_shape"]
    groups = m.pick(1, 1, *(g for g in (2, 3, channels) if channels % g == 0))
    per = m.pick(1, 2, 3) if groups > 1 else m.size()
    attrs["group"] = groups
    constant = m.pick(True, True, True, None)
    if kind.dtype in (DType.I8, DType.U8):
        w = m.operand(m.pick(DType.I8, DType.U8), (groups * per, channels // groups, *kernel))
        zero = m.put(m.array(TensorType(kind.dtype, ())), True) if m.chance(0.5) else ""
        return m.tried("ConvInteger", [x, w, zero], attrs)
    if not m.is_float(x):
        return None
    bias = [m.operand(kind.dtype, (groups * per,), constant)] if m.chance(0.5) else []
    if m.chance(0.25):
        w = m.operand(kind.dtype, (channels, per, *kernel), constant)
        if m.chance(0.3):
            attrs["output_padding"] = tuple(
                min(1, s - 1) for s in attrs.get("strides", (1,) * len(size))
            )
        return m.tried("ConvTranspose", [x, w, *bias], attrs)
    w = m.operand(kind.dtype, (groups * per, channels // groups, *kernel), constant)
    return m.tried("Conv", [x, w, *bias], attrs)


def pool(m: Maker, x: str) -> Made:
    kind = m.kind(x)
    if len(kind.shape) not in (3, 4, 5) or not kind.size:
        return None
    attrs = _window(m, kind.shape[2:])
    if m.chance(0.3):
        attrs["ceil_mode"] = 1
    if not m.is_float(x):
        return m.tried("MaxPool", [x], attrs) if kind.dtype is not DType.BOOL else None
    op = m.pick("MaxPool", "MaxPool", "AveragePool", "AveragePool", "LpPool")
    if op == "AveragePool" and m.chance(0.4):
        attrs["count_include_pad"] = 1
    if op == "MaxPool" and m.chance(0.1):
        return m.b.add_many(op, [x], attrs, outputs=("", "")) if m.tried(op, [x], attrs) else None
    return m.tried(op, [x], attrs)


def resize(m: Maker, x: str) -> Made:
    kind = m.kind(x)
    rank = len(kind.shape)
    if not 2 <= rank <= 4 or not kind.size or not m.is_float(x):
        return None
    sizes = [
        d if i < rank - 2 and m.chance(0.9) else m.pick(1, d, 2 * d, m.size(0))
        for i, d in enumerate(kind.shape)
    ]
    places = ("half_pixel", "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    attrs: dict[str, Any] = {
        "sizes": tuple(sizes),
        "mode": m.pick("nearest", "nearest", "linear", "cubic"),
        "coordinate_transformation_mode": m.pick(*places),
    }
    if m.chance(0.3):
        attrs["antialias"] = 1
    return m.tried("Resize", [x], attrs)


def transpose(m: Maker, x: str) -> Made:
    rank = len(m.kind(x).shape)
    return m.add("Transpose", [x], {"perm": tuple(m.order(range(rank)))}) if rank else None


def reshape(m: Maker, x: str) -> Made:
    left, shape = m.kind(x).size, []
    if not left:
        return None
    for _ in range(m.whole(0, 3)):
        shape.append(m.pick(*(n for n in range(1, left + 1) if left % n == 0)))
        left //= shape[-1]
    return m.add("Reshape", [x], {"shape": (*shape, left)})


def piece_of(m: Maker, x: str) -> Made:
    """A slice: forwards or backwards, in steps."""
    shape = m.kind(x).shape
    axes = [i for i in range(len(shape)) if shape[i]]
    if not axes:
        return None
    chosen = sorted(m.order(axes)[: m.whole(1, min(2, len(axes)))])
    starts, ends, steps = [], [], []
    for a in chosen:
        start = m.whole(0, shape[a] - 1)
        backwards = m.chance(0.25)
        steps.append(m.pick(-1, -2) if backwards else m.pick(1, 1, 1, 2, 3))
        starts.append(start)
        ends.append(m.whole(0, start) - shape[a] - 1 if backwards else m.whole(start + 1, shape[a]))
    attrs = {"starts": tuple(starts), "ends": tuple(ends), "axes": tuple(chosen)}
    return m.add("Slice", [x], attrs | {"steps": tuple(steps)})


def concat(m: Maker, x: str) -> Made:
    kind = m.kind(x)
    if not kind.shape:
        return None
    axis = m.whole(-len(kind.shape), len(kind.shape) - 1)
    operands = [x]
    for _ in range(m.whole(0, 2)):
        shape = list(kind.shape)
        shape[axis] = m.size()
        operands.append(m.operand(kind.dtype, shape))
    return m.add("Concat", m.order(operands), {"axis": axis})


def pad(m: Maker, x: str) -> Made:
    kind = m.kind(x)
    if not kind.shape or kind.dtype is DType.BOOL:
        return None
    pads = tuple(m.whole(0, 2) if m.chance(0.5) else 0 for _ in range(2 * len(kind.shape)))
    mode = m.pick("constant", "constant", "reflect", "edge", "wrap")
    operands = [x]
    if mode == "constant" and m.chance(0.5):
        pads = tuple(p - 1 if m.chance(0.1) else p for p in pads)
        operands.append(m.put(m.array(TensorType(kind.dtype, ()))))
    return m.tried("Pad", operands, {"pads": pads, "mode": mode})


def spread(m: Maker, x: str) -> Made:
    """Expand, Tile, blocks of depth and space."""
    kind = m.kind(x)
    op = m.pick("Expand", "Tile", "DepthToSpace", "SpaceToDepth")
    if op == "Tile":
        return m.tried(op, [x], {"repeats": tuple(m.pick(1, 1, 2, 3) for _ in kind.shape)})
    if op == "Expand":
        wide = tuple(m.size(0) if d == 1 else d for d in kind.shape)
        return m.tried(op, [x], {"shape": (m.pick(1, 2), *wide) if m.chance(0.3) else wide})
    attrs: dict[str, Any] = {"blocksize": 2}
    if op == "DepthToSpace":
        attrs["mode"] = m.pick("DCR", "CRD")
    return m.tried(op, [x], attrs)


def gather(m: Maker, x: str) -> Made:
    """Rows or elements picked, by constants or by numbers from outside."""
    shape = m.kind(x).shape
    if not shape or 0 in shape:
        return None
    axis = m.whole(0, len(shape) - 1)
    op = m.pick("Gather", "Gather", "GatherElements", "GatherND", "ReverseSequence")
    if op == "Gather":
        places = m.indices(m.pick((), (1,), (3,), (2, 2)), shape[axis])
        return m.add(op, [x, places], {"axis": axis})
    if op == "GatherElements":
        inner = tuple(m.whole(1, d) if i != axis else m.size(0) for i, d in enumerate(shape))
        return m.tried(op, [x, m.indices(inner, shape[axis])], {"axis": axis})
    if op == "GatherND":
        depth = m.whole(1, len(shape))
        places = [m.rng.integers(0, d, (3,)) for d in shape[:depth]]
        return m.tried(op, [x, m.put(np.stack(places, -1).astype(np.int64), name="at")], {})
    if len(shape) < 2:
        return None
    batch, time = m.pick((0, 1), (1, 0))
    lengths = m.rng.integers(1, shape[time] + 1, (shape[batch],)).astype(np.int64)
    return m.tried(op, [x, m.put(lengths, name="n")], {"batch_axis": batch, "time_axis": time})


def scatter(m: Maker, x: str) -> Made:
    """Elements put in places that are all different, or summed where they are not."""
    kind = m.kind(x)
    if not kind.shape or 0 in kind.shape:
        return None
    reduction = m.pick("none", "add", "max", "min", "mul")
    if reduction != "none" and kind.dtype is DType.BOOL:
        reduction = "none"
    if m.chance(0.5):
        axis = m.whole(0, len(kind.shape) - 1)
        inner = tuple(m.whole(1, d) for d in kind.shape)
        order = np.argsort(
            m.rng.random((*inner[:axis], kind.shape[axis], *inner[axis + 1 :])), axis
        )
        places = np.take(order, np.arange(inner[axis]), axis).astype(np.int64)
        updates = m.operand(kind.dtype, inner)
        attrs: dict[str, Any] = {"axis": axis, "reduction": reduction}
        return m.tried("ScatterElements", [x, m.put(places, name="at"), updates], attrs)
    rows = m.rng.permutation(kind.shape[0])[: m.whole(1, kind.shape[0])].astype(np.int64)
    updates = m.operand(kind.dtype, (len(rows), *kind.shape[1:]))
    places = m.put(rows[:, None], name="at")
    return m.tried("ScatterND", [x, places, updates], {"reduction": reduction})


def cache(m: Maker, x: str) -> Made:
    """Rows written into a cache at a position of each batch entry; bytes unpacked into codes."""
    kind = m.kind(x)
    if kind.dtype is DType.U8 and kind.shape:
        return m.tried("UnpackInt4", [x], {"axis": m.whole(0, len(kind.shape) - 1)})
    if len(kind.shape) < 3 or 0 in kind.shape or kind.dtype is DType.BOOL:
        return None
    rows = m.whole(1, kind.shape[-2])
    update = m.operand(kind.dtype, (*kind.shape[:-2], rows, kind.shape[-1]))
    at = m.rng.integers(0, kind.shape[-2] - rows + 1, (kind.shape[0],)).astype(np.int64)
    operands = [x, update, m.put(at, name="at")] if m.chance(0.8) else [x, update]
    return m.tried("TensorScatter", operands, {"axis": -2, "mode": m.pick("linear", "circular")})


def one_hot(m: Maker, x: str) -> Made:
    depth = m.size(0)
    ends = m.put(m.array(TensorType(m.pick(m.float_type, DType.I32), (2,))), True)
    places = m.indices(m.shape(m.whole(1, 2)), depth)
    return m.tried("OneHot", [places, ends], {"depth": depth, "axis": m.pick(-1, 0)})


def quantize(m: Maker, x: str) -> Made:
    """Codes by constant scales, for the tensor or along an axis; and back."""
    kind = m.kind(x)
    codes = m.pick(DType.I8, DType.U8)
    if not m.is_float(x) or not kind.shape:
        return None
    if m.chance(0.15):
        if not kind.size:
            return None
        return m.b.add_many("DynamicQuantizeLinear", [x], {}, outputs=("", "", ""))
    axis = m.whole(0, len(kind.shape) - 1)
    along = m.chance(0.4)
    shape = (kind.shape[axis],) if along else ()
    scale = m.put(
        m.rng.uniform(0.02, 0.2, shape).astype(kind.dtype.numpy), m.pick(True, True, None)
    )
    zero = m.put(m.array(TensorType(codes, shape)), True)
    attrs: dict[str, Any] = {"axis": axis} if along else {}
    made = m.tried("QuantizeLinear", [x, scale, zero], attrs)
    if made is None or m.chance(0.4):
        return made
    return m.add("DequantizeLinear", [made, scale, zero], attrs)


def quantized_product(m: Maker, x: str) -> Made:
    """QLinearMatMul, QLinearConv."""
    kind = m.kind(x)
    if kind.dtype not in (DType.I8, DType.U8) or len(kind.shape) < 2 or not kind.size:
        return None
    one = [m.put(np.asarray(s, np.float32), True) for s in (0.05, 0.02, 0.1)]
    zero = [m.put(m.array(TensorType(kind.dtype, ())), True) for _ in range(3)]
    if len(kind.shape) == 4 and m.chance(0.6):
        attrs = _window(m, kind.shape[2:])
        w = m.operand(kind.dtype, (m.size(), kind.shape[1], *attrs["kernel_shape"]), True)
        return m.tried(
            "QLinearConv", [x, one[0], zero[0], w, one[1], zero[1], one[2], zero[2]], attrs
        )
    w = m.operand(kind.dtype, (kind.shape[-1], m.size()))
    return m.tried("QLinearMatMul", [x, one[0], zero[0], w, one[1], zero[1], one[2], zero[2]], {})


MORE: tuple[tuple[Step, int], ...] = (
    (convolution, 9),
    (pool, 5),
    (resize, 3),
    (transpose, 3),
    (reshape, 3),
    (piece_of, 2),
    (concat, 2),
    (pad, 2),
    (spread, 4),
    (gather, 2),
    (scatter, 1),
    (cache, 2),
    (one_hot, 1),
    (quantize, 2),
    (quantized_product, 4),
)
