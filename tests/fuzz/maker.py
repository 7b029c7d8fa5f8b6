"""A graph in the making under a seed: sizes, types, operands and values drawn by one generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from drawloom.errors import InputError
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr, TensorType
from drawloom.graph.rounding import integer_range

T = TypeVar("T")

SMALL = (1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 11)
LARGE = (13, 15, 16, 17, 20, 31, 32, 33, 48, 63, 64, 65, 70, 96, 127, 129, 130, 200)
MOST = 12_000
"""Elements of a value that further nodes are put on."""
HALVES = (DType.F16, DType.BF16)
FLOATS = (DType.F32, *HALVES)
WHOLE = (DType.I8, DType.U8, DType.I16, DType.I32, DType.I64, DType.U16, DType.U32, DType.U64)


class Maker:
    """Draws; ``limit`` is the largest size of an axis, so that a seed can be drawn smaller."""

    def __init__(self, seed: int, limit: int, float_type: DType | None = None) -> None:
        self.rng = np.random.default_rng(seed)
        self.limit = limit
        self.float_type = float_type or self.pick(*FLOATS)
        self.b = GraphBuilder(f"seed{seed}")
        self.values: list[str] = []
        self.inputs: dict[str, Array] = {}

    # --- draws -------------------------------------------------------------

    def pick(self, *choices: T) -> T:
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def size(self, large: float = 0.3) -> int:
        return min(self.limit, self.pick(*(LARGE if self.chance(large) else SMALL)))

    def shape(self, rank: int) -> tuple[int, ...]:
        """Return a shape of at most MOST elements, now and then with an axis of length 0."""
        sizes = [self.size(0.35 if i >= rank - 2 else 0.1) for i in range(rank)]
        while np.prod(sizes) > MOST:
            i = sizes.index(max(sizes))
            sizes[i] = max(1, sizes[i] // 2)
        if rank and self.chance(0.01):
            sizes[self.whole(0, rank - 1)] = 0
        return tuple(sizes)

    def order(self, items: Sequence[T]) -> list[T]:
        return [items[i] for i in self.rng.permutation(len(items))]

    def axes(self, rank: int) -> tuple[int, ...]:
        """Return some axes, at least one, now and then counted from the back."""
        chosen = sorted(self.order(range(rank))[: self.whole(1, rank)])
        return tuple(a - rank if self.chance(0.2) else a for a in chosen)

    # --- values ------------------------------------------------------------

    def array(self, kind: TensorType, low: float = -2.0, high: float = 2.0) -> Array:
        """Return values of a type: floats between the bounds, whole numbers from -9 to 9.

        Now and then they are larger or smaller, equal, zero of either sign, or at the ends of
        what whole numbers can be.
        """
        dtype = kind.dtype
        if dtype is DType.BOOL:
            return self.rng.integers(0, 2, kind.shape).astype(np.bool_)
        if dtype.is_float:
            scale = self.pick(0.01, 1e-4, 20.0, 100.0) if self.chance(0.08) else 1.0
            floats = self.rng.uniform(low * scale, high * scale, kind.shape)
            if self.chance(0.08):
                floats = np.where(
                    self.rng.random(kind.shape) < 0.3, self.pick(0.0, -0.0, 1.0), floats
                )
            return floats.astype(dtype.numpy)
        least = 0 if dtype.value[0] == "u" else -9
        found = self.rng.integers(least, 10, kind.shape).astype(dtype.numpy)
        if self.chance(0.08):
            end = self.pick(*integer_range(dtype.numpy))
            found = np.where(self.rng.random(kind.shape) < 0.3, dtype.numpy.type(end), found)
        return found.astype(dtype.numpy)

    def put(self, array: Array, constant: bool | None = None, name: str = "c") -> str:
        """Return a constant or a graph input that holds an array."""
        if self.chance(0.5) if constant is None else constant:
            return self.b.constant(name, array)
        kind = TensorType(DType.of(array.dtype), array.shape)
        value = self.b.input(f"in{len(self.b.inputs)}", kind)
        self.inputs[value] = array
        return value

    def operand(
        self, dtype: DType, shape: Sequence[int], constant: bool | None = None, share: float = 0.4
    ) -> str:
        """Return a value of a type: one there is already, a constant or an input."""
        kind = TensorType(dtype, tuple(shape))
        same = [v for v in self.values if self.b.types[v] == kind]
        if same and constant is None and self.chance(share):
            return self.pick(*same)
        return self.put(self.array(kind), constant)

    def indices(self, shape: Sequence[int], limit: int, constant: bool | None = None) -> str:
        """Return whole numbers that point into an axis of length ``limit``, from either end."""
        dtype = self.pick(np.int64, np.int64, np.int32)
        found = self.rng.integers(-limit if self.chance(0.3) else 0, limit, tuple(shape))
        return self.put(found.astype(dtype), constant, "at")

    def kind(self, value: str) -> TensorType:
        return self.b.types[value]

    def is_float(self, value: str) -> bool:
        return self.kind(value).dtype.is_float

    def broadcast(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return a shape that broadcasts to another, in any of the ways there are."""
        kept = [d if self.chance(0.6) else 1 for d in shape]
        return tuple(kept[self.whole(0, len(kept)) if self.chance(0.4) else 0 :])

    def add(self, op: str, inputs: Sequence[str], attrs: Mapping[str, Attr] | None = None) -> str:
        return self.b.add(op, inputs, attrs or {})

    def tried(self, op: str, inputs: Sequence[str], attrs: Mapping[str, Attr]) -> str | None:
        """Add a node; None where the operator does not take what was drawn."""
        try:
            return self.b.add(op, inputs, attrs)
        except InputError:
            return None
