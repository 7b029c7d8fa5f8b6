"""Numbers that no document gives, fitted on the stated rows of measurements; kept as data.

``fitted.json`` holds them by library, with the rows they were fitted on and the error there;
``benchmarks/validation/fit_gpu.py`` makes it. They are shares of what a chip's documents say, or
times, so that one set serves every GPU: nothing here knows which chip it runs on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "fitted.json"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the kernels of one library use a GPU.

    Attributes:
        launch: seconds from one kernel of a replayed graph to the next, its ends included.
        load_latency: seconds from asking for a tile of operands to having it.
        stages: tiles of operands in flight, where the scratchpad holds as many.
        mma_share: of the tensor cores' rated peak that a tile of 128 x 256 reaches.
        mma_exponent: how that share falls with smaller tiles.
        l2_width: bytes a cycle that an SM gets from L2 when all of them ask.
        store_width: bytes a cycle that an SM writes of its results when all of them write.
        tile_start: seconds a tile's epilogue takes at least.
        tile_switch: seconds between two tiles of one SM.
        overlap: share of the shorter of main loop and epilogue that is not hidden.
        l2_share: of L2 that operands stay in from wave to wave.
        panel_share: of a wave's operands that come from DRAM when they do not stay.
        dram_share: of the DRAM's peak rate.
        power_share: of what the board sustains, by the chip's documents.
        sharpness: exponent of the norm that joins waves and DRAM; large: the longer of the two.
        split_start: seconds that adding up a split sum takes at least.
        split_least: multiply-adds along K that a part of a split sum has at least.
        outside: cost of loading rows outside the operand, as a share of the whole, for a tile
            whose loads all lie outside.
    """

    launch: float
    load_latency: float
    stages: float
    mma_share: float
    mma_exponent: float
    l2_width: float
    store_width: float
    tile_start: float
    tile_switch: float
    overlap: float
    l2_share: float
    panel_share: float
    dram_share: float
    power_share: float
    sharpness: float
    split_start: float
    split_least: float
    outside: float


@cache
def _stored() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def behaviour(library: str) -> Behaviour:
    """Return how the kernels of a library behave, such as ``cublas``."""
    return Behaviour(**_stored()[library]["values"])


def numbers(name: str) -> dict[str, float]:
    """Return fitted numbers that are no kernel's behaviour, such as ``quantize``, by name."""
    return dict(_stored()[name]["values"])
