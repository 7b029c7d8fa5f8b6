"""The roofline of a machine: what it could do at each intensity, and what its passes reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drawloom.compare.answer import Answer
from drawloom.compare.ask import NUMBER_BYTES
from drawloom.compare.bounds import peak_of
from drawloom.compare.sizes import Need


@dataclass(frozen=True, slots=True)
class Roof:
    """A machine's roof, and where its passes lie.

    Attributes:
        label: of the machine.
        peak: operations a second of all chips.
        rate: bytes a second of all memories.
        points: of each pass its name, operations a byte, operations a second.
    """

    label: str
    peak: float
    rate: float
    points: tuple[tuple[str, float, float], ...]

    def record(self) -> dict[str, Any]:
        """Return the roof for JSON."""
        return {
            "peak_operations_per_s": self.peak,
            "memory_bytes_per_s": self.rate,
            "passes": [
                {"pass": name, "operations_per_byte": intensity, "operations_per_s": reached}
                for name, intensity, reached in self.points
            ],
        }


def roof_of(each: Answer) -> Roof | None:
    """Return the roof of a machine; None where its peak or its memory's rate is unknown."""
    sheet, count, ask, passes = each.machine.sheet, each.machine.count, each.ask, each.passes
    peak, memory = peak_of(sheet, ask.weights), sheet.ends("memory_rate")
    if peak is None or memory is None or passes is None:
        return None
    needs: list[tuple[str, Need, float]] = []
    if ask.phase in ("serve", "decode"):
        share = ask.batch / passes.copies
        needs.append(("a token", ask.token_need(share), passes.token.best))
    if ask.phase != "decode":
        word = "the graph" if ask.phase == "forward" else "a prompt"
        needs.append((word, ask.prompt_need(), passes.prompt.best))
    points = tuple(
        (
            word,
            need.operations / (need.weights * ask.weight_bytes + need.cache * NUMBER_BYTES),
            passes.copies * need.operations / seconds,
        )
        for word, need, seconds in needs
    )
    return Roof(each.machine.label, peak[2] * count, memory[1] * count, points)
