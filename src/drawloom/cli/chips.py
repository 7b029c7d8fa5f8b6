"""``drawloom chips``: what drawloom knows of chips, and where each number comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from drawloom.chip.datasheet import Datasheet, Figure

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="A system of `drawloom chips`, or a chip file.")]

chips = typer.Typer(help="The chips that drawloom knows, and where their numbers come from.")

# What the list shows of each system, and the width that it may take.
LISTED = ("peak_bf16", "peak_int8", "memory", "memory_rate", "link_rate", "power", "hour_price")


@chips.callback(invoke_without_command=True)
def list_chips(context: typer.Context, as_json: Json = False) -> None:
    """List the chips that drawloom can compile for, and the systems whose datasheets it has."""
    if context.invoked_subcommand is not None:
        return
    from drawloom.chip.datasheet import datasheet_names, load_datasheet
    from drawloom.cli import artefacts
    from drawloom.cli.screen import show, show_json

    sheets = [load_datasheet(name) for name in datasheet_names()]
    if as_json:
        show_json([*artefacts.chip_records(), *map(_summary, sheets)])
        return
    artefacts.list_chips()
    show("", _list(sheets))
    show("a..b: what grade C or D, or sources that disagree, leave open; ?: unknown")


@chips.command("show")
def show_chip(name: Name, as_json: Json = False) -> None:
    """Show every number of a chip with its range, grade and source."""
    from drawloom.chip.datasheet import load_datasheet
    from drawloom.chip.datasheets import DATASHEETS
    from drawloom.chip.files import catalog
    from drawloom.cli import artefacts
    from drawloom.cli.screen import facts, show, show_json
    from drawloom.errors import Fault, InputError, nearest

    others = [other for also in DATASHEETS.values() for other in also]
    if name in catalog() or Path(name).suffix or Path(name).exists():
        artefacts.show_chip(name, as_json=as_json)
        return
    if name not in DATASHEETS and name not in others:
        hint = nearest(name, (*catalog(), *DATASHEETS, *others))
        fault = Fault(name, "", f"{hint}; or the path of a chip file")
        raise InputError("chip.file", f"there is no chip '{name}'", [fault])
    sheet = load_datasheet(name)
    if as_json:
        show_json(_summary(sheet) | {"notes": list(sheet.notes), "numbers": _numbers(sheet)})
        return
    lines = {"title": sheet.title, "vendor": sheet.vendor, "kind": sheet.kind, "route": sheet.route}
    if sheet.model:
        lines["model"] = f"{sheet.model}, described in detail"
    lines |= {f"note {at}": note for at, note in enumerate(sheet.notes, 1)}
    show(facts(sheet.name, lines), "", _table(sheet))


@chips.command("diff")
def diff_chips(
    one: Annotated[str, typer.Argument(help="A system of `drawloom chips`.")],
    other: Annotated[str, typer.Argument(help="Another one.")],
    as_json: Json = False,
) -> None:
    """Show what two systems have beside each other, and how much more the second has."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from drawloom.chip.datasheet import load_datasheet
    from drawloom.cli.screen import show, show_json

    first, second = load_datasheet(one), load_datasheet(other)
    names = [name for name in _order() if name in first.figures or name in second.figures]
    rows = [(name, first.figures.get(name), second.figures.get(name)) for name in names]
    if as_json:
        show_json([_difference(name, a, b) for name, a, b in rows])
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for word in ("number", first.name, "grade", second.name, "grade", "ratio"):
        table.add_column(
            word, no_wrap=word != "ratio", justify="right" if word == "ratio" else "left"
        )
    for name, a, b in rows:
        more = "" if name == "year" else ratio(a, b)
        cells = (name, _cell(a), a.grade if a else "", _cell(b), b.grade if b else "", more)
        table.add_row(*map(escape, cells))
    show(table)


@chips.command("schema")
def chips_schema() -> None:
    """Print the JSON schema of chip files, for editors."""
    from drawloom.chip.schema import chip_schema
    from drawloom.cli.screen import show_json

    show_json(chip_schema())


def ratio(one: Figure | None, other: Figure | None) -> str:
    """Return how many times the first the second is: a range where either is one."""
    if one is None or other is None or one.kind is None or one.kind != other.kind:
        return ""
    ends = (one.low, one.high, other.low, other.high)
    if None in ends or not one.low or not one.high:
        return ""
    assert other.low is not None and other.high is not None
    least, most = other.low / one.high, other.high / one.low
    return f"{least:.3g} x" if least == most else f"{least:.3g}..{most:.3g} x"


def _order() -> tuple[str, ...]:
    from drawloom.chip.datasheet import FIELDS

    return tuple(FIELDS)


def _cell(figure: Figure | None) -> str:
    return "" if figure is None else figure.text()


def _difference(name: str, one: Figure | None, other: Figure | None) -> dict[str, Any]:
    return {
        "number": name,
        "first": one and _figure_record(one),
        "second": other and _figure_record(other),
        "ratio": None if name == "year" else ratio(one, other) or None,
    }


def _figure_record(figure: Figure) -> dict[str, Any]:
    return {
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "unit": figure.kind.printed[-1] if figure.kind else None,
        "text": figure.text(),
        "grade": figure.grade,
        "source": figure.source,
        "note": figure.note,
    }


def _numbers(sheet: Datasheet) -> dict[str, Any]:
    return {name: _figure_record(figure) for name, figure in sheet.figures.items()}


def _summary(sheet: Datasheet) -> dict[str, Any]:
    return {
        "chip": sheet.name,
        "title": sheet.title,
        "vendor": sheet.vendor,
        "kind": sheet.kind,
        "route": sheet.route,
        "model": sheet.model or None,
    }


def _list(sheets: Sequence[Datasheet]) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for word in ("system", "kind", "route", *LISTED):
        table.add_column(word, no_wrap=True)
    for sheet in sheets:
        shown = (_listed(sheet, name) for name in LISTED)
        table.add_row(*map(escape, (sheet.name, sheet.kind, sheet.route, *shown)))
    return table


def _listed(sheet: Datasheet, name: str) -> str:
    figure = sheet.figures.get(name)
    if name == "peak_bf16" and (figure is None or figure.low is None):
        figure = sheet.figures.get("peak_fp16", figure)
    return "" if figure is None else figure.text().replace("unknown", "?")


def _table(sheet: Datasheet) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for word in ("number", "value", "grade"):
        table.add_column(word, no_wrap=word != "value")
    table.add_column("note", overflow="fold")
    table.add_column("source", overflow="fold", style="dim")
    for name, figure in sheet.figures.items():
        table.add_row(*map(escape, (name, figure.text(), figure.grade, figure.note, figure.source)))
    return table
