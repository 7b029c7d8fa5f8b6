"""Whether drawloom deals with a mutant as it should: one clear error, or a right answer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from safetensors import SafetensorError, safe_open

from drawloom.errors import DoesNotFit, InputError
from drawloom.frontends.onnx import read_onnx
from drawloom.frontends.weights.gguf.config import gguf_config
from drawloom.frontends.weights.open import open_weights
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType

# Larger graphs are read, but not evaluated: a mutant may well ask for a gigabyte.
MOST_ELEMENTS = 1 << 18
MOST_LINES = 400
Tell = Callable[[str], None]


class Wrong(Exception):
    """A mutant that was read otherwise than the format's own reader reads it."""


def judge(path: Path, tell: Tell) -> str:
    """Return ``refused``, ``read`` or ``agrees`` for the mutant at ``path``.

    Args:
        path: the mutant, alone in its folder but for what it may ask for.
        tell: called with ``theirs`` before another's reader is called, which may crash.

    Raises:
        Wrong: it was read, and not as another reader of the format reads it.
        Exception: anything but an error for a person; that is what is looked for.
    """
    try:
        return JUDGES[path.suffix](path, tell)
    except (DoesNotFit, InputError) as error:
        text = error.text()
        if not text.startswith("error[") or text.count("\n") > MOST_LINES:
            raise Wrong(f"an unclear message: {text[:200]!r}") from error
        return "refused"


# --- safetensors --------------------------------------------------------------


def _safetensors(path: Path, tell: Tell) -> str:
    weights = open_weights(path)
    made = {}
    for name in weights:
        try:
            made[name] = weights[name].read()
        except InputError as error:
            if error.kind != "weights.dtype":
                raise
    tell("theirs")
    try:
        with safe_open(path, "numpy") as package:
            if set(package.keys()) != set(weights):
                raise Wrong("other names than the safetensors package has")
            for name, values in made.items():
                if weights[name].type.dtype.is_code:
                    continue  # NumPy alone has no floats of eight bits
                _same_bits(name, values, package.get_tensor(name))
    except SafetensorError as error:
        if len(made) < len(weights):
            return "read"  # of a format that it does not know either, and refuses at once
        raise Wrong(f"the safetensors package refuses it: {error}") from error
    return "agrees"


def _same_bits(name: str, made: np.ndarray, theirs: np.ndarray) -> None:
    if made.dtype == np.bool_:
        theirs = theirs.view(np.uint8) != 0
    if (made.dtype, made.shape, made.tobytes()) != (theirs.dtype, theirs.shape, theirs.tobytes()):
        raise Wrong(f"tensor '{name}' has other values than in the safetensors package")


# --- GGUF ---------------------------------------------------------------------


def _gguf(path: Path, tell: Tell) -> str:
    try:
        config = gguf_config(path)
        assert all(value is not None for key, value in config.items() if key != "rope_scaling")
    except InputError:
        pass
    weights = open_weights(path)
    for name in weights:
        try:
            values = weights[name].read()
        except InputError as error:
            if error.kind != "weights.dtype":
                raise
        else:
            assert values.shape == weights[name].shape
    return "read"


# --- ONNX ---------------------------------------------------------------------


def _onnx(path: Path, tell: Tell) -> str:
    graph = read_onnx(path)
    if any(kind.size > MOST_ELEMENTS for kind in graph.types.values()):
        return "read"
    feeds = {name: _values(name, graph.types[name]) for name in graph.inputs}
    made = evaluate(graph, feeds)
    for name in graph.outputs:
        kind = graph.types[name]
        assert (made[name].dtype, made[name].shape) == (kind.dtype.numpy, kind.shape), name
    tell("theirs")
    theirs = _runtime(path, graph, feeds)
    if theirs is None:
        return "read"
    for name in graph.outputs:
        _close(name, made[name], theirs[name])
    return "agrees"


def _values(name: str, kind: TensorType) -> np.ndarray:
    rng = np.random.default_rng(len(name) + kind.size)
    if kind.dtype.is_float:
        return rng.uniform(-2, 2, kind.shape).astype(kind.dtype.numpy)
    return rng.integers(0, 2, kind.shape).astype(kind.dtype.numpy)


def _runtime(path: Path, graph: Graph, feeds: Mapping[str, np.ndarray]) -> Mapping[str, Any] | None:
    """Return what ONNX Runtime computes, or None where it does not take the model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        asked = {i.name for i in session.get_inputs()}
        given = {name: values for name, values in feeds.items() if name in asked}
        return dict(zip(graph.outputs, session.run(list(graph.outputs), given), strict=True))
    except Exception:  # its own exceptions have no common base
        return None


def _close(name: str, made: np.ndarray, theirs: Any) -> None:
    """Compare where the numbers are such that formats decide nothing."""
    theirs = np.asarray(theirs)
    if theirs.dtype != made.dtype or theirs.shape != made.shape:
        found = f"{made.dtype}{made.shape}, not {theirs.dtype}{theirs.shape}"
        raise Wrong(f"output '{name}' is {found}")
    ours, other = made.astype(np.float64), theirs.astype(np.float64)
    fine = np.isfinite(ours) & np.isfinite(other) & (np.abs(other) < 1e6)
    rough = made.dtype.itemsize <= 2 and made.dtype.kind not in "iub"
    step = 1 if made.dtype.itemsize == 1 and made.dtype.kind in "iu" else 0
    scale = float(np.abs(other[fine]).max(initial=1.0))
    tolerance = max((2e-2 if rough else 1e-4) * scale, step)
    if np.any(np.abs(ours - other)[fine] > tolerance):
        worst = float(np.abs(ours - other)[fine].max())
        raise Wrong(f"output '{name}' is {worst:g} off ONNX Runtime's, of {scale:g}")


JUDGES: dict[str, Callable[[Path, Tell], str]] = {
    ".safetensors": _safetensors,
    ".gguf": _gguf,
    ".onnx": _onnx,
}
warnings.simplefilter("ignore")
