"""What ``drawloom plan`` prints beside a plan: other fabrics, what is lost, how it grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from drawloom.cli.screen import facts, show, show_json

if TYPE_CHECKING:
    from drawloom.chip.system import System
    from drawloom.plans.compare import Fabric, Loss, Point
    from drawloom.plans.fabric_cost import Amount, FabricCost
    from drawloom.plans.plan import Plan


def others(plan: Plan, system: System, model: str, precision: str) -> list[Fabric]:
    """Return a plan's step on other fabrics of the same chips."""
    from drawloom.frontends.configured import dtype_of
    from drawloom.frontends.hf import read_config
    from drawloom.plans.compare import fabrics
    from drawloom.plans.shard import layers_of

    config = read_config(model)
    dtype, layers = dtype_of(config, precision), layers_of(config, plan.shares.stages)[0]
    return fabrics(plan, system, plan.algorithm[1] // dtype.bytes, dtype.value, layers)


def fabric_records(found: Sequence[Fabric]) -> list[dict[str, object]]:
    """Return a plan's step on other fabrics as JSON has it."""
    return [
        {
            "shape": each.shape, "links": each.links, "sum_ps": each.sum_ps,
            "round_ps": each.round_ps, "tokens_per_s": each.tokens_per_s,
            "cost": cost_record(each.cost, each.round_ps),
        }
        for each in found
    ]  # fmt: skip


def cost_record(cost: FabricCost, round_ps: int) -> dict[str, object]:
    """Return what a fabric costs as JSON has it; what is not known is null."""

    def amount(made: Amount | None) -> dict[str, object] | None:
        return made and {
            "value": made.value, "low": made.low, "high": made.high, "grade": made.grade,
        }  # fmt: skip

    return {
        "links": cost.links, "hop_bytes": cost.hop_bytes, "usd": amount(cost.usd),
        "pj": amount(cost.pj), "watts": amount(cost.watts(round_ps)),
    }  # fmt: skip


def cost_words(plan: Plan) -> str:
    """Return what a plan's fabric costs and burns, in words."""
    cost = plan.fabric
    price = (
        "their price is not known" if cost.usd is None else f"$ {_amount_text(cost.usd, ',.0f')}"
    )
    said = f"{cost.links} links both ways, {price}"
    watts = cost.watts(plan.round_ps)
    if watts is None:
        return f"{said}; nor is the energy of what passes them"
    share = watts.value * plan.round_ps / (plan.chips_pj or 1)
    return f"{said}; sums burn {_amount_text(watts, ',.2f')} W on them, {share:.2%} of what the chips do"


def _amount_text(made: Amount, form: str) -> str:
    """Return a number with its range and grade."""
    text = f"{made.value:{form}}"
    if made.low != made.high:
        text += f" ({made.low:{form}} to {made.high:{form}})"
    return f"{text} [{made.grade}]" if made.grade else text


def show_fabrics(found: Sequence[Fabric]) -> None:
    """Print a plan's step on a mesh, a torus and a switch of the same chips."""
    table = _table(
        "the same chips joined otherwise", "fabric", "links", "sum us", "step ms", "tokens/s",
        "link price", "W of sums",
    )  # fmt: skip
    for each in found:
        watts = each.cost.watts(each.round_ps)
        table.add_row(
            each.shape, str(each.links), f"{each.sum_ps / 1e6:,.2f}",
            f"{each.round_ps / 1e9:,.3f}", f"{each.tokens_per_s:,.1f}",
            _amount_text(each.cost.usd, ",.0f") if each.cost.usd else "not known",
            _amount_text(watts, ",.2f") if watts else "not known",
        )  # fmt: skip
    show("", table)


def show_loss(lost: Loss, system: System, halves: Sequence[int], *, as_json: bool) -> None:
    """Print the plan of a system with parts missing, and what they cost."""
    from drawloom.cli.plan import draw, plan_record, words

    plan, whole = lost.plan, lost.whole
    if as_json:
        record = {
            "lost_tokens": lost.lost,
            "whole_tokens_per_s": whole.tokens_per_s,
            "dead_chips": sorted(system.dead_chips),
            "dead_links": sorted(system.dead_links),
            "half_chips": list(halves),
            "halves_are_used": lost.halves_are_used,
        }
        show_json(plan_record(plan) | record)
        return
    lines = words(plan)
    gone = [f"{len(system.dead_chips)} chips dead", f"{len(system.dead_links)} links dead"]
    if halves:
        used = "all chips of a group as slow as they" if lost.halves_are_used else "left out"
        gone.append(f"{len(halves)} chips with half of their tiles, {used}")
    lines["missing"] = ", ".join([*gone, f"{len(plan.spare)} living chips spare"])
    lines["lost"] = (
        f"{lost.lost:.1%} of the {whole.tokens_per_s:,.1f} tokens a second of the whole system"
    )
    show(facts(f"plan for '{plan.model}' on '{plan.system}' with parts missing", lines))
    if picture := draw(plan, system):
        show("", picture)


def show_growth(points: Sequence[Point], kind: str, *, as_json: bool) -> None:
    """Print a scaling curve: tokens a second against the first number of chips that the model fits."""
    first = next((p for p in points if p.plan), None)
    rows = [
        {
            "chips": p.chips,
            "batch": p.batch,
            "tensor": p.plan.shares.tensor,
            "stages": p.plan.shares.stages,
            "copies": p.plan.copies,
            "step_ps": p.plan.round_ps,
            "tokens_per_s": p.plan.tokens_per_s,
            "efficiency": p.plan.tokens_per_s * first.chips / first.plan.tokens_per_s / p.chips,
        }
        if p.plan and first and first.plan
        else {"chips": p.chips, "batch": p.batch, "tokens_per_s": None}
        for p in points
    ]
    if as_json:
        show_json({"scaling": kind, "points": rows})
        return
    table = _table(
        f"{kind} scaling", "chips", "batch", "sharing", "step ms", "tokens/s", "of ideal"
    )
    for row in rows:
        if row["tokens_per_s"] is None:
            table.add_row(str(row["chips"]), str(row["batch"]), "does not fit", "", "", "")
            continue
        sharing = f"{row['tensor']} x {row['stages']} x {row['copies']}"
        table.add_row(
            str(row["chips"]), str(row["batch"]), sharing, f"{row['step_ps'] / 1e9:,.3f}",  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
            f"{row['tokens_per_s']:,.1f}", f"{row['efficiency']:.0%}",
        )  # fmt: skip
    show(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in ("fabric", "sharing") else "right")
    return table
