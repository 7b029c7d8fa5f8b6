"""Which kind of piece a node becomes."""

from __future__ import annotations

from collections.abc import Container, Mapping
from math import prod

import numpy as np

from drawloom.chip.model import Blocking
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, Node, TensorType
from drawloom.mapping.fuse.quantized import (
    is_narrow,
    is_one_scale,
    makes_codes,
    runs_on_codes,
    scales_sums,
)
from drawloom.mapping.fuse.rules import ROW_OPS, RULES
from drawloom.mapping.rewrite.legalise import REDUCED_IMAGES, broadcast_kind, is_flat
from drawloom.mapping.rewrite.rotary import is_half_turn

MATRIX_FLOATS = (DType.F16, DType.BF16, DType.F32)
VECTOR_FLOATS = (DType.F16, DType.BF16, DType.F32)
VECTOR_INTS = (DType.I32, DType.I8, DType.U8, DType.BOOL)
INT_OPS = frozenset(
    [
        "Add",
        "Sub",
        "Mul",
        "Min",
        "Max",
        "Neg",
        "Abs",
        "Relu",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Where",
        "Cast",
        "Clip",
    ]
)
BOOL_OPS = frozenset(["And", "Or", "Xor", "Not", "Where", "Cast", "Equal"])
MOVES = frozenset(
    [
        "Reshape",
        "Transpose",
        "Slice",
        "Concat",
        "Expand",
        "Pad",
        "Tile",
        "DepthToSpace",
        "SpaceToDepth",
        "Gather",
        "Resize",
    ]
)
WIDE_MOVES = 1 << 26  # elements: above this, moves are not found by looking


class Kinds:
    """Decides for each node of a graph; the answers depend on types and constants only."""

    def __init__(
        self,
        graph: Graph,
        blocking: Blocking,
        carries: Container[str] = (),
        decoders: Container[str] = (),
    ) -> None:
        """Look at a graph.

        ``carries`` are the nodes by which values enter and leave a fold, ``decoders`` those that
        a product does along with its loads.
        """
        self.graph, self.blocking = graph, blocking
        self.carries, self.decoders = carries, decoders
        self.types: Mapping[str, TensorType] = graph.types
        self.constants: Mapping[str, Array] = graph.constants

    def of(self, node: Node) -> str:
        """Return flash, norm, matrix, pool, move, body, cpu, carry or decoder."""
        if node.name in self.decoders:
            return "decoder"
        if node.name in self.carries:
            return "carry"
        if any(0 in self.types[v].shape for v in (*node.inputs, *node.outputs) if v):
            return "cpu"
        if node.op == "Attention":
            return "flash"
        if self._norm(node):
            return "norm"
        if is_half_turn(node, self.types, self.constants):
            return "body"
        for kind, test in (("matrix", self._matrix), ("pool", self._pool), ("move", self._move)):
            if test(node):
                return kind
        return "body" if self._body(node) else "cpu"

    def _matrix(self, node: Node) -> bool:
        if node.op in ("ConvInteger", "QLinearConv"):
            outs = self.types[node.outputs[0]].shape[1]
            narrow = node.op == "ConvInteger" or is_narrow(outs, self.blocking)
            return narrow and runs_on_codes(self.types, self.constants, node)
        if node.op not in ("MatMul", "MatMulInteger", "Conv") or any(node.inputs[2:]):
            return False
        a, b = (self.types[v] for v in node.inputs[:2])
        dtypes = (DType.I8,) if node.op == "MatMulInteger" else MATRIX_FLOATS
        if a.dtype not in dtypes or b.dtype is not a.dtype:
            return False
        if node.op == "Conv":
            groups = node.int("group", 1)
            plain = groups in (1, a.shape[1]) and len(a.shape) == 4 and b.shape[0] >= groups
            single = groups == 1 or b.shape[0] == groups
            return plain and single and node.inputs[1] in self.constants
        return len(a.shape) >= 2 and len(b.shape) >= 2

    def _norm(self, node: Node) -> bool:
        if node.op != "GroupNormalization" or len(self.types[node.inputs[0]].shape) != 4:
            return False
        known = all(v in self.constants for v in node.inputs[1:3])
        return known and self.types[node.inputs[0]].dtype in VECTOR_FLOATS

    def _pool(self, node: Node) -> bool:
        if len(node.outputs) != 1:
            return False
        x = self.types[node.inputs[0]] if node.inputs else None
        if x is None or len(x.shape) != 4 or x.dtype not in VECTOR_FLOATS:
            return False
        if node.op in REDUCED_IMAGES:
            axes = sorted(a % 4 for a in node.ints("axes", (0, 1, 2, 3)))
            return axes == [2, 3] and node.int("keepdims", 1) == 1
        padded_ceiling = node.int("ceil_mode") and node.int("count_include_pad")
        return node.op in ("MaxPool", "AveragePool") and not padded_ceiling

    def _move(self, node: Node) -> bool:
        if node.op not in MOVES or self.types[node.outputs[0]].size > WIDE_MOVES:
            return False
        if node.op == "Resize":
            # Copies of the nearest cells; what lies outside a crop is no cell's copy.
            place = node.str("coordinate_transformation_mode", "half_pixel")
            return node.str("mode", "nearest") == "nearest" and place != "tf_crop_and_resize"
        if node.op == "Gather":
            return node.inputs[1] in self.constants
        if node.op == "Pad":
            value = node.inputs[1] if len(node.inputs) > 1 else ""
            return (
                node.str("mode", "constant") != "constant" or not value or value in self.constants
            )
        return True

    def _body(self, node: Node) -> bool:
        if node.op not in RULES or len(node.outputs) != 1:
            return False
        if any(
            v in self.constants and prod(self.types[v].shape) > 1 and node.op == "Cast"
            for v in node.inputs
        ):
            return False
        if node.op == "DequantizeLinear":
            one = is_one_scale(self.types, self.constants, node)
            return one or scales_sums(self.graph, node)
        if node.op == "QuantizeLinear":
            return makes_codes(self.types, self.constants, node)
        dtypes = {self.types[v].dtype for v in (*node.inputs, *node.outputs) if v}
        if not self._dtypes_fit(node, dtypes):
            return False
        if node.op == "Pow":
            exponent = node.inputs[1]
            known = exponent in self.constants and prod(self.types[exponent].shape) == 1
            return known and bool(np.all(self.constants[exponent] != 0))
        if node.op in ROW_OPS:
            return self._row_op(node)
        out = self.types[node.outputs[0]].shape
        return all(self._operand_fits(v, out, node) for v in node.inputs)

    def _dtypes_fit(self, node: Node, dtypes: set[DType]) -> bool:
        if dtypes <= set(VECTOR_FLOATS) or (
            dtypes <= {*VECTOR_FLOATS, DType.BOOL} and node.op not in ("Not",)
        ):
            return True
        if dtypes <= {DType.BOOL}:
            return node.op in BOOL_OPS
        return dtypes <= {*VECTOR_FLOATS, *VECTOR_INTS} and node.op in INT_OPS

    def _row_op(self, node: Node) -> bool:
        shape = self.types[node.inputs[0]].shape
        if len(shape) < 2 or self.types[node.inputs[0]].dtype not in VECTOR_FLOATS:
            return False
        if node.op.startswith("Reduce"):
            axes = [a % len(shape) for a in node.ints("axes", tuple(range(len(shape))))]
            return axes == [len(shape) - 1] and node.int("keepdims", 1) == 1
        if node.int("axis", -1) % len(shape) != len(shape) - 1:
            return False
        return all(
            v in self.constants and self.types[v].size == shape[-1] for v in node.inputs[1:] if v
        )

    def _operand_fits(self, value: str, out: tuple[int, ...], node: Node) -> bool:
        have = self.types[value].shape
        if have == out:
            return True
        kind = broadcast_kind(have, out, value in self.constants, flat=is_flat(node, self.types))
        return kind != "" and (kind != "scalar" or node.op != "Where")
