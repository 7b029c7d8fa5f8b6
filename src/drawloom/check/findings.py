"""What the checker finds: a rule that is broken, by which command, and what would mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drawloom.program.commands import Command
from drawloom.program.program import Program
from drawloom.program.text import command_text


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the machine: what breaks it, and the way out."""

    what: str
    fix: str


RULES: Mapping[str, Rule] = {
    "race": Rule(
        "two commands touch the same bytes, one of them writes, and nothing orders them",
        "order them: a barrier or a signal and a wait between tiles, after a join of the engine "
        "that wrote; a join before a send or a processor's command",
    ),
    "unarmed": Rule(
        "a send may start before its target is armed, and would wait for ever",
        "arm the flag on the target, and let a barrier or a wait come between that and the send",
    ),
    "deadlock": Rule(
        "tiles wait for each other in a circle",
        "let one of them go first: send, signal or arm before it waits",
    ),
    "barrier": Rule(
        "tiles do not meet at the same barriers",
        "give every tile of a barrier the same one, with the same tiles, as often",
    ),
    "starved": Rule(
        "a tile waits for what nobody sends any more",
        "match the counts of waits with the sends and signals to their flags",
    ),
    "unwritten": Rule(
        "a command reads bytes of which nothing has been written",
        "write them first, or read elsewhere",
    ),
    "output": Rule(
        "an output is not written whole",
        "write all of it before the program ends",
    ),
    "bounds": Rule(
        "a command reaches outside the scratchpad or the DRAM",
        "move it inside, or make the region larger",
    ),
    "format": Rule(
        "a command takes bytes for another format than they were written in",
        "read them as what they are, or convert them first",
    ),
    "overlap": Rule(
        "a product or convolution writes over an operand that it still reads",
        "let the result begin behind its operands",
    ),
    "straddle": Rule(
        "a command reads a part of one write together with bytes of another",
        "look for an address or a size that is off: a whole buffer, or a part of one, is read at a time",
    ),
    "remains": Rule(
        "a command reads what is left of one write together with what went over the rest",
        "let buffers that are in use at a time not overlap; give a buffer away after its last use only",
    ),
    "lost": Rule(
        "bytes are written that nobody reads",
        "look for the command that should have read them: left out, too late, or at another address",
    ),
    "unread": Rule(
        "of a tensor that is read nobody reads some bytes",
        "look for a load whose address, stride or count is off",
    ),
    "uneven": Rule(
        "a piece of work reads some bytes of a tensor more often than others",
        "look for a load whose address, stride or count is off",
    ),
    "across": Rule(
        "a command touches two tensors at once",
        "look for an address, a stride or a count that is off; give each tensor commands of its own",
    ),
    "twice": Rule(
        "two commands of one piece of work write the same bytes of DRAM",
        "look for an address, a stride or a count that is off",
    ),
    "wasted": Rule(
        "bytes are written to DRAM that nobody reads",
        "look for the command that should have read them; leave out work that nobody needs",
    ),
    "overflow": Rule(
        "values do not fit the format of a command's result",
        "carry them in a wider format, or scale them before; an accumulator of 32 bits: sum fewer products at a time",
    ),
    "values": Rule(
        "an output is not what the model says, by more than rounding takes it",
        "look at the strict findings first: a wrong address or size shows there with its command",
    ),
    "stopped": Rule(
        "a run does not come to its end",
        "see the detail for the command that stops it",
    ),
    "mixed": Rule(
        "a wait may take what another tile sends for what it waits for",
        "give the two flags of their own, or order the second behind the wait",
    ),
    "align": Rule(
        "an address is not a multiple of what its engine needs",
        "place the operand at a multiple: 256 bytes for matrix, reduce and pool, its elements' size else",
    ),
    "limits": Rule(
        "a size is beyond what one command may have on this chip",
        "cut the work into several commands",
    ),
    "unit": Rule(
        "a repeated operand is no part of the engine's unit, nor several of them",
        "repeat it to 64 elements (128 of 8 bits) and use those as the unit",
    ),
    "long": Rule(
        "a reduction takes more elements at once than is known to work",
        "cut it in two: parts of 16,384 first, then their results",
    ),
    "engine": Rule(
        "the engine does not do this",
        "see the detail for what it does",
    ),
    "watchdog": Rule(
        "a move has more runs or bytes than the engine's watchdog allows",
        "cut it into several moves",
    ),
}


@dataclass(frozen=True, slots=True)
class Lines:
    """Where the commands of a program stand in its text.

    Attributes:
        file: how messages call the text.
        of_tiles: of each tile the line of each of its commands, as written.
    """

    file: str
    of_tiles: tuple[tuple[int, ...], ...]

    def of(self, place: Place) -> str:
        """Return ``file:line: `` of a command; nothing where it is not known."""
        if 0 <= place.tile < len(self.of_tiles) and 0 <= place.number < len(
            self.of_tiles[place.tile]
        ):
            return f"{self.file}:{self.of_tiles[place.tile][place.number]}: "
        return ""


@dataclass(frozen=True, slots=True)
class Place:
    """A command as it ran: on which tile, and what it is for."""

    tile: int
    command: Command
    chip: int = -1  # index in a span; -1: the only one
    number: int = -1  # which of its tile's commands, as written, from 0 on; -1 not known
    turns: tuple[int, ...] = ()  # of the loops around it, outermost first

    def is_on_tile_of(self, other: Place) -> bool:
        """Whether two commands ran on one tile."""
        return (self.chip, self.tile) == (other.chip, other.tile)

    def text(self, *programs: Program, lines: Lines | None = None) -> str:
        """Return the command's text, with its line, and the node and layer that it serves."""
        program = programs[max(0, self.chip)]
        where = f"chip {self.chip} tile" if len(programs) > 1 else "tile"
        line = lines.of(self) if lines else ""
        said = f"{line}{where} {self.tile}: {command_text(self.command)}"
        if 0 <= self.command.origin < len(program.origins):
            origin = program.origins[self.command.origin]
            layer = f", layer '{origin.layer}'" if origin.layer else ""
            said += f"   (node '{origin.node}'{layer})"
        return said


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule.

    Attributes:
        rule: its id, of ``RULES``.
        where: the command that breaks it; None where all stand still.
        other: the command that it is not ordered with; None where there is none.
        detail: which bytes, which flag, who waits for what.
        alike: equal for findings of a rule of which one tells enough.
        owner: the tile whose scratchpad the bytes lie in, -1 for DRAM, -2 where it is about no bytes.
        start: the first of the bytes; ``stop`` the one behind the last.
    """

    rule: str
    where: Place | None
    other: Place | None
    detail: str
    alike: tuple[object, ...] = ()
    owner: int = -2
    start: int = 0
    stop: int = 0

    @property
    def key(self) -> object:
        """Equal for findings of which one tells enough."""
        return self.rule, self.alike

    def text(self, *programs: Program, lines: Lines | None = None) -> str:
        """Return the finding on some lines, with the way out; of a span, given all its programs.

        ``lines`` say where the commands stand in the text that the program was read from.
        """
        rule = RULES[self.rule]
        said = [f"{self.rule}: {rule.what}", f"  {self.detail}"]
        places = (self.other, self.where)
        said += [f"  {place.text(*programs, lines=lines)}" for place in places if place]
        return "\n".join([*said, f"  try  {rule.fix}"])
