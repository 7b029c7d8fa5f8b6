"""One ONNX node as a rule sees it: attributes in plain Python, operands by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from onnx import AttributeProto, GraphProto

from drawloom.frontends.draft import Refused, Site
from drawloom.frontends.onnx.tensors import BadTensor, sparse_array, to_array
from drawloom.graph.ir import Array, TensorType


class Expand(Exception):
    """A rule leaves the node to the body that the ONNX standard gives its operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Site):
    """A node: its operator, the version that counts, its operands as values of the draft.

    ``inputs`` has "" for an absent operand. ``used`` says of each output
    whether anything reads it. ``branch`` puts a subgraph's nodes into the
    draft and returns the values it gives.
    """

    op: str
    opset: int
    inputs: tuple[str, ...]
    used: tuple[bool, ...]
    attributes: Mapping[str, AttributeProto]
    branch: Callable[[GraphProto, Sequence[str], str], tuple[str, ...]]
    folder: Path | None = None

    # --- operands ------------------------------------------------------------

    def has(self, i: int) -> bool:
        """Return whether operand ``i`` is given."""
        return i < len(self.inputs) and bool(self.inputs[i])

    def x(self, i: int = 0) -> str:
        """Return operand ``i``'s name, which must be given."""
        if not self.has(i):
            raise Refused(f"operand {i} is absent", "must be given", sound=False)
        return self.inputs[i]

    def maybe(self, i: int) -> str:
        """Return operand ``i``'s name, "" where it is absent."""
        return self.inputs[i] if i < len(self.inputs) else ""

    def type(self, i: int = 0) -> TensorType:
        """Return operand ``i``'s type."""
        return self.draft.type(self.x(i))

    def shape(self, i: int = 0) -> tuple[int, ...]:
        """Return operand ``i``'s shape."""
        return self.type(i).shape

    def array(self, i: int, what: str) -> Array:
        """Return operand ``i``'s values, or refuse: ``what`` must be a constant."""
        array = self.draft.array(self.x(i))
        if array is None:
            found = f"{what} depends on the model's inputs"
            raise Refused(found, f"a constant {what}", unknown=self.x(i))
        return array

    def listed(self, i: int, what: str) -> tuple[int, ...]:
        """Return operand ``i`` as whole numbers, or refuse when it is no constant."""
        array = self.array(i, what)
        if array.dtype.kind not in "iub" or array.ndim > 1:
            found = f"{what} is {array.dtype}{list(array.shape)}"
            raise Refused(found, "a list of whole numbers", sound=False)
        return tuple(int(v) for v in array.reshape(-1))

    def whole(self, i: int, what: str) -> int:
        """Return operand ``i`` as one whole number, or refuse when it is no constant."""
        value = self.scalar(i, what)
        if not math.isfinite(value) or int(value) != value:
            raise Refused(f"{what} is {value}", "a whole number", sound=False)
        return int(value)

    def scalar(self, i: int, what: str) -> int | float | bool:
        """Return operand ``i``'s one number, or refuse when it is no constant."""
        array = self.array(i, what)
        if array.size != 1:
            raise Refused(f"{what} has shape {list(array.shape)}", "one number", sound=False)
        return array.reshape(())[()].item()

    # --- attributes ----------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute in plain Python (tensors as arrays), or the default."""
        proto = self.attributes.get(key)
        return default if proto is None else plain(proto, self.folder)

    def need(self, key: str) -> Any:
        """Return an attribute that must be there."""
        if key not in self.attributes:
            raise Refused(f"attribute '{key}' is absent", "must be given", sound=False)
        return self.get(key)

    def refuse(self, key: str, allowed: str, *, sound: bool = True) -> NoReturn:
        """Refuse the node for an attribute's value; ``sound`` where drawloom falls short."""
        raise Refused(f"attribute {key}={_shown(self.get(key))}", allowed, sound=sound)


Rule = Callable[[Call], Sequence[str]]


def plain(proto: AttributeProto, folder: Path | None) -> Any:
    """Return an attribute's value in plain Python.

    Raises:
        Refused: it is a tensor that cannot be read, or of a kind never used here.
    """
    kinds = AttributeProto
    match proto.type:
        case kinds.STRING:
            return proto.s.decode("utf-8", "replace")
        case kinds.STRINGS:
            return tuple(s.decode("utf-8", "replace") for s in proto.strings)
        case kinds.TENSOR | kinds.SPARSE_TENSOR:
            return _tensor(proto, folder)
        case kinds.INT | kinds.FLOAT | kinds.GRAPH:
            field_name = {kinds.INT: "i", kinds.FLOAT: "f", kinds.GRAPH: "g"}[proto.type]
            return getattr(proto, field_name)
        case kinds.INTS | kinds.FLOATS:
            return tuple(proto.ints or proto.floats)
        case _:
            word = kinds.AttributeType.Name(proto.type).lower()
            raise Refused(f"attribute {proto.name} is of kind {word}", "a number, list or tensor")


def _tensor(proto: AttributeProto, folder: Path | None) -> Array:
    try:
        if proto.type == AttributeProto.SPARSE_TENSOR:
            return sparse_array(proto.sparse_tensor, folder)
        return to_array(proto.t, folder)
    except BadTensor as bad:
        raise Refused(bad.found, bad.allowed) from None


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return repr(list(cast("tuple[object, ...]", value)))
    return repr(value)
