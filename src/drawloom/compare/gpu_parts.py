"""What of a pass's time on GPUs each resource needs for itself."""

from __future__ import annotations

from drawloom.chip.gpu import Gpu
from drawloom.compare.ask import NUMBER_BYTES, Ask
from drawloom.compare.sizes import Need


def needs(
    ask: Ask, gpu: Gpu, need: Need, split: int, seconds: float, links: float
) -> dict[str, float]:
    """Return the seconds by resource of one of ``split`` GPUs, and what the pass waits beside.

    Args:
        ask: the question.
        gpu: where.
        need: of the whole pass.
        split: GPUs that share it.
        seconds: that the pass takes.
        links: seconds of its sums.
    """
    word = "bf16" if ask.weights == "float" else "f8" if "f8" in gpu.macs_per_cycle else "i8"
    moved = need.weights * ask.weight_bytes + need.cache * NUMBER_BYTES
    parts = {
        "matrix": need.macs / split / (gpu.rated_peak(word) * gpu.sustained),
        "memory": moved / split / gpu.dram_rate,
        "links": links,
    }
    longest = max(parts["matrix"], parts["memory"]) + links
    return parts | {"rest": max(0.0, seconds - longest)}
