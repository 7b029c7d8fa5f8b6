"""When a tile has to do with which part of the keys.

A part of a stay's keys is loaded by one tile of a team, its owner. Each tile first *begins* it:
room is there, and the owner reads. Then its owner *delivers* it to the others. Before its first
use each tile *expects* it.

Tiles never wait for each other in a circle: on every tile a part is begun before a later one is
delivered or expected, and delivered before a later one is expected.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from drawloom.program.lower.turns import UNIT_COST, Stay, Visit
from drawloom.units import align_down, align_up

PART = 128  # keys of a part
FIRST_PART = 64  # of the first ones, for which the engines wait
LEAD = 3  # visits between asking for keys and using them, at least
READING = 1500  # keys that are weighed while a part is read


@dataclass(frozen=True, slots=True)
class Part:
    """Keys ``first`` to before ``end`` of a stay, with their values."""

    stay: int
    first: int
    end: int
    owner: int  # place in the team


class Act(IntEnum):
    """What a tile does for a part, in this order."""

    BEGIN = 0
    DELIVER = 1
    EXPECT = 2


def parts(stays: list[Stay], team: int) -> list[Part]:
    """Return all parts in the order in which they are loaded."""
    out: list[Part] = []
    for index, stay in enumerate(stays):
        at = stay.first
        while at < stay.end:
            size = FIRST_PART if len(out) < 2 * team else PART
            out.append(Part(index, at, min(at + size, stay.end), len(out) % team))
            at += size
    return out


Acts = dict[int, list[tuple[Act, Part]]]


def acts(found: list[Part], visits: list[Visit], block: int) -> Acts:
    """Return what a tile does before each step, in order.

    Parts of a stay are begun one by one while the stay before is gone over; the first stay's
    when they are wanted. Two stays have room: a part waits for the visits to what lay in its place.
    """
    need = _needs(found, visits, block)
    work = [0]
    for visit in visits:
        work.append(work[-1] + visit.high - visit.low + UNIT_COST)
    last = {visit.stay: index for index, visit in enumerate(visits)}
    out: dict[int, list[tuple[Act, int]]] = {}
    begun = delivered = -2
    for number, part in enumerate(found):
        expected = max(-2, need[number] - 1)
        free = last[part.stay - 2] + 1 if part.stay > 1 else -2
        wish = max(free + 1, _evenly(found, number, last)) if part.stay else expected - LEAD
        begun = max(begun, min(wish, expected - LEAD), free)
        late = _after(work, begun)
        delivered = max(delivered, begun, min(late, expected - 1))
        assert free <= begun <= expected, part
        delivered = min(delivered, expected)
        for act, at in ((Act.BEGIN, begun), (Act.DELIVER, delivered), (Act.EXPECT, expected)):
            out.setdefault(at, []).append((act, number))
    return {at: [(act, found[number]) for act, number in sorted(some)] for at, some in out.items()}


def _evenly(found: list[Part], number: int, last: dict[int, int]) -> int:
    """Return the step at which a part is begun where those of its stay are spread over the one before."""
    stay = found[number].stay
    mine = [index for index, part in enumerate(found) if part.stay == stay]
    start, end = last.get(stay - 2, -1) + 1, last[stay - 1] + 1
    return start + (end - start) * (number - mine[0]) // len(mine)


def _after(work: list[int], step: int) -> int:
    """Return the first step at which a part that was begun before ``step`` should be there."""
    at = max(0, step)
    while at + 1 < len(work) and work[at] < work[max(0, step)] + READING:
        at += 1
    return at


def _needs(found: list[Part], visits: list[Visit], block: int) -> list[int]:
    """Return the first visit that wants each part or a later one; the number of visits where none does."""
    out = [len(visits)] * len(found)
    by_stay: dict[int, list[int]] = {}
    for number, part in enumerate(found):
        by_stay.setdefault(part.stay, []).append(number)
    for index, visit in enumerate(visits):
        low, high = align_down(visit.low, block), align_up(visit.high, block)
        for number in by_stay[visit.stay] if not visit.pauses else ():
            if found[number].first < high and found[number].end > low:
                out[number] = min(out[number], index)
    for number in reversed(range(len(found) - 1)):
        out[number] = min(out[number], out[number + 1])
    return out
