"""``drawloom generate``: text from a model on the simulated chip, as it is made."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from drawloom.cli.screen import Progress, show_json
from drawloom.cli.tokens import Tokens, tokens_of
from drawloom.errors import Fault, InputError
from drawloom.frontends.configured import read_model
from drawloom.generate import Generator, Sampling
from drawloom.mapping.options import MapOptions
from drawloom.report.quantities import time_text
from drawloom.units import PS_PER_S


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked to be generated."""

    prompt: str | None
    token_ids: str | None
    tokens: int
    sampling: Sampling
    chip: str
    precision: str
    weights: str
    group: int
    mapping: MapOptions


def generate(model: Path, wanted: Wanted, *, as_json: bool) -> None:
    """Print text as it is made, then what it took; with ``as_json`` one record at the end."""
    config, _ = read_model(str(model))
    words: Tokens | None = None
    if wanted.token_ids is None:
        words = tokens_of(model, config)
    ids = words.encode(wanted.prompt or "") if words else _ids(wanted.token_ids or "")
    if not ids:
        raise InputError("generate.prompt", "the prompt is empty", [Fault("prompt", "", "a text")])
    with Progress() as progress:
        progress.step("compile")
        generator = Generator.of(
            str(model), wanted.chip, prompt_tokens=len(ids), tokens=wanted.tokens,
            precision=wanted.precision, weights=wanted.weights, group=wanted.group,
            mapping=wanted.mapping,
        )  # fmt: skip
        progress.step("time")
        first, each = generator.latencies_ps()
    made: list[int] = []
    shown: list[str] = []
    start = time.perf_counter()
    for token in generator.stream(ids, wanted.sampling):
        made.append(token)
        shown.append(words.add(token) if words else f"{token} ")
        if not as_json:
            sys.stdout.write(shown[-1])
            sys.stdout.flush()
    took = time.perf_counter() - start
    if as_json:
        show_json({
            "prompt_ids": ids, "token_ids": made, "text": "".join(shown) if words else None,
            "chip": generator.decode.chip.name, "precision": generator.decode.options.precision,
            "first_token_ps": first, "per_token_ps": each, "simulated_in_s": took,
        })  # fmt: skip
        return
    print()
    print(
        f"{len(made)} tokens on {generator.decode.chip.name} in"
        f" {generator.decode.options.precision}: {time_text(first)} to the first,"
        f" {time_text(each)} for each after it ({PS_PER_S / each:,.0f} a second); simulated in {took:.1f} s",
        file=sys.stderr,
    )


def _ids(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    faults = [Fault("--token-ids", f"'{w}'", "whole numbers") for w in words if not w.isdigit()]
    if faults:
        raise InputError("generate.prompt", "these are no tokens", faults)
    return [int(word) for word in words]
