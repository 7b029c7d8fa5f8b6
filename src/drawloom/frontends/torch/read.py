"""PyTorch in, graph out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from drawloom.errors import Fault, InputError, Unsupported
from drawloom.frontends.draft import Draft, Refused, renamed
from drawloom.frontends.torch.call import Number, Value
from drawloom.frontends.torch.library import torch
from drawloom.frontends.torch.table import decompositions
from drawloom.frontends.torch.values import dtype_of
from drawloom.frontends.torch.walk import Lost, Walk, is_known, stack_of
from drawloom.graph.ir import Graph, TensorType

_CONSTANTS = ("PARAMETER", "BUFFER", "CONSTANT_TENSOR")
_MUTATIONS = ("BUFFER_MUTATION", "USER_INPUT_MUTATION")


def read_module(
    module: Any,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dims: Mapping[str, int] | None = None,
    name: str | None = None,
    dynamic_shapes: Any = None,
) -> Graph:
    """Return a module as a graph: exported for these arguments, then read.

    Args:
        module: a ``torch.nn.Module``, in evaluation mode.
        args: example arguments; on ``meta`` only their types count.
        kwargs: example arguments by name.
        dims: the number for each symbolic dim.
        name: the graph's name; the module's class by default.
        dynamic_shapes: as ``torch.export.export`` takes it.

    Raises:
        InputError: as ``read_exported``; ``torch.missing`` where PyTorch is not installed.
        Unsupported: as ``read_exported``.
    """
    lib = torch()
    with lib.no_grad():
        program = lib.export.export(
            module, tuple(args), dict(kwargs or {}), strict=False, dynamic_shapes=dynamic_shapes
        )
    return read_exported(program, dims=dims, name=name or type(module).__name__)


def read_exported(
    program: Any, *, dims: Mapping[str, int] | None = None, name: str | None = None
) -> Graph:
    """Return an exported program as a graph.

    Parameters and buffers become constants under their names in the model, without values where
    they are on ``meta``; large ones are read late. A buffer that the model writes to is an input
    and, as ``<name>.new``, an output, and so is an argument that it writes to. An output is called
    by its place in what the model returns: ``output``, ``output.0``, ``logits``. Every node's
    ``layer`` is the path of the module it comes from.

    Args:
        program: a ``torch.export.ExportedProgram``.
        dims: the number for each symbolic dim.
        name: the graph's name; the module's class by default.

    Raises:
        InputError: a symbolic dim has no number, or one out of its range (``torch.inputs``).
        Unsupported: the program has calls drawloom cannot read (``torch.nodes``) or weights of
            types it has not (``torch.weights``); all of them at once.
    """
    title = name or _class_name(program) or "model"
    return _Reader(plain_program(program), title, dict(dims or {})).graph()


def plain_program(program: Any) -> Any:
    """Return an exported program of calls that have rules: itself, or taken apart (slowly)."""
    if is_known(program.graph):
        return program
    with torch().no_grad():
        return program.run_decompositions(decompositions())


@dataclass(frozen=True, slots=True)
class Traced:
    """A traced module as a graph.

    Attributes:
        graph: what it computes; its inputs stand in the placeholders' order.
        inputs: which placeholder each input of the graph is.
        results: for each result of the module the name of an output, a number, or None.
    """

    graph: Graph
    inputs: tuple[int, ...]
    results: tuple[str | Number | None, ...]


def read_traced(module: Any, operands: Sequence[Any], name: str) -> Traced:
    """Return a traced module of ATen calls as a graph, for operands of settled shapes.

    Args:
        module: a ``torch.fx.GraphModule`` as ``aot_autograd`` gives it.
        operands: for each placeholder a ``TensorType`` (an input of the graph), a number, or
            a pair of a name and a tensor (a constant).
        name: the graph's name.

    Raises:
        Unsupported: as ``read_exported``.
    """
    walk = Walk(Draft(name))
    bound: list[Any] = []
    inputs: list[int] = []
    for i, operand in enumerate(operands):
        if isinstance(operand, TensorType):
            bound.append(Value(walk.draft.builder.input(f"input.{i}", operand)))
            inputs.append(i)
        elif isinstance(operand, tuple):
            bound.append(partial(walk.constant, *operand))
        else:
            bound.append(operand)
    found = walk.run(module, bound)
    _raise_faults(walk)
    wanted = [(f"output.{i}", v) for i, v in enumerate(found) if isinstance(v, Value)]
    graph = _finish(walk.draft, wanted)
    results = tuple(f"output.{i}" if isinstance(v, Value) else v for i, v in enumerate(found))
    return Traced(graph, tuple(inputs), results)


@dataclass(slots=True)
class _Reader:
    """Reads one exported program whose calls are ATen's core and those kept whole."""

    program: Any
    name: str
    dims: dict[str, int]
    faults: list[Fault] = field(default_factory=list[Fault])
    shared: dict[Any, Any] = field(default_factory=dict[Any, Any])

    def graph(self) -> Graph:
        signature = self.program.graph_signature
        walk = Walk(Draft(self.name))
        written = {s.target for s in signature.output_specs if s.kind.name in _MUTATIONS}
        places = [n for n in self.program.graph.nodes if n.op == "placeholder"]
        rows = zip(signature.input_specs, places, strict=True)
        operands = [self._operand(walk, spec, node, written) for spec, node in rows]
        if self.faults:
            summary = f"inputs of model '{self.name}' are not settled"
            raise InputError("torch.inputs", summary, self.faults)
        found = walk.run(self.program.graph_module, operands)
        _raise_faults(walk)
        return _finish(walk.draft, self._outputs(signature.output_specs, found))

    # --- inputs --------------------------------------------------------------

    def _operand(self, walk: Walk, spec: Any, node: Any, written: set[str]) -> Any:
        """Return what a placeholder stands for, as ``Walk.run`` takes it."""
        kind, value = spec.kind.name, node.meta.get("val")
        if kind in _CONSTANTS and spec.target not in written:
            return partial(self._constant, walk, spec.target)
        title = spec.target if kind in _CONSTANTS else spec.arg.name
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            return self._input(walk, title, value)
        if hasattr(value, "node"):
            return self._number(value, f"input '{title}'")
        return getattr(spec.arg, "value", value)

    def _constant(self, walk: Walk, title: str) -> Value | Lost:
        """Return a weight; one that two names share is one constant."""
        tensor = self.program.state_dict.get(title)
        tensor = self.program.constants[title] if tensor is None else tensor
        key = id(tensor) if tensor.is_meta else (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() == 0 or key not in self.shared:
            self.shared[key] = walk.constant(title, tensor)
        return self.shared[key]

    def _input(self, walk: Walk, title: str, value: Any) -> Any:
        try:
            dtype = dtype_of(value.dtype)
        except Refused as refused:
            self.faults.append(Fault(f"input '{title}'", refused.found, refused.allowed))
            return None
        rows = enumerate(value.shape)
        shape = tuple(self._number(d, f"input '{title}' dim {i}") for i, d in rows)
        return Value(walk.draft.builder.input(title, TensorType(dtype, shape)))

    def _number(self, dim: Any, where: str) -> int:
        """Return a dim's number, from ``dims`` where it is symbolic."""
        if not hasattr(dim, "node"):
            return int(dim)
        expression = dim.node.expr
        known: dict[Any, int] = {}
        for symbol in sorted(expression.free_symbols, key=str):
            word = str(symbol)
            if word not in self.dims:
                allowed = f"give it a number: dims={{'{word}': ...}}"
                self.faults.append(Fault(where, f"symbolic dim {word}", allowed))
                return 1
            known[symbol] = self.dims[word]
            self._need_range(symbol, word, where)
        return int(expression.subs(known))

    def _need_range(self, symbol: Any, word: str, where: str) -> None:
        limits = self.program.range_constraints.get(symbol)
        low, high = (-math.inf, math.inf) if limits is None else (limits.lower, limits.upper)
        if not low <= self.dims[word] <= high:
            fault = Fault(where, f"{word}={self.dims[word]}", f"from {low} to {high}")
            self.faults.append(fault)

    # --- outputs -------------------------------------------------------------

    def _outputs(self, specs: Sequence[Any], found: Sequence[Any]) -> list[tuple[str, Any]]:
        """Return the graph's outputs in order, each under its name."""
        names = iter(_result_names(self.program))
        results: list[tuple[str, Any]] = []
        states: list[tuple[str, Any]] = []
        for spec, value in zip(specs, found, strict=True):
            if spec.kind.name in _MUTATIONS:
                states.append((f"{spec.target}.new", value))
            elif spec.kind.name == "USER_OUTPUT":
                results.append((next(names), value))
        return [(n, v) for n, v in (*results, *states) if isinstance(v, Value)]


def _finish(draft: Draft, wanted: Sequence[tuple[str, str]]) -> Graph:
    """Return the graph with its outputs under their names."""
    builder = draft.builder
    taken = set(builder.inputs)
    names: dict[str, str] = {value: value for value in builder.inputs}
    ends: list[str] = []
    for word, value in wanted:
        name = _free(word, taken)
        end = value if value not in names else builder.add("Identity", (value,), name=name)
        names[end] = name
        taken.add(name)
        ends.append(end)
    return renamed(builder.finish(ends, prune=True), names)


def _free(word: str, taken: set[str]) -> str:
    while word in taken:
        word = f"{word}.out"
    return word


def _result_names(program: Any) -> list[str]:
    """Return a name for each result, by its place in what the module returns."""
    tree = torch().utils._pytree
    spec = program.call_spec.out_spec
    whole = tree.tree_unflatten(list(range(spec.num_leaves)), spec)
    paths = [path for path, _ in tree.tree_flatten_with_path(whole)[0]]
    return [".".join(_key(k, i == 0) for i, k in enumerate(path)) or "output" for path in paths]


def _key(key: Any, first: bool) -> str:
    word = str(next(getattr(key, a) for a in ("idx", "key", "name") if hasattr(key, a)))
    return f"output.{word}" if first and word.isdecimal() else word


def _class_name(program: Any) -> str:
    """Return the class of the module that was exported."""
    for node in program.graph.nodes:
        for path, kind in stack_of(node):
            if path == "":
                return str(getattr(kind, "__name__", kind)).split(".")[-1]
    return ""


def _raise_faults(walk: Walk) -> None:
    """Raise the error that lists every weight and call at fault."""
    if not walk.weights and not walk.faults:
        return
    total = sum(walk.faults.values())
    counts = ((len(walk.weights), "weight"), (total, "call"))
    parts = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in counts if n]
    calls = [
        Fault(f"{layer} ({op}{_times(n)})", found, allowed)
        for (layer, op, found, allowed), n in walk.faults.items()
    ]
    kind = "torch.nodes" if walk.faults else "torch.weights"
    summary = f"{' and '.join(parts)} of model '{walk.draft.builder.name}' cannot be read"
    raise Unsupported(kind, summary, [*walk.weights, *calls])


def _times(n: int) -> str:
    return f", {n} times" if n > 1 else ""
