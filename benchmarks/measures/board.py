"""What others measured on boards, measured on the model of the chip."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measures.table import Figure

from drawloom.chip.files import load_chip
from drawloom.validate.board import ROWS, TOLERANCE, Row


def figures() -> Iterator[Figure]:
    """Yield every row of the board table, and how many of them hold."""
    chip = load_chip("tx81")
    held = 0
    for row in ROWS:
        figure = figure_of(row, row.found(chip))
        held += bool(figure.holds)
        yield figure
    yield Figure(
        "board.reproduced", held, "rows", f"all {len(ROWS)} within {TOLERANCE:.0%}",
        held == len(ROWS),
    )  # fmt: skip


def figure_of(row: Row, value: float) -> Figure:
    """Return the figure of a row, held to its published range."""
    ends = f"{row.low:g}" if row.low == row.high else f"{row.low:g} to {row.high:g}"
    exact = row.name == "pairs"
    goal = ends if exact else f"{ends} within {TOLERANCE:.0%}"
    holds = value == row.low if exact else row.holds(value)
    note = f"{row.what}; {row.error(value):.1%} off: {row.gap}" if not holds else ""
    return Figure(f"board.{row.name}", value, row.unit, goal, holds, note)
