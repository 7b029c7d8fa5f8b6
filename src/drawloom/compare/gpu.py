"""Passes of a decoder on GPUs: each kernel by tiles and waves, the route that is held to silicon."""

from __future__ import annotations

from functools import cache

import numpy as np

from drawloom.chip.gpu import Gpu
from drawloom.compare.ask import MEMORY_SHARE, NUMBER_BYTES, Ask
from drawloom.compare.bounds import chips_needed, too_large, unsure
from drawloom.compare.ends import Ends
from drawloom.compare.gpu_chips import SPEEDS, gpus_of
from drawloom.compare.gpu_graph import graph_passes
from drawloom.compare.gpu_parts import needs
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.sizes import Need
from drawloom.compare.span import Span
from drawloom.frontends.hf.experts import Mixture
from drawloom.frontends.hf.figures import Decoder as Figures
from drawloom.frontends.hf.figures_moe import Deepseek
from drawloom.routes.gpu.collective import direct_all_reduce_seconds
from drawloom.routes.gpu.decoder import ACTIVATION_BYTES, Decoder, Placement
from drawloom.routes.gpu.served import Workload, passes

WAY = "kernel by kernel: tiles and waves over SMs, L2, DRAM, launches, all-reduces"
VARIED = np.array([True])


def gpu_passes(ask: Ask, machine: Machine) -> Passes:
    """Return the passes of a model on GPUs, shared so that a token of the batch comes soonest.

    Kernels of decoders that were measured are added up from their sizes; other models go by their graph.

    Raises:
        Lacking: the chip lacks numbers, or the model has layers that the route does not know.
        DoesNotFit: the model is too large for the GPUs.
    """
    gpus = gpus_of(machine.sheet)
    try:
        model, word = decoder_of(ask), _format(ask, gpus.likely)
    except Lacking:
        return graph_passes(ask, machine, gpus)
    found: list[tuple[float, Passes]] = []
    for split in _splits(model, machine, gpus.likely):
        if ask.held(1) / split <= MEMORY_SHARE * gpus.likely.dram:
            found.append(_placed(ask, machine, model, gpus, word, split))
    if not found:
        needed = chips_needed(ask, machine.sheet)
        assert needed is not None
        if needed > machine.count:
            raise too_large(ask, machine, needed)
        return graph_passes(ask, machine, gpus)
    return min(found, key=lambda each: each[0])[1]


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
    ask: Ask, machine: Machine, model: Decoder, gpus: Ends[Gpu], word: str, split: int
) -> tuple[float, Passes]:
    """Return the passes with so many GPUs a layer, and the time by which they are chosen."""
    copies = min(machine.count // split, ask.batch)
    batch = -(-ask.batch // copies)

    def times(gpu: Gpu) -> tuple[float, float, float]:
        return _times(gpu, word, split, model, (batch, ask.prompt, ask.answer))

    likely = times(gpus.likely)
    quick, slow = (times(each) if gpus.rests_on else likely for each in (gpus.quick, gpus.slow))
    token, prompt = (Span.of(quick[at], likely[at], slow[at]) for at in (0, 1))
    need = ask.token_need(likely[2])
    made = Passes(
        WAY, split, 1, copies, token, prompt, likely[2],
        _parts(ask, model, gpus.likely, need, split, likely[0]),
        _parts(ask, model, gpus.likely, ask.prompt_need(), split, likely[1]),
        rests_on=(*gpus.rests_on, *(unsure(machine.sheet, SPEEDS) if gpus.rests_on else ())),
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
    return needs(ask, gpu, need, split, seconds, 2 * model.layers * float(sums[0]))
