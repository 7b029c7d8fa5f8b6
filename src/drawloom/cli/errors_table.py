"""What ``validate`` prints: the error of each class of measurements beside its goal."""

from __future__ import annotations

from collections.abc import Sequence

from drawloom.cli.screen import show, show_json
from drawloom.validate.comparison import STATISTICS, ErrorFigures

HOLDS = {True: "holds", False: "missed", None: ""}


def show_errors(found: Sequence[ErrorFigures], *, as_json: bool) -> None:
    """Print the errors as a table in percent, or as JSON in shares."""
    if as_json:
        show_json([each.record() for each in found])
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("measurements", no_wrap=True)
    for name in (*STATISTICS, "count"):
        table.add_column(name, justify="right")
    for name in ("calibrated", "goal", ""):
        table.add_column(name)
    for each in found:
        shares = (f"{100 * getattr(each, name):.1f} %" for name in STATISTICS)
        fitted = "yes" if each.calibrated else "no"
        table.add_row(each.name, *shares, str(each.count), fitted, each.goal, HOLDS[each.holds])
    show(table)
