"""What a figure rests on: the chip's numbers behind it, each with grade, range and source."""

from __future__ import annotations

from collections.abc import Iterable

from drawloom.chip.model import Chip
from drawloom.chip.text import Row, show
from drawloom.report.figures import Figures

GRADES = {
    "A": "the vendor's own public code or logs",
    "B": "measured on a board by others",
    "C": "a vendor document or reverse engineering, as told by others",
    "D": "press",
    "E": "worked out from the above",
    "F": "assumed",
}
# What costs the software on a tile most, and so is told wherever a latency is.
_PROFILE_NOTES = {"issue": "a command", "message": "a tile-to-tile message"}


def basis(figures: Figures) -> tuple[Row, ...]:
    """Return the chip's numbers that this run's time, traffic and energy were worked out from."""
    trace = figures.trace
    wanted = ["clock", "dram.read", "dram.write", "dram.combined", "dram.port", "dram.segment"]
    wanted += [f"matrix.macs_per_cycle.{fmt}" for fmt in figures.bound.macs]
    wanted += ["matrix.start", "matrix.fixed", "vector.fixed", "vector.lanes_16"]
    wanted += ["dram_read.latency", "dram_write.latency", "send.efficiency", "noc.bytes_per_cycle"]
    prefixes = (f"profiles.{trace.profile}.", "energy.")
    return tuple(
        row for row in known(trace.chip) if row.path in wanted or row.path.startswith(prefixes)
    )


def known(chip: Chip) -> tuple[Row, ...]:
    """Return all numbers of a chip with their sources; none if the chip was built without any."""
    return show(chip) if chip.sources else ()


def profile_note(chip: Chip, profile: str) -> str:
    """Return one line on a software profile: ``lean: 50 cycles to issue a command (grade F)``."""
    costs = chip.profiles[profile]
    parts = [
        f"{getattr(costs, name):,} cycles {what}{_grade(chip, f'profiles.{profile}.{name}')}"
        for name, what in _PROFILE_NOTES.items()
    ]
    return f"{profile}: {', '.join(parts)}"


def weakest(rows: Iterable[Row]) -> str:
    """Return the lowest grade among rows; empty where there are none."""
    return max((row.grade for row in rows), default="")


def _grade(chip: Chip, path: str) -> str:
    return f" (grade {chip.sources[path].grade})" if path in chip.sources else ""
