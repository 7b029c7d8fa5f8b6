"""``drawloom plan``: a model shared out over the chips of a system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from drawloom.cli.fabric import Dead, Json
from drawloom.cli.flags import Asked, options_flags
from drawloom.mapping.options import MapOptions

if TYPE_CHECKING:
    from drawloom.chip.system import System
    from drawloom.plans.plan import Plan

_MOST_DRAWN = 32  # chips along a side of the picture


@options_flags
def plan_model(
    model: Annotated[
        str, typer.Argument(help="A name of `drawloom models`, a config.json or a folder with one.")
    ],
    system: Annotated[
        str, typer.Option(help="A name of `drawloom fabric`, or a system file.")
    ] = "rex1032",
    dead: Dead = "",
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
    from drawloom.cli import screen
    from drawloom.cli.fabric import with_dead
    from drawloom.errors import Fault, InputError

    request = asked.request()
    if request is None or request.phase == "forward":
        fault = Fault("phase", "not said", "prefill with tokens, or decode with context")
        raise InputError("hf.request", f"say what is asked of '{model}'", [fault])
    made = with_dead(load_system(system), dead)
    with screen.Progress() as progress:
        found = plans.plan(
            model, made, request, weights=asked.weights, group=asked.group, precision=precision,
            mapping=mapping, tell=progress.step,
        )  # fmt: skip
    show_plan(found, made, as_json=as_json)


def show_plan(made: Plan, system: System, *, as_json: bool) -> None:
    """Print a plan: in words, with a picture of who has what, and where a step's time goes."""
    from drawloom.cli.screen import facts, show, show_json

    if as_json:
        show_json(_record(made))
        return
    show(facts(f"plan for '{made.model}' on '{made.system}'", _words(made)))
    if picture := draw(made, system):
        show("", picture)


def _record(made: Plan) -> dict[str, object]:
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
            "hand_over_ps": step.hand_over_ps,
        },
        "sum": {"schedule": made.algorithm[0], "bytes": made.algorithm[1]},
        "hot_link": made.hot_link,
        "hot_link_bytes": made.link_bytes,
        "chip_dram_bytes": made.chip_bytes,
    }


def _words(made: Plan) -> dict[str, str]:
    shares, step, request = made.shares, made.step, made.request
    sides = " x ".join(str(side) for side in made.block.sides[::-1] if side > 1) or "1"
    layers = f"{shares.tensor} chips ({sides}) share each layer, {shares.stages} stages of layers"
    batch = f"{request.batch} sequences"
    if made.copies > 1:
        batch += f", shared by {made.copies} copies of the model"
    if made.parts > 1:
        batch += f", {made.parts} parts follow each other through the stages"
    whole = step.ps or 1
    words = {
        "sharing": layers,
        "batch": batch,
        "memory": f"{made.chip_bytes / 2**30:.2f} GiB of {made.has_bytes / 2**30:.0f} GiB a chip",
        "step": f"{made.round_ps / 1e9:,.3f} ms, {made.over_bound:.2f} of the bound of "
        f"{made.bound_ps / 1e9:,.3f} ms",
        "tokens": f"{made.tokens_per_s:,.1f} a second",
        "of a stage": f"chips {step.chip_ps / whole:.1%}, sums {step.sums_ps / whole:.1%}, "
        f"handing over {step.hand_over_ps / whole:.1%}",
    }
    if shares.tensor > 1:
        words["sums"] = f"{made.algorithm[1]:,} bytes by '{made.algorithm[0]}', two a layer"
        words["hot link"] = f"{made.hot_link}, {made.link_bytes:,} bytes a sum"
    if made.spare:
        words["spare"] = f"{len(made.spare)} living chips: " + ", ".join(map(str, made.spare[:16]))
    return words


def draw(made: Plan, system: System) -> str:
    """Return a picture of a fabric of at most two sides: the group of each chip, or what it is."""
    from drawloom.chip.links import dimensions

    sides = [d for d in dimensions(system) if d.size > 1]
    if not 1 <= len(sides) <= 2 or any(d.size > _MOST_DRAWN for d in sides):
        return ""
    name = {chip: i for i, group in enumerate(made.groups) for chip in group}
    fast, rows = sides[0], sides[1].size if len(sides) > 1 else 1
    step = sides[1].stride if len(sides) > 1 else 0
    lines: list[str] = ["chips by group (. spare, x dead):"]
    for row in range(rows):
        chips = [row * step + column * fast.stride for column in range(fast.size)]
        marks = [
            "x" if chip in system.dead_chips else str(name[chip]) if chip in name else "."
            for chip in chips
        ]
        lines.append("  " + " ".join(f"{mark:>3}" for mark in marks))
    return "\n".join(lines)
