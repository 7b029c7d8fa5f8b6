"""How quickly models come in: from a configuration, from ONNX.

    .venv/bin/python benchmarks/frontends.py [--json] [--only NAME]

Every figure is measured when the script runs. docs/benchmarks.md says what each one means.
"""

from __future__ import annotations

import sys
from pathlib import Path

# A script's own folder is on the path, the repository with examples/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures import models
from benchmarks.measures.table import Measure, main

GROUPS: dict[str, Measure] = {
    "llama-3-8b": models.decode_figures,
    "llama-3-8b-prefill": models.prefill_figures,
    "llama-3.1-405b-graph": models.graph_figures,
    "resnet50": models.resnet_figures,
}

if __name__ == "__main__":
    main("Models walking in", GROUPS)
