"""Values that come from attributes, shapes or other constants: all are constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from drawloom.frontends.draft import LARGE_BYTES
from drawloom.frontends.onnx.call import Call, Refused, Rule
from drawloom.frontends.onnx.rules.elementwise import dtype_word
from drawloom.graph.dtypes import DType

_LARGEST = 64 << 30


def _constant(call: Call) -> Sequence[str]:
    for key, dtype in _VALUES.items():
        if key in call.attributes:
            value = call.get(key)
            array = value if dtype is None else np.asarray(value, dtype)
            return [call.constant(array, "value")]
    raise Refused("no value", f"one of {', '.join(_VALUES)}", sound=False)


_VALUES: dict[str, Any] = {
    "value": None,
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
    "sparse_value": None,
}


def _shape(call: Call) -> Sequence[str]:
    shape = call.shape()
    part = shape[call.get("start", 0) : call.get("end", len(shape))]
    return [call.constant(np.array(part, np.int64), "shape")]


def _size(call: Call) -> Sequence[str]:
    return [call.constant(np.array(call.type().size, np.int64), "size")]


def _constant_of_shape(call: Call) -> Sequence[str]:
    """A view on one number, so that large fills take no memory."""
    shape = call.listed(0, "shape")
    if any(d < 0 for d in shape):
        raise Refused(f"shape {list(shape)}", "dims of at least 0", sound=False)
    value = call.get("value", np.zeros(1, np.float32))
    if math.prod(shape) * value.itemsize > _LARGEST:
        raise Refused(f"shape {list(shape)}", "at most 64 GiB", sound=False)
    return [call.constant(np.broadcast_to(value.reshape(()), shape), "value")]


def _range(call: Call) -> Sequence[str]:
    start, limit, delta = (call.array(i, "range").reshape(()) for i in range(3))
    if delta == 0:
        raise Refused("step 0", "another step", sound=False)
    span = np.ceil((np.float64(limit) - np.float64(start)) / np.float64(delta))
    count = max(0.0, float(span))
    if not count * start.itemsize <= LARGE_BYTES:
        raise Refused(f"{count:.0f} numbers", f"at most {LARGE_BYTES >> 20} MiB", sound=False)
    steps = np.arange(int(count)).astype(start.dtype)
    return [call.constant((start + steps * delta).astype(start.dtype), "range")]


def _eye_like(call: Call) -> Sequence[str]:
    dtype = call.type().dtype
    if "dtype" in call.attributes:
        dtype = DType(dtype_word(call.get("dtype")))
    if len(call.shape()) != 2:
        raise Refused(f"rank {len(call.shape())}", "rank 2", sound=False)
    return [call.constant(np.eye(*call.shape(), k=call.get("k", 0)).astype(dtype.numpy), "eye")]


def _non_zero(call: Call) -> Sequence[str]:
    array = call.draft.array(call.x(0))
    if array is None:
        what = "how many are not zero"
        raise Refused(f"{what} depends on the model's inputs", f"a constant {what}")
    places = np.stack(np.nonzero(array))
    return [call.constant(places.astype(np.int64), "places")]


RULES: dict[str, Rule] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "NonZero": _non_zero,
    "Range": _range,
    "Shape": _shape,
    "Size": _size,
}
