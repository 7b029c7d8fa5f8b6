"""``drawloom span``: programs that span several chips of a system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drawloom.cli.fabric import Json, with_dead
from drawloom.cli.flags import Asked, Several, options_flags
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


@span.command("compile")
@options_flags
def compile_model(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write: .span.")],
    *,
    several: Several,
    asked: Asked,
    mapping: MapOptions,
) -> None:
    """Compile a model for several chips: what each chip loads, sends between chips included."""
    from drawloom.cli import screen
    from drawloom.program.span_files import write_span

    with screen.Progress() as progress:
        made = _open(model, several, asked, mapping, progress)
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
    *,
    several: Several,
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
        made = _open(model, several, asked, mapping, progress)
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
    *,
    several: Several,
    asked: Asked,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Time a model on several chips command by command: where each chip's time goes, which link is hot."""
    from drawloom.chip.files import load_chip
    from drawloom.cli import screen
    from drawloom.compare.errors import held_words
    from drawloom.timing.span import time_span

    with screen.Progress() as progress:
        made = _open(model, several, asked, mapping, progress)
        progress.step("time")
        trace = time_span(made, load_chip(made.system.chip))
    held = f"{held_words(made.system.chip)} Links between chips: not validated."
    if not as_json:
        print(trace.text())
        print(held)
        return
    links = [
        {"link": f"{use.source}-{use.target}", "bytes": use.bytes, "busy": use.busy}
        for use in trace.links()
    ]
    split = {str(place): trace.split(i) for i, place in enumerate(made.places)}
    screen.show_json(
        {
            "model": made.name,
            "total_ps": trace.total_ps,
            "held_to": held,
            "split_ps": split,
            "links": links,
        }
    )


@span.command("check")
@options_flags
def check(
    model: Model,
    *,
    several: Several,
    asked: Asked,
    mapping: MapOptions,
) -> None:
    """Check programs that span chips: exit code 1 and what is wrong, or 0 and nothing."""
    from drawloom.check import check_span
    from drawloom.chip.files import load_chip
    from drawloom.cli import screen

    with screen.Progress() as progress:
        made = _open(model, several, asked, mapping, progress)
        progress.step("check")
        found = check_span(made, load_chip(made.system.chip))
    for one in found:
        print(one.text(*made.programs))
    if found:
        raise typer.Exit(1)
    print(f"nothing found in '{made.name}' on {len(made.places)} chips")


def _open(
    model: Path, several: Several, asked: Asked, mapping: MapOptions, progress: Progress
) -> Span:
    """Read a span, or compile a model into one."""
    from drawloom.chip.system_files import load_system
    from drawloom.plans.span import Spread, compile_span
    from drawloom.program.span_files import read_span

    if model.suffix == ".span":
        return read_span(model)
    made = with_dead(load_system(several.system), several.dead)
    spread = Spread(
        several.chips, several.stages, several.apart, several.whole_experts, several.split_context,
        several.sliced,
    )  # fmt: skip
    return compile_span(
        str(model), made, spread, request=asked.request(), weights=asked.weights,
        group=asked.group, precision=several.precision, mapping=mapping, tell=progress.step,
    )  # fmt: skip
