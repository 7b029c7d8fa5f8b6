"""Where weights lie: kernels in their order over stages of chips, each stage filled before the next.

A stage is a group of chips over which each of its kernels is spread evenly. What lies in the SRAM:
weights, what the caller hands in (a cache), and room for the largest kernel's activations. Tables
of which only rows are looked up stay with the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drawloom.chip.resident import Resident
from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.graph.ir import Graph
from drawloom.routes.fuse import Kernel
from drawloom.routes.work import Attended


@dataclass(frozen=True, slots=True)
class Stages:
    """Which stage has which kernel.

    Attributes:
        group: chips of a stage.
        count: stages.
        stage_of: by kernel.
        bytes_of: bytes that a kernel keeps in the SRAM, by kernel.
    """

    group: int
    count: int
    stage_of: tuple[int, ...]
    bytes_of: tuple[int, ...]

    @property
    def n_chips(self) -> int:
        """All chips."""
        return self.group * self.count


def kept_bytes(graph: Graph, kernels: Sequence[Kernel]) -> tuple[int, ...]:
    """Return the bytes that each kernel keeps: constants, and the caches that it is first to use.

    A cache is an input of the graph that attention reads, or that is updated in its place.
    """
    inputs, kept = set(graph.inputs), list[int]()
    for kernel in kernels:
        mine: list[str] = []
        if isinstance(kernel.work, Attended) or _updated(graph, kernel):
            mine = [value for value in kernel.reads if value in inputs]
        inputs.difference_update(mine)
        constants = kernel.constant_bytes if kernel.kept_bytes is None else kernel.kept_bytes
        kept.append(constants + sum(graph.types[value].bytes for value in mine))
    return tuple(kept)


def activations(graph: Graph, kernels: Sequence[Kernel]) -> int:
    """Return the most bytes that a kernel reads and writes of what is no cache."""
    caches = {value for kernel in kernels for value in _updated(graph, kernel)}
    return max(
        sum(kernel.writes.values())
        + sum(size for value, size in kernel.reads.items() if value not in caches)
        for kernel in kernels
    )


def _updated(graph: Graph, kernel: Kernel) -> list[str]:
    """Return the values of which a kernel writes a part: what is updated in its place."""
    given = set(graph.outputs)
    return [
        value
        for value, size in kernel.writes.items()
        if value in given and size < graph.types[value].bytes
    ]


def place(graph: Graph, kernels: Sequence[Kernel], chip: Resident, group: int) -> Stages:
    """Return the stages of ``group`` chips that hold all kernels.

    Raises:
        DoesNotFit: a kernel does not fit one stage (``resident.sram``).
    """
    kept = kept_bytes(graph, kernels)
    room = group * chip.sram - activations(graph, kernels)
    stage, used = 0, 0
    stage_of: list[int] = []
    for kernel, size in zip(kernels, kept, strict=True):
        if size > room:
            raise _too_large(kernel, size, room, chip, group)
        if used + size > room:
            stage, used = stage + 1, 0
        used += size
        stage_of.append(stage)
    return Stages(group, stage + 1, tuple(stage_of), kept)


def _too_large(kernel: Kernel, size: int, room: int, chip: Resident, group: int) -> DoesNotFit:
    chips = f"{group} x '{chip.name}', {chip.sram:,} bytes each" if group > 1 else f"'{chip.name}'"
    return DoesNotFit(
        "resident.sram",
        f"what layer '{kernel.layer}' keeps does not fit the chips that share it",
        Diagnosis(
            needs=f"{size:,} bytes of weights and cache",
            has=f"{room:,} bytes   SRAM of {chips}, less the largest kernel's activations",
            short=f"{size - room:,} bytes",
            ways_out=("more chips a stage", "int8 or int4 weights", "a smaller batch or context"),
        ),
    )
