"""Every call of a model, held to its own bound on the values that PyTorch had.

A bound on a whole network grows with its depth until it says nothing. So each call is judged by
itself: its operands are PyTorch's, its reference is float64, its bound is derived.
"""

# pyright: reportAttributeAccessIssue=false
# Where torch is not installed, the checker takes this folder for it.
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tests.frontends.torch.one import EAGER

from drawloom.frontends.draft import Draft
from drawloom.frontends.torch.call import Value
from drawloom.frontends.torch.values import array_of, type_of
from drawloom.frontends.torch.walk import Walk, live_nodes
from drawloom.graph.bounds import Bounded, bounds
from drawloom.graph.ir import Array
from drawloom.graph.rounding import is_float, wide


class Judge(torch.fx.Interpreter):
    """Runs a program call by call, and holds each to what drawloom reads it as."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.live = live_nodes(module.graph)
        self.judged = 0
        self.unbounded = 0
        """Calls of whose results the bound says nothing."""

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "call_function" and hasattr(n.target, "_schema") and n in self.live:
            self.judge(n, result)
        return result

    def judge(self, node: torch.fx.Node, result: Any) -> None:
        walk = Walk(Draft("call"))
        fed: dict[str, Array] = {}

        def given(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return [given(v) for v in value]
            if not isinstance(value, torch.Tensor):
                return value
            name = walk.draft.builder.input(f"x{len(fed)}", type_of(value))
            fed[name] = array_of(value)
            return Value(name)

        known = {n: given(self.env[n]) for n in node.all_input_nodes}
        made = walk._node(node, known, "", self.live)
        assert not walk.faults, walk.faults
        values = made if isinstance(made, list) else [made]
        tensors = result if isinstance(result, (list, tuple)) else [result]
        wanted = {v: array_of(t) for v, t in zip(values, tensors, strict=True) if v is not None}
        graph = walk.draft.builder.finish(list(dict.fromkeys(wanted)))
        for name, bound in bounds(graph, fed, EAGER).items():
            error = bound.error + _folded(node, fed)
            self.hold(node, wanted[name], Bounded(bound.value, error))

    def hold(self, node: torch.fx.Node, eager: Array, bound: Bounded) -> None:
        self.judged += 1
        assert bound.value.shape == eager.shape, node.format_node()
        if not is_float(eager.dtype):
            assert np.array_equal(bound.value, eager), node.format_node()
            return
        both = np.isnan(wide(bound.value)) & np.isnan(wide(eager))
        assert np.all(bound.holds(eager) | both), node.format_node()
        self.unbounded += not np.isfinite(bound.error).any()


def _folded(node: torch.fx.Node, fed: dict[str, Array]) -> Any:
    """Return by how much more a batch norm may differ: PyTorch computes x a + (b - mean a).

    Each of the three terms passes through up to four roundings, whatever they cancel.
    """
    if "batch_norm" not in str(node.target):
        return 0.0
    x, scale, bias, mean, var = (wide(v) for v in fed.values())
    over = (slice(None), *(None,) * (x.ndim - 2))
    a = (scale / np.sqrt(var + 1e-5))[over]
    return 2.0**-22 * (np.abs(x * a) + np.abs(mean[over] * a) + np.abs(bias[over]))
