"""Passes of a model on chips that keep all weights in SRAM: stage after stage of chips."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from drawloom.chip.datasheet import SPREAD, Datasheet
from drawloom.chip.resident import Resident, load_resident
from drawloom.chip.residents import RESIDENTS
from drawloom.compare.ask import NUMBER_BYTES, Ask
from drawloom.compare.ends import Ends
from drawloom.compare.layers import kernels_of
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.sizes import Need
from drawloom.compare.span import Span
from drawloom.errors import Diagnosis, DoesNotFit, InputError
from drawloom.frontends.hf import Request, model_graph
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.routes.resident.run import ResidentRun, run_resident

WAY = "weights resident in SRAM, stages of chips that follow each other; no other memory"
FUNCTIONS = (2, 8)  # cycles of a lane for an exponential at the quick and the slow end; assumed
DELAYS = (0.5, 2.0)  # of the likely delay of a link; assumed
ASSUMED = (
    "peak and links 10 % to either side (grade C), half and twice the delay between chips, 2 to 8 "
    "cycles for an exponential: assumed"
)


@cache
def chips_of(sheet: Datasheet) -> Ends[Resident]:
    """Return a system's chip with its ends.

    Raises:
        Lacking: there is no file of it.
    """
    if sheet.name not in RESIDENTS:
        raise Lacking("there is no file of its blocks, crossing and delays")
    likely = load_resident(sheet.name)

    def at(sign: int, delay: float, function: float) -> Resident:
        by = 1 + sign * SPREAD["C"]
        return replace(
            likely,
            macs_per_cycle={word: by * macs for word, macs in likely.macs_per_cycle.items()},
            link_rate=by * likely.link_rate,
            link_delay=delay * likely.link_delay,
            function_cycles=function,
        )

    return Ends(likely, at(1, DELAYS[0], FUNCTIONS[0]), at(-1, DELAYS[1], FUNCTIONS[1]), (ASSUMED,))


def resident_passes(ask: Ask, machine: Machine) -> Passes:
    """Return the passes of a model on as many chips as it needs, and copies on the others.

    Raises:
        Lacking: there is no file of the chip, or the route does not know the model's layers.
        DoesNotFit: it needs more chips than there are.
    """
    chips = chips_of(machine.sheet)
    if _format(ask) and _format(ask) not in chips.likely.macs_per_cycle:
        raise Lacking("8-bit products of this chip are not modelled")
    batch = ask.batch
    tokens = _graph(ask, Request("decode", batch=batch, context=ask.context))
    first = _run(ask, tokens, chips.likely)
    copies = min(machine.count // first.stages.n_chips, batch)
    if not copies:
        raise _too_few(ask, machine, first)
    if copies > 1:
        batch = -(-batch // copies)
        tokens = _graph(ask, Request("decode", batch=batch, context=ask.context))
        first = _run(ask, tokens, chips.likely)
    group = first.stages.group
    prompts = _graph(ask, Request("prefill", batch=1, tokens=ask.prompt))
    reads = _run(ask, prompts, chips.likely, group)
    if reads.stages.n_chips > machine.count:
        raise _too_few(ask, machine, reads)
    return Passes(
        WAY, group, first.stages.count, copies, _span(ask, tokens, chips, group),
        _span(ask, prompts, chips, group), float(batch),
        _parts(ask, first, ask.token_need(batch), chips.likely),
        _parts(ask, reads, ask.prompt_need(), chips.likely), rests_on=chips.rests_on,
    )  # fmt: skip


def _too_few(ask: Ask, machine: Machine, run: ResidentRun) -> DoesNotFit:
    needed = run.stages.n_chips
    return DoesNotFit(
        "compare.memory",
        f"'{ask.sizes.name}' does not fit '{machine.label}'",
        Diagnosis(
            needs=f"{needed} chips   {run.stages.count} stages of {run.stages.group}, weights and caches "
            f"in {machine.sheet.figures['sram'].text()} each",
            has=f"{machine.count} chips",
            short=f"{needed - machine.count} chips",
            ways_out=("a smaller batch or context", f"{needed} chips"),
        ),
    )


def _format(ask: Ask) -> str:
    return "" if ask.weights == "float" else "i8"


def _graph(ask: Ask, request: Request) -> Graph:
    return model_graph(ask.config, request, None, DType.F16)


def _run(ask: Ask, graph: Graph, chip: Resident, group: int | None = None) -> ResidentRun:
    kernels = kernels_of(ask.config, graph, _format(ask), has_f32=False)
    try:
        return run_resident(graph, chip, group, kernels=kernels)
    except DoesNotFit as error:
        summary = str(error).splitlines()[0].partition(": ")[2]
        raise Lacking(f"the route says: {summary}") from None
    except InputError as error:
        raise Lacking(error.summary) from None


def _span(ask: Ask, graph: Graph, chips: Ends[Resident], group: int) -> Span:
    likely, quick, slow = (_run(ask, graph, chip, group).seconds for chip in chips.each())
    return Span.of(quick, likely, slow)


def _parts(ask: Ask, run: ResidentRun, need: Need, chip: Resident) -> dict[str, float]:
    """Return what of a pass's time each resource needs for itself, stage after stage."""
    group = run.stages.group
    parts = {
        "matrix": need.macs / group / chip.peak(_format(ask) or "f16"),
        "memory": (ask.weight_bytes * need.weights + NUMBER_BYTES * need.cache)
        / group
        / chip.sram_rate,
        "links": sum(each.parts["links"] for each in run.trace.spans) / run.rows,
    }
    longest = max(parts["matrix"], parts["memory"]) + parts["links"]
    return parts | {"rest": max(0.0, run.seconds - longest)}
