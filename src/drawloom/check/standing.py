"""Tiles that stand where nothing moves any more: who waits for whom, and in which circle."""

from __future__ import annotations

from collections.abc import Iterator

from drawloom.check.code import Flat
from drawloom.check.findings import Finding, Place
from drawloom.check.state import N_CAME, N_FLAGS, STANDS, WAITED, Store
from drawloom.check.templates import SEND, SIGNAL
from drawloom.program.commands import Barrier, Wait
from drawloom.program.program import Program

Stuck = dict[int, Place]


def standing(program: Program, flat: Flat, store: Store) -> Iterator[Finding]:
    """Yield why tiles have not come to their end, where some have not."""
    stuck: Stuck = {}
    stands: list[int] = store[STANDS].tolist()
    for tile, row in enumerate(stands):
        command = flat.commands[row] if row >= 0 else None
        if command is not None:
            stuck[tile] = Place(tile, command)
    if not stuck:
        return
    needs = {tile: _needs(flat, stands, place, stuck) for tile, place in stuck.items()}
    circle = _circle(needs)
    if circle:
        text = " -> ".join(f"tile {tile}" for tile in (*circle, circle[0]))
        yield _finding("deadlock", program, f"{text}, each waits for the next", stuck, circle)
        return
    for tile, place in stuck.items():
        gone = [other for other in needs[tile] if other not in stuck]
        if isinstance(place.command, Barrier) and (gone or _differ(stuck, place)):
            detail = (
                f"tile {tile} waits for {_tiles(gone)}, at the end"
                if gone
                else _unlike(stuck, place)
            )
            yield _finding("barrier", program, detail, stuck, [tile])
            return
        if isinstance(place.command, Wait) and not needs[tile]:
            flag = place.command.flag
            at = tile * N_FLAGS + flag
            there = int(store[N_CAME][at] - store[WAITED][at])
            detail = (
                f"tile {tile} waits for flag {flag} at {place.command.count}; {there} came, and no tile "
                "has a send or signal to it left"
            )
            yield _finding("starved", program, detail, stuck, [tile])
            return
    yield _finding("deadlock", program, f"{len(stuck)} tiles stand", stuck, list(stuck))


def _finding(rule: str, program: Program, detail: str, stuck: Stuck, tiles: list[int]) -> Finding:
    lines = [detail, *(stuck[tile].text(program) for tile in tiles[:6])]
    return Finding(rule, None, None, "\n  ".join(lines), ())


def _needs(flat: Flat, stands: list[int], place: Place, stuck: Stuck) -> list[int]:
    """Return the tiles that one waits for."""
    command = place.command
    if isinstance(command, Barrier):
        return [t for t in command.tiles if t != place.tile and not _is_there(stuck, t, command)]
    assert isinstance(command, Wait), command
    return [tile for tile in stuck if _sends(flat, stands, tile, place.tile, command.flag)]


def _is_there(stuck: Stuck, tile: int, barrier: Barrier) -> bool:
    there = stuck.get(tile)
    if there is None or not isinstance(there.command, Barrier):
        return False
    return {*there.command.tiles} == {*barrier.tiles}


def _sends(flat: Flat, stands: list[int], tile: int, target: int, flag: int) -> bool:
    """Whether a tile has a send or signal to a flag left."""
    code = flat.code
    left = code.rows[stands[tile] : int(code.starts[tile + 1])]
    for row in left[(left[:, 0] == SEND) | (left[:, 0] == SIGNAL)]:
        one = flat.templates[int(row[1])]
        if one.flag == flag and target in one.tiles:
            return True
    return False


def _circle(needs: dict[int, list[int]]) -> list[int]:
    """Return tiles each of which waits for the next, the last for the first; none if there are none."""
    done: set[int] = set()
    for start in needs:
        path: list[int] = []
        here: int | None = start
        while here is not None and here in needs and here not in done:
            if here in path:
                return path[path.index(here) :]
            path.append(here)
            here = next((other for other in needs[here] if other in needs), None)
        done.update(path)
    return []


def _differ(stuck: Stuck, place: Place) -> bool:
    return bool(_others(stuck, place))


def _others(stuck: Stuck, place: Place) -> list[int]:
    command = place.command
    assert isinstance(command, Barrier)
    return [
        t
        for t in command.tiles
        if t in stuck and isinstance(stuck[t].command, Barrier) and not _is_there(stuck, t, command)
    ]


def _unlike(stuck: Stuck, place: Place) -> str:
    return f"tile {place.tile} and {_tiles(_others(stuck, place))} stand at barriers of other tiles"


def _tiles(tiles: list[int]) -> str:
    return ("tile " if len(tiles) == 1 else "tiles ") + ", ".join(map(str, tiles))
