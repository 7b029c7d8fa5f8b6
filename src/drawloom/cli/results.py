"""What ``run`` and ``compile`` print and write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from numpy.typing import NDArray

from drawloom.cli.arrays import described
from drawloom.cli.screen import facts, show, show_json
from drawloom.cli.work import Work, stage_of
from drawloom.errors import Fault, InputError
from drawloom.graph.files import write_graph
from drawloom.mapping.files import write_mapping
from drawloom.program.files import write_program
from drawloom.program.program import Program

if TYPE_CHECKING:
    from drawloom.execute.orders import Orders

_SHOWN = 5  # orders that differ, in full
T = TypeVar("T")


def _write_program(work: Work, path: Path) -> None:
    write_program(work.program, path)


def _write_mapping(work: Work, path: Path) -> None:
    write_mapping(_stage(work.mapping, path), path)


def _write_graph(work: Work, path: Path) -> None:
    write_graph(_stage(work.graph, path), path)


def _write_build(work: Work, path: Path) -> None:
    _stage(work.build, path).save(path)


def _stage(stage: T | None, path: Path) -> T:
    """Return a stage, or refuse to make an earlier one out of a later one."""
    if stage is None:
        fault = Fault(str(path), "", "a later stage than the file that was given")
        raise InputError("cli.file", "an earlier stage cannot be made from a later one", [fault])
    return stage


WRITERS: dict[str, Callable[[Work, Path], None]] = {
    ".prog": _write_program,
    ".prog.txt": _write_program,
    ".map": _write_mapping,
    ".graph": _write_graph,
    ".build": _write_build,
}


def check_outputs(paths: Sequence[Path]) -> None:
    """Refuse outputs whose extension names no stage, before any work is done.

    Raises:
        InputError: with every such path (``cli.file``).
    """
    allowed = " ".join(WRITERS)
    faults = [
        Fault(str(path), f"'{stage_of(path)}'", allowed)
        for path in paths
        if stage_of(path) not in WRITERS
    ]
    if faults:
        raise InputError("cli.file", "the extension does not say which stage to write", faults)


def write_stage(work: Work, path: Path) -> None:
    """Write the stage that the path's extension names."""
    WRITERS[stage_of(path)](work, path)


def show_compiled(work: Work, paths: Sequence[Path], *, as_json: bool) -> None:
    """Say what was compiled and written."""
    from drawloom.report.describe import program_facts

    program = work.program
    if as_json:
        show_json(_heading(program) | {"files": [str(path) for path in paths]})
        return
    lines = program_facts(program)
    lines["wrote"] = ", ".join(map(str, paths))
    show(facts(f"{program.name} on {work.chip.name}", lines))


def show_outputs(
    work: Work, outputs: Mapping[str, NDArray[Any]], path: Path | None, *, as_json: bool
) -> None:
    """Say what came out of a run."""
    from drawloom.report.figures import stated

    program = work.program
    records = described(outputs)
    if as_json:
        more = {"outputs": records, "file": str(path) if path else None}
        show_json(_heading(program) | more)
        return
    lines = {name: _output(record) for name, record in records.items()}
    if path is not None:
        lines["wrote"] = str(path)
    notes = ", ".join(f"{name} {value}" for name, value in stated(program).items())
    heading = f"{program.name} on {work.chip.name}"
    show(facts(f"{heading}, {notes}" if notes else heading, lines))


def _heading(program: Program) -> dict[str, object]:
    return {"model": program.name, "chip": program.chip, "notes": dict(program.notes)}


def _output(record: dict[str, object]) -> str:
    shape = record["shape"]
    assert isinstance(shape, list)
    text = f"{record['dtype']}[{','.join(map(str, shape))}]"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if "min" in record:
        text += "  min {min:.6g}, max {max:.6g}, mean {mean:.6g}".format(**record)
    return text


def show_orders(found: Orders) -> None:
    """Say on stderr what other legal orders came to; exit code 1 where one differs."""
    for parting in found.partings[:_SHOWN]:
        print(parting.text(), file=sys.stderr)
    said = f"{len(found.partings)} of {found.tried} other orders differ"
    if found.partings:
        print(f"{said}: drawloom check says why", file=sys.stderr)
        raise typer.Exit(1)
    print(f"{found.tried} other orders give the same", file=sys.stderr)
