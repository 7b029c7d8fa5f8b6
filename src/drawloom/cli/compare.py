"""``drawloom compare``: one model and load on several machines, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from drawloom.compare.answer import Answer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def compare_machines(
    model: Annotated[
        str,
        typer.Argument(
            help="A name of `drawloom models`, a config.json or a folder with one; or an .onnx file."
        ),
    ],
    on: Annotated[
        str, typer.Option(help="Systems of `drawloom chips` and how many: tx81x32,h200x8.")
    ],
    phase: Annotated[
        str,
        typer.Option(help="serve (prompts and answers), prefill or decode; forward is an .onnx."),
    ] = "serve",
    prompt: Annotated[int, typer.Option("--in", help="Tokens of a prompt.")] = 2048,
    answer: Annotated[int, typer.Option("--out", help="Tokens of an answer.")] = 512,
    batch: Annotated[
        str, typer.Option(help="Sequences at a time; several with commas: 1,16,64.")
    ] = "16",
    weights: Annotated[str, typer.Option(help="float (16 bits) or int8 (8 bits).")] = "float",
    dim: Annotated[
        list[str] | None,
        typer.Option("--dim", help="Number of a symbolic dimension: batch=1. Repeatable."),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="Dollars an hour of a chip: h200=2.5 or tx81=0.4..0.8. Repeatable."),
    ] = None,
    host: Annotated[
        bool, typer.Option(help="Whether serve has the host's part of serving software.")
    ] = True,
    explain: Annotated[bool, typer.Option(help="Say in words why one machine wins.")] = False,
    page: Annotated[Path | None, typer.Option(help="Write a page with pictures (.html).")] = None,
    as_json: Json = False,
) -> None:
    """Compare systems on a model: latency, throughput, energy, cost, what binds each, error bars."""
    from drawloom.cli import screen
    from drawloom.cli.work import parse_dims
    from drawloom.compare.run import Load, compare

    batches = parse_batches(batch)
    dims = parse_dims(tuple(dim or ()))
    load = Load(phase, prompt, answer, batches, weights, has_host=host, dims=dims)
    prices = price or ()
    with screen.Progress() as progress:
        answers = compare(model, on, load, prices=prices, tell=progress.step)
    if page is not None:
        from drawloom.report.compared import write_compared

        write_compared(answers, prices, page)
    if as_json:
        screen.show_json([record(each, prices) for each in answers])
        return
    _show(answers, prices)
    if explain:
        from drawloom.compare import words

        print()
        print("\n".join(words.explain(answers)))


def parse_batches(text: str) -> tuple[int, ...]:
    """Return the numbers of a list; raises InputError (``compare.ask``) for what is none."""
    from drawloom.errors import Fault, InputError

    found: list[int] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if not word.isdecimal():
            fault = Fault("batch", f"'{word}'", "sequences at a time: 16, or 1,16,64")
            raise InputError("compare.ask", "this cannot be compared", [fault])
        found.append(int(word))
    return tuple(found)


def record(each: Answer, prices: Sequence[str]) -> dict[str, Any]:
    """Return an answer as JSON has it: times in seconds, ``null`` where nothing is known."""
    from drawloom.compare.price import parse_prices, price_of
    from drawloom.compare.roof import roof_of
    from drawloom.compare.words import basis_lines

    roof = roof_of(each)
    passes, ask = each.passes, each.ask
    price, source = price_of(each.machine.sheet, parse_prices(prices))
    made: dict[str, Any] = {
        "machine": each.machine.label,
        "system": each.machine.sheet.name,
        "chips": each.machine.count,
        "route": each.machine.sheet.route,
        "model": ask.sizes.name,
        "phase": ask.phase,
        "in": ask.prompt,
        "out": ask.answer,
        "batch": ask.batch,
        "weights": ask.weights,
        "fits": passes is not None,
        "why_not": each.short or None,
        "price_usd_h_chip": price and price.record(),
        "price_source": source,
        "validated": [error.name for error in each.errors],
        "bars_at_least_of": [error.name for error in each.borrowed],
        "basis": basis_lines(each),
    }
    spans = {
        "first_token_s": each.first,
        "token_s": each.token,
        "tokens_per_s": each.rate,
        "joules_per_token": each.energy,
        "usd_per_million_tokens": each.cost,
    }
    made |= {name: span and span.record() for name, span in spans.items()}
    if passes is None:
        return made
    return made | {
        "is_bound": passes.is_bound,
        "tensor": passes.tensor,
        "stages": passes.stages,
        "copies": passes.copies,
        "sequences_in_memory": passes.admitted * passes.copies,
        "token_pass_s": passes.token.record(),
        "prompt_pass_s": passes.prompt.record(),
        "binds": each.binds,
        "needs_s": dict(each.parts),
        "roofline": roof and roof.record(),
    }


def _show(answers: Sequence[Answer], prices: Sequence[str]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from drawloom.cli.screen import show
    from drawloom.compare import words
    from drawloom.compare.price import parse_prices, price_of

    ask = answers[0].ask
    show(words.head(ask))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    unit = "item" if ask.phase == "forward" else "token"
    first = "ms" if ask.phase == "forward" else "first token ms"
    heads = ("machine", "batch", "sharing", first, "a token ms", f"{unit}s/s", f"J/{unit}",
             f"$/M {unit}s", "binds", "figures")  # fmt: skip
    for head in heads:
        table.add_column(head, no_wrap=head in ("machine", "batch"))
    for each in answers:
        texts = words.figures_text(each)
        binds = words.BINDS[each.binds] if each.passes else ""
        cells = (each.machine.label, str(each.ask.batch), words.sharing_text(each), texts["first"],
                 texts["token"], texts["rate"], texts["energy"], texts["cost"], binds,
                 words.basis_text(each))  # fmt: skip
        table.add_row(*map(escape, cells))
    show(table)
    given = parse_prices(prices)
    for each in {each.machine.label: each for each in answers}.values():
        price, source = price_of(each.machine.sheet, given)
        said = f"{words.span_text(price)} $/h a chip, {source}" if price else source
        show(f"[bold]{escape(each.machine.label)}[/bold]  price: {escape(said)}")
        for line in words.basis_lines(each):
            show(f"    {escape(line)}")
