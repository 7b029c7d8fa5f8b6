"""Attention as one piece: scores never leave the scratchpads.

A unit is a strip of queries of one head. Its scores stand transposed, keys as rows and queries
as channels, so that a query's peak and sum are one value a channel: the vector engine uses a
channel's value over and over, and nothing is spread. Keys and values stay in the scratchpad for
as many units as need them. Where they all fit, a unit's softmax is taken at once; where not, key
by key span, with what was summed before scaled to the new peak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drawloom.chip.layout import Blocked
from drawloom.chip.model import Chip
from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Node
from drawloom.graph.ops.attention import attention_scale
from drawloom.graph.rounding import UNIT_ROUNDOFF, narrow
from drawloom.mapping.cut.scratch import Scratch
from drawloom.mapping.pieces import FlashPiece
from drawloom.units import align_up, ceil_div

if TYPE_CHECKING:
    # Only their names: rewriting asks this module what fits, and stands below both.
    from drawloom.mapping.fuse.groups import Group
    from drawloom.mapping.layout.site import Site

HALVES = (DType.F16, DType.BF16)
MAX_FEATURES = 256  # of a query or a value: an identity of so many rows turns the result
TEAMS = (4, 2, 8, 16)  # tiles that load together, the best first
UNEVEN = 1.05  # what the busiest team may have to do over the mean
ASKED, LEAST_ASKED = 5, 3  # strips of queries that are on their way
PASS = 16  # units that go over the keys together where these do not fit at once


def fits(node: Node, dtype: DType, queries: int, keys: int, features: tuple[int, int]) -> bool:
    """Whether an Attention node can be one piece: each query must see a key by its attributes."""
    if dtype not in HALVES or node.float("softcap") or max(features) > MAX_FEATURES:
        return False
    behind, ahead = reach(node)
    at = np.arange(queries, dtype=np.int64)
    first = np.zeros_like(at) if behind is None else np.maximum(at - behind, 0)
    last = np.full_like(at, keys - 1) if ahead is None else np.minimum(at + ahead, keys - 1)
    return bool(np.all(first <= last)) and queries > 0


def reach(node: Node) -> tuple[int | None, int | None]:
    """Return how far behind and ahead of its own number a query sees keys; None is no bound."""
    offset = node.int("offset")
    left, right = node.int("left_window", -1), node.int("right_window", -1)
    ahead = [right] if right >= 0 else []
    ahead += [0] if node.int("is_causal") else []
    return (left - offset if left >= 0 else None), (min(ahead) + offset if ahead else None)


def plan(group: Group, site: Site) -> FlashPiece:
    """Return the piece of an Attention node.

    Raises:
        DoesNotFit: one strip of queries with one block of keys is too large for a tile.
    """
    node, types = group.nodes[0], site.graph.types
    q, k, v = (types[name].shape for name in node.inputs[:3])
    dtype = types[node.inputs[0]].dtype
    mask = node.inputs[3] if len(node.inputs) > 3 else ""
    behind, ahead = reach(node)
    mask_rows = (types[mask].shape[-2] if len(types[mask].shape) > 1 else 1) if mask else 0
    scale = attention_scale(node, q[3])
    size = _Sizes(site.chip, q[2], q[3], v[3], mask_rows, is_fine(scale, dtype))
    room = site.chip.scratchpad.usable - site.residency.reserved
    span, units = _span(size, k[2], room, node.name)
    scratch = Scratch(site.chip, site.residency.reserved)
    for name, (bytes_, copies) in size.buffers(span, units).items():
        scratch.add(name, bytes_, copies)
    stored = [
        site.need(name, "heads" if site.home.get(name) == "heads" else "rows")
        for name in node.inputs[:3]
    ]
    return FlashPiece(
        name=node.name,
        nodes=(node.name,),
        q=stored[0],
        k=stored[1],
        v=stored[2],
        out=site.made(node.outputs[0], group.layout),
        heads=q[1],
        groups=k[1],
        queries=q[2],
        keys=k[2],
        features=q[3],
        values=v[3],
        fmt=stored[0].dtype.value,
        scale=scale,
        strip=size.strip,
        span=span,
        units=units,
        team=_team(site.chip, k[0] * k[1], ceil_div(q[2], size.strip) * (q[1] // k[1])),
        buffers=scratch.buffers,
        behind=behind,
        ahead=ahead,
        mask=site.need(mask, "rows") if mask else None,
    )


def is_fine(scale: float, dtype: DType) -> bool:
    """Whether a scale hardly changes when it is rounded to a format: by a quarter of its roundoff."""
    rounded = float(narrow(np.array([scale]), dtype.numpy)[0])
    return abs(rounded - scale) <= abs(scale) * UNIT_ROUNDOFF[dtype] / 4


def _team(chip: Chip, held: int, units: int) -> int:
    """Return how many tiles load keys together: so many that all have the same to do.

    Args:
        chip: the machine.
        held: key heads, of all entries of the batch.
        units: strips of queries of a key head, of all query heads that share it.
    """
    for team in TEAMS:
        n_teams = chip.n_tiles // team
        whole = chip.n_tiles % team == 0 and team <= units // 2
        if whole and ceil_div(held, n_teams) * n_teams <= held * UNEVEN:
            return team
    return 1


class _Sizes:
    """Bytes of the buffers of a piece."""

    def __init__(
        self, chip: Chip, queries: int, features: int, values: int, mask_rows: int, is_fine: bool
    ) -> None:
        self.chip, self.queries, self.is_fine = chip, queries, is_fine
        self.strip = min(chip.blocking.of(2), queries)
        self.features, self.values, self.mask_rows = features, values, mask_rows
        self.is_roomy = True  # more than the least may be on its way

    def _matrix(self, rows: int, channels: int, element: int = 2) -> int:
        return Blocked(self.chip.blocking, 1, rows, channels, element).matrix_bytes

    def buffers(self, span: int, units: int) -> dict[str, tuple[int, int]]:
        """Return bytes and copies of each buffer, for so many keys at a time and units a pass."""
        strip, features, values = self.strip, self.features, self.values
        lines = Blocked(self.chip.blocking, 1, 1, strip, 2).width
        masked = min(self.mask_rows, strip)
        # Of a unit that goes over all its keys at once, little has to stay.
        scaled, open_ = (2, 2) if units == 1 else (units + 2, units + 3)
        edges = 1 if self.queries % strip == 0 else 2  # strips of different lengths
        held = {
            "k": (self._matrix(span, features), 2),
            "v": (self._matrix(span, values), 2),
            "s": (span * lines * 2, 2),
            "q": (self._matrix(strip, features), ASKED if self.is_roomy else LEAST_ASKED),
            "scaled": (self._matrix(strip, features), scaled),
            "peak": (lines * 2, 2 * open_),
            "found": (lines * 2, 2),
            "shrink": (lines * 4, 2),
            "sums": ((values + 1) * lines * 4, open_ + self.is_roomy),
            "share": (lines * 4, 2),
            "turned": (values * lines * 2, 2),
            "out": (self._matrix(strip, values), 2),
            "ones": (span * self.chip.blocking.min_tail * 2, 1),
            "eye": (self._matrix(values, values), 1),
            "edge": (edges * strip * lines, 2),
            "line": (2 * strip + lines, 2),
            "low": (strip * lines * 2, 1),
        }
        if self.is_fine:
            held["scale"] = (self._matrix(features, features), 1)
        if masked:
            held["mask"] = (self._matrix(masked, span), 2)
            held["bias"] = (span * lines * 4, 1)
            held["pick"] = (self._matrix(masked, strip), edges)
        return held

    def total(self, span: int, units: int) -> int:
        align = self.chip.blocking.align
        return sum(align_up(n, align) * copies for n, copies in self.buffers(span, units).values())


def _span(size: _Sizes, keys: int, room: int, name: str) -> tuple[int, int]:
    """Return keys at a time and units a pass: all keys where they fit, else as many as do."""
    block, most = size.chip.blocking.of(2), size.chip.limits.rows
    if size.total(block, 1) > room:
        size.is_roomy = False
    whole = align_up(keys, block)
    if whole <= most and size.total(whole, 1) <= room:
        return whole, 1
    for units in (PASS, PASS // 2, PASS // 4, 2, 1):
        blocks = min(most, whole) // block
        while blocks and size.total(blocks * block, units) > room:
            blocks -= 1
        if blocks * block >= min(whole, 4 * block) or (blocks and units == 1):
            # Spans of one size, as far as blocks allow.
            return align_up(ceil_div(whole, ceil_div(whole, blocks * block)), block), units
    need = size.total(block, 1)
    raise DoesNotFit(
        "map.memory",
        f"node '{name}' does not fit a tile even with {block} keys at a time",
        Diagnosis(
            f"{need:,} bytes   {size.strip} queries of {size.features} features, {block} keys",
            f"{room:,} bytes   chip '{size.chip.name}', usable scratchpad of a tile",
            f"{need - room:,} bytes",
            ("a chip with a larger scratchpad (extends: ...)",),
        ),
    )
