"""How far the models are from measured silicon, by class: what ``drawloom validate`` prints.

``errors.json`` holds the classes that figures here carry; a test holds it to what is computed, and
``refresh`` writes it anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from drawloom.files import write_whole

FILE = Path(__file__).parent / "errors.json"


@dataclass(frozen=True, slots=True)
class ClassError:
    """The error of one class: shares, such as 0.07 for seven percent."""

    name: str
    median: float
    p90: float
    count: int
    calibrated: bool
    worst: float = 0.0

    def text(self) -> str:
        """Return the error in words."""
        return f"{self.name}: median {self.median:.1%}, p90 {self.p90:.0%} of {self.count} rows"


@cache
def class_errors() -> dict[str, ClassError]:
    """Return the classes by name."""
    return {each["name"]: ClassError(**each) for each in json.loads(FILE.read_text("utf-8"))}


def refresh() -> None:
    """Write the classes anew, from the comparisons that ship."""
    from drawloom.validate.comparison import run_comparisons

    wanted = {name for name, _, _ in BOARDS.values()} | {
        name for phases in CLASSES.values() for each in phases.values() for name in each.values()
    }
    found = [
        {
            "name": each.name,
            "median": round(each.median, 4),
            "p90": round(each.p90, 4),
            "count": each.count,
            "calibrated": each.calibrated,
            "worst": round(each.worst, 4),
        }
        for each in run_comparisons(sorted({name.split(".")[0] for name in wanted}))
        if each.name in wanted
    ]
    lines = ",\n".join(f" {json.dumps(each)}" for each in found)
    write_whole(FILE, f"[\n{lines}\n]\n".encode())
    class_errors.cache_clear()


# Which class stands for a figure, by machine: of a service, and of whole layers without a host.
SERVED = {"token": "serving.tpot.vllm", "first": "serving.ttft.vllm"}
LAYERS = {"token": "layers.h100.whole", "first": "layers.h100.whole"}
CLASSES: dict[str, dict[str, dict[str, str]]] = {
    "h100_sxm": {"serve": SERVED, "decode": LAYERS, "prefill": LAYERS, "forward": LAYERS},
    "h200_sxm": {"serve": SERVED},
}
# Where a GPU, or a model on it, was not measured: figures are off by at least as much as those of the
# same kernel models where they were.
NEAREST: dict[str, dict[str, str]] = {
    "serve": SERVED,
    "decode": LAYERS,
    "prefill": LAYERS,
    "forward": LAYERS,
}


# What of compiled programs was held to a board, by chip: the class, what it is of, and what it leaves open.
BOARDS = {
    "tx81": (
        "tx81.commands",
        "single commands",
        "no whole program was measured under this software",
    ),
    "tt_wormhole": (
        "wormhole.products",
        "large products in 16 bits by the vendor's kernels",
        "nothing else of a program was measured",
    ),
    "tt_blackhole": (
        "blackhole.products",
        "large products in 16 bits by the vendor's kernels",
        "nothing else of a program was measured",
    ),
}


def board_words(chip: str) -> str:
    """Return how far a compiled program's figures are held to silicon; empty for chips that are none."""
    if chip not in BOARDS:
        return ""
    name, what, rest = BOARDS[chip]
    error = class_errors()[name]
    return f"Held to a board: {what} ({error.text()}, the worst {error.worst:.0%}); {rest}."


def held_words(chip: str) -> str:
    """Return how far the figures of a program on a chip are held to silicon."""
    return board_words(chip) or f"Not validated: no measurement of '{chip}' ships with drawloom."


def bound_words(chip: str) -> str:
    """Return how far the rates behind a bound are held to silicon."""
    return f"No prediction: no program is quicker, each takes longer. {held_words(chip)}"


# What collectives are held to: other models, since no measurement of links of their kind ships.
FABRIC_WORDS = (
    "Not validated: no measurement of such links ships with drawloom. Held to the closed forms of the "
    "schedules and to another simulator (docs/fabric.md)."
)


def error_of(model: str, phase: str, figure: str) -> ClassError | None:
    """Return the error of a figure of a machine; None where it was not validated."""
    name = CLASSES.get(model, {}).get(phase, {}).get(figure)
    return class_errors()[name] if name else None


def nearest_error(phase: str, figure: str) -> ClassError:
    """Return the error of a figure on the GPUs that were measured."""
    return class_errors()[NEAREST[phase][figure]]
