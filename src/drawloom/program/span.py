"""Programs of several chips that run beside each other and send to each other's tiles.

    span   ::= system, places, programs, cuts
    place  ::= the chip of the system on which the program of the same index runs

A ``Send`` or ``Signal`` whose ``chip`` is not -1 goes to a tile of the program of that index; all
else stays on its own chip. ``cuts`` says of inputs and outputs along which axis, and into how many
parts, the chips that have them hold them: of n chips, chip i has part i * parts // n. One that is
not named is held whole by each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from drawloom.chip.system import System
from drawloom.program.commands import Command, Send, Signal
from drawloom.program.program import Program, Region


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Programs of several chips of a system.

    Attributes:
        name: what it computes.
        system: the chips and the fabric between them.
        places: the chip of the system that each program runs on.
        programs: one a chip.
        cuts: along which axis, and into how many parts, an input or output is cut, by name.
        notes: short facts that are shown wherever a figure of it is.
    """

    name: str
    system: System
    places: tuple[int, ...]
    programs: tuple[Program, ...]
    cuts: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
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
        axis, parts = self.cuts[name]
        shape = (*first.shape[:axis], parts * first.shape[axis], *first.shape[axis + 1 :])
        return Region(name, kind, first.address, parts * first.bytes, first.fmt, shape)

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
            for name, (axis, parts) in sorted(self.cuts.items())
        ]
        return "\n".join(lines)


def is_far(command: Command) -> bool:
    """Whether a command goes to another chip of a span."""
    return isinstance(command, Send | Signal) and command.chip >= 0
