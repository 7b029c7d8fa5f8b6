"""When a tile has to do with which part of the keys.

A part of a stay's keys is loaded by one tile of a team, its owner. Each tile first *begins* it:
room is there, and the owner reads. Then its owner *delivers* it to the others. Before its first
use each tile *expects* it.

Tiles never wait for each other in a circle: on every tile a part is begun before a later one is
delivered or expected, and delivered before a later one is expected.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum

from drawloom.program.lower.turns import UNIT_COST, Stay, Visit
from drawloom.units import align_down, align_up

PART = 128  # keys of a part
FIRST_PART = 64  # of the first ones, for which the engines wait
LEAD = 3  # visits between asking for keys and using them, at least
START = -4  # the first half step
BEGUN = 1  # parts of the first stay that a tile has on their way
READING = 1500  # keys that are weighed while a part is read


@dataclass(frozen=True, slots=True)
class Part:
    """Keys ``first`` to before ``end`` of a stay, with their values."""

    stay: int
    first: int
    end: int
    owner: int  # place in the team


class Act(IntEnum):
    """What a tile does for a part; of two parts at a time the first is delivered before the other is begun."""

    DELIVER = 0
    BEGIN = 1
    EXPECT = 2


def parts(stays: list[Stay], team: int) -> list[Part]:
    """Return all parts in the order in which they are loaded."""
    out: list[Part] = []
    for index, stay in enumerate(stays):
        at = stay.first
        while at < stay.end:
            size = FIRST_PART if len(out) < 4 * team else PART
            out.append(Part(index, at, min(at + size, stay.end), len(out) % team))
            at += size
    return out


Acts = dict[int, list[tuple[Act, Part]]]


def acts(found: list[Part], visits: list[Visit], team: int, block: int) -> Acts:
    """Return what a tile does, in order, at each half step: 2 n before it makes scores in step n, 2 n + 1 behind.

    Two stays have room: a part waits for the visits to what lay in its place. Parts of a stay are
    begun one by one while the stay before is gone over. Of the first stay a tile has but a few on
    their way, so that none waits for those that are needed later.
    """
    need = _needs(found, visits, block)
    work = [0]
    for visit in visits:
        work.append(work[-1] + visit.high - visit.low + UNIT_COST)
    last = {visit.stay: index for index, visit in enumerate(visits)}
    counts = Counter(part.stay for part in found)
    begun, delivered = [START], [START]
    out: dict[int, list[tuple[int, Act, int]]] = {}
    place = 0  # of a part among those of its stay
    for number, part in enumerate(found):
        expected = max(START, 2 * (need[number] - 1))
        free = 2 * (last[part.stay - 2] + 1) if part.stay > 1 else START
        before = number - BEGUN * team
        place = place + 1 if number and found[number - 1].stay == part.stay else 0
        if part.stay == 0:
            begin = delivered[before + 1] if before >= 0 else START
            late = expected
        else:
            # A step or two late: the engines have work while it is seen that room is there.
            wish = max(free + 5, 2 * _evenly(part.stay, place, counts[part.stay], last) + 1)
            begin = min(wish, expected - 2 * LEAD)
            late = 2 * _after(work, begin // 2) + 1
        begun.append(max(begun[-1], min(begin, expected), free))
        delivered.append(max(delivered[-1], begun[-1], min(late, expected)))
        assert free <= begun[-1] <= delivered[-1] <= expected, part
        out.setdefault(begun[-1], []).append((before, Act.BEGIN, number))
        out.setdefault(delivered[-1], []).append((number, Act.DELIVER, number))
        out.setdefault(expected, []).append((number + team - 1, Act.EXPECT, number))
    return {
        at: [(act, found[number]) for _, act, number in sorted(some)] for at, some in out.items()
    }


def _evenly(stay: int, place: int, count: int, last: dict[int, int]) -> int:
    """Return the step at which a part is begun where those of its stay are spread over the one before."""
    end = last[stay - 1] + 1
    # While the first stay is gone over, its own parts come first.
    start = last[stay - 2] + 1 if stay > 1 else end // 2
    return start + (end - start) * place // count


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
