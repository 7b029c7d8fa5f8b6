"""A model's graph from its configuration alone, or with its weights."""

from __future__ import annotations

from collections.abc import Mapping

from drawloom.errors import Fault, InputError
from drawloom.frontends.hf.config import Config
from drawloom.frontends.hf.families import FAMILIES, Family
from drawloom.frontends.hf.net import Net
from drawloom.frontends.hf.request import Request
from drawloom.frontends.hf.weights import Weights
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.lazy import Held


def model_graph(
    config: Config,
    request: Request,
    tensors: Mapping[str, Held] | None = None,
    dtype: DType | None = None,
) -> Graph:
    """Return the graph of one phase of a model.

    Args:
        config: the model's figures, of ``read_config``.
        request: which phase, for how many sequences and tokens.
        tensors: the checkpoint by its Hugging Face names; without it weights are types only.
            Tensors that the graph does not need are passed over.
        dtype: float format of weights, cache and what is computed; by default the
            configuration's.

    Raises:
        InputError: the model has no such phase or position (``hf.request``), or tensors are
            missing or of another shape (``hf.weights``, all at once).
    """
    figures = config.figures if dtype is None else config.figures.in_format(dtype)
    family = FAMILIES[figures.model_type]
    _check(config, family, request)
    builder = GraphBuilder(f"{config.name}.{request.phase}")
    weights = Weights(builder, figures.dtype, tensors, family.root)
    net = Net(builder, weights, figures.dtype, family.root)
    family.build(net, figures, request)
    weights.check(config.name)
    return builder.finish(net.outputs)


def _check(config: Config, family: Family, request: Request) -> None:
    kind = config.figures.model_type
    faults: list[Fault] = []
    if request.phase != "forward" and not family.has_cache:
        faults.append(Fault("phase", f"'{request.phase}'", f"forward: a {kind} keeps no cache"))
    elif request.phase == "forward" and family.needs_tokens and request.tokens is None:
        faults.append(Fault("tokens", "missing", "the number of tokens of each sequence"))
    limit = config.figures.most_positions
    if limit is not None and request.n_slots > limit:
        allowed = f"at most the {limit} positions that '{config.name}' has learnt"
        faults.append(Fault("positions", str(request.n_slots), allowed))
    if faults:
        raise InputError("hf.request", f"this cannot be asked of '{config.name}'", faults)
