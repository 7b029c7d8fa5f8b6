"""A plan beside others: on other fabrics, with parts missing, on fewer chips.

fabrics   the same sharing, its sums on a mesh, a torus or a switch of the same chips
parts     chips with half of their tiles: left out, or all taken to be as slow as they
growth    the same batch on more and more chips (strong), or a batch that grows with them (weak)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.chip.system import Level, System
from drawloom.chip.topology import topology
from drawloom.errors import DoesNotFit
from drawloom.frontends.hf import Request
from drawloom.mapping.collectives import ALGORITHMS
from drawloom.plans.experts import SENT
from drawloom.plans.fabric_cost import FabricCost, fabric_cost
from drawloom.plans.places import blocks, groups, inner
from drawloom.plans.plan import Plan
from drawloom.plans.price import SumPrices
from drawloom.timing.fabric import FabricClock

Planner = Callable[[System, Request, Chip | None], Plan]
SHAPES = ("mesh", "torus", "switch")


@dataclass(frozen=True, slots=True)
class Fabric:
    """A plan's sums on another fabric of the same chips.

    ``links`` counts each way by itself; of a switch they are its ports. ``cost`` is that of the
    fabrics of all groups, switches left out.
    """

    shape: str
    links: int
    sum_ps: int
    round_ps: int
    tokens_per_s: float
    cost: FabricCost


def fabrics(plan: Plan, system: System, count: int, fmt: str, layers: int) -> list[Fabric]:
    """Return what a plan's step takes where each group is a mesh, a torus and a switch.

    The links of a mesh and of a torus are the system's; a switch gives each chip a port of as many
    bytes a second as its links in the torus have together, and a hop's delay to the switch and from it.

    Args:
        plan: the plan.
        system: where it was made.
        count: numbers that a sum adds up, of each chip.
        fmt: their format.
        layers: of a stage, each of which has two sums.
    """
    level = system.levels[0]
    sides = tuple(side for side in plan.block.sides[::-1] if side > 1)
    if not sides:
        return []
    kind = "all_to_all" if plan.shares.experts == SENT else "all_reduce"
    prices = SumPrices(load_chip(system.chip))

    def price(fabric: System) -> tuple[int, str]:
        if kind == "all_reduce":
            return prices.of(fabric, count, fmt)
        cost = FabricClock(topology(fabric)).best(kind, plan.algorithm[1])
        return cost.ps, cost.name

    made = [(shape, _system(system, shape, level, sides)) for shape in SHAPES]
    timed = [(shape, each, *price(each)) for shape, each in made]
    own = price(inner(system, plan.block, plan.groups[0]))[0]
    # As much of the sums as goes on behind other work does so on any fabric.
    sums, hidden = (plan.step.sums_ps + plan.step.hidden_ps) / own, plan.step.hidden_ps
    found: list[Fabric] = []
    times = 2 * layers * plan.parts * len(plan.groups)
    for shape, each, ps, name in timed:
        step = replace(plan.step, sums_ps=max(0, round(sums * ps) - hidden))
        changed = replace(plan, step=step)
        fabric = topology(each)
        schedule = ALGORITHMS[kind][name](fabric)
        assert schedule
        moved = FabricClock(fabric).price(schedule, plan.algorithm[1], 1).link_bytes.sum()
        cost = fabric_cost(each, int(moved) * times)
        cost = replace(
            cost, links=cost.links * len(plan.groups), usd=cost.usd and cost.usd.times(len(plan.groups))
        )  # fmt: skip
        n = len(fabric.links.rate)
        found.append(Fabric(shape, n, ps, changed.round_ps, changed.tokens_per_s, cost))
    return found


def _system(system: System, shape: str, level: Level, sides: tuple[int, ...]) -> System:
    made = replace(
        level, shape=shape, sizes=sides, blocks=(), leaf=0, trunk=0, pitch_mm=0, layers=0
    )
    if shape == "switch":
        chips = 1
        for side in sides:
            chips *= side
        ports = sum(1 if side == 2 else 2 for side in sides)
        made = replace(made, sizes=(chips,), rate=level.rate * ports)
    return replace(
        system, name=shape, levels=(made,), dead_chips=frozenset(), dead_links=frozenset()
    )


@dataclass(frozen=True, slots=True)
class Loss:
    """A plan with what is missing, and the one of the whole system."""

    plan: Plan
    whole: Plan
    halves_are_used: bool

    @property
    def lost(self) -> float:
        """The share of tokens a second that is lost."""
        return 1 - self.plan.tokens_per_s / self.whole.tokens_per_s


def loss(
    planner: Planner, system: System, whole: System, halves: Sequence[int], request: Request
) -> Loss:
    """Return the better of two plans for a system with parts missing, beside that of the whole.

    Args:
        planner: makes a plan for a system, a request, and a chip in place of the system's own.
        system: without what is dead.
        whole: with all of it.
        halves: living chips with half of their tiles.
        request: the phase, for the whole batch.
    """
    tried: list[tuple[Plan, bool]] = []
    without = replace(system, dead_chips=system.dead_chips | set(halves))
    if without.chips:
        tried.append((planner(without, request, None), False))
    if halves:
        chip = load_chip(system.chip)
        half = replace(chip, cols=max(1, chip.cols // 2))
        tried.append((planner(system, request, half), True))
    best, used = max(tried, key=lambda each: each[0].tokens_per_s)
    return Loss(best, planner(whole, request, None), used)


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a scaling curve; ``plan`` is None where the model does not fit."""

    chips: int
    batch: int
    plan: Plan | None


def growth(planner: Planner, system: System, request: Request, *, weak: bool) -> list[Point]:
    """Return plans on 1, 2, 4, ... chips, to all: for one batch, or for one that grows with them.

    The smaller systems are blocks of neighbours. With ``weak``, ``request`` is that of all chips.
    """
    n = system.n_places
    sizes = [1 << i for i in range(n.bit_length()) if 1 << i < n] + [n]
    points: list[Point] = []
    for chips in sizes:
        part = _part(system, chips)
        if part is None:
            continue
        batch = max(1, request.batch * chips // n) if weak else request.batch
        try:
            plan = planner(part, replace(request, batch=batch), None)
        except DoesNotFit:
            plan = None
        points.append(Point(chips, batch, plan))
    return points


def _part(system: System, chips: int) -> System | None:
    """Return a block of chips, as square as can be."""
    if chips == system.n_places:
        return system
    found = [b for b in blocks(system, chips) if groups(system, b)]
    if not found:
        return None
    block = min(found, key=lambda b: (max(b.sides), b.sides))
    return inner(system, block, groups(system, block)[0])
