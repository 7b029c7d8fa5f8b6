"""Runs a program's order, not its values: every access against all that nothing orders before it.

Each queue of each tile counts its commands. A clock says, of every queue, up to which command a
moment comes after. Processors, queues (full ones hold a processor up), joins, barriers, flags and
hazard checks hand clocks on. Two accesses race where one writes and the later one's clock has not got to the
earlier one's count. Whatever order the tiles are stepped in here, clocks come out the same.

The same walk keeps for every byte which write holds it, in which format, and whether it was read: what is wrong
in every order, such as a buffer that is loaded over before it was used, shows there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from time import process_time

from drawloom.check import state
from drawloom.check.alone import alone
from drawloom.check.code import Flat, flatten
from drawloom.check.ends import lost, outputs
from drawloom.check.findings import Finding
from drawloom.check.loops import repeating
from drawloom.check.parts import Parts, parts
from drawloom.check.prepare import prepare
from drawloom.check.repeats import Repeats
from drawloom.check.standing import standing
from drawloom.check.state import Ints
from drawloom.check.telling import Teller
from drawloom.check.traffic import traffic
from drawloom.check.walk import walk
from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError
from drawloom.graph.ir import Graph
from drawloom.host import uncollected
from drawloom.program.program import Program

MOST = 8_000_000  # commands that are walked over: beyond, a check takes minutes
SHOWN = 20  # findings that are returned


def check(
    program: Program,
    chip: Chip,
    most: int = MOST,
    *,
    strict: bool = False,
    seconds: float = inf,
    graph: Graph | None = None,
) -> tuple[Finding, ...]:
    """Return what is wrong with a program, at most ``SHOWN`` findings; none if nothing is.

    ``strict`` holds it to rules as well that sound programs may break: docs/checker.md lists them. ``graph``, what the
    program was compiled from, tells these of which inputs the model itself takes a part.

    Raises:
        InputError: more than ``most`` commands would be looked at, too many bytes, or for longer than
            so many seconds of the processor, as far as that is seen between turns of loops (``check.size``).
    """
    with uncollected():
        of = parts(graph) if strict and graph else Parts()
        held_to = _Rules(strict, of, process_time() + seconds)
        return _checked(program, chip, most, held_to)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a program is held to, and until when.

    Attributes:
        strict: whether to the strict rules as well.
        parts: what the model takes a part of.
        until: time of the processor at which a check is given up.
    """

    strict: bool
    parts: Parts
    until: float


def _checked(program: Program, chip: Chip, most: int, held_to: _Rules) -> tuple[Finding, ...]:
    flat = flatten(program, chip, strict=held_to.strict)
    often = flat.often()
    total = int(often[flat.code.rows[:, 0] > 1].sum())
    if total > most:
        fault = Fault("commands run", f"{total:,}", f"at most {most:,}")
        raise InputError("check.size", f"program '{program.name}' is too long to check", [fault])
    found = list(_findings(program, chip, flat, often, held_to))
    kept: dict[object, Finding] = {}
    for one in found:
        kept.setdefault(one.key, one)
    return tuple(kept.values())[:SHOWN]


def _findings(
    program: Program, chip: Chip, flat: Flat, often: Ints, held_to: _Rules
) -> Iterator[Finding]:
    strict = held_to.strict
    yield from alone(program, chip, flat, strict=strict)
    if strict:
        yield from traffic(program, flat, held_to.parts.tensors)
    store = prepare(program, flat, chip, often, strict=strict)
    # The strict rules look at every write and who reads it: of these no turn tells of another.
    repeats = Repeats(flat, store, [] if strict else repeating(program, flat))
    holds = True
    while holds:
        walk(store.cells, store.pieces)
        holds = bool(store.cells[state.WANTS_ROOM] or store.cells[state.WANTS_LOOK])
        if holds and process_time() > held_to.until:
            raise InputError("check.size", f"program '{program.name}' takes too long to check")
        if store.cells[state.WANTS_LOOK]:
            repeats.look()
        elif holds and not store.make_room():
            raise _too_much(program)
        store.cells[[state.WANTS_ROOM, state.WANTS_LOOK]] = 0
    teller = Teller(flat)
    n_findings = int(store.cells[state.N_FINDINGS])
    for row in store[state.FOUND][:n_findings]:
        yield teller.finding(row)
    if n_findings:
        return
    stuck = list(standing(program, flat, store))
    yield from stuck
    if not stuck:
        yield from outputs(program, store)
        if strict:
            yield from lost(program, teller, store, held_to.parts)


def _too_much(program: Program) -> InputError:
    fault = Fault(
        "memory to look at", "too many pieces", f"at most {state.MOST_CELLS >> 17} MiB of them"
    )
    return InputError("check.size", f"program '{program.name}' is too large to check", [fault])
