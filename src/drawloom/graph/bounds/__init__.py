"""How far a machine's values may lie from the reference: a bound for every element.

The reference reading of a graph keeps every float in float64 and rounds
nowhere (``evaluate(..., wide=True)``). A machine rounds. For each value x of
the graph these rules carry an error e >= 0 such that any evaluation of the
kind below computes some x' with |x' - x| <= e, element by element:

* each node's float result is rounded to nearest, once, to its dtype
  (|fl(y) - y| <= u |y| + t, u = 2^-11 for f16, 2^-8 for bf16, 2^-24 for f32,
  t half the smallest subnormal; f32 and bf16 may flush subnormals to zero);
* sums of products, and sums, accumulate in float32 in any order: n terms lie
  within gamma_n = n u / (1 - n u) of the sum of their magnitudes; a float32
  product may itself be made of products of shorter numbers (``product_error``);
* steps inside norms, softmax and reductions compute in float32; steps inside
  activations, and a product before its bias is added, may round to the
  tensor's own format, its subnormals included;
* exp, log, sin, tanh, sigmoid and their like are within ``function_ulps`` units in
  the last place of float32 of the true value, quotients and roots within
  ``divide_ulps``, erf within ``erf_error`` (``Machine``).

Derivation, for an operator f on x' = x + d, |d| <= e. The machine's result
differs from f(x) by at most |f(x') - f(x)| plus its own rounding at f(x').
The first part is, for sums of products, |A| eB + eA |B| + eA eB; for functions
that are monotone between known turning points, the larger move to either end
of [x - e, x + e]; for movement, e moved along; for comparisons and positions,
whatever the operands' intervals leave open (a truth value in doubt has error
1, an index the distance to the farthest rival). The second part is the
machine's relative error times the largest value |f(x)| + first part. Where
nothing can be said the error is inf.

The bounds' own float64 arithmetic, and the reference's, are paid for by
stating every float32 roundoff 2^-20 of itself too large.

Worst-case bounds grow with depth, about as the product of the layers' norms:
``local_bounds`` takes one node with its actual inputs, and stays sharp.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from drawloom.graph.bounds import codes, moves, norms, pairs, pointwise, sums
from drawloom.graph.bounds.model import Bounded, Case, Machine, exact
from drawloom.graph.build import infer_node
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import check_inputs, evaluate_node, widened
from drawloom.graph.ir import Array, Graph, Node, TensorType
from drawloom.graph.rounding import Wide, wide

__all__ = ["FAMILIES", "RULES", "Bounded", "Machine", "bounds", "local_bounds", "node_bounds"]

Rule = Callable[[Case], tuple[Wide, ...]]

FAMILIES: dict[str, dict[str, Rule]] = {
    "codes": codes.RULES,
    "moves": moves.RULES,
    "norms": norms.RULES,
    "pairs": pairs.RULES,
    "pointwise": pointwise.RULES,
    "sums": sums.RULES,
}
RULES: dict[str, Rule] = {
    name: rule for family in FAMILIES.values() for name, rule in family.items()
}


def bounds(
    graph: Graph,
    inputs: Mapping[str, Array],
    machine: Machine | None = None,
    *,
    keep: Collection[str] = (),
) -> dict[str, Bounded]:
    """Return the bounded reference value of each output, and of the values in ``keep``.

    Args:
        graph: what is evaluated.
        inputs: an array for each graph input, of exactly its dtype and shape.
        machine: how exactly the evaluation computes.
        keep: further values wanted besides the outputs.

    Raises:
        InputError: ``run.inputs``, when the inputs do not suit the graph.
    """
    check_inputs(graph, inputs)
    wanted = set(graph.outputs) | set(keep)
    known = {name: exact(widened(inputs[name])) for name in graph.inputs}
    left = {v: len(nodes) for v, nodes in graph.consumers().items()}
    for node in graph.nodes:
        kinds = tuple(graph.types[v] if v else None for v in node.inputs)
        operands = tuple(_read(graph, known, v) if v else None for v in node.inputs)
        made = tuple(graph.types[v] if v else _NOTHING for v in node.outputs)
        found = node_bounds(node, operands, kinds, made, machine or Machine())
        known.update((v, b) for v, b in zip(node.outputs, found, strict=True) if v)
        for value in dict.fromkeys(node.inputs):
            left[value] = left.get(value, 0) - 1
            if left[value] == 0 and value not in wanted:
                known.pop(value, None)
    return {v: _read(graph, known, v) for v in graph.types if v in wanted}


_NOTHING = TensorType(DType.F64, ())


def _read(graph: Graph, known: Mapping[str, Bounded], name: str) -> Bounded:
    return known[name] if name in known else exact(widened(graph.constants[name]))


def local_bounds(
    node: Node, arrays: tuple[Array | None, ...], machine: Machine | None = None
) -> tuple[Bounded, ...]:
    """Return the bounded reference outputs of one node, its operands being exact.

    Args:
        node: what is evaluated.
        arrays: its operands as the machine had them, absent ones None.
        machine: how exactly the evaluation computes.
    """
    kinds = tuple(None if a is None else TensorType(DType.of(a.dtype), a.shape) for a in arrays)
    named = {v: k for v, k in zip(node.inputs, kinds, strict=True) if k is not None}
    operands = tuple(None if a is None else exact(widened(a)) for a in arrays)
    made = infer_node(node, named)
    return node_bounds(node, operands, kinds, made, machine or Machine())


def node_bounds(
    node: Node,
    operands: tuple[Bounded | None, ...],
    kinds: tuple[TensorType | None, ...],
    made: tuple[TensorType, ...],
    machine: Machine,
) -> tuple[Bounded, ...]:
    """Return the bounded reference outputs of one node whose operands are bounded.

    ``kinds`` are the operands' types, ``made`` the outputs' types, as the graph says them.
    """
    arrays = tuple(None if b is None else b.value for b in operands)
    values = evaluate_node(node, arrays, wide=True)[: len(made)]
    if not any(v.size for v in values):
        return tuple(exact(v) for v in values)
    with np.errstate(all="ignore"):
        errors = RULES[node.op](Case(node, machine, operands, kinds, values, made))
    return tuple(_bounded(v, e) for v, e in zip(values, errors, strict=True))


def _bounded(value: Array, error: Wide) -> Bounded:
    """Return the pair; a reference that is NaN says nothing."""
    spread = np.broadcast_to(error, value.shape)
    unknown = np.isnan(spread) | np.isnan(wide(value))
    return Bounded(value, np.where(unknown, np.inf, spread))
