"""Activations recognised in the arithmetic exporters write, however they bracket it.

Each is a polynomial in x and one inner function of x: the tree of sums and
products is multiplied out and compared with the polynomial that it should be.

    Gelu        0.5 x + 0.5 x e              e = erf(x / sqrt 2), or its tanh form
    Silu        x e                          e = sigmoid(a x)
    HardSwish   x e / 6                      e = clip(x + 3, 0, 6)
    HardSwish   x e                          e = hardsigmoid(x), alpha 1/6, beta 1/2
    Mish        x e                          e = tanh(softplus(x))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from drawloom.frontends.rewrite.edit import Edit, rewrite
from drawloom.frontends.rewrite.match import number
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Attr, Graph, Node

Powers = tuple[int, int]
Polynomial = dict[Powers, float]

_DEEPEST = 8
_INNER = ("Erf", "Tanh", "Sigmoid", "HardSigmoid", "Clip")
_ROOT_HALF = math.sqrt(0.5)
_ROOT_PI = math.sqrt(2.0 / math.pi)
_WRITTEN = 2e-4
"""How far a constant may be off: some exporters write four digits."""
_HALF = 4e-3
"""The same where constants are in half precision."""


@dataclass(frozen=True, slots=True)
class FuseActivations:
    """Make one node of Gelu, Silu, HardSwish and Mish."""

    name: ClassVar[str] = "fuse-activations"

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with activations as one node each."""
        return rewrite(graph, self._rule)

    def _rule(self, edit: Edit, node: Node) -> Sequence[str] | None:
        if node.op not in ("Mul", "Div", "Add"):
            return None
        for inner in _inner_nodes(edit, node, _DEEPEST // 2):
            for x in dict.fromkeys(_leaves(edit, inner.inputs[0], _DEEPEST)):
                found = _activation(edit, node, inner, x)
                if found is not None and edit.shape(x) == edit.result(node).shape:
                    return [edit.emit(found[0], (x,), node, **found[1])]
        return None


def _inner_nodes(edit: Edit, node: Node, depth: int) -> Iterator[Node]:
    """Yield the inner functions that a tree of sums and products reaches."""
    for value in dict.fromkeys(node.inputs):
        made = edit.producer(value, *_INNER, "Mul", "Div", "Add", "Sub")
        if made is None:
            continue
        if made.op in _INNER:
            yield made
        elif depth > 0:
            yield from _inner_nodes(edit, made, depth - 1)


def _leaves(edit: Edit, value: str, depth: int) -> Iterator[str]:
    """Yield what the argument of an inner function may be a polynomial of."""
    if edit.array(value) is not None:
        return
    yield value
    made = edit.producer(value, "Mul", "Div", "Add", "Sub", "Pow", "Softplus")
    if made is not None and depth > 0:
        for operand in made.inputs:
            yield from _leaves(edit, operand, depth - 1)


def _activation(edit: Edit, node: Node, inner: Node, x: str) -> tuple[str, dict[str, Attr]] | None:
    """Return the operator and attributes of a node, where it is an activation of x."""
    names = {x: (1, 0), inner.outputs[0]: (0, 1)}
    whole = polynomial(edit, node.outputs[0], names, _DEEPEST, node)
    if whole is None:
        return None
    near = _HALF if edit.type(x).dtype in (DType.F16, DType.BF16) else _WRITTEN
    argument = polynomial(edit, inner.inputs[0], {x: (1, 0)}, _DEEPEST) or {}
    match inner.op:
        case "Erf" | "Tanh" if _is(whole, {(1, 0): 0.5, (1, 1): 0.5}, near):
            return _gelu(inner.op, argument, near)
        case "Sigmoid" if _is(whole, {(1, 1): 1.0}) and set(argument) == {(1, 0)}:
            alpha = argument[(1, 0)]
            return "Silu", {} if alpha == 1.0 else {"alpha": alpha}
        case "HardSigmoid" if _is(whole, {(1, 1): 1.0}) and inner.inputs[0] == x:
            slope, middle = inner.float("alpha", 0.2), inner.float("beta", 0.5)
            return (
                ("HardSwish", {})
                if math.isclose(slope, 1 / 6, rel_tol=near) and middle == 0.5
                else None
            )
        case "Clip" if _is(whole, {(1, 1): 1 / 6}, near):
            bounds = (inner.attrs.get("min"), inner.attrs.get("max"))
            same = _is(argument, {(1, 0): 1.0, (0, 0): 3.0}) and bounds == (0, 6)
            return ("HardSwish", {}) if same else None
        case "Tanh" if _is(whole, {(1, 1): 1.0}):
            soft = edit.producer(inner.inputs[0], "Softplus")
            return ("Mish", {}) if soft is not None and soft.inputs[0] == x else None
        case _:
            return None


def _gelu(op: str, argument: Polynomial, near: float) -> tuple[str, dict[str, Attr]] | None:
    if op == "Erf":
        return ("Gelu", {}) if _is(argument, {(1, 0): _ROOT_HALF}, near) else None
    cubic = {(1, 0): _ROOT_PI, (3, 0): _ROOT_PI * 0.044715}
    return ("Gelu", {"approximate": "tanh"}) if _is(argument, cubic, near) else None


def _is(found: Polynomial, wanted: Polynomial, near: float = 0.0) -> bool:
    return set(found) == set(wanted) and all(
        math.isclose(found[k], wanted[k], rel_tol=near) for k in wanted
    )


def polynomial(
    edit: Edit, value: str, names: dict[str, Powers], depth: int, root: Node | None = None
) -> Polynomial | None:
    """Return a value multiplied out in the named variables, None where it is no polynomial."""
    if value in names:
        return {names[value]: 1.0}
    constant = number(edit, value)
    if constant is not None:
        return {(0, 0): constant}
    node = root or edit.producer(value, "Mul", "Div", "Add", "Sub", "Pow")
    if node is None or depth == 0:
        return None
    a, b = (polynomial(edit, v, names, depth - 1) for v in node.inputs)
    if a is None or b is None:
        return None
    return _combined(node.op, a, b)


def _combined(op: str, a: Polynomial, b: Polynomial) -> Polynomial | None:
    match op:
        case "Add":
            return _sum(a, b, 1.0)
        case "Sub":
            return _sum(a, b, -1.0)
        case "Mul":
            return _product(a, b)
        case _ if set(b) != {(0, 0)}:
            return None
        case "Div":
            divisor = b[(0, 0)]
            return {k: v / divisor for k, v in a.items()} if divisor else None
        case _:
            return _power(a, b[(0, 0)])


def _sum(a: Polynomial, b: Polynomial, sign: float) -> Polynomial:
    total = {k: a.get(k, 0.0) + sign * b.get(k, 0.0) for k in (*a, *b)}
    return {k: v for k, v in total.items() if v}


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for (i, j), v in a.items():
        for (k, m), w in b.items():
            total[(i + k, j + m)] = total.get((i + k, j + m), 0.0) + v * w
    return {k: v for k, v in total.items() if v}


def _power(a: Polynomial, exponent: float) -> Polynomial | None:
    if exponent not in (1.0, 2.0, 3.0):
        return None
    total: Polynomial = {(0, 0): 1.0}
    for _ in range(int(exponent)):
        total = _product(total, a)
    return total
