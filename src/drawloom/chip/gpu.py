"""A GPU as data: what kernels see of it, every number with source and grade.

Files lie in ``gpus/``; their schema is of another kind than a tile grid's (``kind: gpu``). This
module imports ruamel.yaml; import it where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from drawloom.chip.entries import Entries
from drawloom.chip.gpus import GPUS
from drawloom.chip.model import Source
from drawloom.chip.quantity import (
    COUNT,
    CYCLES,
    FREQUENCY,
    MACS,
    POSITIVE,
    POWER,
    RATE,
    SHARE,
    SIZE,
    Kind,
)
from drawloom.errors import Fault, InputError, nearest

_FOLDER = Path(__file__).parent / "gpus"
_FIELDS: Mapping[str, Kind] = {
    "sms": POSITIVE,
    "clock": FREQUENCY,
    "rated_clock": FREQUENCY,
    "sustained": SHARE,
    "has_clusters": COUNT,
    "scratchpad": SIZE,
    "l2": SIZE,
    "dram": SIZE,
    "dram_rate": RATE,
    "link_rate": RATE,
    "link_gpus": POSITIVE,
    "has_in_switch_sums": COUNT,
    "power": POWER,
    "l2_latency": CYCLES,
    "dram_latency": CYCLES,
}


@dataclass(frozen=True, slots=True, eq=False)
class Gpu:
    """A GPU as kernels see it; bytes, hertz, bytes per second, watts.

    Attributes:
        name: of the file.
        title: for people.
        macs_per_cycle: multiply-adds a cycle of one SM's tensor cores, dense, by format.
        sms: streaming multiprocessors.
        clock: the highest clock of an SM.
        rated_clock: the one that the vendor's peak assumes: what power allows when all multiply.
        sustained: share of the rated peak that the best large 16-bit product reaches for long.
        has_clusters: whether thread blocks of a cluster may share what they load.
        scratchpad: shared memory of an SM that kernels may use.
        l2: cache between the SMs and DRAM.
        dram: size of the DRAM.
        dram_rate: its peak rate.
        link_rate: of all links of a GPU together, one direction.
        link_gpus: how many GPUs a switch joins.
        has_in_switch_sums: whether the switch can add for an all-reduce.
        power: limit of the board.
        l2_latency: cycles from a load to its value when L2 has it.
        dram_latency: cycles from a load to its value when DRAM has it.
        sources: source and grade of each number, by path.
    """

    name: str
    title: str
    macs_per_cycle: Mapping[str, float]
    sms: int
    clock: float
    rated_clock: float
    sustained: float
    has_clusters: bool
    scratchpad: int
    l2: int
    dram: int
    dram_rate: float
    link_rate: float
    link_gpus: int
    has_in_switch_sums: bool
    power: float
    l2_latency: int
    dram_latency: int
    sources: Mapping[str, Source]

    def macs(self, number_format: str) -> float:
        """Return multiply-adds a cycle of one SM; raises InputError for a format it lacks."""
        if number_format not in self.macs_per_cycle:
            fault = Fault(number_format, "", nearest(number_format, self.macs_per_cycle))
            raise InputError("chip.gpu", f"'{self.name}' does not multiply this format", [fault])
        return self.macs_per_cycle[number_format]

    def peak(self, number_format: str) -> float:
        """Return multiply-adds per second of all SMs at the highest clock."""
        return self.sms * self.macs(number_format) * self.clock

    def rated_peak(self, number_format: str) -> float:
        """Return multiply-adds per second of all SMs at the rated clock: half the vendor's FLOPS."""
        return self.sms * self.macs(number_format) * self.rated_clock


@cache
def load_gpu(name: str) -> Gpu:
    """Return a GPU of the catalog.

    Raises:
        InputError: ``chip.gpu``, for an unknown name or a file with faults, all at once.
    """
    if name not in GPUS:
        fault = Fault(name, "", nearest(name, GPUS))
        raise InputError("chip.gpu", "no such GPU", [fault])
    file = f"{name}.yaml"
    return parse_gpu((_FOLDER / file).read_text(encoding="utf-8"), file)


def parse_gpu(text: str, file: str) -> Gpu:
    """Return the GPU that a text describes; raises InputError (``chip.gpu``) with all faults."""
    entries = Entries.of(text, file)
    macs = entries.table("macs_per_cycle", MACS)
    values = entries.numbers(_FIELDS)
    words = {path: entries.word(path) for path in ("name", "title")}
    entries.finish("chip.gpu", file, ("macs_per_cycle", *_FIELDS))
    return Gpu(
        name=words["name"],
        title=words["title"],
        macs_per_cycle=macs,
        sms=int(values["sms"]),
        clock=values["clock"],
        rated_clock=values["rated_clock"],
        sustained=values["sustained"],
        has_clusters=bool(values["has_clusters"]),
        scratchpad=int(values["scratchpad"]),
        l2=int(values["l2"]),
        dram=int(values["dram"]),
        dram_rate=values["dram_rate"],
        link_rate=values["link_rate"],
        link_gpus=int(values["link_gpus"]),
        has_in_switch_sums=bool(values["has_in_switch_sums"]),
        power=values["power"],
        l2_latency=int(values["l2_latency"]),
        dram_latency=int(values["dram_latency"]),
        sources=entries.sources,
    )
