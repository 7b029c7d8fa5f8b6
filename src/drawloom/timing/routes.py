"""Which links and ports a tile-to-tile transfer holds: XY routing, columns first.

A resource is ``tile * 6 + which``; the first four are the directed links that leave the tile.
"""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.chip.model import Chip

EAST, WEST, SOUTH, NORTH, INJECT, EJECT = range(6)  # x+1, x-1, y+1, y-1
N_RESOURCES = 6


@dataclass(frozen=True, slots=True)
class Route:
    """The tree of paths from one tile to its targets.

    ``resources`` are the links and ports held for the whole transfer, ``links`` those of them
    that are links, ``hops`` the length of the longest path.
    """

    resources: tuple[int, ...]
    links: tuple[int, ...]
    hops: int


def path(chip: Chip, source: int, target: int) -> list[int]:
    """Return the links from ``source`` to ``target``: along x to the column, then along y."""
    x, y = chip.xy(source)
    to_x, to_y = chip.xy(target)
    links: list[int] = []
    while x != to_x:
        links.append(chip.tile(x, y) * N_RESOURCES + (EAST if to_x > x else WEST))
        x += 1 if to_x > x else -1
    while y != to_y:
        links.append(chip.tile(x, y) * N_RESOURCES + (SOUTH if to_y > y else NORTH))
        y += 1 if to_y > y else -1
    return links


def route(chip: Chip, source: int, targets: tuple[int, ...]) -> Route:
    """Return the route to all targets; one that is the sender itself holds nothing."""
    away = [target for target in targets if target != source]
    paths = [path(chip, source, target) for target in away]
    links = sorted({link for each in paths for link in each})
    ports = [source * N_RESOURCES + INJECT] if away else []
    ports += sorted({target * N_RESOURCES + EJECT for target in away})
    return Route((*links, *ports), tuple(links), max(map(len, paths), default=0))


def link_name(chip: Chip, resource: int) -> str:
    """Return a link's name for people, such as ``3->7``."""
    tile, which = divmod(resource, N_RESOURCES)
    x, y = chip.xy(tile)
    dx, dy = ((1, 0), (-1, 0), (0, 1), (0, -1))[which]
    return f"{tile}->{chip.tile(x + dx, y + dy)}"
