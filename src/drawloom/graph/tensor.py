"""An element type with a shape."""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.graph.dtypes import DType


@dataclass(frozen=True, slots=True)
class TensorType:
    """An element type with a concrete shape (``()`` is a scalar)."""

    dtype: DType
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for dim in self.shape:
            n *= dim
        return n

    @property
    def bytes(self) -> int:
        """Bytes of the elements, densely packed."""
        return self.size * self.dtype.bytes

    def text(self) -> str:
        """Return ``f16[1,3,224,224]``."""
        return f"{self.dtype.value}[{','.join(map(str, self.shape))}]"
