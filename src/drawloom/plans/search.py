"""Which plan is quickest: all that fit are estimated, the best few are compiled and timed.

The estimate is the bound of one chip's share plus the sums on its fabric. For the best few, but for those
whose chips alone need longer than another was found to take, the share of one chip is compiled and timed
as any model is: all chips of a group do the same, so one stands for all. Sums over a group wait for the
chips and the chips for them: nothing is taken to overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drawloom.bound import bound
from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.chip.system import System
from drawloom.chip.system_files import load_system
from drawloom.chip.topology import topology
from drawloom.errors import Diagnosis, DoesNotFit, Fault, InputError
from drawloom.flow import WEIGHT_BITS
from drawloom.frontends.hf import Request, read_config
from drawloom.graph.ir import Graph
from drawloom.mapping.options import MapOptions
from drawloom.plans.asked import Asked, Candidate
from drawloom.plans.experts import HERE, SENT, chosen_of, experts_of, mixed_layers
from drawloom.plans.places import Block, blocks, groups, inner
from drawloom.plans.plan import Plan
from drawloom.plans.shard import (
    Shares,
    decoder_of,
    layers_of,
    period_of,
    shard,
    tensor_sizes,
)
from drawloom.plans.timed import timed
from drawloom.timing.fabric import CollectiveCost, FabricClock
from drawloom.units import PS_PER_S, Picoseconds, ceil_div

TRIED = 3  # plans that are compiled and timed
Tell = Callable[[str], None]


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
    asked = Asked(read_config(model), made, chip, request, weights, group, precision, shares)
    tell = tell or (lambda _: None)
    tell("estimating")
    found = sorted(_candidates(asked), key=lambda c: (c.estimate_ps, c.shares.chips))
    # One plan of each kind of sharing: an estimate may be wrong for all of a kind.
    kinds = {candidate.shares: candidate for candidate in reversed(found)}
    found = [candidate for candidate in found if kinds[candidate.shares] is candidate]
    least = _bound(asked)
    best: Plan | None = None
    for candidate in found[:TRIED]:
        if best is not None and candidate.least_ps >= best.round_ps:
            continue  # its chips alone need longer: compiling a share takes minutes on large grids
        tell(f"{candidate.shares.tensor} chips a layer, {candidate.shares.stages} stages")
        each = timed(asked, candidate, mapping or MapOptions(), least)
        if best is None or each.round_ps < best.round_ps:
            best = each
    assert best is not None
    return best


def _candidates(asked: Asked) -> list[Candidate]:
    """Return every plan that fits, estimated.

    Raises:
        DoesNotFit: there is none.
    """
    found: list[Candidate] = []
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
                for shares in _sharings(asked, tensor, stages)
                if asked.shares in (None, shares)
                for each in _of_shares(asked, shares, shapes)
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


def _stages(asked: Asked, most: int) -> list[int]:
    """Return the numbers of stages worth a look: powers of two, and what uses all groups."""
    layers = decoder_of(asked.config).num_hidden_layers
    tried = {1 << i for i in range(most.bit_length())} | {most}
    return sorted(n for n in tried if n <= min(most, layers))


def _sharings(asked: Asked, tensor: int, stages: int) -> list[Shares]:
    """Return how groups of so many chips may share layers."""
    made = [Shares(tensor, stages, ways) for ways in _parted(asked, tensor)]
    experts = experts_of(asked.config)
    if experts and tensor > 1 and experts % tensor == 0 and asked.request.phase == "decode":
        made += [Shares(tensor, stages, 1, kind) for kind in (HERE, SENT)]
    return made


def _parted(asked: Asked, tensor: int) -> list[int]:
    """Return among how many chips the cache of a key head can be parted by sequences."""
    chips = tensor // decoder_of(asked.config).n_kv
    has_heads = not hasattr(asked.config.figures, "kv_lora_rank")
    if asked.request.phase != "decode" or chips < 2 or not has_heads:
        return [1]
    return [1, chips]


def _of_shares(
    asked: Asked, shares: Shares, shapes: list[tuple[Block, list[tuple[int, ...]]]]
) -> list[Candidate]:
    """Return the plans with these shares: one for each number of parts, on the best block."""
    made: list[Candidate] = []
    batch = asked.request.batch
    copies = max(1, min(batch, max(len(each) for _, each in shapes) // shares.stages))
    own = ceil_div(batch, copies)
    for parts in sorted({1, min(own, shares.stages)}):
        part = replace(asked.request, batch=ceil_div(own, parts))
        mine = _own_part(asked, shares, part)
        if mine is None:
            continue
        layers = layers_of(asked.config, shares.stages)[0]
        largest = shard(asked.config, shares, layers, asked.block)
        bytes_of_chip, chip_ps, layers_ps = _share(asked, shares, mine, parts)
        priced = [
            (cost, block, each)
            for block, each in shapes
            if len(each) >= shares.stages * copies
            for cost in (_sums(asked, shares, block, each, mine),)
        ]
        if not priced:
            continue
        (cost, link), block, each = min(priced, key=lambda p: (p[0][0].ps, p[1].sides))
        mixed = mixed_layers(asked.config, layers) if shares.stages == 1 else layers
        exchanges = 2 * (mixed if shares.experts == SENT else layers) * (shares.tensor > 1)
        sums_ps = exchanges * cost.ps + 2 * layers * _swap(asked, shares, part)
        made.append(
            Candidate(
                shares, block, tuple(each[: shares.stages * copies]), copies, parts, mine, largest,
                bytes_of_chip, chip_ps, layers_ps, cost, sums_ps, exchanges, _hand_over(asked, shares, part), link,
            )
        )  # fmt: skip
    return made


def _own_part(asked: Asked, shares: Shares, part: Request) -> Request | None:
    """Return a part of the batch as one chip has it; None where it cannot be shared so."""
    if part.batch % shares.apart:
        return None
    if shares.experts != SENT:
        return part
    batch = part.batch // shares.tensor
    picks = batch * chosen_of(asked.config) <= experts_of(asked.config)
    return replace(part, batch=batch) if picks and batch * shares.tensor == part.batch else None


def _share(asked: Asked, shares: Shares, mine: Request, parts: int) -> tuple[int, int, int]:
    """Return the DRAM bytes of the largest stage's chips, and bounds of their time for one part.

    The first bound is of all that they do, the second of layers that repeat. Of layers that are alike
    two are looked at: one more takes as much again.
    """
    layers = layers_of(asked.config, shares.stages)[0]
    before, period = period_of(asked.config, shares)
    few = before + period

    def needs(count: int) -> NDArray[np.int64]:
        config = shard(asked.config, shares, count, asked.block)
        return _needs(asked, asked.share(config, mine, shares))

    if layers <= few + period or (layers - few) % period:
        weights, caches, busy_ps, read_ps = map(int, needs(layers))
        layers_ps = 0
    else:
        first = needs(few)
        each, more = needs(few + period) - first, (layers - few) // period
        weights, caches, busy_ps, read_ps = map(int, first + each * more)
        layers_ps = int(each[2:].max()) * (more + 1)
    return weights + caches * parts, max(busy_ps, read_ps), layers_ps


def _needs(asked: Asked, graph: Graph) -> NDArray[np.int64]:
    """Return bytes of weights and of caches, picoseconds of the busier engine and of what DRAM reads."""
    bits = WEIGHT_BITS[asked.weights]
    weights = sum(graph.types[c].bytes for c in graph.constants)
    read = sum(_read_bytes(graph).values())
    if bits:
        weights = weights * bits // (8 * asked.bytes_per_number)
        read = read * bits // (8 * asked.bytes_per_number)
    caches = sum(graph.types[v].bytes for v in graph.inputs if v.startswith("past."))
    caches = caches or sum(graph.types[v].bytes for v in graph.outputs if v.startswith("present."))
    made = bound(graph, asked.chip)
    read_ps = (read + caches) * PS_PER_S // asked.chip.dram.read
    return np.array([weights, caches, max(made.matrix_ps, made.vector_ps), read_ps], np.int64)


def _read_bytes(graph: Graph) -> dict[str, int]:
    """Return the bytes that a step must read of each constant: of tables and stacks what is picked."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        for at, value in enumerate(node.inputs):
            if value not in graph.constants:
                continue
            kind, entries = graph.types[value], 0
            if node.op == "Gather" and at == 0 and not node.int("axis"):
                entries = graph.types[node.inputs[1]].size
            elif node.op == "Slice" and node.ints("axes") == (0,):
                entries = graph.types[node.outputs[0]].shape[0]
            rows = kind.shape[0] if kind.shape else 1
            read = kind.bytes * min(entries or rows, rows) // rows
            found[value] = max(found.get(value, 0), read)
    return found


def _sums(
    asked: Asked, shares: Shares, block: Block, each: list[tuple[int, ...]], part: Request
) -> tuple[CollectiveCost, str]:
    """Return what a sum of a layer's activations costs on the worst group, and its busiest link.

    Where tokens are sent to their experts, it is what each chip's own ones cost one way.
    """
    figures = decoder_of(asked.config)
    size = part.batch * part.n_tokens * figures.hidden_size * asked.bytes_per_number
    kind = "all_to_all" if shares.experts == SENT else "all_reduce"
    size *= chosen_of(asked.config) if shares.experts == SENT else 1
    inside = ((inner(asked.system, block, members), members) for members in each[::-1])
    # Groups differ only in the links that are dead inside them.
    fabrics = {fabric.dead_links: (fabric, members) for fabric, members in inside}
    worst: tuple[CollectiveCost, str] | None = None
    for fabric, members in fabrics.values():
        made = topology(fabric)
        if fabric.n_places == 1:
            cost = CollectiveCost(kind, "none", 1, size, Picoseconds(0), made.links.rate)
            return cost, ""
        cost = FabricClock(made).best(kind, size)
        if worst is None or cost.ps > worst[0].ps:
            at = int((cost.link_bytes / made.links.rate).argmax())
            ends = (int(made.links.source[at]), int(made.links.target[at]))
            names = (str(members[e]) if e < len(members) else "switch" for e in ends)
            worst = cost, "-".join(names)
    assert worst is not None
    return worst


def _swap(asked: Asked, shares: Shares, part: Request) -> int:
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


def _hand_over(asked: Asked, shares: Shares, part: Request) -> int:
    """Return the time in which a stage's activations reach the next: each chip sends its share."""
    if shares.stages == 1:
        return 0
    level = asked.system.levels[-1]
    figures = decoder_of(asked.config)
    size = part.batch * part.n_tokens * figures.hidden_size * asked.bytes_per_number
    delay = asked.system.overhead + max(level.latency, level.seam)
    return delay + ceil_div(size, shares.tensor) * PS_PER_S // level.rate


def _bound(asked: Asked) -> int:
    """Return the time that the living chips' memories and engines together need at the least."""
    _, _, busy_ps, read_ps = map(int, _needs(asked, asked.graph(asked.config, asked.request)))
    return ceil_div(max(busy_ps, read_ps), len(asked.system.chips))


def _too_large(asked: Asked, need: int, shares: Shares) -> DoesNotFit:
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
