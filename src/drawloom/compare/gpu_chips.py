"""GPUs as the kernel models need them, each with the ends of what its sources leave open."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from drawloom.chip.datasheet import Datasheet
from drawloom.chip.gpu import Gpu, load_gpu
from drawloom.chip.gpus import GPUS
from drawloom.compare.ends import Ends, at_end, sheets_of
from drawloom.compare.passes import Lacking

NEEDED = ("memory", "memory_rate")
PEAKS = ("peak_bf16", "peak_fp16")  # the first that is known; GPUs multiply both alike
# What kernels go by beside these; where nobody says one, all that GPUs of the catalog have is taken.
OTHERS = ("cores", "clock", "core_sram", "l2", "power")
UNITS = {"cores": ("", 1), "clock": (" GHz", 1e9), "core_sram": (" KiB", 2**10), "l2": (" MiB", 2**20),
         "power": (" W", 1)}  # fmt: skip
SURE = ("A", "B")
SPEEDS = (*NEEDED, *PEAKS, "peak_fp8", "link_rate", *OTHERS)
# Cycles from a load to its value, of L2 and of DRAM, where nobody says: assumed, from the shortest
# that were measured on GPUs of the catalog to three times as long.
LATENCIES = ((200, 400), (800, 1400))
FORMATS = {"bf16": "peak_bf16", "f16": "peak_fp16", "f8": "peak_fp8", "i8": "peak_int8",
           "tf32": "peak_tf32"}  # fmt: skip
# Thread block clusters came with compute capability 9.0; those of 10.0 have them too, and kernels made
# for them. Source: CUDA C++ programming guide.
CLUSTERED = ("h20", "b200_sxm", "gb200")
LONE = 1e9  # bytes a second of links where there is one GPU and none are needed


@cache
def gpus_of(sheet: Datasheet) -> Ends[Gpu]:
    """Return a system's GPU with its ends; raises Lacking for numbers that are unknown."""
    if sheet.model in GPUS:
        gpu = load_gpu(sheet.model)
        return Ends(gpu, gpu, gpu, ())
    peak = peak_ends(sheet)
    lacking = [name for name in NEEDED if sheet.ends(name) is None]
    if lacking or peak is None:
        names = [*lacking, *(() if peak else PEAKS[:1])]
        raise Lacking(*(f"{name} is unknown" for name in names))
    likely, quick, slow = (_gpu(sheet, end) for end in (None, 1, 0))
    low, high = LATENCIES
    said = (
        f"latencies of L2 {low[0]} to {low[1]} and of DRAM {high[0]} to {high[1]} cycles, assumed"
    )
    unknown = [_unknown(name) for name in OTHERS if sheet.number(name) is None]
    if sheet.number("measured_bf16") is None:
        least, most = sustained_ends()
        unknown.append(
            f"products reach {least:.0%} to {most:.0%} of the peak, as measured on others"
        )
    return Ends(likely, quick, slow, (said, *peak.assumed, *unknown))


class PeakEnds(NamedTuple):
    """The least and the most of a peak, and what was assumed, in words."""

    low: float
    high: float
    assumed: tuple[str, ...]


@cache
def peak_ends(sheet: Datasheet) -> PeakEnds | None:
    """Return the ends of the peak of 16-bit products, and what was assumed; None where nothing is known.

    Where nobody states it, it is half that of 8 bits, as on all GPUs that state both but for those
    that multiply 8 bits no quicker; where that is unknown too, it is taken from GPUs of the same
    maker: from the least peak of theirs to the most that they make a watt.
    """
    known = next((ends for name in PEAKS if (ends := sheet.ends(name))), None)
    if known:
        return PeakEnds(*known, ())
    eight = next((n for n in ("peak_fp8", "peak_int8") if sheet.ends(n)), None)
    if eight and (ends := sheet.ends(eight)):
        low, high = (each / 2 for each in ends)
        return PeakEnds(low, high, (_peak_words(low, high, f"half of {eight}"),))
    power = sheet.ends("power")
    like = [
        (other.name, theirs, watts)
        for other in sheets_of("gpu")
        if other.vendor == sheet.vendor
        and (theirs := next((e for name in PEAKS if (e := other.ends(name))), None))
        and (watts := other.ends("power"))
    ]
    if power is None or not like:
        return None
    low = min(theirs[0] for _, theirs, _ in like)
    high = max(theirs[1] / watts[0] for _, theirs, watts in like) * power[1]
    names = ", ".join(name for name, _, _ in like)
    said = f"from the peak of {names} to what that makes of {power[1]:g} W"
    low, high = min(low, high), max(low, high)
    return PeakEnds(low, high, (_peak_words(low, high, said),))


def _peak_words(low: float, high: float, why: str) -> str:
    return f"peak_bf16 is unknown: {low / 1e12:.4g} to {high / 1e12:.4g} TFLOPS, {why}, assumed"


def _unknown(name: str) -> str:
    """Say between what an unknown number is taken to be."""
    unit, scale = UNITS[name]
    least, most = (each / scale for each in catalog_ends(name))
    return f"{name} is unknown: {least:.4g} to {most:.4g}{unit} as on GPUs of the catalog, assumed"


@cache
def catalog_ends(name: str) -> tuple[float, float]:
    """Return the least and the most of a number among the GPUs of which it is sure."""
    found = [
        float(ends[at])
        for sheet in sheets_of("gpu")
        if (ends := sheet.ends(name)) and sheet.figures[name].grade in SURE
        for at in (0, 1)
    ]
    return min(found), max(found)


@cache
def sustained_ends() -> tuple[float, float]:
    """Return the least and the most of its peak that the best product of a GPU was measured to reach."""
    shares = [
        measured / peak
        for sheet in sheets_of("gpu")
        if (measured := sheet.number("measured_bf16")) and (peak := sheet.number("peak_bf16"))
    ]
    return min(shares), max(shares)


def _gpu(sheet: Datasheet, end: int | None) -> Gpu:
    """Return a GPU that is described by a datasheet alone; ``end`` 1 is quick, 0 slow."""

    def number(name: str) -> float:
        return at_end(sheet.ends(name) or catalog_ends(name), end, sheet.number(name))

    cores, clock = int(number("cores")), number("clock")
    peaks = {word: number(name) for word, name in FORMATS.items() if sheet.ends(name)}
    if "bf16" not in peaks and (known := peak_ends(sheet)):
        peaks["bf16"] = peaks["f16"] = at_end((known.low, known.high), end)
    peaks.setdefault(
        "tf32", number("peak_fp32") if sheet.number("peak_fp32") else peaks["bf16"] / 2
    )
    l2, dram = ((low + high) // 2 if end is None else (high, low)[end] for low, high in LATENCIES)
    links = sheet.ends("link_rate")
    return Gpu(
        name=sheet.name,
        title=sheet.title,
        macs_per_cycle={word: peak / 2 / cores / clock for word, peak in peaks.items()},
        sms=cores,
        clock=clock,
        rated_clock=clock,
        sustained=_sustained(sheet, end),
        has_clusters=sheet.name in CLUSTERED,
        scratchpad=int(number("core_sram")),
        l2=int(number("l2")),
        dram=int(number("memory")),
        dram_rate=number("memory_rate"),
        link_rate=number("link_rate") if links else LONE,
        link_gpus=8 if links else 1,
        has_in_switch_sums=False,
        power=number("power"),
        l2_latency=l2,
        dram_latency=dram,
        sources={},
    )


def _sustained(sheet: Datasheet, end: int | None) -> float:
    """Return the share of its peak that a large product reaches."""
    measured, peak = sheet.number("measured_bf16"), sheet.number("peak_bf16")
    if measured and peak:
        return measured / peak
    return at_end(sustained_ends(), end)
