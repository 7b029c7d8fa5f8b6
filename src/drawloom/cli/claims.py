"""``drawloom claims``: public claims put to the model, with the arithmetic."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def judge_claims(
    claim: Annotated[
        list[str] | None,
        typer.Argument(help="Claims by name, or claim files. (default: all that ship)"),
    ] = None,
    arithmetic: Annotated[bool, typer.Option(help="Whether to print the arithmetic.")] = True,
    plans: Annotated[
        bool,
        typer.Option(
            help="Whether a model that chips are said to hold is planned on them: a minute."
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Put public claims to the model: reachable, only if, or above a hard bound; and why."""
    from drawloom.cli.screen import Progress, show, show_json
    from drawloom.compare.claim import load_claim
    from drawloom.compare.claims import CLAIMS
    from drawloom.compare.verdict import judge

    with Progress() as progress:
        found = [
            judge(load_claim(name), has_plans=plans, tell=progress.step) for name in claim or CLAIMS
        ]
    if as_json:
        show_json([each.record() for each in found])
        return
    from rich.markup import escape
    from rich.table import Table

    for each in found:
        said = each.claim
        show(f"[bold]{escape(said.name)}[/bold]  {escape(said.statement)}")
        show(f"  on {escape(said.workload)}; said by: {escape(said.source)}")
        show(f"  [bold]{each.word}[/bold]")
        for condition in each.conditions:
            show(f"    {escape(condition)}")
        if arithmetic and each.arithmetic:
            table = Table.grid(padding=(0, 2))
            for _ in range(3):
                table.add_column(overflow="fold")
            for line in each.arithmetic:
                table.add_row("    " + escape(line.what), escape(line.how), escape(line.result))
            show(table)
        show("")
