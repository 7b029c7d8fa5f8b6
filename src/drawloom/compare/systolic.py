"""Passes of a decoder on chips of systolic arrays: kernel by kernel, arrays, vector unit, DRAM."""

from __future__ import annotations

from drawloom.chip.systolic import Systolic
from drawloom.compare.ask import MEMORY_SHARE, NUMBER_BYTES, Ask
from drawloom.compare.bounds import chips_needed, too_large, unsure
from drawloom.compare.ends import Ends
from drawloom.compare.fabrics import Links, link_ends
from drawloom.compare.layers import layered_seconds
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.sizes import Need
from drawloom.compare.span import Span
from drawloom.compare.systolic_chips import chips_of
from drawloom.errors import InputError
from drawloom.frontends.hf import Config, Request
from drawloom.frontends.hf.figures import Decoder
from drawloom.graph.ir import Graph
from drawloom.plans.shard import decoder_of, tensor_sizes
from drawloom.routes.fuse import Kernel
from drawloom.routes.systolic.run import run_systolic

WAY = (
    "kernel by kernel: folds over arrays, vector unit, SRAM tiles, DRAM; sums priced on the fabric"
)
SUMS_A_LAYER = 2


def systolic_passes(ask: Ask, machine: Machine) -> Passes:
    """Return the passes of a model, shared so that a token of the batch comes soonest.

    Raises:
        Lacking: the chip lacks numbers, or the route does not know the model's layers.
        DoesNotFit: the model is too large for the chips.
    """
    chips = chips_of(machine.sheet)
    is_shared = isinstance(ask.config.figures, Decoder)
    word = _format(ask, chips.likely)
    found: list[tuple[float, Passes]] = []
    lacks: tuple[str, ...] = ("no number of chips that divides the model holds it",)
    for tensor in tensor_sizes(ask.config, machine.count, 1) if is_shared else [1]:
        is_power = tensor & (tensor - 1) == 0
        if is_power and ask.held(1) / tensor <= MEMORY_SHARE * chips.likely.dram:
            try:
                found.append(_placed(ask, machine, chips, tensor, word))
            except Lacking as error:  # a block of chips that the fabric does not have
                lacks = error.what
    if not found:
        needed = chips_needed(ask, machine.sheet)
        assert needed is not None
        if needed > machine.count:
            raise too_large(ask, machine, needed)
        raise Lacking(*lacks)
    return min(found, key=lambda each: each[0])[1]


def _format(ask: Ask, chip: Systolic) -> str:
    """Return the 8-bit format of the products; empty for 16 bits."""
    if ask.weights == "float":
        return ""
    for word in ("i8", "f8"):
        if word in chip.cell_macs:
            return word
    raise Lacking("8-bit products of this chip are not modelled")


def _placed(
    ask: Ask, machine: Machine, chips: Ends[Systolic], tensor: int, word: str
) -> tuple[float, Passes]:
    """Return the passes with so many chips a layer, and the time by which they are chosen."""
    copies = min(machine.count // tensor, ask.batch)
    batch = -(-ask.batch // copies)
    room = MEMORY_SHARE * tensor * chips.likely.dram - ask.held(0)
    admitted = float(min(batch, max(1.0, room // (ask.held(1) - ask.held(0)))))
    links = link_ends(machine.sheet, tensor) if tensor > 1 else None
    decode = Request("decode", batch=int(admitted), context=ask.context)
    prefill = Request("prefill", batch=1, tokens=ask.prompt)
    token, prompt = (
        _span(ask.config, chips, tensor, request, links, word) for request in (decode, prefill)
    )
    need = ask.token_need(admitted)
    made = Passes(
        WAY, tensor, 1, copies, token, prompt, admitted,
        _parts(ask, chips.likely, need, tensor, links and links.likely, token.best, word),
        _parts(
            ask, chips.likely, ask.prompt_need(), tensor, links and links.likely, prompt.best, word
        ),
        rests_on=(*chips.rests_on, *_links_words(machine, links)),
    )  # fmt: skip
    between = batch * prompt.best / ask.answer if ask.phase == "serve" else 0.0
    rounds = token.best * batch / admitted + between
    return {"prefill": prompt.best / copies}.get(ask.phase, rounds), made


def _span(
    config: Config,
    chips: Ends[Systolic],
    tensor: int,
    request: Request,
    links: Ends[Links] | None,
    word: str,
) -> Span:
    fabrics = links.each() if links else (None,) * 3
    likely, quick, slow = (
        _seconds(config, chip, tensor, request, word) + _sums(config, request, fabric)
        for chip, fabric in zip(chips.each(), fabrics, strict=True)
    )
    return Span.of(quick, likely, slow)


def _links_words(machine: Machine, links: Ends[Links] | None) -> tuple[str, ...]:
    """Say what the links rest on; of a system file nothing, of a datasheet the ends of its rate."""
    if links is None:
        return ()
    is_open = links.quick.rate != links.slow.rate
    names = ("link_rate", "each_link_rate", "host_rate") if is_open else ()
    return (*links.rests_on, *unsure(machine.sheet, names))


def _seconds(config: Config, chip: Systolic, tensor: int, request: Request, word: str) -> float:
    """Return the seconds of one chip's share."""

    def run(graph: Graph, kernels: tuple[Kernel, ...]) -> float:
        try:
            return run_systolic(graph, chip, kernels=kernels).seconds
        except InputError as error:
            raise Lacking(error.summary) from None

    return layered_seconds(config, tensor, request, run, word, has_f32=False)


def _sums(config: Config, request: Request, links: Links | None) -> float:
    if links is None:
        return 0.0
    figures = decoder_of(config)
    size = request.batch * request.n_tokens * figures.hidden_size * NUMBER_BYTES
    return SUMS_A_LAYER * figures.num_hidden_layers * links.sum_seconds(size)


def _parts(
    ask: Ask,
    chip: Systolic,
    need: Need,
    tensor: int,
    links: Links | None,
    seconds: float,
    word: str,
) -> dict[str, float]:
    """Return what of a pass's time each resource needs for itself."""
    size = need.tokens * ask.sizes.width * NUMBER_BYTES
    moved = need.weights * ask.weight_bytes + need.cache * NUMBER_BYTES
    sums = SUMS_A_LAYER * ask.sizes.layers * links.sum_seconds(size) if links else 0.0
    parts = {
        "matrix": need.macs / tensor / chip.peak(word or "bf16"),
        "memory": moved / tensor / chip.dram_rate,
        "links": sums,
    }
    longest = max(parts["matrix"], parts["memory"]) + parts["links"]
    return parts | {"rest": max(0.0, seconds - longest)}
