"""Whether this host has the memory that a program's memories take, before any is asked for."""

from __future__ import annotations

from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.host import available_bytes
from drawloom.program.program import Program


def require(program: Program, dram_bytes: int) -> None:
    """Refuse to hold memories for which there is no room.

    Args:
        program: whose scratchpads are held.
        dram_bytes: how much of DRAM is held.

    Raises:
        DoesNotFit: ``run.memory``, with what it takes and what there is.
    """
    tiles = len(program.streams)
    needs, has = dram_bytes + tiles * program.scratchpad_bytes, available_bytes()
    if needs > has:
        diagnosis = Diagnosis(
            needs=f"{needs:,} bytes: {dram_bytes:,} of DRAM, "
            f"{program.scratchpad_bytes:,} for each of {tiles} tiles",
            has=f"{has:,} bytes of memory that this host can give",
            short=f"{needs - has:,} bytes",
            ways_out=("a host with more memory", "a smaller batch, or fewer layers at a time"),
        )
        raise DoesNotFit("run.memory", f"program '{program.name}' cannot be held", diagnosis)
