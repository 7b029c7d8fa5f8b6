"""The body of a group: its nodes' rules applied one after the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, Node
from drawloom.mapping.body import Body, BodyBuilder, Slot
from drawloom.mapping.fuse.rules import ROW_OPS, RULES, Operand
from drawloom.mapping.rewrite.legalise import broadcast_kind


def build_body(
    graph: Graph,
    nodes: list[Node],
    shape: tuple[int, ...],
    layout: str,
    stored: set[str],
    given: str = "",
    fmt: str = "",
) -> tuple[Body, str]:
    """Return the body of ``nodes`` and the slot of ``given`` (the value a matrix engine makes).

    ``fmt`` is what it is made in, where that is not the value's own; ``stored`` are the values that
    are needed outside the group.
    """
    return _Building(graph, shape, layout).run(nodes, stored, given, fmt)


def plain_body(fmt: str, out: str) -> tuple[Body, str]:
    """Return a body that stores what it is given, and the slot of it."""
    return Body((Slot("t0", "full", fmt),), (), (), (("t0", out),)), "t0"


CODING = ("QuantizeLinear", "DequantizeLinear")


class _Building:
    def __init__(self, graph: Graph, shape: tuple[int, ...], layout: str) -> None:
        self.graph, self.shape, self.layout = graph, shape, layout
        self.body = BodyBuilder()

    def run(
        self, nodes: list[Node], stored: set[str], given: str, given_fmt: str = ""
    ) -> tuple[Body, str]:
        body, first = self.body, ""
        if given:
            first = body.new("full", given_fmt or self.graph.types[given].dtype.value)
            body.at[given] = first
        for node in nodes:
            body.node = node.name
            read = node.inputs[:1] if node.op == "Gather" else node.inputs
            if node.op in CODING:
                args = [self._operand(node, node.inputs[0]), self._scale(node)]
            else:
                args = [self._operand(node, v) for v in read if v]
            if node.op in ROW_OPS:
                args.append(float(self.graph.types[node.inputs[0]].shape[-1]))
            out = node.outputs[0]
            fmt = self.graph.types[out].dtype.value
            result = RULES[node.op](body, node, args, fmt)
            # A rule may return its operand: every value needs a slot of its own to be stored from.
            body.at[out] = result if result not in args else body.op("copy", result)
        stores = tuple((body.at[v], v) for v in sorted(stored))
        return body.finish(stores), first

    def _operand(self, node: Node, value: str) -> Operand:
        if value in self.body.at:
            return self.body.at[value]
        types, constants = self.graph.types, self.graph.constants
        fmt = self._format(node, value).value
        have = types[value].shape
        if node.op == "Pow" and value in constants:
            return _scalar(constants, value)
        full = types[node.inputs[0]].shape if node.op in ROW_OPS else types[node.outputs[0]].shape
        if node.op in ROW_OPS and value != node.inputs[0]:
            return self.body.load(value, "channel", fmt)
        if have == full:
            return self.body.load(value, self._kind(full), fmt)
        kind = broadcast_kind(have, full, value in constants, flat=False)
        if kind == "scalar":
            return _scalar(constants, value)
        if kind in ("last", "image"):
            return self.body.load(value, "channel", fmt)
        if kind == "batch":
            return self.body.load(value, self._kind(full), fmt)
        assert kind == "stat", (node.name, value, have, full)
        return self.body.load(value, "stat", fmt)

    def _scale(self, node: Node) -> Operand:
        """Return what codes are worth: one number, or one a channel."""
        scale = node.inputs[1]
        if self.graph.types[scale].size == 1:
            return _scalar(self.graph.constants, scale)
        return self.body.load(scale, "channel", "f32")

    def _kind(self, shape: tuple[int, ...]) -> str:
        return "full" if shape == self.shape else "stat"

    def _format(self, node: Node, value: str) -> DType:
        return self.graph.types[value].dtype


def _scalar(constants: Mapping[str, Array], value: str) -> float:
    return float(np.asarray(constants[value], np.float64).reshape(()))
