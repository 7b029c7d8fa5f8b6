"""Caches cut along the context: each chip of a group has some positions of all key heads.

    scores  = queries of all heads x own keys            -infinity where the mask says no
    largest = of a chip's own, gathered; the largest of all
    weights = exp(scores - largest of all)
    sum of [weights x own values | sum of weights] over the chips, and the one over the other

So it is the softmax over all positions. A step's key and value go to the chip that has its place;
the others write back what is there.
"""

from __future__ import annotations

import math

import numpy as np

from drawloom.graph.ir import Node
from drawloom.plans.cut import Cutter, Exchange
from drawloom.plans.lie import SUM, WHOLE, Lie
from drawloom.plans.own import own_place, put

_AXIS = 2  # of positions


def scattered(cutter: Cutter, node: Node) -> bool:
    """Write one position of a cache of which each chip has some."""
    past, new, *places = node.inputs
    shape, step = cutter.shape(past), cutter.shape(new)
    if past not in cutter.graph.inputs or not places or node.int("axis", -2) % len(shape) != _AXIS:
        return False
    if step[_AXIS] != 1 or len(cutter.shape(places[0])) != 1 or shape[_AXIS] % cutter.chips:
        return False
    lie = cutter.part(_AXIS, cutter.chips)
    held = cutter.need(past, lie)
    place, own = own_place(cutter, places[0], shape[_AXIS] // cutter.chips)
    value = cutter.need(new, WHOLE)
    name = f"{node.name}.own"
    wide = (*cutter.types[own].shape, 1, 1, 1)
    own = put(cutter, "Reshape", (own,), f"{name}.mine", shape=wide)
    where = put(cutter, "Reshape", (place,), f"{name}.where", shape=cutter.types[own].shape)
    where = put(cutter, "Expand", (where,), f"{name}.each", shape=step)
    old = put(cutter, "GatherElements", (held, where), f"{name}.old", axis=_AXIS)
    kept = put(cutter, "Where", (own, value, old), f"{name}.kept")
    cutter.keep(node, (held, kept, place), lie)
    return True


def attended(cutter: Cutter, node: Node) -> bool:
    """Attend to own positions, and put what chips have together."""
    q, k, v, *rest = node.inputs
    mask, *others = rest or [""]
    lie = cutter.part(_AXIS, cutter.chips)
    batch, heads, tokens, width = cutter.shape(q)
    held = cutter.shape(k)
    plain = not any(others) and not set(node.attrs) - {"scale"} and tokens == 1
    if not plain or cutter.lie(k) != lie or cutter.lie(v) != lie or heads % held[1]:
        return False
    name, kind = node.name, cutter.graph.types[q].dtype.numpy
    each = (batch, held[1], heads // held[1], width)
    query = put(cutter, "Reshape", (cutter.need(q, WHOLE),), f"{name}.query", shape=each)
    scale = node.attrs.get("scale") or 1 / math.sqrt(width)
    cutter.hold(f"{name}.scale", [np.array(scale, kind)] * cutter.held)
    cutter.hold(f"{name}.none", [np.array(-6e4, kind)] * cutter.held)
    scores = put(cutter, "MatMul", (query, k), f"{name}.scores", trans_b=1)
    scores = put(cutter, "Mul", (scores, f"{name}.scale"), f"{name}.scaled")
    if mask:
        own = cutter.need(mask, Lie("part", 3, cutter.chips))
        scores = put(cutter, "Where", (own, scores, f"{name}.none"), f"{name}.masked")
    large = put(cutter, "ReduceMax", (scores,), f"{name}.large", axes=(3,), keepdims=1)
    gathered = _exchange(cutter, "gather", large, (*each[:3], cutter.chips))
    largest = put(cutter, "ReduceMax", (gathered,), f"{name}.largest", axes=(3,), keepdims=1)
    weights = put(cutter, "Sub", (scores, largest), f"{name}.less")
    weights = put(cutter, "Exp", (weights,), f"{name}.weights")
    total = put(cutter, "ReduceSum", (weights,), f"{name}.total", axes=(3,), keepdims=1)
    mixed = put(cutter, "MatMul", (weights, v), f"{name}.mixed")
    both = put(cutter, "Concat", (mixed, total), f"{name}.both", lie=SUM, axis=3)
    summed = _exchange(cutter, "sum", both, (*each[:3], width + 1))
    ends = ((0, width), (width, width + 1))
    over, under = (
        put(cutter, "Slice", (summed,), f"{name}.from{low}", starts=(low,), ends=(high,), axes=(3,))
        for low, high in ends
    )
    made = put(cutter, "Div", (over, under), f"{name}.whole")
    put(cutter, "Reshape", (made,), node.outputs[0], shape=(batch, heads, 1, width))
    return True


def _exchange(cutter: Cutter, kind: str, value: str, shape: tuple[int, ...]) -> str:
    name = f"{value}.{kind}"
    cutter.exchange(value, Exchange(kind, value, name, len(shape) - 1, shape))
    return name
