"""Ways to cut a matrix piece that are worth a trial, as the model of prices ranks them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from drawloom.chip.model import Chip
from drawloom.mapping.cut.panel_price import panel_cuts
from drawloom.mapping.cut.sizes import Cut, Work
from drawloom.mapping.cut.tiler import HOPEFUL, NS, priced

OF_A_KIND = 6  # ways of one grid, order and sharing that are worth a trial
ALIKE_PANELS = 2  # of those that sum many channels side by side: of one grid, chunk and depth


def ranked(
    work: Work,
    chip: Chip,
    *,
    multicast: bool,
    of_a_kind: int = OF_A_KIND,
    alike_panels: int = ALIKE_PANELS,
) -> list[Cut]:
    """Return ways to cut the work that fit, cheapest first: of each grid, order and sharing a few.

    Ways of one kind that differ little in their chunks have prices that differ little, so a list
    of the cheapest alone would hold one idea many times. Those that sum many channels side by side
    stand where the choice by prices has them, which knows their prices to see more.
    """
    panels = panel_cuts(work, chip, alike_panels, multicast=multicast)
    plain = _plain(work, chip, of_a_kind, multicast=multicast)
    both = [((cut.estimate - NS) / HOPEFUL, cut) for cut in panels]
    both += [(cut.estimate, cut) for cut in plain]
    return [cut for _, cut in sorted(both, key=lambda each: each[0])]


def _plain(work: Work, chip: Chip, of_a_kind: int, *, multicast: bool) -> list[Cut]:
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
        if seen[kind] <= of_a_kind:
            kept.append(made)
    return kept
