"""``drawloom span``: programs that span several chips of a system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drawloom.cli.fabric import Dead, Json, with_dead
from drawloom.cli.flags import Asked, options_flags
from drawloom.mapping.options import MapOptions

if TYPE_CHECKING:
    from drawloom.cli.screen import Progress
    from drawloom.program.span import Span

span = typer.Typer(
    help="Programs that span several chips of a system: compile, run, time and check them.",
    no_args_is_help=True,
)

Model = Annotated[
    Path, typer.Argument(help="A model, as `drawloom compile` takes it, or a file of this: .span.")
]
SystemName = Annotated[str, typer.Option(help="A name of `drawloom fabric`, or a system file.")]
Chips = Annotated[int, typer.Option(help="Chips that share each layer.", min=1)]
Stages = Annotated[int, typer.Option(help="Such groups of chips, one after the other.", min=1)]
Apart = Annotated[
    int,
    typer.Option(help="Chips that share a key head and part its cache by sequences.", min=1),
]
WholeExperts = Annotated[
    bool, typer.Option("--whole-experts", help="Chips have whole experts, not a slice of each.")
]
SplitContext = Annotated[
    bool, typer.Option("--split-context", help="Chips have positions of caches, not heads.")
]
Precision = Annotated[
    str, typer.Option(help="Format of floats: f16, bf16 or f32. (default: the model's)")
]


@span.command("compile")
@options_flags
def compile_model(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write: .span.")],
    system: SystemName = "rex1032",
    chips: Chips = 2,
    stages: Stages = 1,
    apart: Apart = 1,
    whole_experts: WholeExperts = False,
    split_context: SplitContext = False,
    dead: Dead = "",
    precision: Precision = "",
    *,
    asked: Asked,
    mapping: MapOptions,
) -> None:
    """Compile a model for several chips: what each chip loads, sends between chips included."""
    from drawloom.cli import screen
    from drawloom.program.span_files import write_span

    with screen.Progress() as progress:
        made = _open(
            model,
            system,
            (chips, stages, apart, whole_experts, split_context),
            dead,
            precision,
            asked,
            mapping,
            progress,
        )
        write_span(made, output)
    print(made.text())


@span.command("run")
@options_flags
def run(
    model: Model,
    inputs: Annotated[
        Path | None, typer.Option(help="A .npz file with an array for each input.")
    ] = None,
    random_inputs: Annotated[
        int | None, typer.Option(metavar="SEED", help="Make inputs up from a seed.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the outputs to a .npz file.")
    ] = None,
    system: SystemName = "rex1032",
    chips: Chips = 2,
    stages: Stages = 1,
    apart: Apart = 1,
    whole_experts: WholeExperts = False,
    split_context: SplitContext = False,
    dead: Dead = "",
    precision: Precision = "",
    *,
    asked: Asked,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Run a model on several chips: whole outputs, put together from the chips' parts."""
    from drawloom.cli import arrays, screen
    from drawloom.execute.span import execute_span

    if (inputs is None) == (random_inputs is None):
        raise typer.BadParameter("give --inputs FILE.npz or --random-inputs SEED, one of them")
    with screen.Progress() as progress:
        made = _open(
            model,
            system,
            (chips, stages, apart, whole_experts, split_context),
            dead,
            precision,
            asked,
            mapping,
            progress,
        )
        given = (
            arrays.read_arrays(inputs)
            if inputs is not None
            else arrays.random_of(made.named("input"), random_inputs or 0)
        )
        progress.step("run")
        outputs = execute_span(made, given)
        if output is not None:
            arrays.write_arrays(output, outputs)
    records = arrays.described(outputs)
    if as_json:
        screen.show_json({"model": made.name, "chips": list(made.places), "outputs": records})
        return
    shown = {name: str(record) for name, record in records.items()}
    screen.show(screen.facts(f"{made.name} on {len(made.places)} chips", shown))


@span.command("time")
@options_flags
def time(
    model: Model,
    system: SystemName = "rex1032",
    chips: Chips = 2,
    stages: Stages = 1,
    apart: Apart = 1,
    whole_experts: WholeExperts = False,
    split_context: SplitContext = False,
    dead: Dead = "",
    precision: Precision = "",
    *,
    asked: Asked,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Time a model on several chips command by command: where each chip's time goes, which link is hot."""
    from drawloom.chip.files import load_chip
    from drawloom.cli import screen
    from drawloom.timing.span import time_span

    with screen.Progress() as progress:
        made = _open(
            model,
            system,
            (chips, stages, apart, whole_experts, split_context),
            dead,
            precision,
            asked,
            mapping,
            progress,
        )
        progress.step("time")
        trace = time_span(made, load_chip(made.system.chip))
    if not as_json:
        print(trace.text())
        return
    links = [
        {"link": f"{use.source}-{use.target}", "bytes": use.bytes, "busy": use.busy}
        for use in trace.links()
    ]
    split = {str(place): trace.split(i) for i, place in enumerate(made.places)}
    screen.show_json(
        {"model": made.name, "total_ps": trace.total_ps, "split_ps": split, "links": links}
    )


@span.command("check")
@options_flags
def check(
    model: Model,
    system: SystemName = "rex1032",
    chips: Chips = 2,
    stages: Stages = 1,
    apart: Apart = 1,
    whole_experts: WholeExperts = False,
    split_context: SplitContext = False,
    dead: Dead = "",
    precision: Precision = "",
    *,
    asked: Asked,
    mapping: MapOptions,
) -> None:
    """Check programs that span chips: exit code 1 and what is wrong, or 0 and nothing."""
    from drawloom.check import check_span
    from drawloom.chip.files import load_chip
    from drawloom.cli import screen

    with screen.Progress() as progress:
        made = _open(
            model,
            system,
            (chips, stages, apart, whole_experts, split_context),
            dead,
            precision,
            asked,
            mapping,
            progress,
        )
        progress.step("check")
        found = check_span(made, load_chip(made.system.chip))
    for one in found:
        print(one.text(*made.programs))
    if found:
        raise typer.Exit(1)
    print(f"nothing found in '{made.name}' on {len(made.places)} chips")


def _open(
    model: Path, system: str, spread: tuple[int, int, int, bool, bool], dead: str, precision: str,
    asked: Asked, mapping: MapOptions, progress: Progress,
) -> Span:  # fmt: skip
    """Read a span, or compile a model into one."""
    from drawloom.chip.system_files import load_system
    from drawloom.plans.span import Spread, compile_span
    from drawloom.program.span_files import read_span

    if model.suffix == ".span":
        return read_span(model)
    made = with_dead(load_system(system), dead)
    return compile_span(
        str(model), made, Spread(*spread), request=asked.request(), weights=asked.weights,
        group=asked.group, precision=precision, mapping=mapping, tell=progress.step,
    )  # fmt: skip
