"""PyTorch's element types and tensors become ours."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import ml_dtypes
import numpy as np

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.library import torch
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array
from drawloom.graph.lazy import Held, LazyTensor
from drawloom.graph.tensor import TensorType

LATE_BYTES = 1 << 20
"""A weight of at least this is read late, so that what is made of it is never held for long."""

_WORDS = {
    "float64": DType.F64,
    "float32": DType.F32,
    "float16": DType.F16,
    "bfloat16": DType.BF16,
    "int8": DType.I8,
    "uint8": DType.U8,
    "int16": DType.I16,
    "uint16": DType.U16,
    "int32": DType.I32,
    "uint32": DType.U32,
    "int64": DType.I64,
    "uint64": DType.U64,
    "bool": DType.BOOL,
}


@cache
def _table() -> dict[Any, DType]:
    return {getattr(torch(), word): dtype for word, dtype in _WORDS.items()}


def dtype_of(dtype: Any) -> DType:
    """Return the dtype for PyTorch's.

    Raises:
        Refused: there is none like it.
    """
    found = _table().get(dtype)
    if found is None:
        raise Refused(f"element type {dtype}".replace("torch.", ""), "one of " + ", ".join(_WORDS))
    return found


def type_of(tensor: Any) -> TensorType:
    """Return a tensor's type; its dims must be numbers.

    Raises:
        Refused: there is no such dtype here.
    """
    return TensorType(dtype_of(tensor.dtype), tuple(int(d) for d in tensor.shape))


def array_of(tensor: Any) -> Array:
    """Return a tensor's values; they share its memory where they can.

    Raises:
        Refused: there is no such dtype here.
    """
    word = dtype_of(tensor.dtype)
    plain = tensor.detach().to("cpu").resolve_conj().resolve_neg()
    if word is DType.BF16:
        return plain.contiguous().view(torch().int16).numpy().view(ml_dtypes.bfloat16)
    return np.asarray(plain.numpy())


def tensor_of(array: Array) -> Any:
    """Return an array of ours as a tensor of its own memory."""
    lib = torch()
    if array.dtype == ml_dtypes.bfloat16:
        return lib.from_numpy(np.array(array).view(np.int16)).view(lib.bfloat16)
    return lib.from_numpy(np.array(array))


def held(tensor: Any, name: str) -> Held:
    """Return a weight as a constant: without values on ``meta``, read late where it is large.

    It shares memory with the tensor: a tensor that is written to later changes the constant.

    Raises:
        Refused: there is no such dtype here.
    """
    kind = type_of(tensor)
    if tensor.is_meta:
        return LazyTensor.meta(kind, name)
    if kind.bytes < LATE_BYTES:
        return array_of(tensor)
    return LazyTensor(kind, name, partial(array_of, tensor))
