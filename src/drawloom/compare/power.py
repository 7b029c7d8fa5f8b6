"""Joules of chips whose energy no mechanism counts: between idling beside a busy memory and the power limit.

    most   power limit x time
    least  IDLE of the limit x time + bytes of memory x the least that one costs

What products and links burn is left out of the least: no energy of theirs is public for these chips.
"""

from __future__ import annotations

from drawloom.chip.datasheet import Datasheet
from drawloom.compare.ask import NUMBER_BYTES, Ask
from drawloom.compare.passes import Passes
from drawloom.compare.sizes import Need
from drawloom.compare.span import Span

# Of the power limit when nothing runs: the least that is known of a chip of the catalog, 29 to 31 of 200 W
# (TX81, FlagOpen/FlagPerf logs); a TPU v4 takes 90 of 192 W (Google Cloud documentation).
IDLE = 0.15
# Picojoules a bit. Source: constants of SET-Scheduling-Project/GEMINI-HPCA2024, HBM and GDDR6X; no other
# memory is among them. Half of a figure is the least: later generations take less, how much less is assumed.
MEMORY_PJ = {"HBM": 5.5, "GDDR": 10.5}
LEAST = 0.5
BITS, PJ_PER_J = 8, 1e12
WORDS = (
    f"energy: from {IDLE:.0%} of the power limit (idle, the least known of a chip) and half of what a bit of "
    "HBM or GDDR is said to take, to the limit all the time; products and links are left out of the least"
)
UNKNOWN = "energy: the power limit is unknown"


def memory_joules(sheet: Datasheet) -> float:
    """Return the least joules of a byte of memory; 0 where its kind is not among the sources."""
    words = sheet.figures.get("memory_type")
    said = str(words.value) if words else ""
    pj = next((pj for word, pj in MEMORY_PJ.items() if word in said), 0.0)
    return LEAST * pj * BITS / PJ_PER_J


def token_joules(ask: Ask, sheet: Datasheet, count: int, passes: Passes, rate: Span) -> Span | None:
    """Return joules a token of a machine; None where its power limit is unknown.

    Args:
        ask: the question.
        sheet: the chip.
        count: how many there are.
        passes: of the route.
        rate: tokens a second of the whole machine.
    """
    ends = sheet.ends("power")
    if ends is None or not rate.low:
        return None
    idle = IDLE * ends[0] * count / rate.high
    least = idle + memory_joules(sheet) * token_bytes(ask, passes)
    most = ends[1] * count / rate.low
    return Span(min(least, most), None, most)


def token_bytes(ask: Ask, passes: Passes) -> float:
    """Return the bytes of memory that a token needs at the least, its share of prompts included."""

    def moved(need: Need) -> float:
        return need.weights * ask.weight_bytes + need.cache * NUMBER_BYTES

    prompt = moved(ask.prompt_need())
    if ask.phase in ("prefill", "forward"):
        return prompt / (ask.prompt if ask.phase == "prefill" else ask.batch)
    made = moved(ask.token_need(passes.admitted)) / passes.admitted
    return made + (prompt / ask.answer if ask.phase == "serve" else 0.0)
