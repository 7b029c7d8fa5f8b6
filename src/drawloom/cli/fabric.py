"""``drawloom fabric``: systems of many chips, and what collectives cost on them."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drawloom.chip.system import System
    from drawloom.chip.topology import Topology
    from drawloom.timing.fabric import CollectiveCost

fabric = typer.Typer(help="Systems of many chips, and what collectives cost on them.")

Name = Annotated[str, typer.Argument(help="A system's name, or a system file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Dead = Annotated[
    str,
    typer.Option(help="What does not live: chip:5,link:3-4. (default: nothing)", metavar="LIST"),
]


class Kind(StrEnum):
    """Kinds of collectives."""

    all_reduce = "all_reduce"
    reduce_scatter = "reduce_scatter"
    all_gather = "all_gather"
    all_to_all = "all_to_all"
    broadcast = "broadcast"


@fabric.callback(invoke_without_command=True)
def list_systems(context: typer.Context, as_json: Json = False) -> None:
    """List the systems that drawloom knows."""
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from drawloom.chip.systems import SYSTEMS
    from drawloom.cli.screen import show, show_json

    if as_json:
        show_json([{"name": name, "title": title} for name, title in SYSTEMS.items()])
        return
    table = Table(box=None)
    table.add_column("system")
    table.add_column("is")
    for name, title in SYSTEMS.items():
        table.add_row(name, title)
    show(table)


@fabric.command("show")
def show_system(name: Name, as_json: Json = False) -> None:
    """Show every number of a system with its range, grade and source."""
    from rich.table import Table

    from drawloom.chip.system_files import load_system
    from drawloom.cli.screen import show, show_json

    system = load_system(name)
    rows = _numbers(system)
    if as_json:
        show_json({"name": system.name, "title": system.title, "chip": system.chip, "fields": rows})
        return
    table = Table(box=None, title=f"{system.name}: {system.title}", title_justify="left")
    for column in ("field", "value", "range", "grade", "source"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            *(str(row[key] or "") for key in ("field", "value", "range", "grade", "source"))
        )
    show(table)


@fabric.command("collective")
def collective(
    name: Name,
    kind: Annotated[Kind, typer.Option(help="Which collective.")] = Kind.all_reduce,
    size: Annotated[
        str, typer.Option("--bytes", help="Bytes of one chip's buffer, such as 16MiB.")
    ] = "1 MiB",
    dead: Dead = "",
    as_json: Json = False,
) -> None:
    """Price every way of doing a collective on a system, quickest first."""
    from drawloom.chip.system_files import load_system
    from drawloom.chip.topology import topology
    from drawloom.mapping.collectives import schedules
    from drawloom.timing.fabric import SPLITS, FabricClock, least_time

    made = topology(with_dead(load_system(name), dead))
    amount, clock = _bytes(size), FabricClock(made)
    found: list[CollectiveCost] = []
    for schedule in schedules(kind.value, made):
        tried = SPLITS if schedule.splits > 1 else (1,)
        costs = (clock.price(schedule, amount, splits) for splits in tried)
        found.append(min(costs, key=lambda cost: cost.ps))
    found.sort(key=lambda cost: cost.ps)
    _show_costs(made, kind.value, found, least_time(made, kind.value, amount), as_json=as_json)


def with_dead(system: System, dead: str) -> System:
    """Return a system without the chips and links that a list names.

    Raises:
        InputError: (``cli.dead``) with every word of the list that names nothing.
    """
    from drawloom.errors import Fault, InputError

    chips, links, faults = set(system.dead_chips), set(system.dead_links), list[Fault]()
    for word in filter(None, dead.split(",")):
        what, _, which = word.strip().partition(":")
        ends = which.split("-")
        numbers = [int(end) for end in ends if end.isdigit() and int(end) < system.n_places]
        if what == "chip" and len(numbers) == len(ends) == 1:
            chips.add(numbers[0])
        elif what == "link" and len(numbers) == len(ends) == 2:
            links.add((numbers[0], numbers[1]))
        else:
            allowed = f"chip:A or link:A-B, with chips 0 to {system.n_places - 1}"
            faults.append(Fault("--dead", word, allowed))
    if len(chips) == system.n_places:
        faults.append(Fault("--dead", dead, "at least one chip must live"))
    if faults:
        raise InputError("cli.dead", "nothing of this name can be dead", faults)
    return replace(system, dead_chips=frozenset(chips), dead_links=frozenset(links))


def halves_of(system: System, dead: str) -> tuple[list[int], str]:
    """Return the chips that a list says have half of their tiles (``half:A``), and the rest of the list.

    Raises:
        InputError: (``cli.dead``) a chip that there is not.
    """
    from drawloom.errors import Fault, InputError

    halves: list[int] = []
    rest: list[str] = []
    faults: list[Fault] = []
    for word in filter(None, dead.split(",")):
        what, _, which = word.strip().partition(":")
        if what != "half":
            rest.append(word)
        elif which.isdigit() and int(which) < system.n_places:
            halves.append(int(which))
        else:
            faults.append(Fault("--dead", word, f"half:A, with chips 0 to {system.n_places - 1}"))
    if faults:
        raise InputError("cli.dead", "nothing of this name can be half dead", faults)
    return halves, ",".join(rest)


def _bytes(text: str) -> int:
    from drawloom.chip.quantity import POSITIVE_SIZE, QuantityError
    from drawloom.errors import Fault, InputError

    try:
        return int(POSITIVE_SIZE.parse(text if not text.isdigit() else f"{text} B"))
    except QuantityError as error:
        raise InputError("cli.bytes", "not a size", [Fault("--bytes", text, str(error))]) from None


def _numbers(system: System) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for path, source in system.sources.items():
        first, _, rest = path.partition(".")
        value: object = {"overhead": f"{system.overhead / 1e6:g} us"}.get(first)
        if first == "switching":
            value = "cut-through" if system.cut_through else "store-and-forward"
        if first == "levels":
            index, _, field = rest.partition(".")
            value = _shown(getattr(system.levels[int(index)], field), field)
        ends = (source.low, source.high)
        shown = "" if None in ends else " to ".join(_shown(end, path) for end in ends)
        rows.append(
            {"field": path, "value": value, "range": shown, "grade": source.grade,
             "source": source.text}
        )  # fmt: skip
    return rows


def _shown(value: object, field: str) -> str:
    if isinstance(value, tuple):
        return " x ".join(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    number = float(str(value))
    if field.endswith(("rate", "trunk")):
        return f"{number / 1e9:g} GB/s"
    return (
        f"{number / 1e6:g} us" if field.endswith(("latency", "seam", "overhead")) else f"{number:g}"
    )


def _show_costs(
    made: Topology, kind: str, costs: list[CollectiveCost], least: int, *, as_json: bool
) -> None:
    from rich.table import Table

    from drawloom.cli.screen import show, show_json
    from drawloom.compare.errors import FABRIC_WORDS

    rows = [
        {
            "schedule": cost.name,
            "parts": cost.splits,
            "us": cost.ps / 1e6,
            "over_bound": cost.ps / least if least else None,
            "busiest_link": hottest(made, cost)[0],
            "busiest_share": hottest(made, cost)[1],
        }
        for cost in costs
    ]
    if as_json:
        show_json({"system": made.system.name, "kind": kind, "bytes": costs[0].bytes,
                   "bound_us": least / 1e6, "held_to": FABRIC_WORDS, "schedules": rows})  # fmt: skip
        return
    title = f"{kind} of {costs[0].bytes:,} bytes a chip on {made.system.title}: at least {least / 1e6:,.2f} us"
    table = Table(box=None, title=title, title_justify="left")
    for column in ("schedule", "parts", "time us", "over bound", "busiest link", "busy"):
        table.add_column(
            column, justify="left" if column in ("schedule", "busiest link") else "right"
        )
    for row in rows:
        over = "" if row["over_bound"] is None else f"{row['over_bound']:.2f}"
        table.add_row(
            str(row["schedule"]), str(row["parts"]), f"{row['us']:,.2f}", over,
            str(row["busiest_link"]), f"{row['busiest_share']:.0%}",
        )  # fmt: skip
    show(table)
    show(FABRIC_WORDS)


def hottest(made: Topology, cost: CollectiveCost) -> tuple[str, float]:
    """Return the link that is busy longest, as ``from-to``, and for which share of the time."""
    links = made.links
    if not len(links.rate) or not cost.ps:
        return "", 0.0
    busy = cost.link_bytes / links.rate
    at = int(busy.argmax())
    return f"{links.source[at]}-{links.target[at]}", float(busy[at] * 1e12 / cost.ps)
