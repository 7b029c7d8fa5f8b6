"""``drawloom check``: races, hangs and bytes that are not there, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drawloom.cli.fabric import Json
from drawloom.cli.flags import Asked, options_flags
from drawloom.mapping.options import MapOptions


@options_flags
def check_program(
    model: Annotated[
        Path, typer.Argument(help="A program (.prog, .prog.txt), or a model or earlier stage.")
    ],
    chip: Annotated[
        str | None, typer.Option(help="A chip's name, or a chip file. (default: the program's)")
    ] = None,
    dim: Annotated[
        list[str] | None,
        typer.Option(help="Number of a symbolic dimension: batch=1. Repeatable."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Name what is odd as well: align, straddle, remains, lost."),
    ] = False,
    *,
    asked: Asked,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Check a program: exit code 1 and what is wrong, each with a way out, or 0 and nothing."""
    from drawloom.check import check
    from drawloom.cli import screen
    from drawloom.cli.work import Choices, open_work

    with screen.Progress() as progress:
        choices = Choices(chip, tuple(dim or ()), asked=asked, mapping=mapping)
        work = open_work(model, choices, progress)
        progress.step("check")
        found = check(work.program, work.chip, strict=strict)
    program = work.program
    if as_json:
        screen.show_json(
            [
                {
                    "rule": one.rule,
                    "detail": one.detail,
                    "command": one.where and one.where.text(program),
                    "other": one.other and one.other.text(program),
                }
                for one in found
            ]
        )
    else:
        for one in found:
            print(one.text(program))
        if not found:
            print(f"nothing found in '{program.name}'")
    if found:
        raise typer.Exit(1)
