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
from collections.abc import Sequence

import numpy as np

from drawloom.graph.ir import Attr, Node
from drawloom.plans.cut import Cutter, Exchange
from drawloom.plans.lie import SUM, WHOLE, Lie

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
    place, own = _local(cutter, places[0], shape[_AXIS] // cutter.chips)
    value = cutter.need(new, WHOLE)
    name = f"{node.name}.own"
    where = _add(cutter, "Reshape", (place,), f"{name}.where", shape=cutter.types[own].shape)
    where = _add(cutter, "Expand", (where,), f"{name}.each", shape=step)
    old = _add(cutter, "GatherElements", (held, where), f"{name}.old", axis=_AXIS)
    kept = _add(cutter, "Where", (own, value, old), f"{name}.kept")
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
    query = _add(cutter, "Reshape", (cutter.need(q, WHOLE),), f"{name}.query", shape=each)
    scale = node.attrs.get("scale") or 1 / math.sqrt(width)
    cutter.hold(f"{name}.scale", [np.array(scale, kind)] * cutter.held)
    cutter.hold(f"{name}.none", [np.array(-6e4, kind)] * cutter.held)
    scores = _add(cutter, "MatMul", (query, k), f"{name}.scores", trans_b=1)
    scores = _add(cutter, "Mul", (scores, f"{name}.scale"), f"{name}.scaled")
    if mask:
        own = cutter.need(mask, Lie("part", 3, cutter.chips))
        scores = _add(cutter, "Where", (own, scores, f"{name}.none"), f"{name}.masked")
    large = _add(cutter, "ReduceMax", (scores,), f"{name}.large", axes=(3,), keepdims=1)
    gathered = _exchange(cutter, "gather", large, (*each[:3], cutter.chips))
    largest = _add(cutter, "ReduceMax", (gathered,), f"{name}.largest", axes=(3,), keepdims=1)
    weights = _add(cutter, "Sub", (scores, largest), f"{name}.less")
    weights = _add(cutter, "Exp", (weights,), f"{name}.weights")
    total = _add(cutter, "ReduceSum", (weights,), f"{name}.total", axes=(3,), keepdims=1)
    mixed = _add(cutter, "MatMul", (weights, v), f"{name}.mixed")
    both = _add(cutter, "Concat", (mixed, total), f"{name}.both", lie=SUM, axis=3)
    summed = _exchange(cutter, "sum", both, (*each[:3], width + 1))
    ends = ((0, width), (width, width + 1))
    over, under = (
        _add(
            cutter, "Slice", (summed,), f"{name}.from{low}", starts=(low,), ends=(high,), axes=(3,)
        )
        for low, high in ends
    )
    made = _add(cutter, "Div", (over, under), f"{name}.whole")
    _add(cutter, "Reshape", (made,), node.outputs[0], shape=(batch, heads, 1, width))
    return True


def _local(cutter: Cutter, position: str, size: int) -> tuple[str, str]:
    """Return a position among a chip's own ones, at an end if it is another's, and whether it is its own."""
    index = cutter.need(position, WHOLE)
    names = [
        f"{position}.{size}.{w}" for w in ("first", "last", "least", "from", "upto", "at", "own")
    ]
    first, last, least, low, upto, at, own = names
    if own not in cutter.lies:
        kind = cutter.types[index].dtype.numpy
        cutter.hold(first, [np.array([chip * size], kind) for chip in range(cutter.held)])
        cutter.hold(last, [np.array([size - 1], kind)] * cutter.held)
        cutter.hold(least, [np.array([0], kind)] * cutter.held)
        _add(cutter, "Sub", (index, first), low)
        _add(cutter, "Max", (low, least), upto)
        _add(cutter, "Min", (upto, last), at)
        same = _add(cutter, "Equal", (low, at), f"{own}.flat")
        _add(cutter, "Reshape", (same,), own, shape=(*cutter.types[at].shape, 1, 1, 1))
    return at, own


def _add(
    cutter: Cutter, op: str, inputs: Sequence[str], name: str, *, lie: Lie = WHOLE, **attrs: Attr
) -> str:
    cutter.add((Node(name, op, tuple(inputs), (name,), attrs),) * cutter.held, lie)
    return name


def _exchange(cutter: Cutter, kind: str, value: str, shape: tuple[int, ...]) -> str:
    name = f"{value}.{kind}"
    cutter.exchange(value, Exchange(kind, value, name, len(shape) - 1, shape))
    return name
