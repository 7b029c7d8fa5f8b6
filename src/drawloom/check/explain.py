"""A finding → who touches which bytes, what orders them, what is missing; the last tried before it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from drawloom.check.findings import Finding, Lines, Place
from drawloom.check.mend import Edit, mended, missing
from drawloom.check.run import check
from drawloom.check.state import IN_DRAM
from drawloom.check.telling import memory_name
from drawloom.check.writers import writers
from drawloom.chip.model import Chip
from drawloom.program.commands import (
    ENGINE_OF,
    Arm,
    Barrier,
    Command,
    Engine,
    Join,
    Send,
    Signal,
    Wait,
)
from drawloom.program.program import Program
from drawloom.program.text import command_text

SYNC = (Join, Barrier, Send, Signal, Wait, Arm)
MOST_TRIED = 12  # ways out that are checked, each as long as a check
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Explained:
    """What there is to say about a finding.

    Attributes:
        lines: in words, one fact a line.
        edits: what is missing: commands to put in; empty where no way out was found.
        is_tried: whether with them the finding is gone, and no other has come.
    """

    lines: tuple[str, ...]
    edits: tuple[Edit, ...]
    is_tried: bool

    def text(self) -> str:
        """Return the facts, indented."""
        return "\n".join(f"  {line}" for line in self.lines)


def explain(
    program: Program,
    chip: Chip,
    finding: Finding,
    lines: Lines | None = None,
    told: Callable[[str], str] = str,
    known: Sequence[Finding] | None = None,
) -> Explained:
    """Return who touches which bytes, what orders them, and what is missing.

    Args:
        program: what the finding was made in.
        chip: its chip.
        finding: a race, an unarmed send or a read of what nobody wrote; of others little is said.
        lines: where commands stand in the program's text.
        told: says more of a node of the graph, by its name.
        known: what ``check`` found in the program; it is checked where this is not given.
    """
    teller = _Teller(program, lines, told)
    said = list(_bytes(program, finding))
    others = [finding.other] if finding.other is not None else []
    if finding.rule == "unwritten" and finding.where is not None:
        others = list(writers(program, finding))
        said += _written(teller, finding.where, others)
        # What other tiles send is what a tile waits for.
        others.sort(key=lambda place: not isinstance(place.command, Send))
    elif others:
        said += teller.place("first", others[0])
    if finding.where is not None:
        said += teller.place("then" if others else "command", finding.where)
        said += teller.order(others[0] if others else None, finding.where)
    tries = [replace(finding, other=other) for other in others[:SHOWN]] or [finding]
    edits, is_tried = _way_out(program, chip, finding, tries, known)
    if edits:
        said += ["missing" + ("" if is_tried else " (perhaps)")]
        said += [f"  {teller.edit(edit)}" for edit in edits]
        if is_tried:
            said.append("  with it this is gone, and nothing is found that was not there before")
    return Explained(tuple(said), edits, is_tried)


def _way_out(
    program: Program,
    chip: Chip,
    finding: Finding,
    tries: list[Finding],
    known: Sequence[Finding] | None,
) -> tuple[tuple[Edit, ...], bool]:
    """Return the first way out that removes a finding; else the first there is."""
    first: tuple[Edit, ...] = ()
    before = {one.key for one in (check(program, chip) if known is None else known)}
    gone = _likeness(finding)
    ways = dict.fromkeys(edits for one in tries for edits in missing(program, one))
    for edits in list(ways)[:MOST_TRIED]:
        first = first or edits
        after = check(mended(program, edits), chip)
        # Of those alike one is told: that of another tile is none that was not there before.
        if gone not in map(_likeness, after) and {one.key for one in after} <= before:
            return edits, True
    return first, False


def _likeness(one: Finding) -> object:
    """Return what stays of a finding when commands are put in around it."""
    place = one.where
    return one.rule, place and (place.tile, place.command), one.owner


def _bytes(program: Program, finding: Finding) -> Iterator[str]:
    """Yield which bytes a finding is about, and of which region."""
    if finding.rule == "unarmed" or finding.owner < IN_DRAM:
        return
    start, stop = finding.start, finding.stop
    yield f"bytes   {start:#x} to {stop:#x} of {memory_name(finding.owner)}, {stop - start:,} in all"
    for region in program.regions if finding.owner == IN_DRAM else ():
        low, high = max(start, region.address), min(stop, region.address + region.bytes)
        if low < high:
            first, last = low - region.address, high - region.address
            yield f"        of {region.kind} '{region.name}': its bytes {first:,} to {last:,}"


def _written(teller: _Teller, reader: Place, found: list[Place]) -> Iterator[str]:
    if not found:
        yield "nobody writes these bytes"
        return
    for place in found[:SHOWN]:
        late = place.tile == reader.tile and place.number > reader.number
        yield f"written {'too late ' if late else ''}by {teller.short(place)}"


class _Teller:
    """Puts commands in words."""

    def __init__(self, program: Program, lines: Lines | None, told: Callable[[str], str]) -> None:
        self.program, self.lines, self.told = program, lines, told
        self.written: dict[int, list[Command]] = {}

    def commands(self, tile: int) -> list[Command]:
        """Return a tile's commands, as written."""
        if tile not in self.written:
            self.written[tile] = list(self.program.commands(tile))
        return self.written[tile]

    def short(self, place: Place) -> str:
        """Return a command in few words: where it stands, and what it is."""
        where = f"tile {place.tile}"
        line = self.lines.of(place) if self.lines else ""
        number = "" if line or place.number < 0 else f", command {place.number + 1}"
        turns = ", turn " + ", ".join(str(t + 1) for t in place.turns) if place.turns else ""
        return f"{line}{where}{number}{turns}: {command_text(place.command)}"

    def place(self, word: str, place: Place) -> Iterator[str]:
        """Yield a command with its queue, and what of the user's model it is for."""
        yield f"{word:7} {self.short(place)}"
        engine = ENGINE_OF[type(place.command)]
        queue = "the processor" if engine is Engine.CPU else f"queue '{engine.value}'"
        yield f"        {queue} of tile {place.tile}"
        if 0 <= place.command.origin < len(self.program.origins):
            origin = self.program.origins[place.command.origin]
            of = [f"piece '{origin.piece}'", f"node '{origin.node}'"]
            of += [f"layer '{origin.layer}'"] if origin.layer else []
            yield f"        {', '.join(of)}"
            more = self.told(origin.node)
            if more and more != origin.node:
                yield f"        {more}"

    def order(self, first: Place | None, then: Place) -> Iterator[str]:
        """Yield what there is that orders: what follows the first command, what goes before the second."""
        if first is not None and first.number >= 0 and first.tile != then.tile:
            found = self._syncs(first.tile, range(first.number + 1, len(self.commands(first.tile))))
            yield f"after the first, tile {first.tile} comes to" + ("" if found else " its end")
            yield from (f"        {self.short(place)}" for place in found)
        if then.number < 0:
            return
        low = first.number if first is not None and first.tile == then.tile else -1
        found = self._syncs(then.tile, range(then.number - 1, low, -1))[::-1]
        between = "between the two" if low >= 0 else "before the second"
        yield f"{between}, tile {then.tile} has" + ("" if found else " no join, wait or barrier")
        yield from (f"        {self.short(place)}" for place in found)

    def _syncs(self, tile: int, numbers: range) -> list[Place]:
        commands = self.commands(tile)
        found: list[Place] = []
        for number in numbers:
            if isinstance(commands[number], SYNC):
                found.append(Place(tile, commands[number], number=number))
                if len(found) == SHOWN:
                    break
        return found

    def edit(self, edit: Edit) -> str:
        """Return in words what is put in, and where."""
        commands = self.commands(edit.tile)
        said = edit.text()
        if edit.taken >= 0:
            taken = Place(edit.tile, commands[edit.taken], number=edit.taken)
            line = self.lines.of(taken).rstrip(": ") if self.lines else ""
            said += f", moved up from {line or f'command {edit.taken + 1}'},"
        if edit.number >= len(commands):
            return f"{said}   at the end of tile {edit.tile}"
        at = Place(edit.tile, commands[edit.number], number=edit.number)
        return f"{said}   before {self.short(at)}"
