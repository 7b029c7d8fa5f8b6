"""Every operator a graph may hold: one file a family, one line a family here.

``OPS[node.op].infer`` gives the types of a node's outputs, ``.evaluate`` its
values. The semantics are ONNX's latest, with shape-like operands as
attributes: see each family's file.
"""

from __future__ import annotations

from drawloom.graph.operator import Operator
from drawloom.graph.ops import (
    attention,
    convolution,
    elementwise,
    generation,
    indexing,
    matrix,
    movement,
    normalization,
    pooling,
    quantization,
    reduction,
    resizing,
    unary,
)

FAMILIES: dict[str, dict[str, Operator]] = {
    "attention": attention.OPERATORS,
    "convolution": convolution.OPERATORS,
    "elementwise": elementwise.OPERATORS,
    "generation": generation.OPERATORS,
    "indexing": indexing.OPERATORS,
    "matrix": matrix.OPERATORS,
    "movement": movement.OPERATORS,
    "normalization": normalization.OPERATORS,
    "pooling": pooling.OPERATORS,
    "quantization": quantization.OPERATORS,
    "reduction": reduction.OPERATORS,
    "resizing": resizing.OPERATORS,
    "unary": unary.OPERATORS,
}

OPS: dict[str, Operator] = {
    name: operator for family in FAMILIES.values() for name, operator in family.items()
}
