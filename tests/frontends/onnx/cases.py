"""The node cases of the onnx package, read and evaluated."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from drawloom.errors import InputError
from drawloom.frontends.onnx import read_onnx
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph


def node_cases() -> list[Any]:
    """Return every case of one operator that ONNX gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(collect_testcases(None))


def baked(model: ModelProto, values: Mapping[str, Any]) -> ModelProto:
    """Return the model with some inputs made constants."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for name, value in values.items():
        if isinstance(value, (np.ndarray, np.generic)):
            copy.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return copy


def verdict(case: Any, read: Callable[..., Graph] = read_onnx) -> str:
    """Return ``pass``, ``refused ...`` or ``wrong ...`` for one case.

    Operands that a graph holds as attributes (shapes, axes) are inputs in
    these cases; where they are, all inputs but the first are made constants,
    then all of them.
    """
    names = [i.name for i in case.model.graph.input]
    inputs, expected = ([plain(v) for v in values] for values in case.data_sets[0])
    feeds = dict(zip(names, inputs, strict=False))
    dims: dict[str, int] = {}
    for info in case.model.graph.input:
        for i, dim in enumerate(info.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value") or dim.dim_value < 0:
                dims[dim.dim_param or f"{info.name}.{i}"] = feeds[info.name].shape[i]
    word = ""
    for start in (len(names), 1, 0):
        constants = dict(list(feeds.items())[start:])
        try:
            graph = read(baked(case.model, constants), {} if start == 0 else dims)
        except InputError as error:
            word = f"refused {error.text()}"
            continue
        given = {name: np.asarray(feeds[name]) for name in graph.inputs}
        made = evaluate(graph, given)
        return compared([made[o] for o in graph.outputs], expected, case.rtol, case.atol)
    return word


def plain(value: Any) -> Any:
    """Return a value as an array; narrow floats stand as messages in the cases."""
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return value


# One unit in the last place of the narrow formats: they are rounded once here, more often there.
_LOOSE = {"float16": 2e-3, "bfloat16": 1.6e-2}


def compared(made: Sequence[Any], expected: Sequence[Any], rtol: float, atol: float) -> str:
    """Return ``pass``, or what differs."""
    for got, want in zip(made, expected, strict=True):
        if got.dtype != want.dtype or got.shape != want.shape:
            return f"wrong type {got.dtype}{got.shape} for {want.dtype}{want.shape}"
        a, b = (np.asarray(v, np.float64) for v in (got, want))
        rtol = max(rtol, _LOOSE.get(want.dtype.name, 0.0))
        with np.errstate(invalid="ignore"):
            worst = np.nanmax(np.abs(a - b), initial=0.0)
        if not np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True):
            return f"wrong values by {worst:.3g}"
    return "pass"
