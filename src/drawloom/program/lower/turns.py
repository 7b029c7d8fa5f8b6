"""How the work of a flash piece is shared out, and in which turns a tile goes over keys.

Units (a strip of queries of one head) stand in a row, those of one key head together, and the
tiles cut the row into parts of equal cost: what a tile holds of keys serves many of its units.
A tile begins where few keys are needed, so that its engines have work while the others come in.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from drawloom.mapping.pieces import FlashPiece
from drawloom.units import align_down, align_up, ceil_div

UNIT_COST = 128  # keys: what a unit costs beside its keys
PART = 64  # keys that are loaded at a time
LEAD = 3  # visits between asking for keys and using them
VISIT_COST = 64  # keys: what going over one more span of keys costs


@dataclass(frozen=True, slots=True)
class Unit:
    """Queries ``first`` to before ``end`` of one head, which see keys ``low`` to before ``high``."""

    matrix: int  # of the queries: entry of the batch times heads, plus head
    held: int  # matrix of the keys
    first: int
    end: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Stay:
    """Keys of one head that lie in the scratchpad together; ``first`` is the first of a block."""

    held: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Visit:
    """A unit's work on the keys ``low`` to before ``high`` of a stay."""

    stay: int
    number: int  # of the unit, on its tile
    unit: Unit
    low: int
    high: int
    opens: bool  # the unit's first
    closes: bool  # the unit's last


def units(piece: FlashPiece) -> list[Unit]:
    """Return all units, in the order in which tiles share them out."""
    share = piece.heads // piece.groups
    strips = [_strip(piece, first) for first in range(0, piece.queries, piece.strip)]
    return [
        Unit(held * share + head, held, *strip)
        for held in range(piece.k.blocked.batch)
        for strip in strips
        for head in range(share)
    ]


def _strip(piece: FlashPiece, first: int) -> tuple[int, int, int, int]:
    end = min(first + piece.strip, piece.queries)
    low = 0 if piece.behind is None else max(0, first - piece.behind)
    high = piece.keys if piece.ahead is None else min(piece.keys, end + piece.ahead)
    return first, end, low, high


def shares(piece: FlashPiece, n_tiles: int) -> list[list[Unit]]:
    """Return each tile's units: neighbours, of about the same cost in all."""
    found = units(piece)
    costs = [_cost(piece, unit) for unit in found]
    total, done = sum(costs), 0
    out: list[list[Unit]] = [[] for _ in range(n_tiles)]
    for unit, cost in zip(found, costs, strict=True):
        out[min(n_tiles - 1, (2 * done + cost) * n_tiles // (2 * total))].append(unit)
        done += cost
    return out


def _cost(piece: FlashPiece, unit: Unit) -> int:
    keys = unit.high - unit.low
    return keys + UNIT_COST + VISIT_COST * (ceil_div(keys, piece.span) - 1)


def turns(piece: FlashPiece, mine: list[Unit]) -> tuple[list[Stay], list[Visit]]:
    """Return the stays and visits of a tile that has these units."""
    runs = [list(run) for _, run in groupby(mine, key=lambda unit: unit.held)]
    runs.sort(key=lambda run: run[0].high - run[0].low)
    stays: list[Stay] = []
    visits: list[Visit] = []
    number = 0
    for run in runs:
        whole = _reach(piece, run)
        size = len(run) if whole.end - whole.first <= piece.span else piece.units
        for start in range(0, len(run), size):
            together = run[start : start + size]
            _over(piece, together, number, stays, visits)
            number += len(together)
    return stays, visits


def _reach(piece: FlashPiece, run: list[Unit]) -> Stay:
    """Return the keys that some units need, in whole blocks as far as there are keys."""
    block = piece.k.blocking.of(2)
    first = align_down(min(unit.low for unit in run), block)
    end = align_up(max(unit.high for unit in run), block)
    return Stay(run[0].held, first, min(end, piece.keys))


def _over(
    piece: FlashPiece, together: list[Unit], number: int, stays: list[Stay], visits: list[Visit]
) -> None:
    """Let units go over all their keys, a span at a time."""
    whole = _reach(piece, together)
    for first in range(whole.first, whole.end, piece.span):
        end = min(first + piece.span, whole.end)
        for index, unit in enumerate(together):
            low, high = max(first, unit.low), min(end, unit.high)
            if low < high:
                opens, closes = low == unit.low, high == unit.high
                visits.append(Visit(len(stays), number + index, unit, low, high, opens, closes))
        stays.append(Stay(whole.held, first, end))


@dataclass(frozen=True, slots=True)
class Load:
    """Keys ``first`` to before ``end`` of a stay, with their values."""

    stay: int
    first: int
    end: int


def timetable(stays: list[Stay], visits: list[Visit], block: int) -> dict[int, list[Load]]:
    """Return at which step each part of the keys is asked for.

    That is some steps ahead of its use and no two at once, but not before the visits to what lay
    in its place: two stays have room.
    """
    ends = {visit.stay: index for index, visit in enumerate(visits)}
    due: dict[int, list[Load]] = {}
    for index, stay in enumerate(stays):
        free = ends[index - 2] + 1 if index > 1 else -2
        loads = [
            Load(index, first, min(first + PART, stay.end))
            for first in range(stay.first, stay.end, PART)
        ]
        at = [_need(load, visits, block) - 1 - LEAD for load in loads]
        # What lies in the way of work goes before it; the rest has the later half of the time.
        room = (max(at[0], free) - free) // 2
        for position, (load, latest) in enumerate(zip(loads, at, strict=True)):
            early = at[0] - room + room * position // len(loads)
            due.setdefault(max(free, min(latest, early) if index else latest), []).append(load)
    return due


def _need(load: Load, visits: list[Visit], block: int) -> int:
    """Return the first visit that wants a part; -1 where none does."""
    for index, visit in enumerate(visits):
        seen = align_down(visit.low, block), align_up(visit.high, block)
        if visit.stay == load.stay and load.first < seen[1] and load.end > seen[0]:
            return index
    return -1
