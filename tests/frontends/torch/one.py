"""A PyTorch module, read and compared with its own results."""

# pyright: reportAttributeAccessIssue=false
# Where torch is not installed, the checker takes this folder for it.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from drawloom.frontends.torch.values import array_of
from drawloom.graph.bounds import Bounded, Machine, bounds
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Array, Graph
from drawloom.graph.rounding import is_float, wide

# PyTorch multiplies float32 as float32.
EAGER = Machine(product_error=0.0)


def tensors_of(result: Any) -> list[torch.Tensor]:
    """The tensors of a result, in order."""
    leaves = torch.utils._pytree.tree_leaves(result)
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def arrays_for(graph: Graph, args: Sequence[torch.Tensor]) -> dict[str, Array]:
    """The graph's inputs, in the order in which it asks for them."""
    assert len(graph.inputs) == len(args)
    return {name: array_of(t) for name, t in zip(graph.inputs, args, strict=True)}


def both(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, tuple[Array, Bounded]]:
    """Each output as the graph means it, and as far as another evaluation may lie from it."""
    made, known = evaluate(graph, inputs), bounds(graph, inputs, EAGER)
    return {name: (made[name], known[name]) for name in graph.outputs}


def need_agreement(name: str, made: Array, known: Bounded, eager: Array) -> None:
    """Both evaluations lie within the derived bound; whole numbers are equal."""
    assert (made.shape, made.dtype) == (eager.shape, eager.dtype), name
    if not is_float(eager.dtype):
        assert np.array_equal(made, eager), (name, made, eager)
        return
    nothing = np.isnan(wide(known.value)) & np.isnan(wide(eager))
    held = np.asarray(known.holds(eager)) | nothing
    assert held.all(), (name, made[~held], eager[~held], known.error[~held])
    assert np.all(known.holds(made) | nothing), name
    assert np.isfinite(known.error).any(), f"{name}: the bound says nothing"
