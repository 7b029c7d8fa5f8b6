"""Passes of a decoder on GPUs: each kernel by tiles and waves, the route that is held to silicon."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from drawloom.chip.datasheet import Datasheet
from drawloom.chip.gpu import Gpu, load_gpu
from drawloom.chip.gpus import GPUS
from drawloom.compare.ask import MEMORY_SHARE, NUMBER_BYTES, Ask
from drawloom.compare.bounds import chips_needed, too_large, unsure
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.sizes import Need
from drawloom.compare.span import Span
from drawloom.frontends.hf import Request, model_graph
from drawloom.frontends.hf.experts import Mixture
from drawloom.frontends.hf.figures import Decoder as Figures
from drawloom.frontends.hf.figures_moe import Deepseek
from drawloom.graph.dtypes import DType
from drawloom.routes.gpu.collective import direct_all_reduce_seconds
from drawloom.routes.gpu.decoder import ACTIVATION_BYTES, Decoder, Placement
from drawloom.routes.gpu.run import run_gpu
from drawloom.routes.gpu.served import Workload, passes

WAY = "kernel by kernel: tiles and waves over SMs, L2, DRAM, launches, all-reduces"
NEEDED = ("cores", "clock", "core_sram", "l2", "memory", "memory_rate", "power", "peak_bf16",
          "measured_bf16")  # fmt: skip
SPEEDS = (*NEEDED, "peak_fp8", "link_rate")
# Cycles from a load to its value, of L2 and of DRAM, where nobody says: assumed, from the shortest
# that were measured on GPUs of the catalog to three times as long.
LATENCIES = ((200, 400), (800, 1400))
VARIED = np.array([True])
LONE = 1e9  # bytes a second of links where there is one GPU and none are needed


@dataclass(frozen=True, slots=True)
class Ends:
    """A GPU at the likely, the quick and the slow end of what its sources leave open."""

    likely: Gpu
    quick: Gpu
    slow: Gpu
    assumed: tuple[str, ...]


def gpu_passes(ask: Ask, machine: Machine) -> Passes:
    """Return the passes of a model on GPUs, shared so that a token of the batch comes soonest.

    Raises:
        Lacking: the chip lacks numbers, or the model has layers that the route does not know.
        DoesNotFit: the model is too large for the GPUs.
    """
    gpus = gpus_of(machine.sheet)
    if is_other(ask):
        return _by_graph(ask, machine, gpus)
    model = decoder_of(ask)
    word = _format(ask, gpus.likely)
    found: list[tuple[float, Passes]] = []
    for split in _splits(model, machine, gpus.likely):
        if ask.held(1) / split <= MEMORY_SHARE * gpus.likely.dram:
            found.append(_placed(ask, machine, model, gpus, word, split))
    if not found:
        needed = chips_needed(ask, machine.sheet)
        assert needed is not None
        if needed > machine.count:
            raise too_large(ask, machine, needed)
        raise Lacking(f"more than {gpus.likely.link_gpus} GPUs for one copy are not modelled")
    return min(found, key=lambda each: each[0])[1]


def is_other(ask: Ask) -> bool:
    """Return whether a model is no decoder of the kind that the route adds up, nor a mixture."""
    return not isinstance(ask.config.figures, Figures) and not ask.sizes.n_experts


def _by_graph(ask: Ask, machine: Machine, gpus: Ends) -> Passes:
    """Return the passes of a model's graph, a copy on each GPU."""
    if ask.weights != "float":
        raise Lacking("8-bit products of this model are not modelled")
    needed = chips_needed(ask, machine.sheet)
    assert needed is not None
    if needed > machine.count:
        raise too_large(ask, machine, needed)
    if needed > 1:
        raise Lacking(
            f"'{ask.sizes.name}' is not shared out on this route, and one GPU is too small"
        )
    copies = min(machine.count, ask.batch)
    batch = -(-ask.batch // copies)
    room = MEMORY_SHARE * gpus.likely.dram - ask.held(0)
    admitted = int(min(batch, max(1, room // (ask.held(1) - ask.held(0)))))

    def span(request: Request) -> Span:
        graph = model_graph(ask.config, request, None, DType.BF16)
        likely = run_gpu(graph, gpus.likely).seconds
        ends = (gpus.quick, gpus.slow) if gpus.assumed else ()
        times = [likely, *(run_gpu(graph, gpu).seconds for gpu in ends)]
        return Span(min(times), likely, max(times))

    token = span(Request("decode", batch=admitted, context=ask.context))
    prompt = span(Request("prefill", batch=1, tokens=ask.prompt))
    return Passes(
        WAY, 1, 1, copies, token, prompt, float(admitted),
        _needs(ask, gpus.likely, ask.token_need(admitted), 1, token.best, 0.0),
        _needs(ask, gpus.likely, ask.prompt_need(), 1, prompt.best, 0.0), rests_on=gpus.assumed,
    )  # fmt: skip


def decoder_of(ask: Ask) -> Decoder:
    """Return the sizes that the route's kernels go by.

    Raises:
        Lacking: the model has layers that the route does not know.
    """
    figures = ask.config.figures
    if not isinstance(figures, Figures):
        raise Lacking(f"layers of '{figures.model_type}' are not modelled on this route")
    if isinstance(figures, Deepseek):
        raise Lacking("latent attention is not modelled on this route")
    layers = figures.num_hidden_layers
    mixtures = {figures.mixture(layer) for layer in range(layers)}
    windows = [figures.window(layer) or 0 for layer in range(layers)]
    mixture = _only(mixtures)
    seen = {window for window in windows if window}
    if len(seen) > 1:
        raise Lacking("several windows are not modelled on this route")
    return Decoder(
        layers=layers,
        width=figures.hidden_size,
        heads=figures.num_attention_heads,
        kv_heads=figures.n_kv,
        head_dim=figures.width,
        inner=mixture.width if mixture else figures.intermediate_size,
        vocabulary=figures.vocab_size,
        experts=mixture.n_experts if mixture else 0,
        chosen=mixture.n_chosen if mixture else 0,
        window=next(iter(seen), 0),
        windowed=sum(1 for window in windows if window) / layers,
    )


def _only(mixtures: set[Mixture | None]) -> Mixture | None:
    mixture = next(iter(mixtures))
    if len(mixtures) > 1 or (mixture is not None and mixture.shared):
        raise Lacking("layers that differ, or share an expert, are not modelled on this route")
    return mixture


def _format(ask: Ask, gpu: Gpu) -> str:
    if ask.weights == "float":
        return "bfloat16"
    if "f8" not in gpu.macs_per_cycle:
        raise Lacking("8-bit products of this GPU are not modelled")
    return "fp8"


def _splits(model: Decoder, machine: Machine, gpu: Gpu) -> list[int]:
    """Return the numbers of GPUs that may share a layer: powers of two within a node."""
    most = min(machine.count, gpu.link_gpus)
    found = [1 << i for i in range(most.bit_length()) if model.heads % (1 << i) == 0]
    return [split for split in found if split <= most]


def _placed(
    ask: Ask, machine: Machine, model: Decoder, gpus: Ends, word: str, split: int
) -> tuple[float, Passes]:
    """Return the passes with so many GPUs a layer, and the time by which they are chosen."""
    copies = min(machine.count // split, ask.batch)
    batch = -(-ask.batch // copies)

    def times(gpu: Gpu) -> tuple[float, float, float]:
        return _times(gpu, word, split, model, (batch, ask.prompt, ask.answer))

    likely = times(gpus.likely)
    quick, slow = (times(each) if gpus.assumed else likely for each in (gpus.quick, gpus.slow))
    token, prompt = (Span.of(quick[at], likely[at], slow[at]) for at in (0, 1))
    need = ask.token_need(likely[2])
    made = Passes(
        WAY, split, 1, copies, token, prompt, likely[2],
        _parts(ask, model, gpus.likely, need, split, likely[0]),
        _parts(ask, model, gpus.likely, ask.prompt_need(), split, likely[1]),
        rests_on=(*gpus.assumed, *(unsure(machine.sheet, SPEEDS) if gpus.assumed else ())),
    )  # fmt: skip
    rounds = batch / likely[2]
    between = batch * likely[1] / ask.answer if ask.phase == "serve" else 0.0
    return {"prefill": likely[1] / copies}.get(ask.phase, likely[0] * rounds + between), made


@cache
def _times(
    gpu: Gpu, word: str, split: int, model: Decoder, load: tuple[int, int, int]
) -> tuple[float, float, float]:
    """Return seconds of a token and of a prompt, and how many sequences the memory has room for."""
    clients, prompt, answer = (np.array([float(each)]) for each in load)
    at = Placement(gpu, word, NUMBER_BYTES, split, split if model.experts else 1)
    made = passes(model, at, Workload(clients, prompt, answer, VARIED))
    return float(made.token[0]), float(made.prompt[0]), float(made.admitted[0])


def _parts(
    ask: Ask, model: Decoder, gpu: Gpu, need: Need, split: int, seconds: float
) -> dict[str, float]:
    """Return what of a pass's time each resource needs for itself."""
    message = np.array([need.tokens * model.width * ACTIVATION_BYTES])
    sums = direct_all_reduce_seconds(gpu, message, np.array([split]))
    return _needs(ask, gpu, need, split, seconds, 2 * model.layers * float(sums[0]))


def _needs(
    ask: Ask, gpu: Gpu, need: Need, split: int, seconds: float, links: float
) -> dict[str, float]:
    word = "bf16" if ask.weights == "float" else "f8"
    moved = need.weights * ask.weight_bytes + need.cache * NUMBER_BYTES
    parts = {
        "matrix": need.macs / split / (gpu.rated_peak(word) * gpu.sustained),
        "memory": moved / split / gpu.dram_rate,
        "links": links,
    }
    longest = max(parts["matrix"], parts["memory"]) + links
    return parts | {"rest": max(0.0, seconds - longest)}


@cache
def gpus_of(sheet: Datasheet) -> Ends:
    """Return a system's GPU with its ends; raises Lacking for numbers that are unknown."""
    if sheet.model in GPUS:
        gpu = load_gpu(sheet.model)
        return Ends(gpu, gpu, gpu, ())
    lacking = tuple(name for name in NEEDED if sheet.number(name) is None)
    if lacking:
        raise Lacking(*(f"{name} is unknown" for name in lacking))
    likely, quick, slow = (_gpu(sheet, end) for end in (None, 1, 0))
    low, high = LATENCIES
    said = (
        f"latencies of L2 {low[0]} to {low[1]} and of DRAM {high[0]} to {high[1]} cycles, assumed"
    )
    return Ends(likely, quick, slow, (said,))


def _gpu(sheet: Datasheet, end: int | None) -> Gpu:
    """Return a GPU that is described by a datasheet alone; ``end`` 1 is quick, 0 slow."""

    def number(name: str) -> float:
        ends, value = sheet.ends(name), sheet.number(name)
        assert ends is not None
        assert value is not None
        return value if end is None else ends[end]

    def macs(name: str) -> float:
        return number(name) / 2 / sheet_cores / number("clock")

    sheet_cores = number("cores")
    formats = {"bf16": "peak_bf16", "f16": "peak_fp16", "f8": "peak_fp8", "i8": "peak_int8"}
    known = {word: name for word, name in formats.items() if sheet.number(name) is not None}
    l2, dram = ((low + high) // 2 if end is None else (high, low)[end] for low, high in
                (LATENCIES[0], LATENCIES[1]))  # fmt: skip
    links = sheet.ends("link_rate")
    most = number("measured_bf16") / number("peak_bf16")
    return Gpu(
        name=sheet.name,
        title=sheet.title,
        macs_per_cycle={word: macs(name) for word, name in known.items()},
        sms=int(sheet_cores),
        clock=number("clock"),
        rated_clock=number("clock"),
        sustained=most,
        has_clusters=False,
        scratchpad=int(number("core_sram")),
        l2=int(number("l2")),
        dram=int(number("memory")),
        dram_rate=number("memory_rate"),
        link_rate=links[1 if end is None else end] if links else LONE,
        link_gpus=8 if links else 1,
        has_in_switch_sums=False,
        power=number("power"),
        l2_latency=l2,
        dram_latency=dram,
        sources={},
    )
