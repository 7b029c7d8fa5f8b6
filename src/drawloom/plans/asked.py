"""What a plan is for, and a plan before its chip's share is timed."""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.chip.model import Chip
from drawloom.chip.system import System
from drawloom.flow import WEIGHT_BITS
from drawloom.frontends.configured import dtype_of
from drawloom.frontends.hf import Config, Request, model_graph
from drawloom.graph.ir import Graph
from drawloom.plans.apart import apart
from drawloom.plans.experts import own_experts
from drawloom.plans.places import Block
from drawloom.plans.shard import Shares
from drawloom.timing.fabric import CollectiveCost


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plan is for."""

    config: Config
    system: System
    chip: Chip
    request: Request
    weights: str
    group: int
    precision: str
    shares: Shares | None

    @property
    def block(self) -> int:
        """Channels that every slice is a multiple of."""
        return self.chip.blocking.of(1 if WEIGHT_BITS[self.weights] else self.bytes_per_number)

    @property
    def bytes_per_number(self) -> int:
        """Bytes of a float."""
        return dtype_of(self.config, self.precision).bytes

    def graph(self, config: Config, request: Request, ways: int = 1) -> Graph:
        """Return a chip's share; ``ways`` chips part the batch of a key head's cache."""
        graph = model_graph(config, request, None, dtype_of(config, self.precision))
        return apart(graph, ways)

    def share(self, config: Config, request: Request, shares: Shares) -> Graph:
        """Return what a chip has of a model that is shared out so; ``config`` is its part."""
        graph = self.graph(config, request, shares.apart)
        return own_experts(graph, shares.tensor, shares.experts) if shares.experts else graph


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan before its chip's share is timed."""

    shares: Shares
    block: Block
    groups: tuple[tuple[int, ...], ...]
    copies: int
    parts: int
    request: Request  # of one part, as a chip has it
    config: Config  # of the largest stage
    chip_bytes: int
    chip_ps: int  # bound of the share
    layers_ps: int  # bound of its layers that repeat, head apart; 0 where too few do
    sums: CollectiveCost
    sums_ps: int
    exchanges: int  # over the group, in a stage
    hand_over_ps: int
    link: str

    @property
    def estimate_ps(self) -> int:
        """Return about how long a round takes."""
        step = self.chip_ps + self.sums_ps + self.hand_over_ps
        return max(self.parts, self.shares.stages) * step

    @property
    def least_ps(self) -> int:
        """Return what the chips' work takes in a round at the least; sums and hand-overs may hide behind it.

        Only the last stage has the head, so that of what is handed from stage to stage layers count.
        """
        return max(self.parts * self.chip_ps, self.shares.stages * self.layers_ps)
