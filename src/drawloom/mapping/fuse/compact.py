"""Fewer scratchpad buffers for a body: slots that are never alive together share one."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from drawloom.mapping.body import Body, Slot, Step


def compact(body: Body, given: tuple[str, ...] = (), kept: Container[str] = ()) -> Body:
    """Return the body with slots reused; ``given`` slots hold data before the first step.

    ``kept`` slots serve several chunks: nothing is written over what they were loaded with.

    A step may write over an operand that dies in it when both have the same kind and format:
    vector commands work element by element.
    """
    last = {slot.name: -1 for slot in body.slots}
    for index, step in enumerate(body.steps):
        for name in (step.a, step.b, step.dst):
            if name:
                last[name] = index
    for slot, _ in body.stores:
        last[slot] = len(body.steps)
    kinds = {slot.name: slot for slot in body.slots}
    place = {slot: slot for slot, _ in body.loads} | {name: name for name in given}
    free: list[Slot] = []
    steps: list[Step] = []
    for index, step in enumerate(body.steps):
        a, b = place[step.a], place.get(step.b, "")
        dying = [
            place[n]
            for n in (step.a, step.b)
            if n and last[n] == index and kinds[n].kind != "channel" and n not in kept
        ]
        if step.dst not in place:
            place[step.dst] = _choose(step, kinds, free, dying, place)
        dst = place[step.dst]
        steps.append(replace(step, dst=dst, a=a, b=b))
        for name in dict.fromkeys(dying):
            if name != dst:
                free.append(kinds[name])
        if last[step.dst] == index:
            free.append(kinds[dst])
    used = {n for step in steps for n in (step.dst, step.a, step.b) if n} | {
        place[s] for s, _ in body.stores
    }
    used |= set(given)
    slots = tuple(slot for slot in body.slots if slot.name in used)
    stores = tuple((place[slot], value) for slot, value in body.stores)
    return Body(slots, tuple(steps), tuple((s, v) for s, v in body.loads if s in used), stores)


def _choose(
    step: Step, kinds: dict[str, Slot], free: list[Slot], dying: list[str], place: dict[str, str]
) -> str:
    wanted = kinds[step.dst]
    if not step.op.startswith("reduce.") and step.op not in ("spread", "select", "turn"):
        for name in dying:
            if (kinds[name].kind, kinds[name].fmt) == (wanted.kind, wanted.fmt):
                return name
    for slot in free:
        if (slot.kind, slot.fmt) == (wanted.kind, wanted.fmt):
            free.remove(slot)
            return slot.name
    return step.dst
