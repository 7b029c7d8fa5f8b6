"""``drawloom bound``: a time that no program for a model can go below, and what sets it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from drawloom.cli.fabric import Json
from drawloom.cli.flags import Asked, options_flags

if TYPE_CHECKING:
    from drawloom.bound import Bound
    from drawloom.chip.model import Chip
    from drawloom.graph.ir import Graph


@options_flags
def bound_model(
    model: Annotated[
        str,
        typer.Argument(
            help="A model (.onnx, .graph, .gguf, a config.json or a folder with one), or a name of "
            "`drawloom models`."
        ),
    ],
    chip: Annotated[str, typer.Option(help="A chip's name, or a chip file.")] = "tx81",
    layers: Annotated[int, typer.Option(help="How many layers to list.", min=0)] = 10,
    dim: Annotated[
        list[str] | None,
        typer.Option(help="Number of a symbolic dimension: batch=1. Repeatable."),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Format of floats: f16, bf16 or f32. (default: as for `time`)")
    ] = "",
    *,
    asked: Asked,
    as_json: Json = False,
) -> None:
    """Say which time no program for a model can go below on a chip, and what sets it."""
    from drawloom import flow
    from drawloom.bound import bound, layer_bounds
    from drawloom.chip.files import load_chip
    from drawloom.cli.work import parse_dims

    machine = load_chip(chip)
    options = flow.Options(
        parse_dims(tuple(dim or ())), precision, request=asked.request(), weights=asked.weights,
        group=asked.group,
    )  # fmt: skip
    source = flow.read(model, options)
    options = replace(options, precision=precision or flow.own_precision(source))
    graph = flow.to_precision(flow.simplify(source), options)
    names = {node.layer or node.name: node.layer or node.name for node in graph.nodes}
    each = layer_bounds(graph, machine, names)
    _show(graph, machine, bound(graph, machine), each, layers, as_json=as_json)


def _show(
    graph: Graph, chip: Chip, whole: Bound, each: dict[str, Bound], top: int, *, as_json: bool
) -> None:
    from rich import box
    from rich.table import Table

    from drawloom.cli.screen import facts, show, show_json
    from drawloom.compare.errors import bound_words
    from drawloom.report.cards import LIMITS
    from drawloom.report.quantities import bytes_text, count_text, time_text
    from drawloom.report.record import bound_record

    held = bound_words(chip.name)
    if as_json:
        parts = [{"layer": name} | bound_record(one) for name, one in each.items()]
        show_json(
            {"model": graph.name, "chip": chip.name, "held_to": held}
            | bound_record(whole)
            | {"layers": parts}
        )
        return
    formats = ", ".join(f"{count_text(n)} {fmt}" for fmt, n in whole.macs.items()) or "none"
    show(
        facts(
            f"bound of '{graph.name}' on '{chip.name}': {time_text(whole.ps)}, "
            f"set by {LIMITS[whole.limit]}",
            {
                "matrix": f"{time_text(whole.matrix_ps)}   multiply-adds: {formats}",
                "vector": f"{time_text(whole.vector_ps)}   functions of {count_text(whole.functions)} elements",
                "DRAM": f"{time_text(whole.dram_ps)}   the longest of: reading "
                f"{bytes_text(whole.read_bytes)} {time_text(whole.read_ps)}, writing "
                f"{bytes_text(whole.write_bytes)} {time_text(whole.write_ps)}, both at once "
                f"{time_text(whole.both_ps)}",
                "NoC, C2C": "0   any tile may read any byte itself",
                "fixed": f"{time_text(whole.fixed_ps)}   delays that nothing hides",
                "held to": held,
            },
        )
    )
    chosen = sorted(each.items(), key=lambda pair: -pair[1].busiest_ps)[:top]
    if not chosen:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="layers by their own bound")
    for column in ("layer", "bound", "set by", "matrix", "vector", "DRAM"):
        table.add_column(column, justify="left" if column in ("layer", "set by") else "right")
    for name, one in chosen:
        table.add_row(
            name, time_text(one.busiest_ps), LIMITS[one.limit], time_text(one.matrix_ps),
            time_text(one.vector_ps), time_text(one.dram_ps),
        )  # fmt: skip
    show(table)
