"""Positions of which each chip has some: where one lies among a chip's own, and whether it does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drawloom.graph.ir import Attr, Node
from drawloom.plans.cut import Cutter
from drawloom.plans.lie import WHOLE, Lie


def put(
    cutter: Cutter, op: str, inputs: Sequence[str], name: str, *, lie: Lie = WHOLE, **attrs: Attr
) -> str:
    """Add a node that is the same on every chip, named as what it makes; return the name."""
    cutter.add((Node(name, op, tuple(inputs), (name,), attrs),) * cutter.held, lie)
    return name


def own_place(cutter: Cutter, position: str, size: int) -> tuple[str, str]:
    """Return positions among a chip's own ``size`` ones, at an end if another's, and whether they are its own.

    Chip c has those from c * ``size`` on. Both have the shape of ``position``.
    """
    index = cutter.need(position, WHOLE)
    names = [
        f"{position}.{size}.{w}" for w in ("first", "last", "least", "from", "upto", "at", "own")
    ]
    first, last, least, low, upto, at, own = names
    if own not in cutter.lies:
        kind = cutter.types[index].dtype.numpy
        cutter.hold(first, [np.array(chip * size, kind) for chip in range(cutter.held)])
        cutter.hold(last, [np.array(size - 1, kind)] * cutter.held)
        cutter.hold(least, [np.array(0, kind)] * cutter.held)
        put(cutter, "Sub", (index, first), low)
        put(cutter, "Max", (low, least), upto)
        put(cutter, "Min", (upto, last), at)
        put(cutter, "Equal", (low, at), own)
    return at, own
