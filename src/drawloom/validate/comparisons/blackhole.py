"""Products on one Tenstorrent Blackhole (p150), as those on a Wormhole: nothing fitted on them.

Source: tenstorrent/tt-metal tech_reports/GEMM_FLOPS/GEMM_FLOPS.md@06bd3735, P150 manually tuned, BFLOAT16,
operands and result in DRAM, without trace: the utilisation of 130 tiles by the board's own clocks, in four passes
(HiFi4) and in two (HiFi2). Left out: 10240 x 13312 x 13312 and twice that, which take minutes to compile.
"""

from __future__ import annotations

from collections.abc import Iterator

from drawloom.chip.files import load_chip
from drawloom.validate.comparison import Outcome
from drawloom.validate.comparisons.wormhole import products

ROWS = (
    (3840, 4992, 6656, 0.9453, 0.8961),
    (3840, 6656, 6656, 0.9488, 0.9025),
    (4160, 4160, 4160, 0.9381, 0.8830),
    (5120, 6656, 6656, 0.9035, 0.8036),
)


def compare() -> Iterator[Outcome]:
    """Yield the errors of all rows."""
    return products("blackhole", load_chip("tt_blackhole"), ROWS)
