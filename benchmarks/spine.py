"""The figures of the first version: board measurements reproduced, products, speed of the tool.

    .venv/bin/python benchmarks/spine.py [--json] [--only NAME]

Every figure is measured when the script runs. docs/benchmarks.md says what each one means.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

# A script's own folder is on the path, the repository with tests/ and examples/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures import board, products, speed
from benchmarks.measures.table import Measure, main

GROUPS: dict[str, Measure] = {
    "board": board.figures,
    **{product.name: partial(products.figures, product) for product in products.PRODUCTS},
    "import": speed.import_figures,
    "cold": speed.cold_figures,
    "resnet50": speed.resnet_figures,
    "events": speed.event_figures,
}

if __name__ == "__main__":
    main("drawloom on a TX81", GROUPS)
