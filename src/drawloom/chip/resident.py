"""A chip that keeps all weights in its SRAM as data (``kind: resident``), with source and grade.

Files lie in ``residents/``. This module imports ruamel.yaml; import it where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from drawloom.chip.entries import Entries
from drawloom.chip.model import Source
from drawloom.chip.quantity import (
    COUNT,
    CYCLES,
    FREQUENCY,
    LANES,
    MACS,
    PER_ELEMENT,
    POSITIVE,
    POSITIVE_SIZE,
    RATE,
    TIME,
    Kind,
)
from drawloom.chip.residents import RESIDENTS
from drawloom.errors import Fault, InputError, nearest

_FOLDER = Path(__file__).parent / "residents"
_FIELDS: Mapping[str, Kind] = {
    "clock": FREQUENCY,
    "sram": POSITIVE_SIZE,
    "sram_rate": replace(RATE, most=10**18),
    "block": POSITIVE,
    "block_load": CYCLES,
    "works_in_place": COUNT,
    "crossing": CYCLES,
    "vector_lanes": LANES,
    "function_cycles": PER_ELEMENT,
    "link_rate": RATE,
    "link_delay": TIME,
    "link_chips": POSITIVE,
}
_PS = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Resident:
    """A chip that keeps weights where it works; bytes, hertz, bytes per second, cycles.

    Attributes:
        name: of the file.
        title: for people.
        macs_per_cycle: multiply-adds a cycle of the whole chip, dense, by format.
        clock: of all of it.
        sram: of the whole chip; there is no other memory.
        sram_rate: of all of it together.
        block: rows and columns of the blocks that weights are worked on in; 1 where any size goes.
        block_load: cycles to bring a block of weights to where it is worked on, hidden behind the
            block before it as far as that takes as long.
        works_in_place: whether only the part of the chip that holds a kernel's weights works on it.
        crossing: cycles from one end of the chip to the other.
        vector_lanes: elements a cycle.
        function_cycles: cycles of a lane for an exponential or the like.
        link_rate: of all links of a chip together, one direction.
        link_delay: seconds from chip to chip.
        link_chips: that a chip reaches in one step, itself among them.
        sources: source and grade of each number, by path.
    """

    name: str
    title: str
    macs_per_cycle: Mapping[str, float]
    clock: float
    sram: int
    sram_rate: float
    block: int
    block_load: int
    works_in_place: bool
    crossing: int
    vector_lanes: float
    function_cycles: float
    link_rate: float
    link_delay: float
    link_chips: int
    sources: Mapping[str, Source]

    def peak(self, number_format: str) -> float:
        """Return multiply-adds per second; raises InputError for a format that it lacks."""
        if number_format not in self.macs_per_cycle:
            fault = Fault(number_format, "", nearest(number_format, self.macs_per_cycle))
            summary = f"'{self.name}' does not multiply this format"
            raise InputError("chip.resident", summary, [fault])
        return self.macs_per_cycle[number_format] * self.clock


@cache
def load_resident(name: str) -> Resident:
    """Return a chip of the catalog.

    Raises:
        InputError: ``chip.resident``, for an unknown name or a file with faults, all at once.
    """
    if name not in RESIDENTS:
        fault = Fault(name, "", nearest(name, RESIDENTS))
        raise InputError("chip.resident", "no such chip", [fault])
    file = f"{name}.yaml"
    return parse_resident((_FOLDER / file).read_text(encoding="utf-8"), file)


def parse_resident(text: str, file: str) -> Resident:
    """Return the chip that a text describes; raises InputError (``chip.resident``)."""
    entries = Entries.of(text, file)
    macs = entries.table("macs_per_cycle", MACS)
    values = entries.numbers(_FIELDS)
    words = {path: entries.word(path) for path in ("name", "title")}
    entries.finish("chip.resident", file, ("macs_per_cycle", *_FIELDS))
    return Resident(
        name=words["name"],
        title=words["title"],
        macs_per_cycle=macs,
        clock=values["clock"],
        sram=int(values["sram"]),
        sram_rate=values["sram_rate"],
        block=int(values["block"]),
        block_load=int(values["block_load"]),
        works_in_place=bool(values["works_in_place"]),
        crossing=int(values["crossing"]),
        vector_lanes=values["vector_lanes"],
        function_cycles=values["function_cycles"],
        link_rate=values["link_rate"],
        link_delay=values["link_delay"] * _PS,
        link_chips=int(values["link_chips"]),
        sources=entries.sources,
    )
