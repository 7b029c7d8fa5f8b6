"""How near programs come to what the chip can do: time over bound, TX81, profile lean.

    .venv/bin/python benchmarks/limit.py [--json] [--only NAME]

Every figure is measured when the script runs. docs/benchmarks.md says what each one means.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

# A script's own folder is on the path, the repository with tests/ and examples/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures import limits
from benchmarks.measures.table import Measure, main

GROUPS: dict[str, Measure] = {
    **{work.name: partial(limits.figures, work) for work in limits.WORKS},
    "gemm-odd": limits.odd_figures,
}

if __name__ == "__main__":
    main("drawloom near the limit of a TX81", GROUPS)
