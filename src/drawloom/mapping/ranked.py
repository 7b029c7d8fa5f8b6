"""Ways to cut a matrix piece that are worth a trial, as the model of prices ranks them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from drawloom.chip.model import Chip
from drawloom.mapping.sizes import Cut, Work
from drawloom.mapping.tiler import priced

OF_A_KIND = 6  # ways of one grid, order and sharing that are worth a trial


def ranked(work: Work, chip: Chip, *, multicast: bool) -> list[Cut]:
    """Return ways to cut the work that fit, cheapest first: of each grid, order and sharing a few.

    Ways of one kind that differ little in their chunks have prices that differ little, so a list
    of the cheapest alone would hold one idea many times.
    """
    found = priced(work, chip, multicast=multicast)
    if found is None:
        return []
    flat = np.argsort(found.price, axis=None, kind="stable")
    seen: Counter[tuple[object, ...]] = Counter()
    kept: list[Cut] = []
    for way, at in zip(*np.unravel_index(flat, found.price.shape), strict=True):
        if not np.isfinite(found.price[way, at]):
            break
        made = found.cut(int(way), int(at))
        kind = made.grid, made.order, made.share_a, made.share_b
        seen[kind] += 1
        if seen[kind] <= OF_A_KIND:
            kept.append(made)
    return kept
