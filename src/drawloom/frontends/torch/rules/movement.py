"""Elements move or repeat; none is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.call import Call, Rule
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array


def _view(call: Call) -> Sequence[str]:
    """One dim of the shape may be -1: what is left over."""
    if call.get("dtype") is not None:
        raise Refused("a view of the bits as another element type", "a cast")
    shape = list(call.ints("size") if "size" in call.arguments else call.ints("shape"))
    if shape.count(-1) == 1:
        rest = math.prod(d for d in shape if d != -1)
        shape[shape.index(-1)] = call.type().size // rest if rest else 0
    return [call.reshape(call.x(), shape)]


def _flatten(call: Call) -> Sequence[str]:
    """Neighbouring axes become one."""
    shape = call.shape() or (1,)
    start, end = (int(call.get(key)) % len(shape) for key in ("start_dim", "end_dim"))
    middle = math.prod(shape[start : end + 1])
    return [call.reshape(call.x(), (*shape[:start], middle, *shape[end + 1 :]))]


def _permute(call: Call) -> Sequence[str]:
    rank = len(call.shape())
    return [call.transpose(call.x(), [d % rank for d in call.ints("dims")])]


def _swap(call: Call) -> Sequence[str]:
    """Two axes change places; a matrix's by default."""
    rank = len(call.shape())
    perm = list(range(rank))
    if rank > 1:
        a, b = call.axis("dim0"), int(call.get("dim1", 1)) % rank
        perm[a], perm[b] = perm[b], perm[a]
    return [call.transpose(call.x(), perm)]


def _unsqueeze(call: Call) -> Sequence[str]:
    shape = call.shape()
    at = int(call.get("dim")) % (len(shape) + 1)
    return [call.reshape(call.x(), (*shape[:at], 1, *shape[at:]))]


def _squeeze(call: Call) -> Sequence[str]:
    shape = call.shape()
    axes = call.axes()
    kept = [d for i, d in enumerate(shape) if d != 1 or i not in axes]
    return [call.reshape(call.x(), kept)]


def _expand(call: Call) -> Sequence[str]:
    """A dim of -1 stays; new ones stand in front."""
    old, wanted = call.shape(), call.ints("size")
    padded = (1,) * (len(wanted) - len(old)) + old
    full = tuple(p if w == -1 else w for w, p in zip(wanted, padded, strict=True))
    return [call.expand(call.x(), full)]


def _repeat(call: Call) -> Sequence[str]:
    repeats = call.ints("repeats")
    shape = (1,) * (len(repeats) - len(call.shape())) + call.shape()
    x = call.reshape(call.x(), shape)
    if all(r == 1 for r in repeats):
        return [x]
    return [call.emit("Tile", (x,), repeats=repeats)]


def _repeat_interleave(call: Call) -> Sequence[str]:
    """Each element as often, side by side."""
    count = call.arguments.get("repeats")
    if not isinstance(count, int):
        raise Refused("repeats depend on the data", "one number")
    x = call.x()
    if call.get("dim") is None:
        x = call.reshape(x, (call.type().size,))
    shape = call.draft.type(x).shape
    axis = call.axis(value=x)
    wide = call.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    wide = call.expand(wide, (*shape[: axis + 1], count, *shape[axis + 1 :]))
    return [call.reshape(wide, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :]))]


def _cat(call: Call) -> Sequence[str]:
    """An empty list of numbers among the parts is left out, as PyTorch has it."""
    parts = [v for v in call.get("tensors") if call.draft.type(v).shape != (0,)]
    if not parts:
        return [call.cast(call.get("tensors")[0], call.out())]
    return [_joined(call, parts, call.axis(value=parts[0]))]


def _joined(call: Call, parts: Sequence[str], axis: int) -> str:
    parts = [call.cast(v, call.out()) for v in parts]
    return parts[0] if len(parts) == 1 else call.emit("Concat", parts, axis=axis)


def _stack(call: Call) -> Sequence[str]:
    parts: list[str] = call.get("tensors")
    shape = call.draft.type(parts[0]).shape
    axis = int(call.get("dim", 0)) % (len(shape) + 1)
    wide = [call.reshape(v, (*shape[:axis], 1, *shape[axis:])) for v in parts]
    return [_joined(call, wide, axis)]


def _parts(call: Call, sizes: Sequence[int], axis: int) -> Sequence[str]:
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    rows = zip(sizes, ends, strict=True)
    used = (*call.used, *(True,) * (len(sizes) - len(call.used)))
    return [
        call.cut(call.x(), axis, e - s, e) if u else ""
        for (s, e), u in zip(rows, used, strict=False)
    ]


def _split(call: Call) -> Sequence[str]:
    """Parts of one size, the last of what is left; or of stated sizes."""
    axis = call.axis()
    dim = call.shape()[axis]
    key = "split_sizes" if "split_sizes" in call.arguments else "split_size"
    if not isinstance(call.get(key), int):
        return _parts(call, call.ints(key), axis)
    step = int(call.get(key))
    return _parts(call, [min(step, dim - at) for at in range(0, dim, step)] or [0], axis)


def _chunk(call: Call) -> Sequence[str]:
    axis = call.axis()
    dim = call.shape()[axis]
    step = max(1, -(-dim // int(call.get("chunks"))))
    return _parts(call, [min(step, dim - at) for at in range(0, dim, step)] or [0], axis)


def _unbind(call: Call) -> Sequence[str]:
    axis, shape = call.axis(), call.shape()
    cells = _parts(call, (1,) * shape[axis], axis)
    rest = (*shape[:axis], *shape[axis + 1 :])
    return [call.reshape(v, rest) if v else "" for v in cells]


def bounds_of(call: Call, dim: int) -> tuple[int, int, int]:
    """Return a slice's start, end and step, inside a dim."""
    start, end, step = slice(call.get("start"), call.get("end"), call.get("step")).indices(dim)
    return start, max(start, end), step


def _slice(call: Call) -> Sequence[str]:
    axis = call.axis()
    return [call.cut(call.x(), axis, *bounds_of(call, call.shape()[axis]))]


def _diff(call: Call) -> Sequence[str]:
    """Neighbours' differences along one axis; of truth values whether they differ."""
    axis = int(call.get("dim", -1)) % len(call.shape())
    ends = (call.maybe("prepend"), call.x(), call.maybe("append"))
    x = _joined(call, [v for v in ends if v], axis)
    for _ in range(int(call.get("n", 1))):
        size = call.draft.type(x).shape[axis]
        later, sooner = call.cut(x, axis, 1, size), call.cut(x, axis, 0, size - 1)
        x = call.emit("Xor" if call.out() is DType.BOOL else "Sub", (later, sooner))
    return [x]


def _narrow(call: Call) -> Sequence[str]:
    axis, start = call.axis(), int(call.get("start", 0))
    start = start + call.shape()[axis] if start < 0 else start
    return [call.cut(call.x(), axis, start, start + int(call.get("length", 0)))]


def _select(call: Call) -> Sequence[str]:
    axis, shape = call.axis(), call.shape()
    at = int(call.get("index")) % shape[axis]
    part = call.cut(call.x(), axis, at, at + 1)
    return [call.reshape(part, (*shape[:axis], *shape[axis + 1 :]))]


def placed(call: Call, part: str, axis: int, start: int, end: int) -> str:
    """Return ``self`` with a part of one axis replaced."""
    x = call.x()
    dim = call.shape()[axis]
    pieces = [call.cut(x, axis, 0, start)] if start else []
    pieces.append(part)
    pieces += [call.cut(x, axis, end, dim)] if end < dim else []
    return _joined(call, pieces, axis)


def _slice_scatter(call: Call) -> Sequence[str]:
    axis, shape = call.axis(), call.shape()
    start, end, step = bounds_of(call, shape[axis])
    if step == 1:
        part = call.expand(call.x("src"), (*shape[:axis], end - start, *shape[axis + 1 :]))
        return [placed(call, part, axis, start, end)]
    rows = call.constant(np.arange(start, end, step, dtype=np.int64), "rows")
    perm = [axis, *(i for i in range(len(shape)) if i != axis)]
    inverse = np.argsort(perm).tolist()
    index = call.reshape(rows, (len(range(start, end, step)), 1))
    front = (call.transpose(call.x(), perm), index, call.transpose(call.x("src"), perm))
    return [call.transpose(call.emit("ScatterND", front), inverse)]


def _select_scatter(call: Call) -> Sequence[str]:
    axis, shape = call.axis(), call.shape()
    at = int(call.get("index")) % shape[axis]
    part = call.reshape(call.x("src"), (*shape[:axis], 1, *shape[axis + 1 :]))
    return [placed(call, part, axis, at, at + 1)]


def _flip(call: Call) -> Sequence[str]:
    axes, shape = call.axes("dims"), call.shape()
    starts, ends = tuple(shape[a] - 1 for a in axes), tuple(-shape[a] - 1 for a in axes)
    return [
        call.emit(
            "Slice", (call.x(),), starts=starts, ends=ends, axes=axes, steps=(-1,) * len(axes)
        )
    ]


def _roll(call: Call) -> Sequence[str]:
    """Without axes the elements move as one list."""
    shape, dims = call.shape(), call.ints("dims")
    x = call.x() if dims else call.reshape(call.x(), (call.type().size,))
    for shift, dim in zip(call.ints("shifts"), dims or (0,), strict=True):
        axis = dim % max(len(shape), 1) if dims else 0
        size = call.draft.type(x).shape[axis]
        cut = (size - shift) % size if size else 0
        if cut:
            parts = (call.cut(x, axis, cut, size), call.cut(x, axis, 0, cut))
            x = call.emit("Concat", parts, axis=axis)
    return [call.reshape(x, shape)]


_MODES = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


def _pad(mode: str = "") -> Rule:
    """Pads are listed from the last axis backwards: before, after."""

    def rule(call: Call) -> Sequence[str]:
        x, rank = call.x(), len(call.shape())
        pads = call.ints("pad" if "pad" in call.arguments else "padding")
        before, after = [0] * rank, [0] * rank
        for i in range(len(pads) // 2):
            before[rank - 1 - i], after[rank - 1 - i] = pads[2 * i], pads[2 * i + 1]
        word = mode or _MODES[call.get("mode", "constant")]
        if not any(pads):
            return [x]
        inputs = [x]
        if word == "constant" and call.get("value", 0):
            inputs.append(call.number(call.get("value"), x))
        return [call.emit("Pad", inputs, pads=(*before, *after), mode=word)]

    return rule


def _pixel_shuffle(call: Call) -> Sequence[str]:
    """The last three axes are the image; whatever stands in front is its batch."""
    *lead, c, h, w = call.shape()
    x = call.reshape(call.x(), (math.prod(lead), c, h, w))
    size = int(call.get("upscale_factor"))
    y = call.emit("DepthToSpace", (x,), blocksize=size, mode="CRD")
    return [call.reshape(y, (*lead, c // size**2, h * size, w * size))]


def _pixel_unshuffle(call: Call) -> Sequence[str]:
    n = int(call.get("downscale_factor"))
    *lead, c, h, w = call.shape()
    k = len(lead)
    split = call.reshape(call.x(), (*lead, c, h // n, n, w // n, n))
    turned = call.transpose(split, (*range(k + 1), k + 2, k + 4, k + 1, k + 3))
    return [call.reshape(turned, (*lead, c * n * n, h // n, w // n))]


def picked(call: Call, places: Array) -> str:
    """Return elements of ``self`` by their position in it, in the shape of ``places``."""
    flat = call.reshape(call.x(), (call.type().size,))
    index = call.constant(np.ascontiguousarray(places, np.int64), "places")
    return call.emit("Gather", (flat, index), axis=0)


def _numbered(call: Call) -> Array:
    """Return the position of each element of ``self``."""
    return np.arange(call.type().size, dtype=np.int64).reshape(call.shape())


def _diagonal(call: Call) -> Sequence[str]:
    a, b = int(call.get("dim1", 0)), int(call.get("dim2", 1))
    places = np.diagonal(_numbered(call), int(call.get("offset", 0)), a, b)
    return [picked(call, places)]


def _unfold(call: Call) -> Sequence[str]:
    """Windows along one axis, side by side; their elements stand last."""
    if not call.shape():
        raise Refused("a scalar", "a tensor with an axis")
    axis = int(call.get("dimension")) % len(call.shape())
    windows = np.lib.stride_tricks.sliding_window_view(_numbered(call), int(call.get("size")), axis)
    steps = [slice(None)] * windows.ndim
    steps[axis] = slice(None, None, int(call.get("step")))
    return [picked(call, windows[tuple(steps)])]


def _im2col(call: Call) -> Sequence[str]:
    """Windows of an image as columns."""
    x, shape = call.x(), call.shape()
    kernel, dilation, padding, stride = (
        call.ints(key, 2) for key in ("kernel_size", "dilation", "padding", "stride")
    )
    if len(shape) != 4:
        raise Refused(f"an image of rank {len(shape)}", "rank 4")
    pads = (0, 0, *padding)
    if any(padding):
        x = call.emit("Pad", (x,), pads=(*pads, *pads))
    n, c, h, w = call.draft.type(x).shape
    cells = np.arange(h * w, dtype=np.int64).reshape(h, w)
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(cells, extent)
    windows = windows[:: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    index = call.constant(np.ascontiguousarray(windows.transpose(2, 3, 0, 1)), "places")
    taken = call.emit("Gather", (call.reshape(x, (n, c, h * w)), index), axis=2)
    return [call.reshape(taken, (n, c * math.prod(kernel), windows.shape[0] * windows.shape[1]))]


def _trilu(upper: int) -> Rule:
    def rule(call: Call) -> Sequence[str]:
        return [call.emit("Trilu", (call.x(),), k=int(call.get("diagonal", 0)), upper=upper)]

    return rule


RULES: dict[str, Rule] = {
    "aten.view": _view,
    "aten.reshape": _view,
    "aten._unsafe_view": _view,
    "aten.view_copy": _view,
    "aten.flatten": _flatten,
    "aten.permute": _permute,
    "aten.transpose": _swap,
    "aten.t": _swap,
    "aten.unsqueeze": _unsqueeze,
    "aten.squeeze": _squeeze,
    "aten.expand": _expand,
    "aten.repeat": _repeat,
    "aten.repeat_interleave": _repeat_interleave,
    "aten.cat": _cat,
    "aten.stack": _stack,
    "aten.split": _split,
    "aten.split_with_sizes": _split,
    "aten.chunk": _chunk,
    "aten.unbind": _unbind,
    "aten.slice": _slice,
    "aten.diff": _diff,
    "aten.narrow": _narrow,
    "aten.select": _select,
    "aten.slice_scatter": _slice_scatter,
    "aten.select_scatter": _select_scatter,
    "aten.flip": _flip,
    "aten.roll": _roll,
    "aten.pad": _pad(),
    "aten.constant_pad_nd": _pad("constant"),
    "aten.reflection_pad1d": _pad("reflect"),
    "aten.reflection_pad2d": _pad("reflect"),
    "aten.reflection_pad3d": _pad("reflect"),
    "aten.replication_pad1d": _pad("edge"),
    "aten.replication_pad2d": _pad("edge"),
    "aten.replication_pad3d": _pad("edge"),
    "aten.pixel_shuffle": _pixel_shuffle,
    "aten.pixel_unshuffle": _pixel_unshuffle,
    "aten.diagonal": _diagonal,
    "aten.unfold": _unfold,
    "aten.im2col": _im2col,
    "aten.tril": _trilu(0),
    "aten.triu": _trilu(1),
}
