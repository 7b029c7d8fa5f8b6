"""The same questions as other tools': CPU time as a ratio, and both answers.

    .venv/bin/python benchmarks/peers.py [--json] [--only NAME]

Every figure of drawloom is measured when the script runs; those of the others stand in
benchmarks/measures/questions.py with their conditions. docs/benchmarks.md says what each one means.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

# A script's own folder is on the path, the repository with tests/ and examples/ is not.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measures import peers
from benchmarks.measures.questions import QUESTIONS
from benchmarks.measures.table import Measure, main

GROUPS: dict[str, Measure] = {
    question.name: partial(peers.figures, question) for question in QUESTIONS
}

if __name__ == "__main__":
    main("drawloom beside other tools", GROUPS)
