"""ONNX in, graph out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnx import ModelProto

from drawloom.errors import InputError, Unsupported
from drawloom.frontends.draft import Draft, renamed
from drawloom.frontends.onnx.dims import bind_inputs
from drawloom.frontends.onnx.file import load_model, opset_of
from drawloom.frontends.onnx.walk import Scope, Walk, live_nodes
from drawloom.graph.build import GraphBuilder
from drawloom.graph.ir import Graph, TensorType

_FEW = 8


def read_onnx(
    source: str | Path | bytes | ModelProto,
    dims: Mapping[str, int] | None = None,
    name: str | None = None,
) -> Graph:
    """Return an ONNX model as a graph: shapes settled, constants computed.

    Every value keeps its name in the model, every node's ``layer`` is its name
    there (``<operator>_<position>`` where it has none). Arithmetic on shapes
    and on constants is done here and leaves no nodes.

    Args:
        source: a path, a file's bytes, or the model itself. Data in other
            files is found only beside a path.
        dims: the number for each symbolic dim.
        name: the graph's name; the file's or the model's by default.

    Raises:
        InputError: the file is no sound ONNX model (``onnx.file``,
            ``onnx.graph``, ``onnx.weights``, ``onnx.nodes``), or its inputs are not settled
            (``onnx.inputs``).
        Unsupported: the model has nodes drawloom cannot read (``onnx.nodes``,
            all of them at once), or is too new (``onnx.opset``).
    """
    model, folder = load_model(source)
    title = name or _title(source, model)
    walk, scope = _walked(model, folder, dims or {}, title)
    if walk.faults or walk.weights:
        raise _error(walk, title)
    return _finish(walk.draft.builder, scope.names, [o.name for o in model.graph.output])


def steering_inputs(
    source: str | Path | bytes | ModelProto, dims: Mapping[str, int] | None = None
) -> frozenset[str]:
    """Return the inputs whose numbers a model's nodes must know before it can be read.

    A Reshape's shape, a Slice's bounds, an If's condition: they decide shapes. Once these inputs
    are constants, others may come to light behind them. Only whole numbers, truth values and
    lists of up to eight floats steer.

    Raises:
        InputError: as ``read_onnx``, for the file and for its inputs.
    """
    model, folder = load_model(source)
    walk, _ = _walked(model, folder, dims or {}, _title(source, model))
    builder = walk.draft.builder
    maker = {value: node for node in builder.nodes for value in node.outputs}
    found, todo = set[str](), list(walk.unknown)
    seen = set[str]()
    while todo:
        value = todo.pop()
        if value in seen:
            continue
        seen.add(value)
        if value in builder.inputs:
            found.add(value)
        elif value in maker:
            todo += [v for v in maker[value].inputs if v]
    return frozenset(v for v in found if _steers(builder.types[v]))


def _steers(kind: TensorType) -> bool:
    return not kind.dtype.is_float or kind.size <= _FEW


def _walked(
    model: ModelProto, folder: Path | None, dims: Mapping[str, int], title: str
) -> tuple[Walk, Scope]:
    """Return the walk through all nodes, with its faults, and the names it leaves."""
    graph = model.graph
    initial = {t.name for t in graph.initializer}
    initial |= {t.values.name for t in graph.sparse_initializer}
    kinds = bind_inputs([i for i in graph.input if i.name not in initial], dims)
    draft = Draft(title)
    for value, kind in kinds.items():
        draft.builder.input(value, kind)
    walk = Walk(draft, folder, {(f.domain, f.name): f for f in model.functions})
    scope = Scope({v: v for v in kinds}, opset_of(model))
    outputs = [o.name for o in graph.output]
    walk.constants(graph, scope, live_nodes(graph.node, outputs)[1])
    walk.nodes(graph.node, outputs, scope)
    return walk, scope


def _title(source: str | Path | bytes | ModelProto, model: ModelProto) -> str:
    if isinstance(source, (str, Path)):
        return Path(source).stem
    return model.graph.name or "model"


def _error(walk: Walk, title: str) -> InputError:
    """Return the error that lists every weight and node at fault."""
    counts = ((len(walk.weights), "weight"), (len({f.path for f in walk.faults}), "node"))
    parts = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in counts if n]
    kind = "onnx.nodes" if walk.faults else "onnx.weights"
    faults = [*walk.weights, *walk.faults]
    if walk.sound:
        summary = f"{' and '.join(parts)} of model '{title}' cannot be read"
        return Unsupported(kind, summary, faults)
    return InputError(kind, f"{' and '.join(parts)} of model '{title}' not well formed", faults)


def _finish(builder: GraphBuilder, names: Mapping[str, str], outputs: list[str]) -> Graph:
    """Return the graph with the model's own names for values, outputs above all."""
    wanted = {value: value for value in builder.inputs}
    for output in outputs:
        value = names[output]
        if wanted.get(value, output) != output:
            value = builder.add("Identity", (value,), name=output)
        wanted[value] = output
    for original, value in names.items():
        wanted.setdefault(value, original)
    ends = {output: value for value, output in wanted.items() if output in outputs}
    return renamed(builder.finish([ends[o] for o in outputs], prune=True), wanted)
