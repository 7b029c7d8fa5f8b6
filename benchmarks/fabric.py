"""Many chips: collectives against closed forms and others' figures, and how quickly they are priced.

    .venv/bin/python benchmarks/fabric.py [--json] [--only NAME]

Every figure is measured when the script runs. docs/benchmarks.md says what each one means.
"""

from __future__ import annotations

import sys
from pathlib import Path

# A script's own folder is on the path, the repository with tests/ and examples/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures import fabrics, spans
from benchmarks.measures.table import main

GROUPS = {
    "all-reduce": fabrics.closed_form_figures,
    "holes": fabrics.hole_figures,
    "astra-sim": fabrics.astra_figures,
    "measured": fabrics.measured_figures,
    "speed": fabrics.speed_figures,
    "spans": spans.span_figures,
    "many": spans.many_figures,
    "plans": spans.plan_figures,
}

if __name__ == "__main__":
    main("drawloom on many chips", GROUPS)
