"""What stands after ``--on``: so many chips of a system of the catalog, such as ``h200x8``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from drawloom.chip.datasheet import Datasheet, load_datasheet
from drawloom.errors import Fault, InputError

_COUNTED = re.compile(r"(?P<name>.+?)[x-](?P<count>\d+)")
MOST = 65_536


@dataclass(frozen=True, slots=True)
class Machine:
    """A number of like chips."""

    label: str
    sheet: Datasheet
    count: int


def parse_machines(text: str) -> tuple[Machine, ...]:
    """Return the machines of a list such as ``tx81x32,h200x8,tpu_v5e-16``.

    Raises:
        InputError: ``compare.on``, with every part that names no system or no number of chips.
    """
    faults: list[Fault] = []
    made: list[Machine] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        try:
            made.append(parse_machine(word))
        except InputError as error:
            faults += error.faults
    if not made and not faults:
        faults.append(Fault("on", "nothing", "systems and how many: tx81x32,h200x8"))
    if faults:
        raise InputError("compare.on", "there are no such machines", faults)
    return tuple(made)


def parse_machine(word: str) -> Machine:
    """Return one machine; a name that ends in a number of chips may be a system's own."""
    try:
        return Machine(word, load_datasheet(word), 1)
    except InputError as whole:
        match = _COUNTED.fullmatch(word)
        if match is None:
            raise InputError("compare.on", "there is no such machine", whole.faults) from None
    count = int(match["count"])
    sheet = load_datasheet(match["name"])
    if not 1 <= count <= MOST:
        fault = Fault(word, str(count), f"from 1 to {MOST:,} chips")
        raise InputError("compare.on", "there is no such machine", [fault])
    return Machine(word, sheet, count)
