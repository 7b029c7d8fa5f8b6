"""What a stage takes with its exchanges in between, weights coming in while sums wait for links.

One chip that stands for its group is compiled, exchanges included (``compile_folded``), and timed
command by command. Layers that are alike take alike long, so a stage is timed with few of them and
with a few more, and the rest is as much longer again: with 80 layers of Llama-3-70B on 32 chips
the sum is within a millionth of the time of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from drawloom.chip.model import Chip
from drawloom.chip.system import System
from drawloom.errors import DoesNotFit, InputError
from drawloom.flow import WEIGHT_BITS
from drawloom.graph.ir import Graph
from drawloom.mapping.options import MapOptions
from drawloom.plans.builder import Built
from drawloom.plans.span import Spread, compile_folded
from drawloom.quantize import quantize_weights
from drawloom.timing.trace import Trace
from drawloom.units import ceil_div

MOST_HELD = 1.1  # bytes of weights of a chip over its even share, beyond which a cut is no use


@dataclass(frozen=True, slots=True)
class Overlapped:
    """Picoseconds of a stage: the whole, and where its moments go."""

    total_ps: int
    compute_ps: int
    memory_ps: int
    links_ps: int  # moments at which nothing goes on but what is on its way between chips
    head_ps: int

    def more(self, fewer: Overlapped, times: int) -> Overlapped:
        """Return this and ``times`` as much as it is beyond ``fewer``."""

        def on(mine: int, its: int) -> int:
            return mine + times * (mine - its)

        return Overlapped(
            on(self.total_ps, fewer.total_ps), on(self.compute_ps, fewer.compute_ps),
            on(self.memory_ps, fewer.memory_ps), on(self.links_ps, fewer.links_ps), self.head_ps,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Share:
    """A stage's share of a model: ``graph(layers)`` is the stage with some of its layers.

    Attributes:
        graph: the whole stage's graph, not cut.
        layers: layers of the stage.
        before: layers at its beginning that are not like the others.
        period: after how many layers they are alike again.
        alone: what one chip has of it, by layers, if all is shared out evenly.
    """

    graph: Callable[[int], Graph]
    layers: int
    before: int
    period: int
    alone: Callable[[int], Graph]


@dataclass(frozen=True, slots=True)
class Coding:
    """How weights are held."""

    weights: str
    group: int

    def of(self, graph: Graph) -> Graph:
        """Return a graph with its weights held so."""
        bits = WEIGHT_BITS[self.weights]
        return quantize_weights(graph, bits, self.group) if bits else graph


def overlapped(
    share: Share, fabric: System, spread: Spread, chip: Chip, mapping: MapOptions, weights: str,
    group: int, precision: str, *, sliced: bool = False,
) -> Overlapped | None:  # fmt: skip
    """Return what a stage takes on the fabric of a group; None where it cannot be cut so.

    Args:
        share: the stage.
        fabric: of the group's chips alone.
        spread: how the group shares it.
        chip: what each of the chips is.
        mapping: options of the mapper.
        weights: float, int8 or int4.
        group: inputs that share a scale of such weights; 0 is all of a channel.
        precision: format of floats; empty for the model's own.
        sliced: whether sums may also be scattered and gathered, whichever is quicker.
    """
    # What weights are read ahead for lags: from the third layer on all take alike long.
    few = share.before + share.period * ceil_div(3, share.period)
    more = few + share.period
    whole = share.layers <= more or (share.layers - more) % share.period != 0
    first = share.layers if whole else few
    if not _is_even(share, first, spread, Coding(weights, group)):
        return None

    built: Built = {}  # a layer more is the same stretches

    def timed(layers: int, spread: Spread) -> Overlapped:
        folded = compile_folded(
            share.graph(layers), fabric, spread, weights=weights, group=group, chip=chip,
            precision=precision, mapping=mapping, built=built,
        )  # fmt: skip
        trace = folded.time(chip)
        split = trace.split(0)
        return Overlapped(
            trace.total_ps, split["compute"], split["memory"], split["links"],
            head_ps(trace.chips[0]),
        )  # fmt: skip

    try:
        made = timed(first, spread)
        if sliced:
            other = replace(spread, sliced=True)
            if (of_slices := timed(first, other)).total_ps < made.total_ps:
                made, spread = of_slices, other
        if whole:
            return made
        return timed(more, spread).more(made, (share.layers - more) // share.period)
    except (DoesNotFit, InputError) as error:
        if error.kind in ("span.folded", "span.exchange", "span.flags", "plan.cut"):
            return None
        raise


def head_ps(trace: Trace) -> int:
    """Return the picoseconds of a trace that go into the product that makes logits."""
    rows = trace.by_node()
    return sum(row.end_ps - row.start_ps for row in rows if "lm_head" in (row.layer, row.node))


def _is_even(share: Share, layers: int, spread: Spread, coding: Coding) -> bool:
    """Whether a chip that stands for all holds about its even share of the weights."""
    try:
        parts = spread.cut(coding.of(share.graph(layers)), 1)
    except InputError:
        return False
    graphs = [stage.graphs[0] for stage in parts.stages]
    return held_bytes(graphs) <= MOST_HELD * held_bytes([coding.of(share.alone(layers))])


def held_bytes(graphs: Sequence[Graph]) -> int:
    """Return the bytes of the constants of a chip's graphs, but for tables that rows are picked of."""
    held: dict[str, int] = {}
    for graph in graphs:
        for node in graph.nodes:
            if node.op != "Gather" or len(graph.types[node.inputs[0]].shape) > 2:
                names = (v for v in node.inputs if v in graph.constants)
                held |= {name: graph.types[name].bytes for name in names}
    return sum(held.values())
