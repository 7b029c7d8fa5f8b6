"""What no program can go below on a machine, from its datasheet alone.

    matrix  operations / dense peak of the format
    memory  bytes of weights, and of the cache, once / peak rate

A pass takes at least the longer of the two, all chips sharing both evenly. Links set no bound: copies
of the model need none. Where sources leave a rate open there are two bounds, at either end.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from drawloom.chip.datasheet import Datasheet
from drawloom.compare.ask import MEMORY_SHARE, NUMBER_BYTES, Ask
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Passes
from drawloom.compare.sizes import Need
from drawloom.compare.span import Span
from drawloom.errors import Diagnosis, DoesNotFit

# Formats in which products may run, by form of the weights, the first that the chip has.
FORMATS = {
    "float": ("peak_bf16", "peak_fp16", "peak_int16"),
    "int8": ("peak_fp8", "peak_int8", "peak_bf16", "peak_fp16", "peak_int16"),
}


def peak_of(sheet: Datasheet, weights: str) -> tuple[str, float, float] | None:
    """Return the format, and the ends of its peak in operations a second; None where unknown."""
    for name in FORMATS[weights]:
        if (ends := sheet.ends(name)) is not None:
            return name, *ends
    return None


def chips_needed(ask: Ask, sheet: Datasheet, batch: float = 1) -> int | None:
    """Return the chips that hold a copy and so many sequences; None where memory is unknown."""
    ends = sheet.ends("memory")
    if ends is None:
        return None
    return max(1, int(-(-ask.held(batch) // (ends[1] * MEMORY_SHARE))))


def too_large(ask: Ask, machine: Machine, needed: int) -> DoesNotFit:
    """Return the true answer that a model does not fit the machine."""
    ends = machine.sheet.ends("memory")
    assert ends is not None
    has, needs = ends[1] * MEMORY_SHARE * machine.count, ask.held(1)
    ways = ["int8 weights"] if ask.weights == "float" else []
    return DoesNotFit(
        "compare.memory",
        f"'{ask.sizes.name}' does not fit '{machine.label}'",
        Diagnosis(
            needs=f"{needs / 1e9:,.1f} GB   weights and the cache of one sequence",
            has=f"{has / 1e9:,.1f} GB   {MEMORY_SHARE:.0%} of {machine.count} x "
            f"{ends[1] / 1e9:,.4g} GB",
            short=f"{(needs - has) / 1e9:,.1f} GB",
            ways_out=(*ways, f"{needed} chips"),
        ),
    )


def bound_passes(ask: Ask, machine: Machine, lacks: tuple[str, ...] = ()) -> Passes:
    """Return the bounds of a model's passes on all chips of a machine together.

    Raises:
        DoesNotFit: weights and one sequence are more than all memories hold.
    """
    sheet, unknown = machine.sheet, list[str]()
    needed = chips_needed(ask, sheet)
    if needed is not None and needed > machine.count:
        raise too_large(ask, machine, needed)
    tokens = ask.token_need(ask.batch)
    prompt = ask.prompt_need()
    peak = peak_of(sheet, ask.weights)
    used = ("memory", "memory_rate", peak[0] if peak else "")
    unknown += [] if peak else ["the peak of " + " and ".join(FORMATS[ask.weights])]
    unknown += [] if sheet.ends("memory_rate") else ["memory_rate"]
    both = [bound_parts(ask, machine, need) for need in (tokens, prompt)]
    admitted = float(ask.batch)
    if needed is not None:
        ends = sheet.ends("memory")
        assert ends is not None
        room = ends[1] * MEMORY_SHARE * machine.count - ask.held(0)
        admitted = min(admitted, max(1.0, room // (ask.held(1) - ask.held(0))))
    spans = [longest(parts) for parts in both]
    return Passes(
        way="bound: peak and memory of the datasheet",
        tensor=machine.count, stages=1, copies=1, token=spans[0], prompt=spans[1],
        admitted=admitted,
        token_parts=_fast(both[0]), prompt_parts=_fast(both[1]), steady=_steady(ask, *both),
        is_bound=True, lacks=(*lacks, *(f"{name} is unknown" for name in unknown)),
        rests_on=unsure(sheet, used),
    )  # fmt: skip


def unsure(sheet: Datasheet, names: Collection[str]) -> tuple[str, ...]:
    """Return which of some numbers are a range, in words."""
    return tuple(
        f"{name} {figure.text()} (grade {figure.grade})"
        for name, figure in sheet.unsure()
        if name in names
    )


def bound_parts(ask: Ask, machine: Machine, need: Need) -> dict[str, tuple[float, float]]:
    """Return the least seconds of each resource, at the quick and the slow end of its rate."""
    sheet, count = machine.sheet, machine.count
    found: dict[str, tuple[float, float]] = {}
    if peak := peak_of(sheet, ask.weights):
        found["matrix"] = _ends(need.operations / count, peak[1:])
    if rate := sheet.ends("memory_rate"):
        moved = need.weights * ask.weight_bytes + need.cache * NUMBER_BYTES
        found["memory"] = _ends(moved / count, rate)
    return found


def _ends(amount: float, rate: tuple[float, float]) -> tuple[float, float]:
    return amount / rate[1], amount / rate[0]


def longest(parts: dict[str, tuple[float, float]]) -> Span:
    """Return the longest part at both ends; a span of nothing known where there is none."""
    if not parts:
        return Span(0.0, None, inf)
    quick, slow = (max(ends[at] for ends in parts.values()) for at in (0, 1))
    return Span(quick, None, slow)


def _steady(
    ask: Ask, token: dict[str, tuple[float, float]], prompt: dict[str, tuple[float, float]]
) -> Span:
    """Return the least time between two tokens while each client's prompts are read as well.

    A prompt's products are on top of the token's; its weights may be those read for the token.
    """
    if not token:
        return Span(0.0, None, inf)
    share = ask.batch / ask.answer
    products = [token.get("matrix", (0.0, 0.0)), prompt.get("matrix", (0.0, 0.0))]
    read = token.get("memory", (0.0, 0.0))
    ends = [max(products[0][at] + share * products[1][at], read[at]) for at in (0, 1)]
    return Span(ends[0], None, ends[1])


def _fast(parts: dict[str, tuple[float, float]]) -> dict[str, float]:
    return {name: ends[0] for name, ends in parts.items()}
