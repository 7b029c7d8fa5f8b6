"""One ATen call as a rule sees it: arguments by the names of its schema, tensors by value name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drawloom.frontends.draft import Refused, Site
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, TensorType

_HALF = (DType.F16, DType.BF16)
Number = int | float | bool


class Value(str):
    """The name of a value of the draft, where an argument could also be a word."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Site):
    """A call: its operator, its arguments, what PyTorch says of its results.

    Attributes:
        op: the operator, such as ``aten.add``.
        arguments: by the schema's names, defaults filled in: ``Value``, numbers, ``DType``,
            lists of these, None.
        made: the dtype of each result; None where it is no tensor.
        used: whether anything reads each result.
        promoted: gives the dtype in which PyTorch computes with these arguments.
    """

    op: str
    arguments: Mapping[str, Any]
    made: tuple[DType | None, ...]
    used: tuple[bool, ...]
    promoted: Callable[..., DType]

    # --- arguments -----------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:
        """Return an argument, or the default where it is absent or None."""
        value = self.arguments.get(key)
        return default if value is None else value

    def x(self, key: str = "self") -> str:
        """Return the tensor argument's value."""
        value = self.arguments.get(key)
        if not isinstance(value, Value):
            raise Refused(f"{key} is {value!r}", "a tensor")
        return value

    def maybe(self, key: str) -> str:
        """Return the tensor argument's value, "" where it is absent."""
        value = self.arguments.get(key)
        return value if isinstance(value, Value) else ""

    def type(self, key: str = "self") -> TensorType:
        """Return the tensor argument's type."""
        return self.draft.type(self.x(key))

    def shape(self, key: str = "self") -> tuple[int, ...]:
        """Return the tensor argument's shape."""
        return self.type(key).shape

    def scalar(self, value: Number, dtype: DType) -> str:
        """Add a scalar constant."""
        return self.constant(np.asarray(value).astype(dtype.numpy))

    def ints(self, key: str, length: int = 0) -> tuple[int, ...]:
        """Return a list of whole numbers; one number stands for ``length`` of them."""
        value: Any = self.get(key, ())
        listed = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
        return listed * length if length and len(listed) == 1 else listed

    def axis(self, key: str = "dim", value: str = "") -> int:
        """Return an axis of ``self`` (or of a value) from the front."""
        rank = len(self.draft.type(value or self.x()).shape)
        return int(self.get(key, 0)) % max(rank, 1)

    def axes(self, key: str = "dim") -> tuple[int, ...]:
        """Return axes of ``self`` from the front, in order; all where none are given."""
        rank = len(self.shape())
        found = self.ints(key) if self.arguments.get(key) is not None else ()
        return tuple(sorted({a % max(rank, 1) for a in found})) or tuple(range(rank))

    def array(self, value: str, what: str) -> Array:
        """Return a value's numbers, or refuse: ``what`` must be a constant."""
        array = self.draft.array(value)
        if array is None:
            raise Refused(f"{what} depends on the model's inputs", f"a constant {what}")
        return array

    def out(self, i: int = 0) -> DType:
        """Return the dtype of result ``i``."""
        dtype = self.made[i]
        assert dtype is not None, (self.op, i)
        return dtype

    # --- results -------------------------------------------------------------

    def cast(self, value: str, dtype: DType) -> str:
        """Return the value in another dtype (itself where it has that dtype)."""
        if self.draft.type(value).dtype is dtype:
            return value
        return self.emit("Cast", (value,), to=dtype.value)

    def operand(self, key: str, dtype: DType) -> str:
        """Return a tensor or number argument as a value of this dtype."""
        value = self.arguments[key]
        if isinstance(value, Value):
            return self.cast(value, dtype)
        if not isinstance(value, (bool, int, float)):
            raise Refused(f"{key} is {value!r}", "a tensor or a number")
        return self.scalar(value, dtype)

    def inner(self, dtype: DType, *keys: str) -> DType:
        """Return the dtype to compute in: f32 where a half format would round a number argument.

        PyTorch computes with the number as it stands, and rounds the result.
        """
        numbers = [self.arguments[k] for k in keys if not isinstance(self.arguments[k], str)]
        exact = all(float(np.asarray(n).astype(dtype.numpy)) == n for n in numbers)
        return dtype if dtype not in _HALF or exact else DType.F32

    def transpose(self, value: str, perm: Sequence[int]) -> str:
        """Return the value with its axes in another order."""
        if tuple(perm) == tuple(range(len(perm))):
            return value
        return self.emit("Transpose", (value,), perm=tuple(perm))

    def expand(self, value: str, shape: Sequence[int]) -> str:
        """Return the value broadcast to a shape."""
        if self.draft.type(value).shape == tuple(shape):
            return value
        return self.emit("Expand", (value,), shape=tuple(shape))

    def cut(self, value: str, axis: int, start: int, end: int, step: int = 1) -> str:
        """Return a part of a value along one axis."""
        if (start, step) == (0, 1) and end >= self.draft.type(value).shape[axis]:
            return value
        attrs: dict[str, Any] = {} if step == 1 else {"steps": (step,)}
        return self.emit("Slice", (value,), starts=(start,), ends=(end,), axes=(axis,), **attrs)


Rule = Callable[[Call], Sequence[str]]
