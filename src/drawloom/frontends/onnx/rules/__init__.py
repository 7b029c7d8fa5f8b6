"""What each ONNX operator becomes: one file a family, one line a family here.

A rule adds nodes to the draft and returns the values of the ONNX node's
outputs. Versions of an operator set meet in the rule; a graph knows one form.
"""

from __future__ import annotations

from drawloom.frontends.onnx.call import Rule
from drawloom.frontends.onnx.rules import (
    attention,
    control,
    convolution,
    elementwise,
    generation,
    indexing,
    matrix,
    microsoft,
    movement,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resizing,
)
from drawloom.frontends.onnx.rules.advice import ADVICE

FAMILIES: dict[str, dict[str, Rule]] = {
    "attention": attention.RULES,
    "control": control.RULES,
    "convolution": convolution.RULES,
    "elementwise": elementwise.RULES,
    "generation": generation.RULES,
    "indexing": indexing.RULES,
    "matrix": matrix.RULES,
    "microsoft": microsoft.RULES,
    "movement": movement.RULES,
    "normalization": normalization.RULES,
    "pooling": pooling.RULES,
    "quantization": quantization.RULES,
    "recurrent": recurrent.RULES,
    "reduction": reduction.RULES,
    "resizing": resizing.RULES,
}

RULES: dict[str, Rule] = {op: rule for family in FAMILIES.values() for op, rule in family.items()}

__all__ = ["ADVICE", "FAMILIES", "RULES"]
