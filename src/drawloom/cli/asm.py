"""``drawloom asm``: a program's text, as a person writes it, into a program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drawloom.cli.fabric import Json


def assemble_program(
    source: Annotated[Path, typer.Argument(help="A program as text (.prog.txt).")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write: .prog, or .prog.txt with every name and default worked out. "
            "(default: the text's name, ending in .prog)",
        ),
    ] = None,
    chip: Annotated[
        str | None,
        typer.Option(help="A chip's name, or a chip file. (default: what the text says)"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Assemble a program that was written by hand; every fault is named with its line."""
    from drawloom.chip.files import load_chip
    from drawloom.cli.screen import facts, show, show_json
    from drawloom.errors import Fault, InputError
    from drawloom.program.binary import program_hash
    from drawloom.program.files import BINARY, TEXT, read_program, write_program
    from drawloom.report.describe import program_facts

    program = read_program(source, load_chip(chip) if chip else None)
    target = output or source.with_name(source.name.removesuffix(TEXT) + BINARY)
    if target.resolve() == source.resolve():
        fault = Fault("--output", str(target), "another file than the text")
        raise InputError("cli.file", "a text is not written over itself", [fault])
    write_program(program, target)
    if as_json:
        tiles = len(program.streams)
        record = {"program": program.name, "chip": program.chip, "tiles": tiles}
        show_json(record | {"sha256": program_hash(program), "file": str(target)})
    else:
        show(facts(program.name, program_facts(program) | {"wrote": str(target)}))
