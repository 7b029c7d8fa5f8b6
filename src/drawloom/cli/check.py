"""``drawloom check``: races, hangs and bytes that are not there, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drawloom.cli.fabric import Json
from drawloom.cli.flags import Asked, options_flags
from drawloom.mapping.options import MapOptions

if TYPE_CHECKING:
    from drawloom.check import Finding
    from drawloom.check.explain import Explained
    from drawloom.check.findings import Lines
    from drawloom.cli.work import Work


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
        typer.Option("--strict", help="Name what is odd as well: docs/checker.md lists the rules."),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Say who touches which bytes, what orders them, what is missing."
        ),
    ] = False,
    inputs: Annotated[
        list[str] | None,
        typer.Option(help="Run it on these too (.npz, .npy): do values overflow, are they right?"),
    ] = None,
    random_inputs: Annotated[
        int | None, typer.Option(metavar="SEED", help="Run it on inputs made up from a seed too.")
    ] = None,
    *,
    asked: Asked,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Check a program: exit code 1 and what is wrong, each with a way out, or 0 and nothing."""
    from drawloom.check import check
    from drawloom.cli import screen
    from drawloom.cli.work import Choices, given_inputs, open_work

    with screen.Progress() as progress:
        choices = Choices(chip, tuple(dim or ()), asked=asked, mapping=mapping)
        work = open_work(model, choices, progress)
        progress.step("check")
        found = check(work.program, work.chip, strict=strict, graph=work.graph)
        if inputs or random_inputs is not None:
            given = given_inputs(work, inputs, random_inputs)
            found = (*found, *work.check_values(given, progress))
        lines = _lines(model, work)
        reasons: list[Explained | None] = [None] * len(found)
        if explain and found:
            known = check(work.program, work.chip) if strict else found
            reasons = [_explained(work, one, lines, known) for one in found]
    if as_json:
        pairs = zip(found, reasons, strict=True)
        screen.show_json([_json(work, one, reason, lines) for one, reason in pairs])
    else:
        for one, reason in zip(found, reasons, strict=True):
            print(one.text(work.program, lines=lines))
            if reason:
                print(reason.text())
        if not found:
            print(f"nothing found in '{work.program.name}'")
    if found:
        raise typer.Exit(1)


def _lines(path: Path, work: Work) -> Lines | None:
    """Return where commands stand in a program's text; None where it was not read from one."""
    from drawloom.check.findings import Lines
    from drawloom.cli.work import stage_of
    from drawloom.program.line_numbers import line_numbers

    if stage_of(path) != ".prog.txt":
        return None
    return Lines(path.name, line_numbers(path.read_text(encoding="utf-8"), work.chip))


def _explained(
    work: Work, one: Finding, lines: Lines | None, known: Sequence[Finding]
) -> Explained:
    from drawloom.check.explain import explain

    nodes = {node.name: node for node in work.graph.nodes} if work.graph else {}

    def told(name: str) -> str:
        node = nodes.get(name)
        if node is None:
            return ""
        return f"{node.op} of {', '.join(filter(None, node.inputs))} to {', '.join(node.outputs)}"

    return explain(work.program, work.chip, one, lines, told, known)


def _json(
    work: Work, one: Finding, reason: Explained | None, lines: Lines | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "rule": one.rule,
        "detail": one.detail,
        "command": one.where and one.where.text(work.program, lines=lines),
        "other": one.other and one.other.text(work.program, lines=lines),
    }
    if reason is not None:
        found["explained"] = list(reason.lines)
        found["missing"] = [
            {"tile": edit.tile, "before": edit.number, "command": edit.text()}
            for edit in reason.edits
        ]
        found["tried"] = reason.is_tried
    return found
