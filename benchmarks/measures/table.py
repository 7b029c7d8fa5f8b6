"""What every benchmark script shares: figures, the table for a person, ``--json``, ``--only``."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from drawloom.errors import nearest


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        name: ``group.figure``; dots separate the parts that ``--only`` may stop at.
        value: what was measured.
        unit: its unit.
        goal: what it is held to, in words; None for a figure that only informs.
        holds: whether it is met; None without a goal.
        note: what a reader must know beside it.
    """

    name: str
    value: float
    unit: str
    goal: str | None = None
    holds: bool | None = None
    note: str = ""


Measure = Callable[[], Iterable[Figure]]
JSON_KEYS = ("name", "value", "unit", "goal", "holds")


def at_most(name: str, value: float, unit: str, limit: float, note: str = "") -> Figure:
    """Return a figure that must not exceed a limit."""
    return Figure(name, value, unit, f"<= {limit:,g}", value <= limit, note)


def at_least(name: str, value: float, unit: str, limit: float, note: str = "") -> Figure:
    """Return a figure that must reach a limit."""
    return Figure(name, value, unit, f">= {limit:,g}", value >= limit, note)


def main(title: str, groups: Mapping[str, Measure], argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print it.

    Args:
        title: stands above the table.
        groups: by the name that its figures begin with, what measures them.
        argv: the words of the command line; the process's own by default.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--json", action="store_true", help="print a list of figures as JSON")
    parser.add_argument("--only", metavar="NAME", default="", help="one figure, or one group")
    given = parser.parse_args(argv)
    try:
        figures = measure(groups, given.only)
    except KeyError as error:
        parser.error(str(error.args[0]))
    if given.json:
        print(json.dumps([_record(figure) for figure in figures], indent=1))
    else:
        show(title, figures)


def measure(groups: Mapping[str, Measure], only: str = "") -> list[Figure]:
    """Return the figures of every group, or those under the name ``only``.

    Raises:
        KeyError: nothing has that name; the message says what has.
    """
    chosen = [name for name in groups if not only or _under(name, only) or _under(only, name)]
    figures: list[Figure] = []
    console = Console(stderr=True)
    for name in chosen:
        with console.status(f"measuring {name}"):
            figures += groups[name]()
    names = [figure.name for figure in figures] or list(groups)
    figures = [figure for figure in figures if not only or _under(figure.name, only)]
    if not figures:
        raise KeyError(f"no figure '{only}': {nearest(only, names)}")
    return figures


def show(title: str, figures: Sequence[Figure], console: Console | None = None) -> None:
    """Print figures as a table, the notes below it."""
    console = console or Console()
    table = Table()
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("goal")
    table.add_column("holds")
    for figure in figures:
        holds = {None: "", True: "yes", False: "[bold red]no[/]"}[figure.holds]
        value = shown(figure.value)
        table.add_row(figure.name, value, figure.unit, figure.goal or "", holds)
    console.print(f"[bold]{title}[/] ({conditions()})", highlight=False)
    console.print(table)
    for figure in figures:
        if figure.note:
            console.print(f"[bold]{figure.name}[/]: {figure.note}", highlight=False)


def shown(value: float) -> str:
    """Return a value with as many digits as mean something."""
    if math.isfinite(value) and value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"


def conditions() -> str:
    """Return the machine and its load in words."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, load {load}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _record(figure: Figure) -> dict[str, object]:
    record = asdict(figure)
    return {key: record[key] for key in JSON_KEYS}
