"""A chip at the ends of what its sources leave open, for error bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, cast

from drawloom.chip.model import Chip, Range
from drawloom.errors import Fault, InputError, nearest

ENDS = ("low", "high")
# Which end of a number's range makes a program slower.
SLOW: dict[str, str] = {
    "clock": "low",
    "matrix.macs_per_cycle.*": "low",
    "matrix.start": "high",
    "matrix.bubble_every": "low",
    "matrix.fixed": "high",
    "matrix.psum_fixed": "high",
    "matrix.depthwise_rate": "low",
    "vector.lanes_*": "low",
    "vector.fixed": "high",
    "vector.rates.*": "high",
    "dram_read.latency": "high",
    "dram_write.latency": "high",
    "*.depth": "low",
    "move.fixed": "high",
    "move.bytes_per_cycle": "low",
    "move.inner_cycles": "high",
    "send.efficiency": "low",
    "cpu.*": "high",
    "noc.bytes_per_cycle": "low",
    "noc.hop": "high",
    "dram.peak": "low",
    "dram.read": "low",
    "dram.write": "low",
    "dram.combined": "low",
    "dram.port": "low",
    "dram.segment": "high",
}
# What says nothing about the speed of the hardware.
OTHER = (
    "energy.*",
    "profiles.*",
    "scratchpad.*",
    "limits.*",
    "blocking.*",
    "move.max_*",
)


def uncertain(chip: Chip) -> dict[str, Range]:
    """Return the numbers that have a range, by dotted path, in base units."""
    return {
        path: Range(source.low, _get(chip, path.split(".")), source.high)
        for path, source in chip.sources.items()
        if source.low is not None and source.high is not None
    }


def at(chip: Chip, ends: Mapping[str, str]) -> Chip:
    """Return the chip with the chosen numbers at an end of their range.

    ``at(chip, {"clock": "low", "energy.*": "high"})``: a path may hold ``*``, which stands for
    all numbers with a range that match; of two that match one number, the later counts. Sources
    and ranges stay as they are. Raises InputError (``chip.range``) for a path that has no range
    and for an end other than low and high.
    """
    known = uncertain(chip)
    faults = [
        fault for path, end in ends.items() for fault in _faults(path, end, chip, list(known))
    ]
    if faults:
        raise InputError("chip.range", f"no such end of a range of chip '{chip.name}'", faults)
    for pattern, end in ends.items():
        for path in known:
            if fnmatchcase(path, pattern):
                value = known[path].low if end == "low" else known[path].high
                chip = _put(chip, path.split("."), value)
    return chip


def ends(chip: Chip, *, slow: bool) -> Chip:
    """Return the chip with every number of its hardware at its slow end, or quick end."""
    chosen: dict[str, str] = {}
    for path in uncertain(chip):
        for pattern, end in SLOW.items():
            if fnmatchcase(path, pattern):
                chosen[path] = end if slow else {"low": "high", "high": "low"}[end]
    return at(chip, chosen)


def _faults(pattern: str, end: str, chip: Chip, known: list[str]) -> list[Fault]:
    faults: list[Fault] = []
    if end not in ENDS:
        faults.append(Fault(pattern, f"'{end}'", "low or high"))
    if pattern in chip.sources and pattern not in known:
        faults.append(Fault(pattern, "", "this number has no range"))
    elif not any(fnmatchcase(path, pattern) for path in known):
        faults.append(Fault(pattern, "", nearest(pattern, known)))
    return faults


def _get(owner: Any, path: list[str]) -> float:
    """Return the number at a path."""
    for step in path:
        here: Any = owner
        owner = here[step] if isinstance(owner, Mapping) else getattr(here, step)
    return owner.default if isinstance(owner, Range) else float(owner)


def _put(owner: Any, path: list[str], value: float) -> Any:
    """Return ``owner`` with the number at ``path`` replaced; whole numbers stay whole."""
    if isinstance(owner, Range):
        return replace(owner, default=value)
    if not path:
        return int(value) if isinstance(owner, int) else value
    if isinstance(owner, Mapping):
        table = cast("Mapping[str, Any]", owner)
        return {**table, path[0]: _put(table[path[0]], path[1:], value)}
    assert is_dataclass(owner) and path[0] in {f.name for f in fields(owner)}, path
    return replace(cast("Any", owner), **{path[0]: _put(getattr(owner, path[0]), path[1:], value)})
