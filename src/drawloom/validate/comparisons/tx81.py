"""Single commands on a TX81 board, as others measured them, beside the chip file and the timing.

The chip file's numbers come from the same public record, so that this says how well one file gives all of
it. A measurement is a range where sources give one: what lies in it is not off. Whole programs were
published with their times alone, not with their commands: ``benchmarks/spine.py`` sets those beside ours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drawloom.chip.files import load_chip
from drawloom.validate.board import ROWS
from drawloom.validate.comparison import Outcome


def compare() -> Iterator[Outcome]:
    """Yield the errors of all rows."""
    chip = load_chip("tx81")
    predicted = np.array([row.found(chip) for row in ROWS])
    low, high = (np.array([getattr(row, end) for row in ROWS]) for end in ("low", "high"))
    yield Outcome("tx81.commands", predicted, np.clip(predicted, low, high), calibrated=True)
