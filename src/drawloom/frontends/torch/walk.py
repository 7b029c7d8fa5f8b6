"""ATen calls in order become nodes of a draft; what cannot is listed, all of it."""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from drawloom.errors import Fault, InputError
from drawloom.frontends.draft import Draft, Refused
from drawloom.frontends.torch.call import Call, Value
from drawloom.frontends.torch.library import torch
from drawloom.frontends.torch.rules import ADVICE, RULES
from drawloom.frontends.torch.values import dtype_of, held
from drawloom.graph.dtypes import DType

# Operators of PyTorch that only run what they are given.
_WRAPPERS = ("wrap_with_set_grad_enabled", "wrap_with_autocast", "invoke_subgraph")
_OVERLOADS = {"aten.view.dtype": "aten.view_bits"}
_POSITION = re.compile(r"(?<=\.)\d+(?=\.|$)|^\d+(?=\.|$)")
_DYNAMO = re.compile(r"^L\['\w+'\]\.?")


class Lost:
    """Stands for the result of a call that was refused: what reads it is not reported again."""


LOST = Lost()
Place = tuple[str, str, str, str]
"""A module's path with ``*`` for its positions, an operator, what was found, what is allowed."""


@dataclass(slots=True)
class Walk:
    """Puts the calls of a traced module into a draft.

    Attributes:
        draft: the graph in the making.
        name_of: gives what a constant of a module is called.
        faults: how many calls were refused, by place and reason.
        weights: the constants that cannot be read.
        sound: whether every fault so far is drawloom's limit.
    """

    draft: Draft
    faults: Counter[Place] = field(default_factory=Counter[Place])
    weights: list[Fault] = field(default_factory=list[Fault])
    sound: bool = True

    def run(self, module: Any, operands: Sequence[Any], prefix: str = "") -> list[Any]:
        """Return the results of a traced module for its operands.

        Args:
            module: a GraphModule of ATen calls.
            operands: for each placeholder a ``Value``, a number, a list of these, None or a
                function that gives one when it is first read.
            prefix: the layer that calls the module.
        """
        live = live_nodes(module.graph)
        known: dict[Any, Any] = {}
        given = iter(operands)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                operand = next(given)
                wanted = node in live
                known[node] = operand() if callable(operand) and wanted else operand
            elif node.op == "output":
                return [self._resolved(known, v) for v in _flat(node.args[0])]
            elif node not in live:
                continue
            elif node.op == "get_attr":
                known[node] = self._attribute(module, str(node.target))
            else:
                known[node] = self._node(node, known, prefix, live)
        raise AssertionError("a traced module has an output")

    def constant(self, name: str, tensor: Any) -> Value | Lost:
        """Add a weight; its fault is listed where it cannot be read."""
        try:
            return Value(self.draft.constant(name, held(tensor, name)))
        except Refused as refused:
            self.weights.append(Fault(f"weight '{name}'", refused.found, refused.allowed))
            return LOST

    def _attribute(self, module: Any, path: str) -> Any:
        found = operator.attrgetter(path)(module)
        return self.constant(path, found) if isinstance(found, torch().Tensor) else found

    def _resolved(self, known: Mapping[Any, Any], argument: Any) -> Any:
        """Return an argument with values in place of the nodes it names."""
        lib = torch()
        if isinstance(argument, lib.fx.Node):
            return known[argument]
        if isinstance(argument, (list, tuple)):
            return [self._resolved(known, a) for a in argument]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(argument, lib.dtype):
            return dtype_of(argument)
        return argument

    def _node(self, node: Any, known: Mapping[Any, Any], prefix: str, live: set[Any]) -> Any:
        """Return the result of a call: a value, a list of them, a number, or ``LOST``."""
        layer = layer_of(node) or prefix
        op = op_of(node.target)
        try:
            args = [self._resolved(known, a) for a in node.args]
            named = {k: self._resolved(known, a) for k, a in node.kwargs.items()}
            if _is_lost([*args, *named.values()]):
                if hasattr(node.target, "_schema") and op not in RULES:
                    raise unknown(op)
                return LOST
            return self._made(node, op, args, named, layer, live)
        except Refused as refused:
            self.sound &= refused.sound
            self._refuse(layer or node.name, op, refused.found, refused.allowed)
        except InputError as error:
            for fault in error.faults:
                self._refuse(layer or node.name, op, f"{fault.path} {fault.value}", fault.allowed)
        return LOST

    def _refuse(self, layer: str, op: str, found: str, allowed: str) -> None:
        self.faults[_POSITION.sub("*", layer), op, found, allowed] += 1

    def _made(
        self,
        node: Any,
        op: str,
        args: list[Any],
        named: Mapping[str, Any],
        layer: str,
        live: set[Any],
    ) -> Any:
        if op.split(".")[-1] in _WRAPPERS:
            inner = next(i for i, a in enumerate(args) if hasattr(a, "graph"))
            rest = [a for a in args[inner + 1 :] if not isinstance(a, str) or isinstance(a, Value)]
            return self.run(args[inner], rest, layer)
        if not hasattr(node.target, "_schema"):
            return _python(op, node.target, args)
        bound = bound_arguments(node.target, args, named)
        if op in _SIZES:
            return _SIZES[op](self.draft.type(bound["self"]).shape, bound)
        rule = RULES.get(op)
        if rule is None:
            raise unknown(op)
        call = self._call(node, op, bound, layer, live)
        results = rule(call)
        _check(self.draft, call, results)
        values = [Value(r) if r else None for r in results]
        return values[0] if _is_single(node.target) else values

    def _call(
        self, node: Any, op: str, bound: Mapping[str, Any], layer: str, live: set[Any]
    ) -> Call:
        word = op.split(".")[-1].strip("_")
        made = [_dtype(v) for v in _flat(node.meta.get("val"))]
        return Call(
            draft=self.draft,
            layer=layer or node.name,
            label=f"{layer}.{word}" if layer else node.name,
            op=op,
            arguments=bound,
            made=tuple(made),
            used=_used(node, len(made), live),
            promoted=partial(_promoted, node),
        )


def is_known(graph: Any) -> bool:
    """Return whether every call that the results depend on has a rule of its own."""
    calls = [n for n in live_nodes(graph) if n.op == "call_function"]
    return all(n.target is operator.getitem or _has_rule(n.target) for n in calls)


def _has_rule(target: Any) -> bool:
    return hasattr(target, "_schema") and op_of(target) in RULES


def unknown(op: str) -> Refused:
    """Return the refusal of a call that has no rule, with what to do instead."""
    return Refused("no such operator here", ADVICE.get(op, ""))


def op_of(target: Any) -> str:
    """Return a call's operator without its overload: ``aten.add``."""
    if hasattr(target, "_schema"):
        overload = str(target)
        return _OVERLOADS.get(overload, str(target.overloadpacket))
    if hasattr(target, "namespace"):
        return f"{target.namespace}.{target.name()}"
    return f"{target.__module__.lstrip('_')}.{target.__name__}"


def layer_of(node: Any) -> str:
    """Return the path of the module in which a call was traced; "" at the top."""
    stack = stack_of(node)
    return _DYNAMO.sub("", stack[-1][0]) if stack else ""


def stack_of(node: Any) -> list[tuple[str, Any]]:
    """Return the modules a call was traced in, the outermost first: path and class."""
    stack: dict[Any, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    return list(stack.values())


def bound_arguments(target: Any, args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by the names of its schema, defaults filled in."""
    bound: dict[str, Any] = {}
    for i, argument in enumerate(target._schema.arguments):
        if i < len(args):
            bound[argument.name] = args[i]
        elif argument.name in named:
            bound[argument.name] = named[argument.name]
        else:
            bound[argument.name] = argument.default_value
    return bound


def _size(shape: tuple[int, ...], bound: Mapping[str, Any]) -> Any:
    return shape[int(bound["dim"])] if "dim" in bound else list(shape)


def _count(shape: tuple[int, ...], _: Mapping[str, Any]) -> int:
    return math.prod(shape)


_SIZES = {"aten.sym_size": _size, "aten.sym_numel": _count, "aten.numel": _count}


def _python(op: str, function: Any, args: Sequence[Any]) -> Any:
    """Return the result of plain Python between tensors: an element of a list, a computed dim."""
    if function is operator.getitem:
        return args[0][args[1]]
    if any(not isinstance(a, (bool, int, float)) for a in args):
        raise Refused("a call that is not of ATen", "numbers only outside ATen")
    return function(*args)


def _check(draft: Draft, call: Call, results: Sequence[str]) -> None:
    """A rule gives the element types that PyTorch gives."""
    for value, dtype, used in zip(results, call.made, call.used, strict=False):
        if value and dtype is not None and used:
            assert draft.type(value).dtype is dtype, (call.op, draft.type(value).text(), dtype)


def _is_single(target: Any) -> bool:
    returns = target._schema.returns
    return len(returns) == 1 and not str(returns[0].type).startswith("List")


def _is_lost(arguments: Sequence[Any]) -> bool:
    return any(
        isinstance(a, Lost) or (isinstance(a, list) and _is_lost(a))  # pyright: ignore[reportUnknownArgumentType]
        for a in arguments
    )


def _flat(values: Any) -> list[Any]:
    return list(values) if isinstance(values, (list, tuple)) else [values]  # pyright: ignore[reportUnknownArgumentType]


def _dtype(value: Any) -> DType | None:
    return dtype_of(value.dtype) if hasattr(value, "dtype") else None


def _promoted(node: Any, *keys: str) -> DType:
    """Return the dtype in which PyTorch computes with these arguments."""
    bound = bound_arguments(node.target, node.args, node.kwargs)
    values = [v.meta["val"] if hasattr(v, "meta") else v for v in (bound[k] for k in keys)]
    return dtype_of(torch().result_type(*values))


def _used(node: Any, count: int, live: set[Any]) -> tuple[bool, ...]:
    """Return which of a call's results anything reads."""
    users = [u for u in node.users if u in live]
    if any(u.target is not operator.getitem for u in users):
        return (True,) * count
    indices = {u.args[1] for u in users}
    return tuple(i in indices for i in range(count))


def live_nodes(graph: Any) -> set[Any]:
    """Return the nodes that the outputs depend on."""
    live: set[Any] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in live:
            live.add(node)
            live.update(node.all_input_nodes)
    return live
