"""What a graph means: its values for given inputs, in NumPy.

Two readings. The plain one rounds every node's result once to its dtype: it
is what the model says. The wide one keeps every float value in float64: it is
the yardstick that error bounds are stated against.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from drawloom.errors import Fault, InputError, nearest
from drawloom.graph import rounding
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, Node, TensorType
from drawloom.graph.ops import OPS


def evaluate(
    graph: Graph,
    inputs: Mapping[str, Array],
    *,
    wide: bool = False,
    keep: Collection[str] | None = None,
) -> dict[str, Array]:
    """Return the graph's outputs, and the values named in ``keep``, by name.

    Args:
        graph: what to evaluate.
        inputs: an array for each graph input, of exactly its dtype and shape.
        wide: evaluate every float value in float64, without rounding to f32,
            f16 or bf16 anywhere; float outputs are then float64.
        keep: further values wanted besides the outputs.

    Raises:
        InputError: inputs are missing, unknown, or of the wrong dtype or
            shape (kind ``run.inputs``, all at once), or an index among the
            values lies outside its tensor (``graph.index``).
    """
    check_inputs(graph, inputs)
    wanted = set(graph.outputs) | set(keep or ())
    assert wanted <= set(graph.types), sorted(wanted - set(graph.types))
    values: dict[str, Array] = {}
    for name in graph.inputs:
        values[name] = widened(inputs[name]) if wide else inputs[name]
    left = {v: len(nodes) for v, nodes in graph.consumers().items()}
    for node in graph.nodes:
        arrays = tuple(_read(graph, values, v, wide) if v else None for v in node.inputs)
        made = evaluate_node(node, arrays, wide=wide)
        values.update((v, a) for v, a in zip(node.outputs, made, strict=False) if v)
        for value in dict.fromkeys(node.inputs):
            left[value] = left.get(value, 0) - 1
            if left[value] == 0 and value not in wanted:
                values.pop(value, None)
    order = [v for v in graph.types if v in wanted]
    return {v: _read(graph, values, v, wide) for v in order}


def _read(graph: Graph, values: Mapping[str, Array], name: str, is_wide: bool) -> Array:
    if name in values:
        return values[name]
    array = graph.constants[name]
    return widened(array) if is_wide else array


def evaluate_node(
    node: Node, arrays: tuple[Array | None, ...], *, wide: bool = False
) -> tuple[Array, ...]:
    """Return one node's outputs for its operands' values (absent ones None)."""
    with np.errstate(all="ignore"):
        return OPS[node.op].evaluate(_widened_node(node) if wide else node, arrays)


def widened(array: Array) -> Array:
    """Return floats in float64, anything else as it is."""
    return rounding.wide(array) if rounding.is_float(array.dtype) else array


def _widened_node(node: Node) -> Node:
    """Return the node with float dtypes among its attributes replaced by f64."""
    floats = {d.value for d in DType if d.is_float}
    attrs = {
        key: "f64" if key in ("to", "dtype") and value in floats else value
        for key, value in node.attrs.items()
    }
    return Node(node.name, node.op, node.inputs, node.outputs, attrs, node.layer)


def check_inputs(graph: Graph, inputs: Mapping[str, Array]) -> None:
    """Raise one InputError (kind ``run.inputs``) that names every faulty input."""
    faults: list[Fault] = []
    for name in graph.inputs:
        kind = graph.types[name]
        if name not in inputs:
            faults.append(Fault(name, "missing", f"needs {kind.text()}"))
        elif not _is_of(kind, inputs[name]):
            faults.append(Fault(name, _shown(inputs[name]), f"needs {kind.text()}"))
    for name in inputs:
        if name not in graph.inputs:
            faults.append(Fault(name, "not an input", nearest(name, graph.inputs)))
    if faults:
        raise InputError("run.inputs", f"graph '{graph.name}' cannot run on these inputs", faults)


def _shown(array: Array) -> str:
    """Return an array's type; a dtype no graph may hold keeps NumPy's name."""
    try:
        return TensorType(DType.of(array.dtype), array.shape).text()
    except KeyError:
        return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def _is_of(kind: TensorType, array: Array) -> bool:
    return array.dtype == kind.dtype.numpy and array.shape == kind.shape
