"""Programs of several chips that run beside each other and send to each other's tiles.

    span   ::= system, places, programs, cuts
    place  ::= the chip of the system on which the program of the same index runs

A ``Send`` or ``Signal`` whose ``chip`` is not -1 goes to a tile of the program of that index; all
else stays on its own chip. ``cuts`` says of inputs and outputs along which axis, and into how many
parts, the chips that have them hold them: of n chips, chip i has part i * parts // n; and into how
many slices they are also cut along axis 0, of which chip i has slice i % slices. One that is not
named is held whole by each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from drawloom.chip.system import System
from drawloom.program.commands import Command, Send, Signal
from drawloom.program.program import Program, Region

Cut = tuple[int, int, int]  # axis, parts along it, slices along axis 0


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Programs of several chips of a system.

    Attributes:
        name: what it computes.
        system: the chips and the fabric between them.
        places: the chip of the system that each program runs on.
        programs: one a chip.
        cuts: how an input or output is cut, by name.
        notes: short facts that are shown wherever a figure of it is.
    """

    name: str
    system: System
    places: tuple[int, ...]
    programs: tuple[Program, ...]
    cuts: Mapping[str, Cut] = field(default_factory=dict[str, Cut])
    notes: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Check that chips exist, live and have one program each, and that sends go to them."""
        assert len(self.places) == len(self.programs) == len(set(self.places)) > 0
        assert set(self.places) <= set(self.system.chips), "a chip is dead or does not exist"
        assert len({len(program.streams) for program in self.programs}) == 1
        for index, command in self.far():
            assert command.chip < len(self.programs), (index, command)

    def far(self) -> Iterator[tuple[int, Send | Signal]]:
        """Yield all commands as written that go to another chip, with the chip they are on."""
        for index, program in enumerate(self.programs):
            for tile in range(len(program.streams)):
                for command in program.commands(tile):
                    if is_far(command):
                        assert isinstance(command, Send | Signal)
                        yield index, command

    def holders(self, kind: str, name: str) -> list[tuple[int, Region]]:
        """Return the chips that have an input or output, and their regions of it."""
        found = ((i, program.named(kind).get(name)) for i, program in enumerate(self.programs))
        return [(i, region) for i, region in found if region is not None]

    def named(self, kind: str) -> dict[str, Region]:
        """Return the regions of a kind by name as they would be on one chip; addresses are parts'."""
        names = dict.fromkeys(name for program in self.programs for name in program.named(kind))
        return {name: self._whole(kind, name) for name in names}

    def _whole(self, kind: str, name: str) -> Region:
        held = self.holders(kind, name)
        first = held[0][1]
        if name not in self.cuts:
            return first
        axis, parts, rows = self.cuts[name]
        shape = list(first.shape)
        shape[axis] *= parts
        shape[0] *= rows
        size = parts * rows * first.bytes
        return Region(name, kind, first.address, size, first.fmt, tuple(shape))

    def corner(self, name: str, place: int, held: Region, of: int) -> dict[int, int]:
        """Return where along each axis that is cut a chip's part of an input or output begins.

        Args:
            name: of an input or output that is cut.
            place: of the chip among those that hold it.
            held: what it holds.
            of: how many chips hold it.
        """
        axis, parts, rows = self.cuts[name]
        found = {axis: place * parts // of * held.shape[axis]}
        if rows > 1:
            found[0] = found.get(0, 0) + place % rows * held.shape[0]
        return found

    def text(self) -> str:
        """Return what runs where, and how much passes between chips."""
        sent: dict[tuple[int, int], int] = {}
        for index, command in self.far():
            key = index, command.chip
            sent[key] = sent.get(key, 0) + isinstance(command, Send)
        lines = [f"span '{self.name}' on {len(self.places)} chips of '{self.system.name}'"]
        for index, (place, program) in enumerate(zip(self.places, self.programs, strict=True)):
            to = ", ".join(f"{n} to {b}" for (a, b), n in sorted(sent.items()) if a == index and n)
            lines.append(f"  chip {place}: program '{program.name}', sends {to or 'nothing'}")
        lines += [
            f"  {name} is cut along axis {axis} into {parts} parts"
            + (f", along axis 0 into {rows}" if rows > 1 else "")
            for name, (axis, parts, rows) in sorted(self.cuts.items())
        ]
        return "\n".join(lines)


def is_far(command: Command) -> bool:
    """Whether a command goes to another chip of a span."""
    return isinstance(command, Send | Signal) and command.chip >= 0
