"""Constants whose values are read when they are needed, or never.

A large model's weights lie in a file that is mapped into memory; a model that is only its
configuration has none. Both are a ``LazyTensor``: its type is known, its values are made by
``read`` each time they are asked for, and are not kept. What is derived from one (a cast, a
transpose, quantized codes) is lazy again, so that a compilation holds one tensor at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError
from drawloom.graph.tensor import TensorType

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class LazyTensor:
    """A tensor of a known type whose values are read on demand.

    Attributes:
        type: element type and shape.
        source: what a person knows it by (a file and a name in it).
        load: gives the values, of exactly ``type``; None where there are none (``is_meta``).
    """

    type: TensorType
    source: str = ""
    load: Callable[[], Array] | None = None

    @staticmethod
    def meta(kind: TensorType, source: str = "") -> LazyTensor:
        """Return a tensor that has a type and no values."""
        return LazyTensor(kind, source)

    @property
    def is_meta(self) -> bool:
        """Whether there are no values at all."""
        return self.load is None

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The NumPy dtype of the values."""
        return self.type.dtype.numpy

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return self.type.shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.type.size

    @property
    def nbytes(self) -> int:
        """Bytes of the values in memory."""
        return self.type.size * self.dtype.itemsize

    def read(self) -> Array:
        """Return the values.

        Raises:
            InputError: there are none (``graph.weights``), or their file cannot be read any more.
        """
        if self.load is None:
            name = f"'{self.source}'" if self.source else "a constant"
            fault = Fault(name, f"{self.type.text()} without values", "a model with its weights")
            raise InputError("graph.weights", "the model was read without its weights", [fault])
        array = self.load()
        assert array.shape == self.shape and array.dtype == self.dtype, (self.source, array.dtype)
        return array

    def map(self, change: Callable[[Array], Array], kind: TensorType) -> LazyTensor:
        """Return the tensor of type ``kind`` that ``change`` makes of the values, as lazy as this."""
        if self.load is None:
            return LazyTensor.meta(kind, self.source)
        return LazyTensor(kind, self.source, lambda: change(self.read()))

    def reshape(self, shape: tuple[int, ...]) -> LazyTensor:
        """Return the same values in another shape of as many elements."""
        kind = TensorType(self.type.dtype, shape)
        assert kind.size == self.size, (self.source, self.shape, shape)
        return self.map(lambda array: array.reshape(shape), kind)


Held = Array | LazyTensor


class Constants(Mapping[str, Array]):
    """A graph's constants by name: asking for one reads it where it is lazy; ``held`` does not."""

    __slots__ = ("held",)

    def __init__(self, held: Mapping[str, Held] | None = None) -> None:
        """Hold arrays and lazy tensors; a later change of ``held`` is seen here."""
        self.held: Mapping[str, Held] = {} if held is None else held

    def __getitem__(self, name: str) -> Array:
        """Return the values of a constant, read now where it is lazy.

        Raises:
            InputError: it has no values (``graph.weights``).
        """
        return values(self.held[name])

    def __contains__(self, name: object) -> bool:
        return name in self.held

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def is_meta(self, name: str) -> bool:
        """Return whether a constant has no values."""
        held = self.held[name]
        return isinstance(held, LazyTensor) and held.is_meta


def derive(held: Held, change: Callable[[Array], Array], kind: TensorType) -> Held:
    """Return what ``change`` makes of a constant, of type ``kind``: lazy where the constant is."""
    return held.map(change, kind) if isinstance(held, LazyTensor) else change(held)


def values(held: Held) -> Array:
    """Return the values of a constant, read now where it is lazy.

    Raises:
        InputError: it has no values (``graph.weights``).
    """
    return held.read() if isinstance(held, LazyTensor) else held
