"""The bound of some work on a chip, with its parts.

    bound  = fixed + max(matrix, vector, DRAM)
    matrix = multiply-adds / peak rate of their format, all tiles, no overhead and no padding
    vector = elements that need a function no other engine has / its quickest rate, all tiles; what
             the tiles' processors could do of them meanwhile is taken off
    DRAM   = the longest of: bytes read once / read rate, bytes written once / write rate, both
             together / the rate that both reach at once. Rates are those that the chip reaches
    fixed  = issuing one command, and the delay of a read and a write, or of a processor's command
             where that is quicker: before the first result can be worked out its operands must be
             on a tile, and after the last one it must leave

Bytes within a chip set no bound on one chip: any tile may read any byte of DRAM itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from drawloom.chip.model import Chip
from drawloom.units import PS_PER_S

# Functions that only the vector engine and the processors have; the quickest one counts.
FUNCTIONS = ("exp", "exp2", "tanh", "sigmoid", "log", "log2", "sin", "cos", "softplus")


@dataclass(frozen=True, slots=True)
class Bound:
    """A time that no program can go below, and its parts in picoseconds."""

    macs: Mapping[str, int]  # multiply-adds by format word of the matrix engine
    functions: int  # elements that need a function
    read_bytes: int
    write_bytes: int
    matrix_ps: int
    vector_ps: int
    read_ps: int
    write_ps: int
    both_ps: int  # reads and writes together, at the rate that both reach at once
    fixed_ps: int

    @property
    def dram_ps(self) -> int:
        """The longest of reading, writing, and both at once."""
        return max(self.read_ps, self.write_ps, self.both_ps)

    @property
    def busiest_ps(self) -> int:
        """The longest of the parts that may overlap."""
        return max(self.matrix_ps, self.vector_ps, self.dram_ps)

    @property
    def ps(self) -> int:
        """The bound."""
        return self.fixed_ps + self.busiest_ps

    @property
    def limit(self) -> str:
        """What sets the bound: ``matrix``, ``vector`` or ``dram``; ``fixed`` where it is longer."""
        parts = {"matrix": self.matrix_ps, "vector": self.vector_ps, "dram": self.dram_ps}
        longest = max(parts, key=lambda part: parts[part])
        return longest if parts[longest] >= self.fixed_ps else "fixed"

    @property
    def operations(self) -> int:
        """Arithmetic operations of the matrix engine: two for each multiply-add."""
        return 2 * sum(self.macs.values())

    @property
    def bytes(self) -> int:
        """Bytes that must cross the DRAM interface."""
        return self.read_bytes + self.write_bytes


def bound_of(
    chip: Chip, macs: Mapping[str, int], functions: int, read_bytes: int, write_bytes: int
) -> Bound:
    """Return the bound of work that is counted already.

    Args:
        chip: the machine.
        macs: multiply-adds by format word; a format without a rate sets no bound.
        functions: elements that need one of ``FUNCTIONS``.
        read_bytes: bytes that must come from DRAM.
        write_bytes: bytes that must go to it.
    """
    rates = chip.matrix.macs_per_cycle
    known = {fmt: n for fmt, n in sorted(macs.items()) if n and fmt in rates}
    cycles = sum(Fraction(n, rates[fmt] * chip.n_tiles) for fmt, n in known.items())
    return Bound(
        macs=known,
        functions=functions,
        read_bytes=read_bytes,
        write_bytes=write_bytes,
        matrix_ps=int(cycles * chip.period),
        vector_ps=int(functions * chip.period / (_functions_per_cycle(chip) * chip.n_tiles)),
        read_ps=read_bytes * PS_PER_S // chip.dram.read,
        write_ps=write_bytes * PS_PER_S // chip.dram.write,
        both_ps=(read_bytes + write_bytes) * PS_PER_S // chip.dram.combined,
        fixed_ps=_fixed(chip) if read_bytes or write_bytes else 0,
    )


def _functions_per_cycle(chip: Chip) -> Fraction:
    """Return how many elements a tile can put through a function in a cycle, at the most."""
    passes = min(chip.vector.rates.get(word, 1) for word in FUNCTIONS)
    slowest = min(chip.cpu.cycles_per_element.values(), default=1.0)
    lanes = max(chip.vector.lanes_16, chip.vector.lanes_32)
    return Fraction(lanes, max(passes, 1)) + 1 / Fraction(str(slowest))


def _fixed(chip: Chip) -> int:
    issue = min((profile.issue for profile in chip.profiles.values()), default=0)
    through = min(chip.dram_read.latency + chip.dram_write.latency, ceil(chip.cpu.start))
    return (issue + through) * chip.period
