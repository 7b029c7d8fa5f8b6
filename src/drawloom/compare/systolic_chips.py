"""Chips of systolic arrays as the route needs them, with the ends of what their sources leave open."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import sqrt

from drawloom.chip.asics import ASICS
from drawloom.chip.datasheet import Datasheet
from drawloom.chip.systolic import Systolic, load_systolic
from drawloom.compare.bounds import unsure
from drawloom.compare.ends import Ends, at_end, sheets_of
from drawloom.compare.passes import Lacking

NEEDED = ("memory", "memory_rate")
# The first that is known; products of either float go alike. Chips of fixed point state no peak of floats.
PEAKS = ("peak_bf16", "peak_fp16", "peak_int16")
NARROW = {"i8": "peak_int8", "f8": "peak_fp8"}
# What kernels go by beside these. Unknown lanes and SRAM are taken from other chips of the catalog, by
# cell; unknown arrays are as many as make the peak at a clock that others have.
PER_CELL = ("vector_lanes", "sram")
OTHERS = (*PEAKS, "arrays", "array_rows", "array_columns", "clock", *PER_CELL)
FUNCTIONS = (2, 4, 8)  # cycles of a lane for an exponential: quick, likely, slow; assumed
# Of the memory's peak at the slow end: the least that was measured of a chip in the catalog is 0.77
# (1390.5 of 1800 GB/s, MetaX C550), and 0.78 of the TX81.
LEAST_SHARE = 0.75
ASSUMED = (
    "weights stay in the cells. Likely: the next ones fill meanwhile, the memory reaches its peak, 4 "
    "cycles for an exponential. Slow end: they do not, three quarters of it, 8 cycles. Assumed"
)


@cache
def chips_of(sheet: Datasheet) -> Ends[Systolic]:
    """Return a system's chip with its ends.

    Raises:
        Lacking: numbers that the route needs are unknown.
    """
    if sheet.model in ASICS:
        likely = load_systolic(sheet.model)
        return Ends(likely, *_around(likely, None), (ASSUMED,))
    lacking = [name for name in NEEDED if sheet.ends(name) is None]
    if _peak(sheet) is None:
        lacking.append("the peak of products of 16 bits")
    if lacking:
        raise Lacking(*(f"{name} is unknown" for name in lacking))
    likely = _chip(sheet, None)
    said = (ASSUMED, *unsure(sheet, (*NEEDED, *OTHERS)), *_unknown(sheet))
    return Ends(likely, *_around(_chip(sheet, 1), _chip(sheet, 0)), said)


def _unknown(sheet: Datasheet) -> list[str]:
    """Say between what unknown numbers are taken to be."""
    said: list[str] = []
    if not any(sheet.ends(name) for name in PEAKS[:2]):
        said.append("products of 16 bits are of fixed point (INT16): no peak of floats is stated")
    if sheet.ends("array_rows") is None:
        least, most = side_ends()
        said.append(f"what multiplies is taken to be arrays of {least} to {most} cells a side, as others of "
                    "the catalog have them, assumed")  # fmt: skip
    for name in PER_CELL:
        if sheet.ends(name) is None:
            least, most = per_cell_ends(name)
            unit = "lanes" if name == "vector_lanes" else "bytes"
            said.append(f"{name} is unknown: {least:.3g} to {most:.3g} {unit} a cell as on arrays of the "
                        "catalog, assumed")  # fmt: skip
    if sheet.ends("clock") is None:
        least, most = clock_ends()
        said.append(f"clock and arrays are unknown: {least / 1e9:.3g} to {most / 1e9:.3g} GHz as on arrays of "
                    "the catalog, and as many arrays as make the peak, assumed")  # fmt: skip
    return said


@cache
def per_cell_ends(name: str) -> tuple[float, float]:
    """Return the least and the most of a number for each cell, among the arrays of the catalog."""
    found = [
        ends[at] / (cells * rows * columns)
        for sheet in sheets_of("systolic")
        if (ends := sheet.ends(name))
        and (cells := sheet.number("arrays"))
        and (rows := sheet.number("array_rows"))
        and (columns := sheet.number("array_columns"))
        for at in (0, 1)
    ]
    found += [
        getattr(chip, name) / (chip.arrays * chip.rows * chip.columns)
        for chip in map(load_systolic, ASICS)
    ]
    return min(found), max(found)


@cache
def side_ends() -> tuple[int, int]:
    """Return the least and the most cells of a side, among the arrays of the catalog."""
    sides = [int(side) for sheet in sheets_of("systolic") if (side := sheet.number("array_rows"))]
    return min(sides), max(sides)


def _peak(sheet: Datasheet) -> tuple[float, float] | None:
    """Return the ends of the peak of 16-bit products; None where it is unknown."""
    return next((ends for name in PEAKS if (ends := sheet.ends(name))), None)


def _side(sheet: Datasheet, name: str, end: int | None) -> int:
    """Return the cells of a side of an array; small ones are filled the quickest."""
    known = sheet.number(name)
    if known:
        return int(known)
    low, high = side_ends()
    return round(sqrt(low * high)) if end is None else (high, low)[end]


@cache
def clock_ends() -> tuple[float, float]:
    """Return the least and the most clock among the arrays of the catalog."""
    found = [ends for sheet in sheets_of("systolic") if (ends := sheet.ends("clock"))]
    return min(low for low, _ in found), max(high for _, high in found)


def _around(quick: Systolic, slow: Systolic | None) -> tuple[Systolic, Systolic]:
    slow = slow or quick
    return (
        replace(quick, function_cycles=min(FUNCTIONS[0], quick.function_cycles)),
        replace(
            slow,
            function_cycles=max(FUNCTIONS[2], slow.function_cycles),
            is_overlapped=False,
            dram_rate=LEAST_SHARE * slow.dram_rate,
        ),
    )


def _chip(sheet: Datasheet, end: int | None) -> Systolic:
    """Return the chip that a datasheet describes; ``end`` 1 is quick, 0 slow."""

    def number(name: str) -> float:
        ends, value = sheet.ends(name), sheet.number(name)
        if ends is None and name == "clock":
            ends = clock_ends()
        elif ends is None:
            low, high = per_cell_ends(name)
            ends, value = (low * cells, high * cells), sqrt(low * high) * cells
        return at_end(ends, end, value)

    rows, columns = (_side(sheet, name, end) for name in ("array_rows", "array_columns"))
    bf16 = next(number(name) for name in PEAKS if sheet.ends(name))
    clock = number("clock")
    known = sheet.number("arrays")
    arrays = int(known or max(1, round(bf16 / 2 / rows / columns / clock)))
    cells = arrays * rows * columns
    if sheet.ends("clock") is None:
        clock = bf16 / 2 / cells  # whole arrays at just the clock that makes the peak
    formats = {"bf16": bf16} | {
        word: number(name) for word, name in NARROW.items() if sheet.ends(name) is not None
    }
    # Where the printed peak is more than the arrays make, arrays and clock are what products see.
    return Systolic(
        name=sheet.name,
        title=sheet.title,
        dataflow="weight",
        cell_macs={word: max(1, round(peak / 2 / cells / clock)) for word, peak in formats.items()},
        arrays=arrays,
        rows=rows,
        columns=columns,
        clock=clock,
        is_overlapped=True,
        has_drain=False,
        sram=int(number("sram")),
        dram=int(number("memory")),
        dram_rate=number("memory_rate"),
        vector_lanes=number("vector_lanes"),
        function_cycles=FUNCTIONS[1],
        link_rate=0.0,
        sources={},
    )
