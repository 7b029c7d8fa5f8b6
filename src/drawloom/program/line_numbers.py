"""Where the commands of a program stand in the text that it was read from."""

from __future__ import annotations

from drawloom.chip.model import Chip
from drawloom.program.commands import Loop, Stream
from drawloom.program.lines import split
from drawloom.program.names import Names
from drawloom.program.reading import Reader


def line_numbers(text: str, chip: Chip | None = None) -> tuple[tuple[int, ...], ...]:
    """Return of each tile the line of each of its commands, in the order in which they are written.

    A command in a loop counts once. ``chip`` is what ``parse`` was given with the text, which it took.
    """
    reader = Reader(Names(chip, chip and chip.blocking))
    for number, raw in enumerate(text.split("\n")[1:], start=2):
        line = split(number, raw)
        if line:
            reader.read(line)
    reader.end()
    found: dict[int, tuple[int, ...]] = {}
    first = 0
    for block in reader.tiles:
        behind = first + _written(block.stream)
        lines = tuple(line for line, _, _ in reader.commands[first:behind])
        found.update(dict.fromkeys(block.tiles, lines))
        first = behind
    return tuple(found.get(tile, ()) for tile in range(len(found)))


def _written(stream: Stream) -> int:
    return sum(_written(item.body) if isinstance(item, Loop) else 1 for item in stream)
