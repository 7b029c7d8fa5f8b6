"""What files of weights have in common: tensors by name, each read when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from drawloom.errors import Fault, Unsupported, nearest
from drawloom.frontends.weights.stored import MOST_FAULTS, StoredFile
from drawloom.graph.dtypes import DType
from drawloom.graph.lazy import Array, LazyTensor
from drawloom.graph.tensor import TensorType

MOST_AXES = 64
MOST_ELEMENTS = 1 << 56


@dataclass(frozen=True, slots=True)
class Refused:
    """A tensor that is stored soundly in a format that drawloom has not.

    Attributes:
        place: the file and the tensor's name in it.
        word: what the file calls the format.
        allowed: the formats that can be read.
        nbytes: its bytes in the file.
    """

    place: str
    word: str
    allowed: str
    nbytes: int


class Weights(Mapping[str, LazyTensor]):
    """Tensors by name. A tensor of a format that drawloom has not is refused when asked for."""

    __slots__ = ("_held",)

    def __init__(self, held: Mapping[str, LazyTensor | Refused]) -> None:
        """Hold tensors, and what is known of those that cannot be read."""
        self._held = held

    def __getitem__(self, name: str) -> LazyTensor:
        """Return a tensor; nothing of its values is read.

        Raises:
            KeyError: there is none of this name.
            Unsupported: its format cannot be read (``weights.dtype``); lists all such tensors,
                this one first.
        """
        held = self._held[name]
        if isinstance(held, LazyTensor):
            return held
        others = [h for h in self._held.values() if isinstance(h, Refused) and h is not held]
        shown = [held, *others][:MOST_FAULTS]
        faults = [Fault(h.place, h.word, h.allowed) for h in shown]
        if len(shown) <= len(others):
            faults.append(Fault("and", f"{len(others) + 1 - len(shown):,} more", ""))
        summary = f"tensor '{name}' is of a format that drawloom does not read"
        raise Unsupported("weights.dtype", summary, faults)

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def shape_fault(shape: tuple[int, ...]) -> str:
    """Return what a shape must be, or nothing where it is that."""
    if len(shape) > MOST_AXES:
        return f"up to {MOST_AXES} dims"
    if any(dim < 0 for dim in shape):
        return "dims of at least 0"
    if math.prod(max(dim, 1) for dim in shape) > MOST_ELEMENTS:
        return "up to 2^56 elements"
    return ""


def nearest_name(name: str, names: Mapping[str, object]) -> str:
    """Return the nearest of the names, or that there is none such."""
    hint = nearest(name, names)
    return hint if hint.startswith("did you mean") else "no tensor is called like it"


def load(file: StoredFile, start: int, kind: TensorType) -> Array:
    """Return little-endian values that lie densely in a file from byte ``start`` on.

    Raises:
        InputError: the file cannot be read any more, or has changed (``weights.file``).
    """
    raw = file.read(start, kind.bytes)
    if kind.dtype is DType.BOOL:
        return (raw != 0).reshape(kind.shape)
    stored = kind.dtype.numpy.newbyteorder("<")
    return raw.view(stored).astype(kind.dtype.numpy, copy=False).reshape(kind.shape)
