"""A candidate as a plan: its chip's share compiled and timed, sums with it where one chip stands for all."""

from __future__ import annotations

import numpy as np

from drawloom.chip.topology import topology
from drawloom.flow import compile
from drawloom.frontends.configured import dtype_of
from drawloom.graph.ir import Graph
from drawloom.mapping.options import MapOptions
from drawloom.plans.asked import Asked, Candidate
from drawloom.plans.experts import SENT
from drawloom.plans.fabric_cost import FabricCost, fabric_cost
from drawloom.plans.overlap import Overlapped, Share, head_ps, overlapped
from drawloom.plans.places import inner
from drawloom.plans.plan import Plan, Step
from drawloom.plans.price import SumPrices
from drawloom.plans.shard import layers_of, period_of, shard, stage_of
from drawloom.plans.span import Spread
from drawloom.timing.span import busy_parts
from drawloom.units import PS_PER_S


def timed(asked: Asked, chosen: Candidate, mapping: MapOptions, bound_ps: int) -> Plan:
    """Return a candidate as a plan: its chip's share compiled and timed, sums behind it or among it."""
    build = compile(
        asked.share(chosen.config, chosen.request, chosen.shares), asked.chip, weights=asked.weights,
        group=asked.group, precision=asked.precision, mapping=mapping, check=False,
    )  # fmt: skip
    trace = build.time()
    sums_ps, name = _timed_sums(asked, chosen)
    step = Step(trace.total_ps, head_ps(trace), sums_ps, chosen.hand_over_ps, *busy_parts(trace))
    made = _overlapped(asked, chosen, mapping)
    # Cut where sums stand, pieces are smaller: where little is hidden that costs more than it wins.
    if made is not None and made.total_ps < trace.total_ps + sums_ps:
        hidden = max(0, sums_ps - made.links_ps)
        step = Step(
            made.total_ps - made.links_ps, made.head_ps, made.links_ps, chosen.hand_over_ps,
            made.compute_ps, made.memory_ps, hidden,
        )  # fmt: skip
    used = {chip for group in chosen.groups for chip in group}
    spare = tuple(chip for chip in asked.system.chips if chip not in used)
    busiest = int(chosen.sums.link_bytes.max()) if chosen.link else 0
    return Plan(
        asked.config.name, asked.system.name, asked.request, asked.weights, chosen.shares,
        chosen.copies, chosen.block, chosen.groups, spare, chosen.parts, step, chosen.chip_bytes,
        asked.chip.dram.bytes, (name, chosen.sums.bytes), bound_ps, busiest, chosen.link,
        trace, *_links(asked, chosen, step.ps),
    )  # fmt: skip


def _overlapped(asked: Asked, chosen: Candidate, mapping: MapOptions) -> Overlapped | None:
    """Return a stage's time with its sums as commands; None where no chip stands for all."""
    shares = chosen.shares
    fabric = inner(asked.system, chosen.block, chosen.groups[0])
    if shares.tensor == 1 or shares.experts or not fabric.is_whole:
        return None
    layers = layers_of(asked.config, shares.stages)[0]

    def graph(count: int) -> Graph:
        return asked.graph(stage_of(asked.config, shares, count), chosen.request)

    def alone(count: int) -> Graph:
        return asked.graph(shard(asked.config, shares, count, asked.block), chosen.request)

    share = Share(graph, layers, *period_of(asked.config, shares), alone)
    return overlapped(
        share, fabric, Spread(shares.tensor, 1, shares.apart), asked.chip, mapping, asked.weights, asked.group,
        asked.precision, sliced=chosen.request.batch % shares.tensor == 0,
    )  # fmt: skip


def _links(
    asked: Asked, chosen: Candidate, step_ps: int
) -> tuple[tuple[tuple[int, int, float], ...], FabricCost]:
    """Return what share of a step each link of the groups is busy, and what the fabric costs.

    Sums alone are counted; the same is carried by each group.
    """
    system = asked.system
    sums = chosen.exchanges
    found: list[tuple[int, int, float]] = []
    moved = 0
    for members in chosen.groups if sums else ():
        made = topology(inner(system, chosen.block, members)).links
        if len(made.rate) != len(chosen.sums.link_bytes):
            continue  # a link inside is dead: its group goes other ways
        for at in np.flatnonzero(chosen.sums.link_bytes):
            ends = (int(made.source[at]), int(made.target[at]))
            carried = sums * int(chosen.sums.link_bytes[at])
            moved += carried
            busy = carried * PS_PER_S / int(made.rate[at]) / max(1, step_ps)
            names = (members[end] if end < len(members) else -1 for end in ends)
            found.append((*names, busy))  # pyright: ignore[reportArgumentType]
    return tuple(found), fabric_cost(system, moved * chosen.parts)


def _timed_sums(asked: Asked, chosen: Candidate) -> tuple[int, str]:
    """Return a stage's sums by the commands of one chip, and their schedule.

    With dead links inside a group no chip stands for all: the estimate is kept.
    """
    fabric = inner(asked.system, chosen.block, chosen.groups[0])
    is_sum = chosen.shares.experts != SENT and chosen.sums.name != "none"
    if chosen.shares.tensor == 1 or not is_sum or not fabric.is_whole:
        return chosen.sums_ps, chosen.sums.name
    fmt = dtype_of(asked.config, asked.precision).value
    count = chosen.sums.bytes // asked.bytes_per_number
    ps, name = SumPrices(asked.chip).of(fabric, count, fmt)
    return chosen.sums_ps + chosen.exchanges * (ps - chosen.sums.ps), name
