"""What chains of stages take whose lanes carry one part at a time, in the order in which parts come."""

from __future__ import annotations

import heapq

from drawloom.units import Picoseconds


def append(chain: list[tuple[int, int]], lane: int, length: int) -> None:
    """Add a stage to a chain; a part stays on a lane for all stages there that follow."""
    if chain and chain[-1][0] == lane:
        length += chain.pop()[1]
    chain.append((lane, length))


def pipelined(chains: list[list[tuple[int, int]]], splits: int) -> Picoseconds:
    """Return when the last part is through all stages, (lane, picoseconds), of its chain.

    Each has a lane alone; who has waited longest goes first, then chain and part decide.
    """
    free: dict[int, int] = {}
    # (when to look again, since when it waits, chain, part, stage)
    waiting = [(0, 0, c, part, 0) for c in range(len(chains)) for part in range(splits)]
    heapq.heapify(waiting)
    end = 0
    while waiting:
        now, since, c, part, at = heapq.heappop(waiting)
        if at == len(chains[c]):
            end = max(end, now)
            continue
        lane, length = chains[c][at]
        start = free.get(lane, 0)
        if start > now:
            heapq.heappush(waiting, (start, since, c, part, at))
            continue
        free[lane] = done = now + length
        heapq.heappush(waiting, (done, done, c, part, at + 1))
    return Picoseconds(end)
