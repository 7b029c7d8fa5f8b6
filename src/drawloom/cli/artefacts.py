"""What ``show`` and ``chips`` print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from drawloom.chip.files import catalog, load_chip
from drawloom.chip.model import Chip
from drawloom.chip.text import Row
from drawloom.chip.text import show as chip_rows
from drawloom.cli.screen import facts, show, show_json
from drawloom.cli.work import parse_dims, stage_of
from drawloom.errors import Fault, InputError
from drawloom.flow import Build
from drawloom.graph.files import read_graph
from drawloom.graph.ir import Graph
from drawloom.mapping.files import read_mapping
from drawloom.program.files import read_program
from drawloom.report.describe import chip_facts, graph_facts, mapping_facts, program_facts
from drawloom.report.quantities import count_text

Dims = tuple[str, ...]


def show_artefact(path: Path, dims: Dims, *, as_json: bool) -> None:
    """Print what is in a file.

    Raises:
        InputError: no such file, its extension names no stage, or it is not what it says.
    """
    stage = stage_of(path)
    if stage not in READERS:
        fault = Fault(str(path), f"'{stage}'", " ".join(READERS))
        raise InputError("cli.file", "the extension names no stage", [fault])
    READERS[stage](path, dims, as_json)


def _graph(path: Path, _: Dims, as_json: bool) -> None:
    _show_graph(read_graph(path), as_json)


def _model(path: Path, dims: Dims, as_json: bool) -> None:
    from drawloom.frontends.onnx import read_onnx

    _show_graph(read_onnx(path, parse_dims(dims)), as_json)


def _show_graph(graph: Graph, as_json: bool) -> None:
    if as_json:
        show_json(_graph_record(graph))
        return
    from drawloom.graph.text import text

    show(facts(graph.name, graph_facts(graph)), "")
    print(text(graph), end="")


def _graph_record(graph: Graph) -> dict[str, object]:
    def typed(names: tuple[str, ...]) -> dict[str, str]:
        return {name: graph.types[name].text() for name in names}

    return {
        "graph": graph.name,
        "inputs": typed(graph.inputs),
        "outputs": typed(graph.outputs),
        "constants_bytes": sum(graph.types[name].bytes for name in graph.constants),
        "nodes": [
            {
                "name": node.name,
                "operator": node.op,
                "layer": node.layer,
                "inputs": list(node.inputs),
                "outputs": typed(tuple(value for value in node.outputs if value)),
            }
            for node in graph.nodes
        ],
    }


def _program(path: Path, _: Dims, as_json: bool) -> None:
    from drawloom.program.text import text

    program = read_program(path)
    if not as_json:
        show(facts(program.name, program_facts(program)), "")
        print(text(program), end="")
        return
    regions = [
        {"name": r.name, "kind": r.kind, "address": r.address, "bytes": r.bytes, "format": r.fmt,
         "shape": list(r.shape)}
        for r in program.regions
    ]  # fmt: skip
    written = [sum(1 for _ in program.commands(tile)) for tile in range(len(program.streams))]
    show_json(
        {
            "program": program.name,
            "chip": program.chip,
            "notes": dict(program.notes),
            "regions": regions,
            "dram_bytes": program.dram_bytes,
            "constants_bytes": sum(raw.size for _, raw in program.data),
            "commands_written_by_tile": written,
        }
    )


def _mapping(path: Path, _: Dims, as_json: bool) -> None:
    from drawloom.mapping.text import mapping_text

    mapping = read_mapping(path)
    if not as_json:
        show(facts(mapping.graph.name, mapping_facts(mapping)), "")
        print(mapping_text(mapping), end="")
        return
    show_json(
        {
            "graph": mapping.graph.name,
            "chip": mapping.chip.name,
            "notes": dict(mapping.notes),
            "dram_bytes": mapping.dram_bytes,
            "pieces": [
                {"piece": piece.name, "kind": type(piece).__name__, "nodes": list(piece.nodes)}
                for piece in mapping.pieces
            ],
        }
    )


def _build(path: Path, _: Dims, as_json: bool) -> None:
    build = Build.load(path)
    if as_json:
        _show_graph(build.graph, as_json)
        return
    lines = graph_facts(build.graph) | program_facts(build.program)
    lines["pieces"] = mapping_facts(build.mapping)["pieces"]
    show(facts(build.program.name, lines))


def _trace(path: Path, _: Dims, as_json: bool) -> None:
    from drawloom import report
    from drawloom.timing.files import read_trace

    figures = report.figures(read_trace(path), bounded=False)
    if as_json:
        show_json(report.record(figures))
    else:
        show(report.summary(figures))


def _chip(path: Path, _: Dims, as_json: bool) -> None:
    show_chip(str(path), as_json=as_json)


READERS: dict[str, Callable[[Path, Dims, bool], None]] = {
    ".onnx": _model,
    ".graph": _graph,
    ".map": _mapping,
    ".prog": _program,
    ".prog.txt": _program,
    ".build": _build,
    ".trace": _trace,
    ".chip.yaml": _chip,
    ".chip.yml": _chip,
}


def list_chips() -> None:
    """Print the chips that have a chip file in the catalog."""
    for name in catalog():
        show(facts(name, chip_facts(load_chip(name))))


def chip_records() -> list[dict[str, object]]:
    """Return the sizes and rates of the chips that have a chip file in the catalog."""
    return [_chip_record(load_chip(name)) for name in catalog()]


def list_models(*, as_json: bool) -> None:
    """Print the models of the catalog, each with its size and whose configuration it is."""
    from drawloom.frontends.hf.config import catalog_entry, catalog_names

    entries = [catalog_entry(name) for name in catalog_names()]
    if as_json:
        show_json(
            [{"model": e.name, "parameters": e.parameters, "source": e.source} for e in entries]
        )
        return
    lines = {e.name: f"{count_text(e.parameters)} weights  {e.source}" for e in entries}
    show(facts("models known by name", lines))


def _chip_record(chip: Chip) -> dict[str, object]:
    return {
        "chip": chip.name,
        "title": chip.title,
        "tiles": chip.n_tiles,
        "clock_hz": chip.clock,
        "peak_fp16_flops_per_s": chip.peak_flops,
        "scratchpad_bytes_per_tile": chip.scratchpad.bytes,
        "dram_bytes": chip.dram.bytes,
        "dram_read_bytes_per_s": chip.dram.read,
        "dram_write_bytes_per_s": chip.dram.write,
        "profiles": list(chip.profiles),
    }


def show_chip(name: str, *, as_json: bool) -> None:
    """Print every number of a chip with its range, grade and source."""
    chip = load_chip(name)
    rows = chip_rows(chip)
    if as_json:
        show_json(_chip_record(chip) | {"numbers": [_row_record(row) for row in rows]})
        return
    show(facts(chip.name, chip_facts(chip)), "", _chip_table(rows))


def _row_record(row: Row) -> dict[str, str]:
    return {
        "path": row.path,
        "value": row.value,
        "range": row.range,
        "grade": row.grade,
        "source": row.source,
    }


def _chip_table(rows: tuple[Row, ...]) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("number", "value", "range", "grade"):
        table.add_column(name, no_wrap=name != "range")
    table.add_column("source", overflow="fold", style="dim")
    for row in rows:
        table.add_row(*map(escape, (row.path, row.value, row.range, row.grade, row.source)))
    return table
