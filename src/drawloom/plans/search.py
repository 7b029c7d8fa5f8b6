"""Which plan is quickest: all that fit are estimated, the best few are compiled and timed.

The estimate is the bound of one chip's share plus the sums on its fabric. For the best few, the
share of one chip is compiled and timed as any model is: all chips of a group do the same, so one
stands for all. Sums over a group wait for the chips and the chips for them: nothing is taken to
overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from drawloom.bound import bound
from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.chip.system import System
from drawloom.chip.system_files import load_system
from drawloom.chip.topology import topology
from drawloom.errors import Diagnosis, DoesNotFit, Fault, InputError
from drawloom.flow import WEIGHT_BITS, compile
from drawloom.frontends.configured import dtype_of
from drawloom.frontends.hf import Config, Request, model_graph, read_config
from drawloom.graph.ir import Graph
from drawloom.mapping.options import MapOptions
from drawloom.plans.apart import apart
from drawloom.plans.places import Block, blocks, groups, inner
from drawloom.plans.plan import Plan, Step
from drawloom.plans.price import SumPrices
from drawloom.plans.shard import Shares, decoder_of, layers_of, shard, tensor_sizes
from drawloom.timing.fabric import CollectiveCost, FabricClock
from drawloom.timing.span import busy_parts
from drawloom.units import PS_PER_S, Picoseconds, ceil_div

TRIED = 3  # plans that are compiled and timed
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Asked:
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
        return dtype_of(self.config, self.precision).bytes

    def graph(self, config: Config, request: Request, ways: int = 1) -> Graph:
        """Return a chip's share; ``ways`` chips part the batch of a key head's cache."""
        graph = model_graph(config, request, None, dtype_of(config, self.precision))
        return apart(graph, ways)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A plan before its chip's share is timed."""

    shares: Shares
    block: Block
    groups: tuple[tuple[int, ...], ...]
    copies: int
    parts: int
    request: Request  # of one part
    config: Config  # of the largest stage
    chip_bytes: int
    chip_ps: int  # bound of the share
    sums: CollectiveCost
    sums_ps: int
    hand_over_ps: int
    link: str

    @property
    def estimate_ps(self) -> int:
        step = self.chip_ps + self.sums_ps + self.hand_over_ps
        return max(self.parts, self.shares.stages) * step


def plan(
    model: str,
    system: str | System,
    request: Request,
    *,
    weights: str = "float",
    group: int = 0,
    precision: str = "",
    shares: Shares | None = None,
    mapping: MapOptions | None = None,
    chip: Chip | None = None,
    tell: Tell | None = None,
) -> Plan:
    """Return the quickest plan found for a model on a system.

    Args:
        model: a name of the catalog, a ``config.json`` or a folder with one.
        system: a name of the catalog, a system file, or a system.
        request: the phase, for the whole batch.
        weights: float, int8 or int4.
        group: inputs that share a scale of such weights; 0 is all of a channel.
        precision: format of floats; empty for the model's own.
        shares: only plans that share the model out so; by default all.
        mapping: options of the mapper.
        chip: what each chip is, in place of the system's own.
        tell: called with what is being worked on.

    Raises:
        InputError: the model, the system or the request is not what it should be.
        DoesNotFit: no plan fits the chips' memories; says by how much.
    """
    made = system if isinstance(system, System) else load_system(system)
    chip = chip or load_chip(made.chip)
    asked = _Asked(read_config(model), made, chip, request, weights, group, precision, shares)
    tell = tell or (lambda _: None)
    tell("estimating")
    found = sorted(_candidates(asked), key=lambda c: (c.estimate_ps, c.shares.chips))
    # One plan of each kind of sharing: an estimate may be wrong for all of a kind.
    kinds = {candidate.shares: candidate for candidate in reversed(found)}
    found = [candidate for candidate in found if kinds[candidate.shares] is candidate]
    least = _bound(asked)
    best: Plan | None = None
    for candidate in found[:TRIED]:
        tell(f"{candidate.shares.tensor} chips a layer, {candidate.shares.stages} stages")
        timed = _timed(asked, candidate, mapping or MapOptions(), least)
        if best is None or timed.round_ps < best.round_ps:
            best = timed
    assert best is not None
    return best


def _candidates(asked: _Asked) -> list[_Candidate]:
    """Return every plan that fits, estimated.

    Raises:
        DoesNotFit: there is none.
    """
    found: list[_Candidate] = []
    least: tuple[int, Shares] | None = None
    living = len(asked.system.chips)
    for tensor in tensor_sizes(asked.config, living, asked.block):
        shapes = [(block, groups(asked.system, block)) for block in blocks(asked.system, tensor)]
        shapes = [(block, made) for block, made in shapes if made]
        if not shapes:
            continue
        for stages in _stages(asked, max(len(made) for _, made in shapes)):
            for candidate in (
                each
                for ways in _parted(asked, tensor)
                if asked.shares in (None, Shares(tensor, stages, ways))
                for each in _of_shares(asked, Shares(tensor, stages, ways), shapes)
            ):
                shares = candidate.shares
                if candidate.chip_bytes <= asked.chip.dram.bytes:
                    found.append(candidate)
                elif least is None or candidate.chip_bytes < least[0]:
                    least = candidate.chip_bytes, shares
    if found:
        return found
    if least is None:
        fault = Fault("shares", str(asked.shares), "what divides the model and the system")
        raise InputError("plan.shares", f"'{asked.config.name}' cannot be shared so", [fault])
    raise _too_large(asked, *least)


def _stages(asked: _Asked, most: int) -> list[int]:
    """Return the numbers of stages worth a look: powers of two, and what uses all groups."""
    layers = decoder_of(asked.config).num_hidden_layers
    tried = {1 << i for i in range(most.bit_length())} | {most}
    return sorted(n for n in tried if n <= min(most, layers))


def _parted(asked: _Asked, tensor: int) -> list[int]:
    """Return among how many chips the cache of a key head can be parted by sequences."""
    chips = tensor // decoder_of(asked.config).n_kv
    has_heads = not hasattr(asked.config.figures, "kv_lora_rank")
    if asked.request.phase != "decode" or chips < 2 or not has_heads:
        return [1]
    return [1, chips]


def _of_shares(
    asked: _Asked, shares: Shares, shapes: list[tuple[Block, list[tuple[int, ...]]]]
) -> list[_Candidate]:
    """Return the plans with these shares: one for each number of parts, on the best block."""
    made: list[_Candidate] = []
    batch = asked.request.batch
    copies = max(1, min(batch, max(len(each) for _, each in shapes) // shares.stages))
    own = ceil_div(batch, copies)
    for parts in sorted({1, min(own, shares.stages)}):
        part = replace(asked.request, batch=ceil_div(own, parts))
        if part.batch % shares.apart:
            continue
        largest = shard(
            asked.config, shares, layers_of(asked.config, shares.stages)[0], asked.block
        )
        graph = asked.graph(largest, part, shares.apart)
        bytes_of_chip, chip_ps = _share(asked, graph, parts)
        priced = [
            (cost, block, each)
            for block, each in shapes
            if len(each) >= shares.stages * copies
            for cost in (_sums(asked, block, each, part),)
        ]
        if not priced:
            continue
        (cost, link), block, each = min(priced, key=lambda p: (p[0][0].ps, p[1].sides))
        layers = layers_of(asked.config, shares.stages)[0]
        sums_ps = 2 * layers * cost.ps if shares.tensor > 1 else 0
        sums_ps += 2 * layers * _swap(asked, shares, part)
        made.append(
            _Candidate(
                shares, block, tuple(each[: shares.stages * copies]), copies, parts, part, largest,
                bytes_of_chip, chip_ps, cost, sums_ps, _hand_over(asked, shares, part), link,
            )
        )  # fmt: skip
    return made


def _share(asked: _Asked, graph: Graph, parts: int) -> tuple[int, int]:
    """Return the DRAM bytes of a chip's share, and the bound of its time for one part."""
    bits = WEIGHT_BITS[asked.weights]
    weights = sum(graph.types[c].bytes for c in graph.constants)
    if bits:
        weights = weights * bits // (8 * asked.bytes_per_number)
    caches = sum(graph.types[v].bytes for v in graph.inputs if v.startswith("past."))
    caches = caches or sum(graph.types[v].bytes for v in graph.outputs if v.startswith("present."))
    made = bound(graph, asked.chip)
    read_ps = (weights + caches) * PS_PER_S // asked.chip.dram.read
    return weights + caches * parts, max(made.matrix_ps, made.vector_ps, read_ps)


def _sums(
    asked: _Asked, block: Block, each: list[tuple[int, ...]], part: Request
) -> tuple[CollectiveCost, str]:
    """Return what a sum of a layer's activations costs on the worst group, and its busiest link."""
    figures = decoder_of(asked.config)
    size = part.batch * part.n_tokens * figures.hidden_size * asked.bytes_per_number
    made_of = ((inner(asked.system, block, members), members) for members in each[::-1])
    # Groups differ only in the links that are dead inside them.
    fabrics = {fabric.dead_links: (fabric, members) for fabric, members in made_of}
    worst: tuple[CollectiveCost, str] | None = None
    for fabric, members in fabrics.values():
        made = topology(fabric)
        if fabric.n_places == 1:
            cost = CollectiveCost("all_reduce", "none", 1, size, Picoseconds(0), made.links.rate)
            return cost, ""
        cost = FabricClock(made).best("all_reduce", size)
        if worst is None or cost.ps > worst[0].ps:
            at = int((cost.link_bytes / made.links.rate).argmax())
            ends = (int(made.links.source[at]), int(made.links.target[at]))
            names = (str(members[e]) if e < len(members) else "switch" for e in ends)
            worst = cost, "-".join(names)
    assert worst is not None
    return worst


def _swap(asked: _Asked, shares: Shares, part: Request) -> int:
    """Return the time in which chips that look at one key head give each other their queries."""
    if shares.apart == 1:
        return 0
    figures = decoder_of(asked.config)
    heads = figures.num_attention_heads // shares.tensor
    size = part.batch * part.n_tokens * heads * figures.width * asked.bytes_per_number
    return min(
        FabricClock(topology(inner(asked.system, block, groups(asked.system, block)[0])))
        .best("all_to_all", size)
        .ps
        for block in blocks(asked.system, shares.apart)
        if groups(asked.system, block)
    )


def _hand_over(asked: _Asked, shares: Shares, part: Request) -> int:
    """Return the time in which a stage's activations reach the next: each chip sends its share."""
    if shares.stages == 1:
        return 0
    level = asked.system.levels[-1]
    figures = decoder_of(asked.config)
    size = part.batch * part.n_tokens * figures.hidden_size * asked.bytes_per_number
    delay = asked.system.overhead + max(level.latency, level.seam)
    return delay + ceil_div(size, shares.tensor) * PS_PER_S // level.rate


def _timed(asked: _Asked, chosen: _Candidate, mapping: MapOptions, bound_ps: int) -> Plan:
    """Return a candidate as a plan: its chip's share compiled and timed."""
    build = compile(
        asked.graph(chosen.config, chosen.request, chosen.shares.apart), asked.chip, weights=asked.weights,
        group=asked.group, precision=asked.precision, mapping=mapping, check=False,
    )  # fmt: skip
    trace = build.time()
    head_ps = sum(
        row.end_ps - row.start_ps for row in trace.by_node() if "lm_head" in (row.layer, row.node)
    )
    sums_ps, name = _timed_sums(asked, chosen)
    parts = busy_parts(trace)
    step = Step(trace.total_ps, head_ps, sums_ps, chosen.hand_over_ps, *parts)
    used = {chip for group in chosen.groups for chip in group}
    spare = tuple(chip for chip in asked.system.chips if chip not in used)
    busiest = int(chosen.sums.link_bytes.max()) if chosen.link else 0
    return Plan(
        asked.config.name, asked.system.name, asked.request, asked.weights, chosen.shares,
        chosen.copies, chosen.block, chosen.groups, spare, chosen.parts, step, chosen.chip_bytes,
        asked.chip.dram.bytes, (name, chosen.sums.bytes), bound_ps, busiest, chosen.link,
        trace, *_links(asked, chosen, step.ps),
    )  # fmt: skip


def _links(
    asked: _Asked, chosen: _Candidate, step_ps: int
) -> tuple[tuple[tuple[int, int, float], ...], float | None]:
    """Return what share of a step each link of the groups is busy, and the links' energy in a step.

    Sums alone are counted; the same is carried by each group.
    """
    system = asked.system
    sums = 2 * layers_of(asked.config, chosen.shares.stages)[0] if chosen.shares.tensor > 1 else 0
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
    known = system.link_pj_per_byte > 0
    return tuple(found), moved * chosen.parts * system.link_pj_per_byte if known else None


def _timed_sums(asked: _Asked, chosen: _Candidate) -> tuple[int, str]:
    """Return a stage's sums by the commands of one chip, and their schedule.

    With dead links inside a group no chip stands for all: the estimate is kept.
    """
    fabric = inner(asked.system, chosen.block, chosen.groups[0])
    if chosen.shares.tensor == 1 or chosen.sums.name == "none" or not fabric.is_whole:
        return chosen.sums_ps, chosen.sums.name
    layers = layers_of(asked.config, chosen.shares.stages)[0]
    fmt = dtype_of(asked.config, asked.precision).value
    count = chosen.sums.bytes // asked.bytes_per_number
    ps, name = SumPrices(asked.chip).of(fabric, count, fmt)
    return chosen.sums_ps + 2 * layers * (ps - chosen.sums.ps), name


def _bound(asked: _Asked) -> int:
    """Return the time that the living chips' memories and engines together need at the least."""
    bytes_of_all, ps = _share(asked, asked.graph(asked.config, asked.request), 1)
    del bytes_of_all
    return ceil_div(ps, len(asked.system.chips))


def _too_large(asked: _Asked, need: int, shares: Shares) -> DoesNotFit:
    have = asked.chip.dram.bytes
    return DoesNotFit(
        "plan.memory",
        f"'{asked.config.name}' does not fit the chips of '{asked.system.name}'",
        Diagnosis(
            needs=f"{need:,} bytes a chip, shared by {shares.tensor} chips a layer and {shares.stages} stages",
            has=f"{have:,} bytes   DRAM of a chip '{asked.chip.name}'",
            short=f"{need - have:,} bytes",
            ways_out=("int8 or int4 weights", "a smaller batch or context", "more chips"),
        ),
    )
