"""What each ATen call becomes: one file a family, one line a family here.

A rule adds nodes to the draft and returns the values of the call's results.
All overloads of a call meet in its rule, which asks for arguments by name.
"""

from __future__ import annotations

from drawloom.frontends.torch.call import Rule
from drawloom.frontends.torch.rules import (
    arithmetic,
    attention,
    convolution,
    creation,
    elementwise,
    indexing,
    matrix,
    movement,
    normalization,
    pooling,
    reduction,
    resizing,
)
from drawloom.frontends.torch.rules.advice import ADVICE

FAMILIES: dict[str, dict[str, Rule]] = {
    "arithmetic": arithmetic.RULES,
    "attention": attention.RULES,
    "convolution": convolution.RULES,
    "creation": creation.RULES,
    "elementwise": elementwise.RULES,
    "indexing": indexing.RULES,
    "matrix": matrix.RULES,
    "movement": movement.RULES,
    "normalization": normalization.RULES,
    "pooling": pooling.RULES,
    "reduction": reduction.RULES,
    "resizing": resizing.RULES,
}

RULES: dict[str, Rule] = {op: rule for family in FAMILIES.values() for op, rule in family.items()}

__all__ = ["ADVICE", "FAMILIES", "RULES"]
