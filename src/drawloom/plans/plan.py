"""What a plan says: who has what, what a step takes, where its time goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from drawloom.frontends.hf.request import Request
from drawloom.plans.fabric_cost import NO_FABRIC, FabricCost
from drawloom.plans.places import Block
from drawloom.plans.shard import Shares
from drawloom.timing.trace import Trace
from drawloom.units import PS_PER_S


@dataclass(frozen=True, slots=True)
class Step:
    """Picoseconds that a stage takes for one part of the batch."""

    chip_ps: int  # the slowest stage's program, on one chip
    head_ps: int  # of it, the last product, which only the last stage has
    sums_ps: int  # sums over a group, all layers of a stage, as far as nothing else goes on then
    hand_over_ps: int  # activations to the next stage
    compute_ps: int = 0  # of the chip: moments at which an engine computes
    memory_ps: int = 0  # of the rest: at which DRAM is read or written
    hidden_ps: int = 0  # of sums: behind which weights come or engines work

    @property
    def split(self) -> dict[str, int]:
        """Where the time goes: compute, memory, links and waiting, which add up to the whole."""
        waiting = self.chip_ps - self.compute_ps - self.memory_ps
        links = self.sums_ps + self.hand_over_ps
        return {
            "compute": self.compute_ps, "memory": self.memory_ps, "links": links,
            "waiting": waiting,
        }  # fmt: skip

    @property
    def ps(self) -> int:
        """The slowest stage, sums included."""
        return self.chip_ps + self.sums_ps + self.hand_over_ps


@dataclass(frozen=True, slots=True)
class Plan:
    """A model shared out over the chips of a system.

    Attributes:
        model: the model's name.
        system: the system's name.
        request: the phase, for the whole batch.
        weights: form of the weights: float, int8 or int4.
        shares: chips a layer, and groups one after the other.
        copies: how many times the model stands in the system; each takes a share of the batch.
        block: shape of a group.
        groups: the chips of each group, stage by stage, copy after copy.
        spare: living chips that no group has.
        parts: pieces of a copy's batch that follow each other through the stages.
        step: what the slowest stage takes for one part.
        chip_bytes: weights and caches of one chip.
        has_bytes: DRAM of one chip.
        algorithm: how sums are done, and bytes of one.
        bound_ps: what a step takes at the least, all chips' memories and engines together.
        link_bytes: what the busiest link of a group carries for a sum of one part.
        hot_link: that link, as ``from-to``.
        trace: of the slowest stage's program, on one chip, for one part.
        loads: share of a step for which each link of the groups is busy with sums, by its ends.
        fabric: links, their price, and what sums burn on them in a step of all groups.
    """

    model: str
    system: str
    request: Request
    weights: str
    shares: Shares
    copies: int
    block: Block
    groups: tuple[tuple[int, ...], ...]
    spare: tuple[int, ...]
    parts: int
    step: Step
    chip_bytes: int
    has_bytes: int
    algorithm: tuple[str, int]
    bound_ps: int
    link_bytes: int
    hot_link: str
    trace: Trace = field(repr=False, compare=False)
    loads: tuple[tuple[int, int, float], ...] = ()
    fabric: FabricCost = NO_FABRIC

    @property
    def latency_ps(self) -> int:
        """Time of one step for a sequence: through all stages, waiting for its turn at the first."""
        stages = self.shares.stages
        through = stages * self.step.ps - (stages - 1) * self.step.head_ps
        # With more parts than stages, a part waits until the others are through the slowest.
        return through + max(0, self.parts - stages) * self.step.ps

    @property
    def round_ps(self) -> int:
        """Time between two steps of one sequence, when all stages are kept busy."""
        return max(self.latency_ps, self.parts * self.step.ps)

    @property
    def parts_of_chip_ps(self) -> int:
        """How much of a round the chips of a sequence's way compute, sums and hand-overs apart."""
        return self.round_ps - self.links_ps

    @property
    def links_ps(self) -> int:
        """How much of a round goes to sums and hand-overs."""
        turns = max(self.shares.stages, self.parts)
        return turns * (self.step.sums_ps + self.step.hand_over_ps)

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second of all copies together."""
        return self.request.batch * self.request.n_tokens * PS_PER_S / self.round_ps

    @property
    def chips_pj(self) -> float:
        """Energy of all chips that take part in a round, links between them apart, in picojoules."""
        return self.trace.energy.default * self.shares.chips * self.copies * self.parts

    @property
    def over_bound(self) -> float:
        """Achieved time over the bound."""
        return self.round_ps / self.bound_ps
