"""A model's weights as constants of a graph, by the names they have in the checkpoint.

Without a checkpoint each is a type without values. What a graph wants in another form than the
checkpoint has it (turned, put together) is made when it is read, and its name says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from drawloom.errors import Fault, InputError
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.graph.lazy import Array, Held, LazyTensor, derive, values
from drawloom.graph.rounding import narrow_weight

Shape = tuple[int, ...]


class Weights:
    """Puts the weights that a model asks for into a graph, and notes what the checkpoint lacks."""

    def __init__(
        self,
        builder: GraphBuilder,
        dtype: DType,
        tensors: Mapping[str, Held] | None,
        root: str = "",
    ) -> None:
        """Serve ``builder`` in format ``dtype`` from ``tensors``; None is a model without weights.

        ``root`` is what a checkpoint's names may lack at their beginning.
        """
        self._builder = builder
        self._dtype = dtype
        self._root = root
        self._tensors = tensors
        self._known: dict[str, str] = {}
        self._faults: dict[str, Fault] = {}

    def plain(self, name: str, shape: Shape, *, dtype: DType | None = None) -> str:
        """Return the constant that is tensor ``name``, of ``shape`` as the checkpoint has it.

        ``dtype`` is another format than the graph's.
        """
        kind = TensorType(dtype or self._dtype, shape)
        return self._put(name, lambda: self._taken(name, kind))

    def turned(self, name: str, shape: Shape, *, dtype: DType | None = None) -> str:
        """Return the constant ``name.T``: a tensor of ``shape`` [out, in] as [in, out]."""
        kind = TensorType(dtype or self._dtype, shape)
        turned = TensorType(kind.dtype, (shape[1], shape[0]))
        return self._put(f"{name}.T", lambda: derive(self._taken(name, kind), _transposed, turned))

    def stacked(self, name: str, parts: Sequence[str], shape: Shape) -> str:
        """Return the constant ``name``: tensors of ``shape`` [out, in] as [part, in, out]."""
        return self._put(name, lambda: self._stack(name, parts, shape))

    def made(self, name: str, sources: Mapping[str, Shape], shape: Shape, make: Make) -> str:
        """Return the constant ``name`` of ``shape`` that ``make`` computes of other tensors.

        Args:
            name: of the constant.
            sources: the tensors and the shapes the checkpoint has them in.
            shape: of the constant.
            make: takes the sources' values in order, in any float format; gives the constant's.
        """
        kind = TensorType(self._dtype, shape)
        return self._put(name, lambda: self._derived(name, sources, kind, make))

    def check(self, model: str) -> None:
        """Raise one InputError (``hf.weights``) that names every tensor amiss."""
        if self._faults:
            summary = f"the checkpoint is not one of '{model}'"
            raise InputError("hf.weights", summary, list(self._faults.values()))

    def _put(self, name: str, make: Callable[[], Held]) -> str:
        if name not in self._known:
            self._known[name] = self._builder.constant(name, make())
        return self._known[name]

    def _taken(self, name: str, kind: TensorType) -> Held:
        """Return a tensor of the checkpoint as ``kind``; noted where it is amiss."""
        if self._tensors is None:
            return LazyTensor.meta(kind, name)
        held = self._tensors.get(name, self._tensors.get(name.removeprefix(self._root)))
        if held is None:
            self._faults[name] = Fault(name, "missing", kind.text())
            return LazyTensor.meta(kind, name)
        found = _kind_of(held)
        if found is None or not found.dtype.is_float or found.shape != kind.shape:
            shown = f"{held.dtype}{list(held.shape)}" if found is None else found.text()
            self._faults[name] = Fault(name, shown, f"floats of shape {list(kind.shape)}")
            return LazyTensor.meta(kind, name)
        if found.dtype is kind.dtype:
            return held
        return derive(held, partial(narrow_weight, name, kind.dtype), kind)

    def _stack(self, name: str, parts: Sequence[str], shape: Shape) -> Held:
        kind = TensorType(self._dtype, (len(parts), shape[1], shape[0]))
        return self._derived(name, dict.fromkeys(parts, shape), kind, _stacked)

    def _derived(
        self, name: str, sources: Mapping[str, Shape], kind: TensorType, make: Make
    ) -> Held:
        if self._tensors is None:
            return LazyTensor.meta(kind, name)
        kinds = {source: TensorType(kind.dtype, shape) for source, shape in sources.items()}
        taken = [self._taken(source, each) for source, each in kinds.items()]
        if any(isinstance(held, LazyTensor) and held.is_meta for held in taken):
            return LazyTensor.meta(kind, name)
        if not any(isinstance(held, LazyTensor) for held in taken):
            return _computed(name, make, taken, kind)
        return LazyTensor(kind, name, partial(_computed, name, make, taken, kind))


Make = Callable[..., Array]


def _computed(name: str, make: Make, taken: Sequence[Held], kind: TensorType) -> Array:
    made = make(*(values(held) for held in taken))
    return np.ascontiguousarray(narrow_weight(name, kind.dtype, made))


def _kind_of(held: Held) -> TensorType | None:
    try:
        return TensorType(DType.of(held.dtype), held.shape)
    except KeyError:
        return None


def _transposed(array: Array) -> Array:
    return np.ascontiguousarray(array.T)


def _stacked(*arrays: Array) -> Array:
    """Put [out, in] after [out, in] and turn each."""
    return np.stack([array.T for array in arrays])
