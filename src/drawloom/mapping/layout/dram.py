"""DRAM addresses by lifetime: what is never alive together may share bytes."""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.chip.model import Chip
from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.units import align_up


@dataclass(frozen=True, slots=True)
class Need:
    """A storage's size and the pieces between which it must hold its bytes (inclusive).

    What has a ``rank`` comes before all else, in the order of ranks.
    """

    key: str
    bytes: int
    first: int
    last: int
    rank: str = ""


def grain(chip: Chip) -> int:
    """Return what DRAM addresses are multiples of."""
    return max(chip.dram.align, chip.blocking.align)


def allocate(needs: list[Need], chip: Chip) -> tuple[dict[str, int], int]:
    """Return addresses by key, and the bytes used in all: largest first, lowest free place.

    Raises:
        DoesNotFit: the chip's memory is too small.
    """
    out, top = pack(needs, grain(chip))
    if top > chip.dram.bytes:
        fixed = sum(n.bytes for n in needs if n.last - n.first >= 1 << 29)
        raise DoesNotFit(
            "map.dram",
            f"the model does not fit the memory of chip '{chip.name}'",
            Diagnosis(
                needs=f"{top:,} bytes   weights, inputs and outputs {fixed:,}"
                " + the rest by lifetime",
                has=f"{chip.dram.bytes:,} bytes",
                short=f"{top - chip.dram.bytes:,} bytes",
                ways_out=(
                    "a narrower format (--precision f16, where it is f32; --weights int8 or int4)",
                    "a smaller batch",
                    "a chip with more memory",
                ),
            ),
        )
    return out, top


def pack(needs: list[Need], align: int) -> tuple[dict[str, int], int]:
    """Return addresses by key from 0, and the bytes used: by rank, then largest first, lowest free place."""
    placed: list[tuple[int, int, Need]] = []
    out: dict[str, int] = {}
    top = 0
    for need in sorted(needs, key=lambda n: (not n.rank, n.rank, -n.bytes, n.key)):
        at = 0
        size = align_up(max(1, need.bytes), align)
        for start, end, other in sorted(placed, key=lambda p: p[0]):
            if other.last < need.first or need.last < other.first:
                continue
            if start - at >= size:
                break
            at = max(at, end)
        placed.append((at, at + size, need))
        out[need.key] = at
        top = max(top, at + size)
    return out, top
