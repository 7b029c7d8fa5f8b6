"""A chip of systolic arrays as data, every number with source and grade (``kind: systolic``).

Files lie in ``asics/``. This module imports ruamel.yaml; import it where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from drawloom.chip.asics import ASICS
from drawloom.chip.entries import Entries
from drawloom.chip.model import Source
from drawloom.chip.quantity import (
    COUNT,
    FREQUENCY,
    LANES,
    MACS,
    PER_ELEMENT,
    POSITIVE,
    POSITIVE_SIZE,
    RATE,
    Kind,
)
from drawloom.errors import Fault, InputError, nearest

DATAFLOWS = ("weight", "output", "input", "any")
_FOLDER = Path(__file__).parent / "asics"
_FIELDS: Mapping[str, Kind] = {
    "arrays": POSITIVE,
    "rows": POSITIVE,
    "columns": POSITIVE,
    "clock": FREQUENCY,
    "is_overlapped": COUNT,
    "has_drain": COUNT,
    "sram": POSITIVE_SIZE,
    "dram": POSITIVE_SIZE,
    "dram_rate": RATE,
    "vector_lanes": LANES,
    "function_cycles": PER_ELEMENT,
    "link_rate": RATE,
}


@dataclass(frozen=True, slots=True, eq=False)
class Systolic:
    """A chip of systolic arrays beside a vector unit; bytes, hertz, bytes per second.

    Attributes:
        name: of the file.
        title: for people.
        dataflow: what stays in the cells: weight, output, input, or any, product by product.
        cell_macs: multiply-adds of a cell a cycle, by format of the operands.
        arrays: of the whole chip.
        rows: cells of an array downwards.
        columns: cells of an array across.
        clock: of arrays and vector unit.
        is_overlapped: whether the next operand to stay moves in while this one works.
        has_drain: whether sums that stayed leave through the cells.
        sram: that software manages, of all cores.
        dram: size of the DRAM.
        dram_rate: its peak rate.
        vector_lanes: elements that the vector unit takes a cycle, all cores.
        function_cycles: cycles of a lane for an exponential or the like.
        link_rate: of all links of a chip together, one direction.
        sources: source and grade of each number, by path.
    """

    name: str
    title: str
    dataflow: str
    cell_macs: Mapping[str, float]
    arrays: int
    rows: int
    columns: int
    clock: float
    is_overlapped: bool
    has_drain: bool
    sram: int
    dram: int
    dram_rate: float
    vector_lanes: float
    function_cycles: float
    link_rate: float
    sources: Mapping[str, Source]

    def per_cell(self, number_format: str) -> int:
        """Return multiply-adds of a cell a cycle; raises InputError for a format it lacks."""
        if number_format not in self.cell_macs:
            fault = Fault(number_format, "", nearest(number_format, self.cell_macs))
            summary = f"'{self.name}' does not multiply this format"
            raise InputError("chip.systolic", summary, [fault])
        return int(self.cell_macs[number_format])

    def peak(self, number_format: str) -> float:
        """Return multiply-adds per second of all cells."""
        cells = self.arrays * self.rows * self.columns
        return cells * self.per_cell(number_format) * self.clock


@cache
def load_systolic(name: str) -> Systolic:
    """Return a chip of the catalog.

    Raises:
        InputError: ``chip.systolic``, for an unknown name or a file with faults, all at once.
    """
    if name not in ASICS:
        fault = Fault(name, "", nearest(name, ASICS))
        raise InputError("chip.systolic", "no such chip", [fault])
    file = f"{name}.yaml"
    return parse_systolic((_FOLDER / file).read_text(encoding="utf-8"), file)


def parse_systolic(text: str, file: str) -> Systolic:
    """Return the chip that a text describes; raises InputError (``chip.systolic``)."""
    entries = Entries.of(text, file)
    macs = entries.table("cell_macs", MACS)
    values = entries.numbers(_FIELDS)
    words = {path: entries.word(path) for path in ("name", "title")}
    dataflow = entries.word("dataflow", DATAFLOWS)
    entries.finish("chip.systolic", file, ("dataflow", "cell_macs", *_FIELDS))
    return Systolic(
        name=words["name"],
        title=words["title"],
        dataflow=dataflow,
        cell_macs=macs,
        arrays=int(values["arrays"]),
        rows=int(values["rows"]),
        columns=int(values["columns"]),
        clock=values["clock"],
        is_overlapped=bool(values["is_overlapped"]),
        has_drain=bool(values["has_drain"]),
        sram=int(values["sram"]),
        dram=int(values["dram"]),
        dram_rate=values["dram_rate"],
        vector_lanes=values["vector_lanes"],
        function_cycles=values["function_cycles"],
        link_rate=values["link_rate"],
        sources=entries.sources,
    )
