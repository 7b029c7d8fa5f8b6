"""What ``torch.compile`` traces, read for the values of each run.

Dynamo hands over a module; ``aot_autograd`` makes of it calls of ATen alone, without writes to
memory. Shapes may be symbolic there: the calls are read when they are first run with new shapes.
Parameters, and buffers that the module only reads, are constants of the graph; where one of them
has been written to since, the calls are read again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from drawloom.errors import Fault, Unsupported
from drawloom.frontends.torch.library import torch
from drawloom.frontends.torch.read import Traced, read_traced
from drawloom.frontends.torch.table import decompositions
from drawloom.frontends.torch.values import array_of, tensor_of, type_of
from drawloom.graph.ir import Array

Runner = Callable[[Mapping[str, Array]], Mapping[str, Array]]
Make = Callable[[Traced], Runner]

_MOST_KEPT = 8
_PARTS = re.compile(r"_modules_|_parameters_|_buffers_")


def compiled(module: Any, examples: Sequence[Any], make: Make, name: str) -> Any:
    """Return a function that computes what a traced module does.

    Args:
        module: a ``torch.fx.GraphModule`` as Dynamo gives it to a backend.
        examples: its arguments, as Dynamo gives them.
        make: gives for a graph the function that runs it.
        name: what the graphs are called.

    Raises:
        Unsupported: gradients are wanted (``torch.gradients``), or a double precision value is
            (``torch.inputs``); when it runs, as ``read_traced``.
    """
    lib = torch()
    if lib.is_grad_enabled() and any(getattr(e, "requires_grad", False) for e in examples):
        fault = Fault("gradients", "an input or a parameter wants one", "torch.no_grad()")
        raise Unsupported("torch.gradients", "drawloom computes no gradients", [fault])
    _keep_whole(module)
    titles = [_title(n.name) for n in module.graph.nodes if n.op == "placeholder"]
    aot = lib._functorch.aot_autograd

    def compiler(inner: Any, fakes: Sequence[Any]) -> Any:
        return Compiled(inner, make, name, _constants(titles, fakes))

    table = dict(decompositions().items())
    with lib.no_grad():
        return aot.aot_module_simplified(
            module,
            list(examples),
            fw_compiler=compiler,
            inference_compiler=compiler,
            decompositions=table,
        )


def _title(word: str) -> str:
    """Return a parameter's name in the model, of the word that Dynamo has for it."""
    parts = _PARTS.split(word)
    return ".".join(parts[1:]).removesuffix("_") or word


def _constants(titles: Sequence[str], fakes: Sequence[Any]) -> dict[int, str]:
    """Return which arguments are constants, each with its name."""
    context = torch()._guards.TracingContext.try_get()
    facts = context.fw_metadata if context is not None else None
    if facts is None or len(titles) != len(fakes):
        return {}
    still = [i for i in facts.static_input_indices if not facts.input_info[i].mutates_data]
    return {int(i): str(titles[i]) for i in still}


@dataclass(slots=True)
class Compiled:
    """The calls of one traced module, and the programs that they became.

    Attributes:
        module: calls of ATen.
        make: gives for a graph the function that runs it.
        name: what the graphs are called.
        constants: the arguments that are constants, each with its name.
    """

    module: Any
    make: Make
    name: str
    constants: Mapping[int, str]
    _kept: dict[Any, tuple[Traced, Runner]] = field(
        default_factory=dict[Any, tuple[Traced, "Runner"]]
    )

    def __post_init__(self) -> None:
        """Refuse doubles: the chip has none, and the results would be others."""
        faults = [
            Fault(f"'{node.name}'", "float64", "float32 or narrower")
            for node in self._ends()
            if getattr(node.meta.get("val"), "dtype", None) is torch().float64
        ]
        if faults:
            raise Unsupported("torch.inputs", "double precision is not computed here", faults)

    def __call__(self, *args: Any) -> list[Any]:
        """Return the module's results for these arguments."""
        traced, run = self._program(args)
        fed = [
            (n, array_of(args[i])) for n, i in zip(traced.graph.inputs, traced.inputs, strict=True)
        ]
        made = run(dict(fed))
        known = self._symbols(args)
        values = zip(traced.results, self._results(), strict=True)
        return [_as_result(value, made, node, known) for value, node in values]

    def _results(self) -> list[Any]:
        (output,) = (n for n in self.module.graph.nodes if n.op == "output")
        return list(output.args[0])

    def _places(self) -> list[Any]:
        return [n for n in self.module.graph.nodes if n.op == "placeholder"]

    def _ends(self) -> list[Any]:
        """Return the placeholders and results that are nodes."""
        return [n for n in (*self._places(), *self._results()) if hasattr(n, "meta")]

    def _program(self, args: Sequence[Any]) -> tuple[Traced, Runner]:
        key = tuple(self._key(i, a) for i, a in enumerate(args))
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            operands = [self._operand(i, a) for i, a in enumerate(args)]
            traced = read_traced(self.module, operands, self.name)
            self._kept[key] = traced, self.make(traced)
        return self._kept[key]

    def _is_constant(self, i: int, argument: Any) -> bool:
        """Whether an argument is a constant whose changes can be seen."""
        return i in self.constants and not argument.is_inference()

    def _key(self, i: int, argument: Any) -> Any:
        if not isinstance(argument, torch().Tensor):
            return argument
        if self._is_constant(i, argument):
            return argument.data_ptr(), argument._version
        return tuple(argument.shape)

    def _operand(self, i: int, argument: Any) -> Any:
        """Return an argument as ``read_traced`` takes it."""
        if not isinstance(argument, torch().Tensor):
            return argument
        return (
            (self.constants[i], argument) if self._is_constant(i, argument) else type_of(argument)
        )

    def _symbols(self, args: Sequence[Any]) -> dict[Any, int]:
        """Return the number for each symbolic dim, for these arguments."""
        known: dict[Any, int] = {}
        for node, argument in zip(self._places(), args, strict=True):
            value = node.meta.get("val")
            if hasattr(value, "node"):
                known[value.node.expr] = argument
            elif hasattr(value, "shape"):
                rows = zip(value.shape, argument.shape, strict=True)
                known |= {d.node.expr: int(size) for d, size in rows if hasattr(d, "node")}
        return known


def _as_result(value: Any, made: Mapping[str, Array], node: Any, known: Mapping[Any, int]) -> Any:
    """Return a result as PyTorch expects it, its elements in memory as PyTorch would have them."""
    if not isinstance(value, str):
        return value
    tensor = tensor_of(made[value])
    strides = [_number(s, known) for s in node.meta["val"].stride()]
    if tensor.numel() == 0 or list(tensor.stride()) == strides:
        return tensor
    laid = torch().empty_strided(tensor.shape, strides, dtype=tensor.dtype)
    return laid.copy_(tensor)


def _number(dim: Any, known: Mapping[Any, int]) -> int:
    return int(dim.node.expr.subs(known)) if hasattr(dim, "node") else int(dim)


# --- what stays whole ------------------------------------------------------------

_WHOLE = {
    "linear": "(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
    "scaled_dot_product_attention": (
        "(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, "
        "bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor"
    ),
}
"""Functions that ``aot_autograd`` would take apart, whatever table it is given."""


@cache
def _operators() -> dict[Any, Any]:
    """Return for each function of ``_WHOLE`` an operator that stays as it is."""
    lib = torch()
    made: dict[Any, Any] = {}
    for word, schema in _WHOLE.items():
        function = getattr(lib.nn.functional, word)
        own = lib.library.custom_op(f"drawloom::{word}", function, mutates_args=(), schema=schema)
        own.register_fake(function)
        made[function] = getattr(lib.ops.drawloom, word).default
    return made


def _keep_whole(module: Any) -> None:
    """Put those operators into Dynamo's module in place of the functions."""
    for part in module.modules():
        nodes = getattr(getattr(part, "graph", None), "nodes", ())
        found = [n for n in nodes if n.op == "call_function" and n.target in _operators()]
        for node in found:
            node.target = _operators()[node.target]
        if found:
            part.recompile()
