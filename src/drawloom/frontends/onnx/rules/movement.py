"""Elements move or repeat: shapes and positions become attributes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from drawloom.frontends.onnx.call import Call, Refused, Rule

Ints = tuple[int, ...]


def from_front(axes: Sequence[int], rank: int) -> Ints:
    """Return axes counted from the front, or refuse those outside the rank."""
    if any(not -rank <= a < rank for a in axes):
        raise Refused(f"axes {list(axes)}", f"from {-rank} to {rank - 1}", sound=False)
    return tuple(a % rank for a in axes)


def listed_axes(call: Call, since: int) -> Ints | None:
    """Return axes given by attribute or, from version ``since``, by operand 1."""
    if call.opset >= since and "axes" not in call.attributes:
        return call.listed(1, "axes") if call.has(1) else None
    return call.get("axes")


def _reshape(call: Call) -> Sequence[str]:
    """0 copies a dim (unless allowzero), one -1 takes what is left."""
    old = call.shape()
    wanted = call.get("shape") if call.opset < 5 else call.listed(1, "shape")
    shape = list(wanted or ())
    if not call.get("allowzero", 0):
        if any(d == 0 and i >= len(old) for i, d in enumerate(shape)):
            raise Refused(f"shape {shape} copies a dim", f"x has rank {len(old)}", sound=False)
        shape = [old[i] if d == 0 else d for i, d in enumerate(shape)]
    if shape.count(-1) == 1:
        rest = math.prod(d for d in shape if d != -1)
        shape[shape.index(-1)] = call.type().size // rest if rest else 0
    if math.prod(shape) != call.type().size or any(d < 0 for d in shape):
        allowed = f"a shape of {call.type().size} elements"
        raise Refused(f"shape {list(wanted or ())}", allowed, sound=False)
    return [call.reshape(call.x(0), shape)]


def _flatten(call: Call) -> Sequence[str]:
    shape, axis = call.shape(), call.get("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        call.refuse("axis", f"from {-len(shape)} to {len(shape)}", sound=False)
    axis = axis + len(shape) if axis < 0 else axis
    return [call.reshape(call.x(0), (math.prod(shape[:axis]), math.prod(shape[axis:])))]


def _squeeze(call: Call) -> Sequence[str]:
    shape, axes = call.shape(), listed_axes(call, 13)
    ones = tuple(i for i, d in enumerate(shape) if d == 1)
    gone = ones if axes is None else from_front(axes, len(shape))
    if not set(gone) <= set(ones):
        raise Refused(f"axes {list(gone)} of shape {list(shape)}", "axes of size 1", sound=False)
    return [call.reshape(call.x(0), [d for i, d in enumerate(shape) if i not in gone])]


def _unsqueeze(call: Call) -> Sequence[str]:
    shape, axes = call.shape(), listed_axes(call, 13)
    if axes is None:
        raise Refused("no axes", "must be given", sound=False)
    rank = len(shape) + len(axes)
    new = from_front(axes, rank)
    if len(set(new)) != len(new):
        raise Refused(f"axes {list(axes)}", "different axes", sound=False)
    left = iter(shape)
    return [call.reshape(call.x(0), [1 if i in new else next(left) for i in range(rank)])]


def _transpose(call: Call) -> Sequence[str]:
    rank = len(call.shape())
    perm = call.get("perm", tuple(reversed(range(rank))))
    if perm == tuple(range(rank)):
        return [call.x(0)]
    return [call.emit("Transpose", (call.x(0),), perm=perm)]


def _concat(call: Call) -> Sequence[str]:
    if len(call.inputs) == 1:
        return [call.x(0)]
    axis = call.get("axis", 1) if call.opset < 4 else call.need("axis")
    return [call.emit("Concat", call.inputs, axis=axis)]


def cut(call: Call, value: str, axis: int, start: int, end: int) -> str:
    """Return a part of a value along one axis."""
    if (start, end) == (0, call.draft.type(value).shape[axis]):
        return value
    return call.emit("Slice", (value,), starts=(start,), ends=(end,), axes=(axis,))


def _split(call: Call) -> Sequence[str]:
    shape, count = call.shape(), len(call.used)
    (axis,) = from_front((call.get("axis", 0),), len(shape))
    sizes = call.get("split")
    if call.has(1):
        sizes = call.listed(1, "split")
    if sizes is None:
        step = -(-shape[axis] // count)
        sizes = [min(step, max(0, shape[axis] - i * step)) for i in range(count)]
    if sum(sizes) != shape[axis] or len(sizes) != count or min(sizes) < 0:
        allowed = f"{count} sizes that add up to {shape[axis]}"
        raise Refused(f"split {list(sizes)}", allowed, sound=False)
    ends = np.cumsum(sizes).tolist()
    rows = zip(ends, sizes, call.used, strict=True)
    return [cut(call, call.x(0), axis, e - s, e) if used else "" for e, s, used in rows]


def _slice(call: Call) -> Sequence[str]:
    """Bounds far outside, as exporters write them, are brought to the dims."""
    shape = call.shape()
    if call.opset < 10:
        starts, ends, axes, steps = call.need("starts"), call.need("ends"), call.get("axes"), None
    else:
        starts, ends = call.listed(1, "starts"), call.listed(2, "ends")
        axes = call.listed(3, "axes") if call.has(3) else None
        steps = call.listed(4, "steps") if call.has(4) else None
    axes = tuple(range(len(starts))) if axes is None else axes
    axes = from_front(axes, len(shape))
    limits = [shape[a] for a in axes]
    if not len(starts) == len(ends) == len(axes):
        raise Refused("starts, ends and axes differ in length", "one length", sound=False)
    attrs = {
        "starts": tuple(max(min(s, d), -d - 1) for s, d in zip(starts, limits, strict=True)),
        "ends": tuple(max(min(e, d), -d - 1) for e, d in zip(ends, limits, strict=True)),
        "axes": axes,
    }
    if steps is not None and any(s != 1 for s in steps):
        attrs["steps"] = steps
    return [call.emit("Slice", (call.x(0),), **attrs)]


def _expand(call: Call) -> Sequence[str]:
    shape = call.listed(1, "shape")
    try:
        full = np.broadcast_shapes(call.shape(), shape)
    except ValueError:
        allowed = f"a shape that broadcasts with {list(call.shape())}"
        raise Refused(f"shape {list(shape)}", allowed, sound=False) from None
    if full == call.shape():
        return [call.x(0)]
    return [call.emit("Expand", (call.x(0),), shape=full)]


def _pad(call: Call) -> Sequence[str]:
    x, rank = call.x(0), len(call.shape())
    if call.opset < 11:
        pads = call.need("paddings" if call.opset < 2 else "pads")
        value = call.number(call.get("value", 0.0), x) if call.get("value", 0.0) else ""
    else:
        pads, value = call.listed(1, "pads"), call.maybe(2)
    if call.has(3):
        pads = _spread_pads(pads, from_front(call.listed(3, "axes"), rank), rank)
    mode = call.get("mode", "constant")
    if not any(pads):
        return [x]
    inputs = (x, value) if value and mode == "constant" else (x,)
    return [call.emit("Pad", inputs, pads=pads, mode=mode)]


def _spread_pads(pads: Ints, axes: Ints, rank: int) -> Ints:
    full = [0] * 2 * rank
    for i, axis in enumerate(axes):
        full[axis], full[rank + axis] = pads[i], pads[len(axes) + i]
    return tuple(full)


def _tile(call: Call) -> Sequence[str]:
    rank = len(call.shape())
    if call.opset < 6:
        (axis,) = from_front((call.whole(2, "axis"),), rank)
        repeats = tuple(call.whole(1, "tiles") if i == axis else 1 for i in range(rank))
    else:
        repeats = call.listed(1, "repeats")
    if all(r == 1 for r in repeats):
        return [call.x(0)]
    return [call.emit("Tile", (call.x(0),), repeats=repeats)]


def _depth_to_space(call: Call) -> Sequence[str]:
    attrs = {"blocksize": call.need("blocksize"), "mode": call.get("mode", "DCR")}
    return [call.emit("DepthToSpace", (call.x(0),), **attrs)]


def _space_to_depth(call: Call) -> Sequence[str]:
    x, block, mode = call.x(0), call.need("blocksize"), call.get("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        call.refuse("mode", "DCR or CRD")
    made = call.emit("SpaceToDepth", (x,), blocksize=block)
    if mode == "DCR" or block == 1:
        return [made]
    # The same blocks, channel by channel instead of place by place.
    batch, channels, *size = call.draft.type(made).shape
    split = call.reshape(made, (batch, block * block, channels // block**2, *size))
    turned = call.emit("Transpose", (split,), perm=(0, 2, 1, 3, 4))
    return [call.reshape(turned, (batch, channels, *size))]


def _dropout(call: Call) -> Sequence[str]:
    """Inference: the data passes, the mask keeps all."""
    if call.has(2) and call.scalar(2, "training_mode") and _ratio(call):
        raise Refused("training_mode is true", "export the model for inference")
    mask = ""
    if len(call.used) > 1 and call.used[1]:
        dtype = np.bool_ if call.opset >= 10 else call.type().dtype.numpy
        mask = call.constant(np.broadcast_to(np.ones((), dtype), call.shape()), "mask")
    return [call.x(0), mask]


def _ratio(call: Call) -> float:
    return float(call.scalar(1, "ratio")) if call.has(1) else 0.5


RULES: dict[str, Rule] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
