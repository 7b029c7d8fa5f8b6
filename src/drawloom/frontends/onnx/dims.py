"""Symbolic dimensions get numbers: ``--dim batch=1``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from onnx import TensorShapeProto, ValueInfoProto

from drawloom.errors import Fault, InputError, nearest
from drawloom.frontends.onnx.tensors import BadTensor, dtype_of
from drawloom.graph.ir import TensorType

_STEPS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Div: lambda a, b: a // b,
}


@dataclass(slots=True)
class _Binding:
    dims: Mapping[str, int]
    names: set[str] = field(default_factory=set[str])
    faults: list[Fault] = field(default_factory=list[Fault])


def bind_inputs(inputs: Sequence[ValueInfoProto], dims: Mapping[str, int]) -> dict[str, TensorType]:
    """Return each input's type with every symbolic dim replaced by its number.

    A dim without a name is called ``<input>.<axis>``. A dim that is a sum or
    product of names (``past + sequence``) follows from their numbers.

    Raises:
        InputError: dims that have no number or are no dims of the model, and
            inputs that are no tensors (kind ``onnx.inputs``, all at once).
    """
    binding = _Binding(dims)
    dims = binding.dims = _whole(dims, binding.faults)
    types: dict[str, TensorType] = {}
    for info in inputs:
        kind = _input_type(binding, info)
        if kind is not None:
            types[info.name] = kind
    for name, value in dims.items():
        if name not in binding.names:
            legal = nearest(name, binding.names) if binding.names else "the model has none"
            binding.faults.append(Fault(f"--dim {name}", "no such dim", legal))
        elif value < 0:
            binding.faults.append(Fault(f"--dim {name}", str(value), "at least 0"))
    if binding.faults:
        raise InputError("onnx.inputs", "the model's inputs are not settled", binding.faults)
    return types


def _whole(dims: Mapping[str, int], faults: list[Fault]) -> dict[str, int]:
    """Return the dims as integers; what is none is a fault (NaN, True, a word)."""
    numbers: dict[str, int] = {}
    for name, value in dims.items():
        try:
            if isinstance(value, bool):
                raise TypeError
            numbers[name] = operator.index(value)
        except TypeError:
            faults.append(Fault(f"--dim {name}", repr(value), "a whole number, at least 0"))
            numbers[name] = 0
    return numbers


def _input_type(binding: _Binding, info: ValueInfoProto) -> TensorType | None:
    path = f"input '{info.name}'"
    if info.type.WhichOneof("value") != "tensor_type":
        word = (info.type.WhichOneof("value") or "no type").removesuffix("_type")
        binding.faults.append(Fault(path, word, "a tensor"))
        return None
    tensor = info.type.tensor_type
    try:
        dtype = dtype_of(tensor.elem_type)
    except BadTensor as bad:
        binding.faults.append(Fault(path, bad.found, bad.allowed))
        return None
    if not tensor.HasField("shape"):
        binding.faults.append(Fault(path, "no shape", "a rank; export the model with shapes"))
        return None
    shape = [_size(binding, path, info.name, i, d) for i, d in enumerate(tensor.shape.dim)]
    return TensorType(dtype, tuple(d for d in shape if d is not None))


def _size(
    binding: _Binding, path: str, name: str, axis: int, dim: TensorShapeProto.Dimension
) -> int | None:
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return dim.dim_value
    word = dim.dim_param or f"{name}.{axis}"
    size, missing = _value(word, binding)
    place = f"{path} dim {axis}"
    if missing:
        hint = " ".join(f"--dim {m}=1" for m in missing)
        found = f"{dim.dim_value} in the file, so " if dim.HasField("dim_value") else ""
        found += f"'{word}' has no number"
        binding.faults.append(Fault(place, found, f"give it one: {hint}"))
    elif size < 0:
        binding.faults.append(Fault(place, f"'{word}' is {size}", "at least 0"))
    return size


def _value(word: str, binding: _Binding) -> tuple[int, list[str]]:
    """Return the dim's number, or the names that still need one."""
    tree = None if word in binding.dims else _expression(word)
    if tree is None:
        binding.names.add(word)
        return binding.dims.get(word, 0), [] if word in binding.dims else [word]
    names = sorted({n.id for n in ast.walk(tree) if isinstance(n, ast.Name)})
    binding.names.update(names)
    missing = [n for n in names if n not in binding.dims]
    return (0, missing) if missing else (_compute(tree, binding.dims), [])


def _expression(word: str) -> ast.expr | None:
    """Return the dim as arithmetic on at least two terms, or None when it is a plain name."""
    try:
        tree = ast.parse(word, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    legal = (ast.BinOp, ast.Name, ast.Load, ast.Constant, *_STEPS)
    is_sum = isinstance(tree, ast.BinOp) and all(isinstance(n, legal) for n in ast.walk(tree))
    whole = all(isinstance(n.value, int) for n in ast.walk(tree) if isinstance(n, ast.Constant))
    return tree if is_sum and whole else None


def _compute(tree: ast.expr, dims: Mapping[str, int]) -> int:
    if isinstance(tree, ast.Name):
        return dims[tree.id]
    if isinstance(tree, ast.Constant):
        assert isinstance(tree.value, int)
        return tree.value
    assert isinstance(tree, ast.BinOp)
    left, right = _compute(tree.left, dims), _compute(tree.right, dims)
    if not right and isinstance(tree.op, (ast.FloorDiv, ast.Div)):
        return -1
    return _STEPS[type(tree.op)](left, right)
