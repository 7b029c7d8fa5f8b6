"""A Trace in words: the figures people ask for first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drawloom.chip.model import Range
from drawloom.timing.table import ENGINES
from drawloom.units import PS_PER_S

if TYPE_CHECKING:
    from drawloom.timing.trace import Trace

SLOWEST = 8


def text(trace: Trace) -> str:
    """Return the summary of a trace."""
    chip, total = trace.chip, trace.total_ps
    read, written = trace.dram_bytes
    lines = [
        f"trace of '{trace.program.name}' on '{chip.name}', profile {trace.profile}",
        f"  time       {micro(total)} us, {micro(trace.latency_ps)} us with the launch",
        f"  commands   {len(trace):,} run, {len(trace.table.commands):,} written",
        f"  DRAM       {size(read)} read, {size(written)} written"
        f" ({gigabytes(read + written, total)} GB/s)",
        f"  links      {size(trace.noc_byte_hops)} x hops in {trace.n_sends:,} sends",
        f"  energy     {energy(trace.energy)}, of it idle {energy(trace.idle_energy)}",
        "  busy       mean over tiles, busiest tile",
    ]
    share = trace.utilisation()
    for at, engine in enumerate(ENGINES):
        if share[:, at].any():
            lines.append(
                f"    {engine.value:<8} {share[:, at].mean():7.1%} {share[:, at].max():7.1%}"
            )
    rows = sorted(trace.by_node(), key=lambda row: row.start_ps - row.end_ps)[:SLOWEST]
    lines += ["  longest nodes"] * bool(rows)
    width = max((len(row.node) for row in rows), default=0)
    for row in rows:
        lines.append(
            f"    {row.node:<{width}} {micro(row.end_ps - row.start_ps):>12} us"
            f"  {energy(row.energy)}  {row.layer}".rstrip()
        )
    return "\n".join(lines)


def micro(ps: int) -> str:
    """Return picoseconds as microseconds."""
    return f"{ps / 1e6:,.3f}"


def size(n: int) -> str:
    """Return bytes in the largest unit that leaves a whole part."""
    for unit, step in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= step:
            return f"{n / step:,.2f} {unit}"
    return f"{n} B"


def gigabytes(n: int, ps: int) -> str:
    """Return a rate in GB/s."""
    return f"{n * PS_PER_S / ps / 1e9:.1f}" if ps else "0.0"


def energy(picojoules: Range) -> str:
    """Return an energy with its bounds in microjoules."""
    low, value, high = (
        each / 1e6 for each in (picojoules.low, picojoules.default, picojoules.high)
    )
    return f"{value:,.2f} uJ ({low:,.2f} to {high:,.2f})"
