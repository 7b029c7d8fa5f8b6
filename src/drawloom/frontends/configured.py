"""A model by its configuration: of the catalog, a folder, a ``config.json`` or a GGUF file.

Where weights lie beside the configuration, or in the same file, they are read late. A model
without is a graph whose weights are types: it can be timed, not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from drawloom.errors import Fault, InputError
from drawloom.frontends.hf import Config, Request, catalog_names, model_graph, read_config
from drawloom.frontends.hf.families import FAMILIES
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.lazy import LazyTensor

_CONFIG = "config.json"


def is_configured(model: object) -> TypeGuard[str | Path]:
    """Whether a model is given by its configuration, and not as a graph of some format."""
    if not isinstance(model, (str, Path)):
        return False
    path = Path(model)
    if path.suffix in (".json", ".gguf") or path.is_dir() or str(model) in catalog_names():
        return True
    # A word that is no file can only be a name.
    return path.suffix != ".onnx" and len(path.parts) == 1 and not path.exists()


def read(
    where: str | Path | Mapping[str, Any], request: Request | None, precision: str = ""
) -> Graph:
    """Return the graph of one phase of a model, with its weights where they are at hand.

    Weights, caches and what is computed are in ``precision``, or in the format the configuration
    says where it has 16 bits and that is empty, else in f16.

    Raises:
        InputError: there is no such model, its files are not sound, it has no such phase, or it
            was not said which phase is wanted (``hf.config``, ``hf.request``, ``hf.weights``,
            ``weights.file``).
    """
    config, tensors = read_model(where)
    return model_graph(
        config, request or _only_request(config), tensors, dtype_of(config, precision)
    )


def dtype_of(config: Config, precision: str) -> DType:
    """Return the float format a model is computed in."""
    own = config.figures.dtype
    return DType(precision) if precision else own if own.bytes == 2 else DType.F16


def read_model(
    where: str | Path | Mapping[str, Any],
) -> tuple[Config, Mapping[str, LazyTensor] | None]:
    """Return a model's configuration, and its weights where they are at hand.

    Raises:
        InputError: as ``read``.
    """
    if isinstance(where, Mapping):
        return read_config(where), None
    path = Path(where)
    if path.suffix == ".gguf":
        from drawloom.frontends.weights.gguf.config import gguf_config
        from drawloom.frontends.weights.open import open_weights

        return read_config(gguf_config(path)), open_weights(path)
    if path.is_dir() and any(path.glob("*.safetensors")):
        from drawloom.frontends.weights.open import open_weights

        return read_config(path), open_weights(path)
    return read_config(where), None


def _only_request(config: Config) -> Request:
    """Return what can be asked of a model that has one phase."""
    if FAMILIES[config.figures.model_type].has_cache:
        allowed = "prefill with tokens, or decode with context"
        fault = Fault("phase", "not said", allowed)
        raise InputError("hf.request", f"say what is asked of '{config.name}'", [fault])
    return Request("forward")
