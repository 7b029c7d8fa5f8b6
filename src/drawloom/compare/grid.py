"""Passes of a decoder on chips that are grids of tiles: planned, compiled and timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from drawloom.chip.catalog import CATALOG
from drawloom.chip.ranges import ends
from drawloom.chip.system import System
from drawloom.chip.system_files import load_system
from drawloom.compare.ask import NUMBER_BYTES, Ask
from drawloom.compare.errors import board_words
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.sizes import Need
from drawloom.compare.span import Span, exactly
from drawloom.errors import InputError
from drawloom.frontends.hf import Request
from drawloom.plans import Plan, plan
from drawloom.timing import time
from drawloom.units import PS_PER_S

WAY = "compiled for the tiles and timed command by command, sums priced on the fabric"
RANGES = "all numbers of the chip file at their quick, and at their slow ends together"
LINKS = "links between chips are at their likely rate, and their energy is left out"
MIXTURES = "the mapper runs every expert on every token where tokens choose more than there are"
# Systems of such chips, the smallest first.
SERVERS = {
    "tx81": ("rex1032", "tx81_hall"),
    "tt_wormhole": ("n300_t3000", "wormhole_32"),
    "tt_blackhole": ("p150_8",),
}
CHIPS_A_CARD = {"tt_n300": 2}  # where a datasheet is of more than one
# Blocks of a system's mesh that so many chips are.
BLOCKS = {1: (1, 1), 2: (1, 2), 4: (2, 2), 8: (2, 4), 16: (4, 4), 32: (4, 8)}
PJ_PER_J = 10**12
Tell = Callable[[str], None]


def grid_passes(ask: Ask, machine: Machine, tell: Tell) -> Passes:
    """Return the passes of a model on a mesh of such chips, as the quickest plan has them.

    Raises:
        Lacking: there is no chip file, or the mapper does not know the model's layers.
        DoesNotFit: the model is too large for the chips.
    """
    if machine.sheet.model not in CATALOG:
        raise Lacking("there is no chip file: engines, scratchpads and networks in numbers")
    experts = ask.sizes.n_experts
    if experts and (ask.phase != "decode" or ask.batch * ask.sizes.chosen > experts):
        raise Lacking(MIXTURES)
    system = fabric_of(machine)

    def made(request: Request, like: Plan | None = None) -> Plan:
        try:
            return plan(
                ask.config.name, system, request, weights=ask.weights,
                # A lone prompt is not parted: every chip of a key head reads all of it.
                shares=like and replace(like.shares, apart=1), tell=tell,
            )  # fmt: skip
        except InputError as error:
            raise Lacking(f"the mapper says: {error.summary}") from None

    tokens = prompts = None
    if ask.phase != "prefill":
        tokens = made(Request("decode", batch=ask.batch, context=ask.context))
    if ask.phase != "decode":
        prompts = made(Request("prefill", batch=1, tokens=ask.prompt), tokens)
    plans = [each for each in (tokens, prompts) if each]
    copies, shares = plans[0].copies, plans[0].shares
    batch = -(-ask.batch // copies)
    return Passes(
        WAY, shares.tensor, shares.stages, copies, _span(tokens), _span(prompts), float(batch),
        _parts(ask, tokens, ask.token_need(batch)), _parts(ask, prompts, ask.prompt_need()),
        energy=(_energy(tokens), _energy(prompts)),
        rests_on=(RANGES, LINKS), unlike=board_words(machine.sheet.model),
    )  # fmt: skip


def n_chips(machine: Machine) -> int:
    """Return how many chips a number of cards have."""
    return machine.count * CHIPS_A_CARD.get(machine.sheet.name, 1)


def fabric_of(machine: Machine) -> System:
    """Return the mesh of so many chips.

    Raises:
        Lacking: servers of such chips hold no such number.
    """
    count = n_chips(machine)
    systems = [load_system(name) for name in SERVERS[machine.sheet.model]]
    for system in systems:
        level = system.levels[0]
        if count == system.n_places:
            return system
        sizes = BLOCKS.get(count)
        if sizes and all(small <= large for small, large in zip(sizes, level.sizes, strict=True)):
            level = replace(level, sizes=sizes)
            return replace(system, name=f"{system.name}.{count}", levels=(level,))
    allowed = sorted(
        {*(n for n in BLOCKS if n <= systems[-1].n_places), *(s.n_places for s in systems)}
    )
    raise Lacking(f"there is no mesh of {count} such chips: {', '.join(map(str, allowed))}")


def _span(made: Plan | None) -> Span:
    """Return seconds of a step, with the chip's numbers at either end of their ranges."""
    if made is None:
        return exactly(0.0)
    rest = made.round_ps - made.parts_of_chip_ps
    quick, slow = (
        time(made.trace.program, ends(made.trace.chip, slow=slow), made.trace.profile).total_ps
        for slow in (False, True)
    )
    scale = made.parts_of_chip_ps / made.trace.total_ps
    times = [(rest + scale * ps) / PS_PER_S for ps in (quick, made.trace.total_ps, slow)]
    return Span.of(times[0], times[1], times[2])


def _energy(made: Plan | None) -> Span:
    """Return joules of one step on all chips of a copy; links between chips are left out."""
    if made is None:
        return exactly(0.0)
    each = made.trace.energy
    chips = made.shares.chips * made.parts
    return Span.of(*(chips * pj / PJ_PER_J for pj in (each.low, each.default, each.high)))


def _parts(ask: Ask, made: Plan | None, need: Need) -> dict[str, float]:
    """Return what of a step's time each resource needs for itself."""
    if made is None:
        return {}
    chip, chips = made.trace.chip, made.shares.chips
    word = "i8" if ask.weights == "int8" else "f16"
    rate = chip.matrix.macs_per_cycle[word] * chip.n_tiles * PS_PER_S / chip.period
    moved = need.weights * ask.weight_bytes + need.cache * NUMBER_BYTES
    parts = {
        "matrix": need.macs / chips / rate,
        "memory": moved / chips / chip.dram.read,
        "links": made.links_ps / PS_PER_S,
    }
    longest = max(parts["matrix"], parts["memory"]) + parts["links"]
    return parts | {"rest": max(0.0, made.round_ps / PS_PER_S - longest)}
