"""The commands of ``drawloom``. Rooms are imported where they are used, so that help is quick."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drawloom.cli.asm import assemble_program
from drawloom.cli.bound import bound_model
from drawloom.cli.check import check_program
from drawloom.cli.chips import chips
from drawloom.cli.claims import judge_claims
from drawloom.cli.compare import compare_machines
from drawloom.cli.fabric import fabric
from drawloom.cli.flags import Asked, options_flags
from drawloom.cli.plan import plan_model
from drawloom.cli.span import span
from drawloom.mapping.options import MapOptions

if TYPE_CHECKING:
    from drawloom.cli.work import Choices, Work

app = typer.Typer(
    help="An open toolchain for reconfigurable dataflow chips: map a model onto a chip, run it bit "
    "for bit, and know what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(chips, name="chips")
app.add_typer(fabric, name="fabric")
app.add_typer(span, name="span")
app.command("asm")(assemble_program)
app.command("bound")(bound_model)
app.command("check")(check_program)
app.command("claims")(judge_claims)
app.command("compare")(compare_machines)
app.command("plan")(plan_model)

Model = Annotated[
    Path,
    typer.Argument(
        help="A model (.onnx, .graph, .gguf, a config.json or a folder with one, or a name of "
        "`drawloom models`), or a later stage: .map .prog .prog.txt .build."
    ),
]
ChipName = Annotated[
    str | None,
    typer.Option("--chip", help="A chip's name, or a chip file. (default: tx81, or the program's)"),
]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", help="Number of a symbolic dimension: batch=1. Repeatable."),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="Format of floats: f16, bf16 or f32. (default: the model's of 16 bits, or f16)"
    ),
]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="Software profile of the chip. (default: its first)")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Artefact = Annotated[
    Path,
    typer.Argument(
        help="Any stage's file: .onnx .graph .map .prog .prog.txt .build .trace .chip.yaml."
    ),
]


def _version(is_asked: bool) -> None:
    if is_asked:
        import drawloom

        print(f"drawloom {drawloom.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read the options that stand before a command."""


@app.command()
@options_flags
def run(
    model: Model,
    chip: ChipName = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            help="A .npz file with an array for each input, or a .npy file: x=x.npy, or x.npy "
            "where there is one input. Repeatable."
        ),
    ] = None,
    random_inputs: Annotated[
        int | None, typer.Option(metavar="SEED", help="Make inputs up from a seed.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the outputs to a .npz file, or the one there is to a .npy file.",
        ),
    ] = None,
    dim: Dims = None,
    precision: Precision = None,
    orders: Annotated[
        int, typer.Option(min=0, help="Try so many other legal orders; exit code 1 if any differs.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Draws the orders.")] = 0,
    *,
    asked: Asked,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Run a model on the simulated chip: its outputs, bit for bit."""
    from drawloom.cli import arrays, results
    from drawloom.cli.screen import Progress
    from drawloom.cli.work import given_inputs

    with Progress() as progress:
        work = _open(model, _choices(chip, dim, precision, None, asked, mapping), progress)
        given = given_inputs(work, inputs, random_inputs)
        found = work.run_orders(given, orders, seed, progress) if orders else None
        outputs = found.outputs if found else work.run(given, progress)
        if output is not None:
            arrays.write_arrays(output, outputs)
    results.show_outputs(work, outputs, output, as_json=as_json)
    if found is not None:
        results.show_orders(found)


@app.command()
@options_flags
def compile(
    model: Model,
    output: Annotated[
        list[Path],
        typer.Option(
            "--output", "-o", help="Where to write: .prog .prog.txt .map .graph .build. Repeatable."
        ),
    ],
    chip: ChipName = None,
    dim: Dims = None,
    precision: Precision = None,
    profile: ProfileName = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check", help="Check the program; write none in which a fault is found."
        ),
    ] = True,
    *,
    asked: Asked,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Compile a model into a program; the output's extension says which stage to write."""
    from drawloom.cli import results
    from drawloom.cli.screen import Progress

    with Progress() as progress:
        results.check_outputs(output)
        choices = _choices(chip, dim, precision, profile, asked, mapping)
        work = _open(model, replace(choices, check=check), progress)
        progress.step("write")
        for path in output:
            results.write_stage(work, path)
    results.show_compiled(work, output, as_json=as_json)


@app.command()
@options_flags
def time(
    model: Model,
    chip: ChipName = None,
    profile: ProfileName = None,
    page: Annotated[Path | None, typer.Option(help="Write the page of the run (.html).")] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="Write the trace: .json or .json.gz for Perfetto, or .trace."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw what every engine does when (.svg).")
    ] = None,
    error_bars: Annotated[
        bool,
        typer.Option(help="Time with the chip's numbers at both ends of their ranges too."),
    ] = False,
    layers: Annotated[int, typer.Option(help="How many layers to list.", min=0)] = 10,
    dim: Dims = None,
    precision: Precision = None,
    *,
    asked: Asked,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Time a model or program cycle by cycle: latency, what bounds it, energy, layers."""
    from drawloom import report
    from drawloom.cli import screen

    with screen.Progress() as progress:
        work = _open(model, _choices(chip, dim, precision, profile, asked, mapping), progress)
        timed = work.time(progress)
        progress.step("report")
        figures = report.figures(timed, work.graph, error_bars=error_bars)
        if page is not None:
            report.write_page(figures, page)
        if trace is not None:
            report.write_trace(timed, trace)
        if picture is not None:
            report.write_picture(timed, picture)
    if as_json:
        screen.show_json(report.record(figures))
    else:
        screen.show(report.summary(figures, top=layers))


@app.command()
@options_flags
def generate(
    model: Annotated[
        Path, typer.Argument(help="A folder with config.json and weights, or a .gguf file.")
    ],
    prompt: Annotated[str | None, typer.Option(help="The text to go on from.")] = None,
    token_ids: Annotated[
        str | None, typer.Option(help="The tokens to go on from, in place of a text: 1,2,3.")
    ] = None,
    tokens: Annotated[int, typer.Option("--tokens", "-n", help="Tokens to make.", min=1)] = 64,
    temperature: Annotated[
        float, typer.Option(help="0 takes the likeliest token; more draws from more of them.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of what is drawn.", min=0)] = 0,
    chip: ChipName = None,
    precision: Precision = None,
    weights: Annotated[str, typer.Option(help="float, int8 or int4.")] = "float",
    group: Annotated[int, typer.Option(help="Inputs that share a scale of weights.")] = 0,
    *,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Make text on the simulated chip: prefill, then token after token, as they come."""
    from drawloom.cli import texts
    from drawloom.generate import Sampling

    if (prompt is None) == (token_ids is None):
        raise typer.BadParameter("give --prompt or --token-ids, one of them")
    wanted = texts.Wanted(
        prompt, token_ids, tokens, Sampling(temperature, seed), chip or "tx81", precision or "",
        weights, group, mapping,
    )  # fmt: skip
    texts.generate(model, wanted, as_json=as_json)


@app.command()
def models(as_json: Json = False) -> None:
    """List the models whose configuration drawloom knows by name."""
    from drawloom.cli.artefacts import list_models

    list_models(as_json=as_json)


@app.command()
def validate(
    comparison: Annotated[
        list[str] | None, typer.Argument(help="Which comparisons to run. (default: all)")
    ] = None,
    as_json: Json = False,
) -> None:
    """Rerun the comparisons with measured silicon, and print the errors of the models."""
    from drawloom.cli.errors_table import show_errors
    from drawloom.validate.comparison import run_comparisons

    show_errors(run_comparisons(comparison or ()), as_json=as_json)


@app.command()
def show(artefact: Artefact, dim: Dims = None, as_json: Json = False) -> None:
    """Show what is in a file of any stage."""
    from drawloom.cli.artefacts import show_artefact

    show_artefact(artefact, tuple(dim or ()), as_json=as_json)


def _choices(
    chip: str | None,
    dim: list[str] | None,
    precision: str | None,
    profile: str | None,
    asked: Asked,
    mapping: MapOptions,
) -> Choices:
    from drawloom.cli.work import Choices

    return Choices(chip, tuple(dim or ()), precision, profile, asked, mapping)


def _open(model: Path, choices: Choices, progress: Any) -> Work:
    from drawloom.cli.work import open_work

    return open_work(model, choices, progress)
