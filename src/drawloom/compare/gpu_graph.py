"""Passes of models that go by their graph on GPUs: shared layer by layer, or a copy on each GPU."""

from __future__ import annotations

import numpy as np

from drawloom.chip.gpu import Gpu
from drawloom.compare.ask import MEMORY_SHARE, Ask
from drawloom.compare.bounds import chips_needed, too_large, unsure
from drawloom.compare.ends import Ends
from drawloom.compare.gpu_chips import SPEEDS
from drawloom.compare.gpu_parts import needs
from drawloom.compare.layers import layered_seconds
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.span import Span
from drawloom.frontends.hf import Request
from drawloom.frontends.hf.figures import Decoder
from drawloom.graph.ir import Graph
from drawloom.plans.shard import tensor_sizes
from drawloom.routes.fuse import Kernel
from drawloom.routes.gpu.collective import direct_all_reduce_seconds
from drawloom.routes.gpu.decoder import ACTIVATION_BYTES
from drawloom.routes.gpu.run import run_gpu

WAY = "kernel by kernel of the model's graph: tiles and waves over SMs, L2, DRAM, launches, all-reduces"
UNLIKE = "no model with such layers or formats, or on so many GPUs, is among the measured"
NODES = "several nodes of GPUs, layers in stages one after the other, a hop between them left out"
SUMS_A_LAYER = 2


def graph_passes(ask: Ask, machine: Machine, gpus: Ends[Gpu]) -> Passes:
    """Return the passes of a model by its graph, shared so that a token of the batch comes soonest.

    Args:
        ask: the question.
        machine: which GPUs.
        gpus: their ends.

    Raises:
        Lacking: 8-bit products that the GPU lacks, or a model that cannot be shared out.
        DoesNotFit: the model is too large for the GPUs.
    """
    needed = chips_needed(ask, machine.sheet)
    assert needed is not None
    if needed > machine.count:
        raise too_large(ask, machine, needed)
    word = _format(ask, gpus.likely)
    if not isinstance(ask.config.figures, Decoder):
        if needed > 1:
            what = f"'{ask.sizes.name}' is not shared out on this route, and one GPU is too small"
            raise Lacking(what)
        return _placed(ask, machine, gpus, word, 1, 1)[1]
    most = min(machine.count, gpus.likely.link_gpus)
    splits = [each for each in tensor_sizes(ask.config, most, 1) if each & (each - 1) == 0]
    found: list[tuple[float, Passes]] = []
    for split in splits:
        room = MEMORY_SHARE * gpus.likely.dram * split
        stages = max(1, int(-(-ask.held(1) // room)))
        if split * stages <= machine.count and (stages == 1 or split == splits[-1]):
            found.append(_placed(ask, machine, gpus, word, split, stages))
    if not found:
        raise Lacking(f"no share of {machine.count} such GPUs holds the model")
    return min(found, key=lambda each: each[0])[1]


def _format(ask: Ask, gpu: Gpu) -> str:
    """Return the 8-bit format of the products; empty for 16 bits."""
    if ask.weights == "float":
        return ""
    for word in ("f8", "i8"):
        if word in gpu.macs_per_cycle:
            return word
    raise Lacking("8-bit products of this GPU are not modelled")


def _placed(
    ask: Ask, machine: Machine, gpus: Ends[Gpu], word: str, split: int, stages: int
) -> tuple[float, Passes]:
    """Return the passes with so many GPUs a layer, and the time by which they are chosen."""
    copies = min(machine.count // (split * stages), ask.batch)
    batch = -(-ask.batch // copies)
    room = MEMORY_SHARE * gpus.likely.dram * split * stages - ask.held(0)
    admitted = int(min(batch, max(1, room // (ask.held(1) - ask.held(0)))))
    token = _span(ask, gpus, word, split, Request("decode", batch=admitted, context=ask.context))
    prompt = _span(ask, gpus, word, split, Request("prefill", batch=1, tokens=ask.prompt))
    ends = (*gpus.rests_on, *(unsure(machine.sheet, SPEEDS) if gpus.rests_on else ()))
    made = Passes(
        WAY, split, stages, copies, token, prompt, float(admitted),
        _parts(ask, gpus.likely, admitted, split, token.best),
        _parts(ask, gpus.likely, 0, split, prompt.best),
        rests_on=(*ends, *((NODES,) if stages > 1 else ())), unlike=UNLIKE,
    )  # fmt: skip
    between = batch * prompt.best / ask.answer if ask.phase == "serve" else 0.0
    rounds = token.best * batch / admitted + between
    return {"prefill": prompt.best / copies}.get(ask.phase, rounds), made


def _span(ask: Ask, gpus: Ends[Gpu], word: str, split: int, request: Request) -> Span:
    def seconds(gpu: Gpu) -> float:
        def run(graph: Graph, kernels: tuple[Kernel, ...]) -> float:
            return run_gpu(graph, gpu, kernels=kernels).seconds

        sums = _sums(ask, gpu, split, request.batch * request.n_tokens)
        return layered_seconds(ask.config, split, request, run, word) + sums

    likely = seconds(gpus.likely)
    ends = [seconds(each) for each in (gpus.quick, gpus.slow)] if gpus.rests_on else [likely]
    return Span(min(likely, *ends), likely, max(likely, *ends))


def _sums(ask: Ask, gpu: Gpu, split: int, tokens: float) -> float:
    """Return the seconds of all layers' sums over the GPUs that share them."""
    message = np.array([tokens * ask.sizes.width * ACTIVATION_BYTES])
    each = direct_all_reduce_seconds(gpu, message, np.array([split]))
    return SUMS_A_LAYER * ask.sizes.layers * float(each[0])


def _parts(ask: Ask, gpu: Gpu, batch: int, split: int, seconds: float) -> dict[str, float]:
    """Return what of a pass's time each resource needs: of a prompt where there is no batch."""
    need = ask.token_need(batch) if batch else ask.prompt_need()
    links = _sums(ask, gpu, split, need.tokens) if split > 1 else 0.0
    return needs(ask, gpu, need, split, seconds, links)
