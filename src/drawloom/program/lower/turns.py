"""How the work of a flash piece is shared out, and in which turns a tile goes over keys.

Tiles stand in teams of ``piece.team``, which go over the same keys together: each tile reads a
part of them and hands it to the others. A team has whole key heads. Their units (a strip of
queries of one head) are dealt out so that few keys are needed first, and all tiles of the team
have about the same to do. A tile alone in its team has a part of the row of all units instead,
those of one key head together, and begins where few keys are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from drawloom.mapping.pieces import FlashPiece
from drawloom.units import align_down, align_up, ceil_div

UNIT_COST = 128  # keys: what a unit costs beside its keys
STEADY = 3  # units of the piece's first that need the fewest keys, and so begin
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
    """A unit's work on the keys ``low`` to before ``high`` of a stay; a pause where no unit needs it."""

    stay: int
    number: int  # of the unit, on its tile
    unit: Unit
    low: int
    high: int
    opens: bool  # the unit's first
    closes: bool  # the unit's last

    @property
    def pauses(self) -> bool:
        """Whether there is nothing to do."""
        return self.low >= self.high


def units(piece: FlashPiece) -> list[Unit]:
    """Return all units, in the order in which tiles share them out."""
    share = piece.heads // piece.groups
    strips = [_strip(piece, first) for first in range(0, piece.queries, piece.strip)]
    return [
        Unit(held * share + head, held, *strip)
        for held in range(piece.k.matrices)
        for strip in strips
        for head in range(share)
    ]


def _strip(piece: FlashPiece, first: int) -> tuple[int, int, int, int]:
    end = min(first + piece.strip, piece.queries)
    low = 0 if piece.behind is None else max(0, first - piece.behind)
    high = piece.keys if piece.ahead is None else min(piece.keys, end + piece.ahead)
    return first, end, low, high


def teams(piece: FlashPiece, n_tiles: int) -> list[tuple[int, ...]]:
    """Return the tiles of each team: neighbours."""
    return [
        tuple(range(first, first + piece.team))
        for first in range(0, n_tiles - piece.team + 1, piece.team)
    ]


def shares(piece: FlashPiece, n_tiles: int) -> list[list[Unit]]:
    """Return each tile's units, of about the same cost in all."""
    if piece.team == 1:
        return _row(piece, n_tiles)
    out: list[list[Unit]] = [[] for _ in range(n_tiles)]
    load = [0] * n_tiles
    found, n_held = teams(piece, n_tiles), piece.k.matrices
    for held, run in groupby(units(piece), key=lambda unit: unit.held):
        team, mine = found[held * len(found) // n_held], list(run)
        for start in range(0, len(mine), piece.team):
            # Of a round, whoever has done least gets what costs most.
            some = sorted(mine[start : start + piece.team], key=lambda unit: -_cost(piece, unit))
            tiles = sorted(team, key=lambda tile: load[tile])
            for tile, unit in zip(tiles, some, strict=False):
                out[tile].append(unit)
                load[tile] += _cost(piece, unit)
    return out


def _row(piece: FlashPiece, n_tiles: int) -> list[list[Unit]]:
    """Cut the row of all units into parts of equal cost."""
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


def turns(
    piece: FlashPiece, team: Sequence[Sequence[Unit]]
) -> tuple[list[Stay], list[list[Visit]]]:
    """Return the stays of a team whose tiles have these units, and each tile's visits."""
    runs = [
        {held: list(run) for held, run in groupby(mine, key=lambda unit: unit.held)}
        for mine in team
    ]
    order = list(dict.fromkeys(held for mine in runs for held in mine))
    if len(team) == 1:
        order.sort(key=lambda held: runs[0][held][0].high - runs[0][held][0].low)
    stays: list[Stay] = []
    visits: list[list[Visit]] = [[] for _ in team]
    done = [0] * len(team)
    for held in order:
        here = [mine.get(held, []) for mine in runs]
        whole = _reach(piece, [unit for run in here for unit in run])
        most = max(map(len, here))
        if fits := whole.end - whole.first <= piece.span:
            here = [_hill(run, 0 if stays else STEADY) for run in here]
        size = most if fits else piece.units
        for start in range(0, most, size):
            together = [run[start : start + size] for run in here]
            _over(piece, together, done, stays, visits)
            done = [n + len(some) for n, some in zip(done, together, strict=True)]
    return stays, visits


def _hill(run: list[Unit], steady: int) -> list[Unit]:
    """Put units whose keys become more so that they rise and fall: both ends are small, and all steps.

    The first ones keep their order: keys come in as they need them.
    """
    rest = run[steady:]
    return run[:steady] + rest[::2] + rest[1::2][::-1]


def _reach(piece: FlashPiece, run: list[Unit]) -> Stay:
    """Return the keys that some units need, in whole blocks as far as there are keys."""
    block = piece.k.blocking.of(2)
    first = align_down(min(unit.low for unit in run), block)
    end = align_up(max(unit.high for unit in run), block)
    return Stay(run[0].held, first, min(end, piece.keys))


def _over(
    piece: FlashPiece,
    together: list[list[Unit]],
    done: list[int],
    stays: list[Stay],
    visits: list[list[Visit]],
) -> None:
    """Let units go over all their keys, in as few spans of one size as can be held."""
    whole = _reach(piece, [unit for some in together for unit in some])
    keys = whole.end - whole.first
    span = align_up(ceil_div(keys, ceil_div(keys, piece.span)), piece.k.blocking.of(2))
    for first in range(whole.first, whole.end, span):
        end = min(first + span, whole.end)
        stay = Stay(whole.held, first, end)
        for some, number, mine in zip(together, done, visits, strict=True):
            found = [
                Visit(
                    len(stays), number + index, unit, max(first, unit.low), min(end, unit.high),
                    unit.low >= first, unit.high <= end,
                )
                for index, unit in enumerate(some)
                if max(first, unit.low) < min(end, unit.high)
            ]  # fmt: skip
            nobody = Unit(0, whole.held, 0, 0, 0, 0)
            mine += found or [Visit(len(stays), -1, nobody, 0, 0, opens=False, closes=False)]
        stays.append(stay)
