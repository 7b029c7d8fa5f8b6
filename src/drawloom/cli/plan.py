"""``drawloom plan``: a model shared out over the chips of a system."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from drawloom.cli.fabric import Json
from drawloom.cli.flags import Asked, options_flags
from drawloom.mapping.options import MapOptions

if TYPE_CHECKING:
    from drawloom.chip.model import Chip
    from drawloom.chip.system import System
    from drawloom.frontends.hf.request import Request
    from drawloom.plans.plan import Plan


class Growth(StrEnum):
    """How a batch goes with the number of chips."""

    strong = "strong"
    weak = "weak"


CONTEXT = 2047  # tokens before a decode step, where none are said: a cache of 2,048 positions
EXPERTS = {
    "here": "1 of {n} parts of the experts whole on each chip, which has all tokens",
    "sent": "1 of {n} parts of the experts whole on each chip; each attends to its own sequences and "
    "sends tokens to the chips of their experts, evenly as it is taken",
}
_MOST_DRAWN = 32  # chips along a side of the picture


@options_flags
def plan_model(
    model: Annotated[
        str, typer.Argument(help="A name of `drawloom models`, a config.json or a folder with one.")
    ],
    system: Annotated[
        str, typer.Option(help="A name of `drawloom fabric`, or a system file.")
    ] = "rex1032",
    dead: Annotated[
        str,
        typer.Option(
            help="What does not live: chip:5,link:3-4,half:7 (half of its tiles). (default: nothing)",
            metavar="LIST",
        ),
    ] = "",
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Sums on a mesh, a torus and a switch of the same chips."),
    ] = False,
    scaling: Annotated[
        Growth | None,
        typer.Option(
            help="Plans on 1, 2, 4, ... chips: strong, one batch; weak, a batch that grows."
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Format of floats: f16, bf16 or f32. (default: the model's)")
    ] = "",
    *,
    asked: Asked,
    mapping: MapOptions,
    as_json: Json = False,
) -> None:
    """Share a model out over the chips of a system: who has what, what a step takes, and why."""
    from drawloom import plans
    from drawloom.chip.system_files import load_system
    from drawloom.cli import plan_tables, screen
    from drawloom.cli.fabric import halves_of, with_dead
    from drawloom.errors import Fault, InputError
    from drawloom.plans import compare as beside

    if asked.phase == "decode" and asked.context is None:
        asked = replace(asked, context=CONTEXT)
    request = asked.request()
    if request is None or request.phase == "forward":
        fault = Fault("phase", "not said", "prefill with tokens, or decode with context")
        raise InputError("hf.request", f"say what is asked of '{model}'", [fault])
    whole = load_system(system)
    halves, rest = halves_of(whole, dead)
    made = with_dead(whole, rest)
    with screen.Progress() as progress:

        def planner(each: System, wanted: Request, chip: Chip | None) -> Plan:
            return plans.plan(
                model, each, wanted, weights=asked.weights, group=asked.group,
                precision=precision, mapping=mapping, chip=chip, tell=progress.step,
            )  # fmt: skip

        if scaling is not None:
            points = beside.growth(planner, made, request, weak=scaling is Growth.weak)
            plan_tables.show_growth(points, scaling.value, as_json=as_json)
            return
        if dead:
            lost = beside.loss(planner, made, whole, halves, request)
            plan_tables.show_loss(lost, made, halves, as_json=as_json)
            return
        found = planner(made, request, None)
        others = plan_tables.others(found, made, model, precision) if compare else []
    if as_json:
        more = {"fabrics": plan_tables.fabric_records(others)} if compare else {}
        screen.show_json(plan_record(found) | more)
        return
    show_plan(found, made)
    if compare:
        plan_tables.show_fabrics(others)


def show_plan(made: Plan, system: System) -> None:
    """Print a plan: in words, with a picture of who has what, and where a step's time goes."""
    from drawloom.cli.screen import facts, show

    show(facts(f"plan for '{made.model}' on '{made.system}'", words(made)))
    if picture := draw(made, system):
        show("", picture)


def plan_record(made: Plan) -> dict[str, object]:
    """Return a plan as JSON has it."""
    from drawloom.cli.plan_tables import cost_record

    step = made.step
    return {
        "model": made.model,
        "system": made.system,
        "phase": made.request.phase,
        "batch": made.request.batch,
        "weights": made.weights,
        "tensor": made.shares.tensor,
        "stages": made.shares.stages,
        "copies": made.copies,
        "parts": made.parts,
        "groups": [list(group) for group in made.groups],
        "spare_chips": list(made.spare),
        "latency_ps": made.latency_ps,
        "round_ps": made.round_ps,
        "bound_ps": made.bound_ps,
        "over_bound": made.over_bound,
        "tokens_per_s": made.tokens_per_s,
        "step": {
            "chip_ps": step.chip_ps,
            "sums_ps": step.sums_ps,
            "hidden_ps": step.hidden_ps,
            "hand_over_ps": step.hand_over_ps,
        },
        "split_ps": step.split,
        "apart": made.shares.apart,
        "experts": made.shares.experts or "sliced",
        "links": [{"from": a, "to": b, "busy": busy} for a, b, busy in made.loads],
        "fabric": cost_record(made.fabric, made.round_ps),
        "sum": {"schedule": made.algorithm[0], "bytes": made.algorithm[1]},
        "hot_link": made.hot_link,
        "hot_link_bytes": made.link_bytes,
        "chip_dram_bytes": made.chip_bytes,
        "held_to": held_words(made),
    }


def held_words(made: Plan) -> str:
    """Return how far a plan's figures are held to silicon."""
    from drawloom.compare.errors import board_words

    chip = board_words(made.trace.chip.name).removeprefix("Held to ")
    return f"{chip or 'no board of this chip was measured.'} Links between chips: not validated."


def words(made: Plan) -> dict[str, str]:
    """Return a plan in words."""
    from drawloom.cli.plan_tables import cost_words

    shares, step, request = made.shares, made.step, made.request
    sides = " x ".join(str(side) for side in made.block.sides[::-1] if side > 1) or "1"
    layers = f"{shares.tensor} chips ({sides}) share each layer, {shares.stages} stages of layers"
    batch = f"{request.batch} sequences"
    if request.phase == "decode":
        batch += f" of {request.context:,} tokens"
    if made.copies > 1:
        batch += f", shared by {made.copies} copies of the model"
    if made.parts > 1:
        batch += f", {made.parts} parts follow each other through the stages"
    whole = step.ps or 1
    said = {
        "sharing": layers,
        "batch": batch,
        "memory": f"{made.chip_bytes / 2**30:.2f} GiB of {made.has_bytes / 2**30:.0f} GiB a chip",
        "step": f"{made.round_ps / 1e9:,.3f} ms, {made.over_bound:.2f} of the bound of "
        f"{made.bound_ps / 1e9:,.3f} ms",
        "tokens": f"{made.tokens_per_s:,.1f} a second",
        "of a token": ", ".join(f"{word} {ps / whole:.1%}" for word, ps in step.split.items()),
        "of a stage": f"chips {step.chip_ps / whole:.1%}, sums {step.sums_ps / whole:.1%}, "
        f"handing over {step.hand_over_ps / whole:.1%}",
    }
    said["held to"] = held_words(made)
    if shares.tensor > 1:
        behind = step.hidden_ps / (step.hidden_ps + step.sums_ps or 1)
        word = "all-to-alls" if shares.experts == "sent" else "sums"
        said[word] = (
            f"{made.algorithm[1]:,} bytes by '{made.algorithm[0]}', two a layer, "
            f"{behind:.0%} of their time behind other work"
        )
        said["hot link"] = f"{made.hot_link}, {made.link_bytes:,} bytes in one of {word}"
        said["fabric"] = cost_words(made)
    if shares.apart > 1:
        said["caches"] = f"{shares.apart} chips part the sequences of each key head among them"
    if shares.experts:
        said["experts"] = EXPERTS[shares.experts].format(n=shares.tensor)
    if made.spare:
        said["spare"] = f"{len(made.spare)} living chips: " + ", ".join(map(str, made.spare[:16]))
    return said


def draw(made: Plan, system: System) -> str:
    """Return a picture of a fabric of at most two sides: the group of each chip, or what it is."""
    from drawloom.chip.sides import dimensions

    sides = [d for d in dimensions(system) if d.size > 1]
    if not 1 <= len(sides) <= 2 or any(d.size > _MOST_DRAWN for d in sides):
        return ""
    name = {chip: i for i, group in enumerate(made.groups) for chip in group}
    fast, rows = sides[0], sides[1].size if len(sides) > 1 else 1
    step = sides[1].stride if len(sides) > 1 else 0
    loads = {(a, b): busy for a, b, busy in made.loads}
    lines: list[str] = [
        "chips by group (. spare, x dead); between them how busy a link is with sums:"
    ]
    for row in range(rows):
        chips = [row * step + column * fast.stride for column in range(fast.size)]
        marks = [
            "x" if chip in system.dead_chips else str(name[chip]) if chip in name else "."
            for chip in chips
        ]
        gaps = [_load(loads, a, b) for a, b in pairwise(chips)]
        beside = [f"{mark:>3}{gap:>5}" for mark, gap in zip(marks, [*gaps, ""], strict=True)]
        lines.append("  " + "".join(beside).rstrip())
        if row + 1 < rows:
            below = "".join(f"{_load(loads, chip, chip + step):>4}    " for chip in chips)
            if below.strip():
                lines.append("  " + below.rstrip())
    return "\n".join(lines)


def _load(loads: dict[tuple[int, int], float], a: int, b: int) -> str:
    """Return how busy the busier way of a link is, in percent; nothing where it carries nothing."""
    busy = max(loads.get((a, b), 0.0), loads.get((b, a), 0.0))
    return f"{busy:.0%}" if busy else ""
