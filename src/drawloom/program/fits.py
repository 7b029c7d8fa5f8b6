"""Whether a chip has what a program was written for."""

from __future__ import annotations

from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError
from drawloom.program.program import Program


def refuse_misfit(program: Program, chip: Chip) -> None:
    """Refuse a program that asks for tiles or memory that a chip has not.

    Raises:
        InputError: ``program.chip``, with what it asks for and what there is.
    """
    asked = {
        "tiles": (len(program.streams), chip.n_tiles),
        "scratchpad_bytes": (program.scratchpad_bytes, chip.scratchpad.bytes),
        "dram_bytes": (program.dram_bytes, chip.dram.bytes),
    }
    faults = [
        Fault(name, f"{needs:,}", f"at most {has:,}")
        for name, (needs, has) in asked.items()
        if needs > has
    ]
    if faults:
        summary = f"program '{program.name}' asks for more than chip '{chip.name}' has"
        raise InputError("program.chip", summary, faults)
