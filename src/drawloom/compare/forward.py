"""A graph as it is, such as an ONNX model, on machines whose chips each run it by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from drawloom.bound import bound
from drawloom.chip.catalog import CATALOG
from drawloom.chip.files import load_chip
from drawloom.chip.ranges import ends
from drawloom.compare.ask import Ask
from drawloom.compare.bounds import bound_parts, chips_needed, longest, peak_of, too_large, unsure
from drawloom.compare.gpu_chips import gpus_of
from drawloom.compare.grid import PJ_PER_J, RANGES, n_chips
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.sizes import Need, Sizes
from drawloom.compare.span import Span, exactly
from drawloom.compare.systolic_chips import chips_of
from drawloom.errors import InputError
from drawloom.flow import Options, compile, simplify, to_precision
from drawloom.frontends.configured import is_configured
from drawloom.frontends.hf import Config, Request, model_graph, read_config
from drawloom.frontends.hf.families import FAMILIES
from drawloom.graph.dtypes import DType
from drawloom.graph.files import read_graph
from drawloom.graph.ir import Graph
from drawloom.routes.gpu.run import run_gpu
from drawloom.routes.systolic.run import run_systolic
from drawloom.timing import time
from drawloom.units import PS_PER_S

Tell = Callable[[str], None]
ALONE = "each chip runs the graph by itself"
COUNTED_BY = "tx81"  # whose list of formats the bound of a graph goes by


def read_forward(model: str, dims: Mapping[str, int], batch: int) -> Graph | None:
    """Return the graph that a model is by itself; None for one that makes tokens.

    Raises:
        InputError: the model cannot be read.
    """
    if Path(model).suffix == ".graph":
        return read_graph(model)
    if not is_configured(model):
        from drawloom.frontends.onnx import read_onnx

        return read_onnx(model, dims)
    config = read_config(model)
    if FAMILIES[config.figures.model_type].has_cache:
        return None
    return model_graph(config, Request("forward", batch=batch), None, DType.BF16)


def ask_of(graph: Graph, weights: str) -> Ask:
    """Return the question that a graph is: its work and bytes in 16 bits."""
    small = to_precision(simplify(graph), Options(precision="bf16"))
    least = bound(small, load_chip(COUNTED_BY))
    constants = float(sum(small.types[name].size for name in small.constants))
    moved = max(0.0, least.bytes / 2 - constants)
    items = small.types[small.inputs[0]].shape[0] if small.inputs else 1
    sizes = Sizes(graph.name, 0, 0, 0.0, 0.0, (), constants, 0.0, 0.0, 0, 0, ())
    need = Need(least.operations / 2, constants, moved, float(items))
    config = Config(graph.name, next(iter(FAMILIES.values())).figures.model_construct())
    return Ask(config, sizes, "forward", 1, 1, max(1, items), weights, need, small)


def forward_passes(ask: Ask, machine: Machine, tell: Tell) -> Passes:
    """Return the time of a graph on one chip of a machine, or its bound and why only that.

    Raises:
        DoesNotFit: the weights are more than a chip's memory.
    """
    needed = chips_needed(ask, machine.sheet)
    if needed is not None and needed > 1:
        raise too_large(ask, replace(machine, count=1), needed)
    try:
        if machine.sheet.route == "systolic":
            return _systolic(ask, machine)
        if machine.sheet.route == "grid":
            return _grid(ask, machine, tell)
        if machine.sheet.route == "gpu":
            return _gpu(ask, machine)
        raise Lacking(f"graphs without tokens are not run on the route '{machine.sheet.route}'")
    except Lacking as error:
        return _bound(ask, machine, error.what)


def _made(ask: Ask, machine: Machine, way: str, span: Span, parts: Mapping[str, float]) -> Passes:
    longest = max(parts.get("matrix", 0.0), parts.get("memory", 0.0))
    whole = {"links": 0.0, **parts, "rest": max(0.0, span.best - longest)}
    return Passes(way, 1, 1, machine.count, exactly(0.0), span, 1.0, {}, whole)


def _systolic(ask: Ask, machine: Machine) -> Passes:
    assert ask.graph is not None
    chips = chips_of(machine.sheet)
    try:
        likely, quick, slow = (run_systolic(ask.graph, chip).seconds for chip in chips.each())
    except InputError as error:
        raise Lacking(error.summary) from None
    need, chip = ask.prompt_need(), chips.likely
    parts = {
        "matrix": need.macs / chip.peak("bf16"),
        "memory": 2 * (need.weights + need.cache) / chip.dram_rate,
    }
    way = f"kernel by kernel over arrays, SRAM and DRAM; {ALONE}"
    made = _made(ask, machine, way, Span.of(quick, likely, slow), parts)
    return replace(made, rests_on=chips.rests_on)


def _gpu(ask: Ask, machine: Machine) -> Passes:
    assert ask.graph is not None
    gpus = gpus_of(machine.sheet)
    graph = ask.graph
    try:
        likely = run_gpu(graph, gpus.likely).seconds
        quick, slow = (
            run_gpu(graph, gpu).seconds if gpus.rests_on else likely
            for gpu in (gpus.quick, gpus.slow)
        )
    except InputError as error:
        raise Lacking(error.summary) from None
    need, gpu = ask.prompt_need(), gpus.likely
    parts = {
        "matrix": need.macs / (gpu.rated_peak("bf16") * gpu.sustained),
        "memory": 2 * (need.weights + need.cache) / gpu.dram_rate,
    }
    way = f"kernel by kernel: tiles and waves over SMs, L2, DRAM, launches; {ALONE}"
    made = _made(ask, machine, way, Span.of(quick, likely, slow), parts)
    return replace(made, rests_on=gpus.rests_on)


def _grid(ask: Ask, machine: Machine, tell: Tell) -> Passes:
    if machine.sheet.model not in CATALOG:
        raise Lacking("there is no chip file: engines, scratchpads and networks in numbers")
    assert ask.graph is not None
    tell("compiling")
    build = compile(ask.graph, machine.sheet.model, check=False)
    trace = build.time()
    quick, slow = (
        time(trace.program, ends(trace.chip, slow=slow), trace.profile).total_ps / PS_PER_S
        for slow in (False, True)
    )
    span = Span.of(quick, trace.total_ps / PS_PER_S, slow)
    need, chip = ask.prompt_need(), trace.chip
    rate = chip.matrix.macs_per_cycle["bf16"] * chip.n_tiles * PS_PER_S / chip.period
    parts = {
        "matrix": need.macs / rate,
        "memory": 2 * (need.weights + need.cache) / chip.dram.read,
    }
    way = f"compiled for the tiles and timed command by command; {ALONE}"
    energy = trace.energy
    joules = Span.of(*(pj / PJ_PER_J for pj in (energy.low, energy.default, energy.high)))
    made = _made(ask, replace(machine, count=n_chips(machine)), way, span, parts)
    return replace(made, rests_on=(RANGES,), energy=(joules, joules))


def _bound(ask: Ask, machine: Machine, lacks: tuple[str, ...]) -> Passes:
    peak = peak_of(machine.sheet, ask.weights)
    parts = bound_parts(ask, replace(machine, count=1), ask.prompt_need())
    return Passes(
        f"bound: peak and memory of the datasheet; {ALONE}", 1, 1, machine.count, exactly(0.0),
        longest(parts), 1.0, {}, {name: each[0] for name, each in parts.items()},
        is_bound=True, lacks=lacks,
        rests_on=unsure(machine.sheet, ("memory", "memory_rate", peak[0] if peak else "")),
    )  # fmt: skip
