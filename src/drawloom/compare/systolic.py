"""Passes of a decoder on chips of systolic arrays: kernel by kernel, arrays, vector unit, DRAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from drawloom.chip.asics import ASICS
from drawloom.chip.datasheet import Datasheet
from drawloom.chip.systolic import Systolic, load_systolic
from drawloom.compare.ask import MEMORY_SHARE, NUMBER_BYTES, Ask
from drawloom.compare.bounds import chips_needed, too_large, unsure
from drawloom.compare.fabrics import Links, links_of
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.sizes import Need
from drawloom.compare.span import Span
from drawloom.errors import InputError
from drawloom.frontends.hf import Config, Request, model_graph
from drawloom.frontends.hf.figures import Decoder
from drawloom.graph.dtypes import DType
from drawloom.plans.shard import Shares, shard, tensor_sizes
from drawloom.routes.systolic.run import run_systolic

WAY = (
    "kernel by kernel: folds over arrays, vector unit, SRAM tiles, DRAM; sums priced on the fabric"
)
NEEDED = ("arrays", "array_rows", "array_columns", "clock", "vector_lanes", "sram", "memory",
          "memory_rate")  # fmt: skip
FUNCTIONS = (2, 4, 8)  # cycles of a lane for an exponential: quick, likely, slow; assumed
# Of the memory's peak at the slow end: the least that was measured of a chip in the catalog is 0.77
# (1390.5 of 1800 GB/s, MetaX C550), and 0.78 of the TX81.
LEAST_SHARE = 0.75
ASSUMED = (
    "weights stay in the cells. Likely: the next ones fill meanwhile, the memory reaches its peak, 4 "
    "cycles for an exponential. Slow end: they do not, three quarters of it, 8 cycles. Assumed"
)
MIXTURES = "experts of many tokens are not modelled on this route"
SUMS_A_LAYER = 2


@dataclass(frozen=True, slots=True)
class Ends:
    """A chip at the likely, the quick and the slow end of what its sources leave open."""

    likely: Systolic
    quick: Systolic
    slow: Systolic
    rests_on: tuple[str, ...]


def systolic_passes(ask: Ask, machine: Machine) -> Passes:
    """Return the passes of a model, shared so that a token of the batch comes soonest.

    Raises:
        Lacking: the chip lacks numbers, or the route does not know the model's layers.
        DoesNotFit: the model is too large for the chips.
    """
    chips = chips_of(machine.sheet)
    figures = ask.config.figures
    if not isinstance(figures, Decoder):
        raise Lacking(f"layers of '{figures.model_type}' are not modelled on this route")
    if ask.sizes.n_experts:
        raise Lacking(MIXTURES)
    if ask.weights != "float":
        raise Lacking("8-bit weights are not modelled on this route")
    found: list[tuple[float, Passes]] = []
    for tensor in tensor_sizes(ask.config, machine.count, 1):
        is_power = tensor & (tensor - 1) == 0
        if is_power and ask.held(1) / tensor <= MEMORY_SHARE * chips.likely.dram:
            found.append(_placed(ask, machine, chips, tensor))
    if not found:
        needed = chips_needed(ask, machine.sheet)
        assert needed is not None
        if needed > machine.count:
            raise too_large(ask, machine, needed)
        raise Lacking("no number of chips that divides the model holds it")
    return min(found, key=lambda each: each[0])[1]


@cache
def chips_of(sheet: Datasheet) -> Ends:
    """Return a system's chip with its ends.

    Raises:
        Lacking: numbers that the route needs are unknown.
    """
    lacking = [name for name in NEEDED if sheet.ends(name) is None]
    if sheet.model in ASICS:
        likely = load_systolic(sheet.model)
        return Ends(likely, *_around(likely, None), (ASSUMED,))
    if lacking:
        raise Lacking(*(f"{name} is unknown" for name in lacking))
    likely = _chip(sheet, None)
    said = (ASSUMED, *unsure(sheet, NEEDED))
    return Ends(likely, *_around(_chip(sheet, 1), _chip(sheet, 0)), said)


def _around(quick: Systolic, slow: Systolic | None) -> tuple[Systolic, Systolic]:
    slow = slow or quick
    return (
        replace(quick, function_cycles=min(FUNCTIONS[0], quick.function_cycles)),
        replace(
            slow,
            function_cycles=max(FUNCTIONS[2], slow.function_cycles),
            is_overlapped=False,
            dram_rate=LEAST_SHARE * slow.dram_rate,
        ),
    )


def _chip(sheet: Datasheet, end: int | None) -> Systolic:
    """Return the chip that a datasheet describes; ``end`` 1 is quick, 0 slow."""

    def number(name: str) -> float:
        ends, value = sheet.ends(name), sheet.number(name)
        assert ends is not None
        return ends[end] if end is not None else (ends[0] if value is None else value)

    cells = number("arrays") * number("array_rows") * number("array_columns")
    bf16 = sheet.ends("peak_bf16")
    if bf16 is None:
        raise Lacking("peak_bf16 is unknown")
    clock = number("clock")
    # Where the printed peak is more than the arrays make, arrays and clock are what products see.
    return Systolic(
        name=sheet.name,
        title=sheet.title,
        dataflow="weight",
        cell_macs={"bf16": max(1, round(bf16[1] / 2 / cells / clock))},
        arrays=int(number("arrays")),
        rows=int(number("array_rows")),
        columns=int(number("array_columns")),
        clock=clock,
        is_overlapped=True,
        has_drain=False,
        sram=int(number("sram")),
        dram=int(number("memory")),
        dram_rate=number("memory_rate"),
        vector_lanes=number("vector_lanes"),
        function_cycles=FUNCTIONS[1],
        link_rate=0.0,
        sources={},
    )


def _placed(ask: Ask, machine: Machine, chips: Ends, tensor: int) -> tuple[float, Passes]:
    """Return the passes with so many chips a layer, and the time by which they are chosen."""
    copies = min(machine.count // tensor, ask.batch)
    batch = -(-ask.batch // copies)
    room = MEMORY_SHARE * tensor * chips.likely.dram - ask.held(0)
    admitted = float(min(batch, max(1.0, room // (ask.held(1) - ask.held(0)))))
    links = links_of(machine.sheet, tensor) if tensor > 1 else None
    decode = Request("decode", batch=int(admitted), context=ask.context)
    prefill = Request("prefill", batch=1, tokens=ask.prompt)
    token, prompt = (
        _span(ask.config, chips, tensor, request, links) for request in (decode, prefill)
    )
    need = ask.token_need(admitted)
    made = Passes(
        WAY, tensor, 1, copies, token, prompt, admitted,
        _parts(ask, chips.likely, need, tensor, links, token.best),
        _parts(ask, chips.likely, ask.prompt_need(), tensor, links, prompt.best),
        rests_on=(*chips.rests_on, *(links.assumed if links else ())),
    )  # fmt: skip
    between = batch * prompt.best / ask.answer if ask.phase == "serve" else 0.0
    rounds = token.best * batch / admitted + between
    return {"prefill": prompt.best / copies}.get(ask.phase, rounds), made


def _span(config: Config, chips: Ends, tensor: int, request: Request, links: Links | None) -> Span:
    sums = _sums(config, request, links)
    likely, quick, slow = (
        _seconds(config, chip, tensor, request) + sums
        for chip in (chips.likely, chips.quick, chips.slow)
    )
    return Span.of(quick, likely, slow)


def _seconds(config: Config, chip: Systolic, tensor: int, request: Request) -> float:
    """Return the seconds of one chip's share: layers are alike, so two stand for all."""
    figures = config.figures
    assert isinstance(figures, Decoder)
    times: list[float] = []
    for layers in (1, 2):
        share = shard(config, Shares(tensor, 1), layers, 1)
        graph = model_graph(share, request, None, DType.BF16)
        try:
            times.append(run_systolic(graph, chip).seconds)
        except InputError as error:
            raise Lacking(error.summary) from None
    return times[0] + (figures.num_hidden_layers - 1) * (times[1] - times[0])


def _sums(config: Config, request: Request, links: Links | None) -> float:
    if links is None:
        return 0.0
    figures = config.figures
    assert isinstance(figures, Decoder)
    size = request.batch * request.n_tokens * figures.hidden_size * NUMBER_BYTES
    return SUMS_A_LAYER * figures.num_hidden_layers * links.sum_seconds(size)


def _parts(
    ask: Ask, chip: Systolic, need: Need, tensor: int, links: Links | None, seconds: float
) -> dict[str, float]:
    """Return what of a pass's time each resource needs for itself."""
    size = need.tokens * ask.sizes.width * NUMBER_BYTES
    moved = need.weights * ask.weight_bytes + need.cache * NUMBER_BYTES
    sums = SUMS_A_LAYER * ask.sizes.layers * links.sum_seconds(size) if links else 0.0
    parts = {
        "matrix": need.macs / tensor / chip.peak("bf16"),
        "memory": moved / tensor / chip.dram_rate,
        "links": sums,
    }
    longest = max(parts["matrix"], parts["memory"]) + parts["links"]
    return parts | {"rest": max(0.0, seconds - longest)}
