"""Sums over spans: by tile, by engine, by graph node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Range
from drawloom.program.commands import Engine
from drawloom.timing.energy import FJ_PER_PJ
from drawloom.timing.table import ENGINES

if TYPE_CHECKING:
    from drawloom.timing.trace import Trace

NO_NODE = "(no node)"
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NodeRow:
    """What one graph node cost: times in picoseconds, energy in picojoules without idle power.

    ``busy_ps`` holds the engines that worked for it, summed over tiles.
    """

    node: str
    layer: str
    start_ps: int
    end_ps: int
    busy_ps: dict[Engine, int]
    dram_read: int
    dram_written: int
    noc_byte_hops: int
    energy: Range


def picojoules(femtojoules: Ints) -> Range:
    """Return three femtojoule sums as a range of picojoules."""
    low, default, high = (int(each) / FJ_PER_PJ for each in femtojoules)
    return Range(low, default, high)


def grouped(values: Ints, group: Ints, n: int) -> Ints:
    """Return the exact sums of rows of ``values`` by group."""
    out = np.zeros((n, *values.shape[1:]), np.int64)
    np.add.at(out, group, values)
    return out


def busy_ps(trace: Trace, group_of: Ints, n: int) -> Ints:
    """Return busy time as groups x engines, given the group of each command of the table."""
    table = trace.table
    cpu = ENGINES.index(Engine.CPU)
    n_engines = len(ENGINES)
    took = np.zeros(len(table.commands), np.int64)
    np.add.at(took, trace.command, trace.end_ps - trace.start_ps)
    own = table.engine == cpu
    took[own] = (trace.runs * table.fixed_ps)[own]  # without the holding
    out = grouped(took, group_of * n_engines + table.engine, n * n_engines)
    issue = trace.chip.profiles[trace.profile].issue * trace.chip.period
    handing = np.where(own, 0, trace.runs * issue)
    out += grouped(handing, group_of * n_engines + cpu, n * n_engines)
    return out.reshape(n, n_engines)


def node_of(trace: Trace) -> tuple[list[tuple[str, str]], Ints]:
    """Return the nodes with their layers, and the node of each command of the table."""
    origins = trace.program.origins
    names: dict[str, int] = {}
    nodes: list[tuple[str, str]] = []
    lookup = np.zeros(len(origins) + 1, np.int64)
    for at, origin in enumerate(origins):
        if origin.node not in names:
            names[origin.node] = len(nodes)
            nodes.append((origin.node, origin.layer))
        lookup[at] = names[origin.node]
    lookup[-1] = len(nodes)
    nodes.append((NO_NODE, ""))
    origin = trace.table.origin
    return nodes, lookup[np.where((origin >= 0) & (origin < len(origins)), origin, len(origins))]


def node_rows(trace: Trace) -> tuple[NodeRow, ...]:
    """Return a row for every node that ran a command, in order of first start."""
    names, node = node_of(trace)
    n = len(names)
    table = trace.table
    runs = trace.runs
    start = np.full(n, np.iinfo(np.int64).max)
    end = np.full(n, -1)
    np.minimum.at(start, node[trace.command], trace.start_ps)
    np.maximum.at(end, node[trace.command], trace.end_ps)
    busy = busy_ps(trace, node, n)
    energy = grouped(runs[:, None] * table.energy_fj, node, n)
    amounts = np.stack([table.dram_read, table.dram_written, table.bytes * table.n_links], axis=1)
    moved = grouped(runs[:, None] * amounts, node, n)
    order = sorted((at for at in range(n) if end[at] >= 0), key=lambda at: (start[at], at))
    return tuple(
        NodeRow(
            *names[at],
            int(start[at]),
            int(end[at]),
            {each: int(ps) for each, ps in zip(ENGINES, busy[at], strict=True) if ps},
            int(moved[at, 0]),
            int(moved[at, 1]),
            int(moved[at, 2]),
            picojoules(energy[at]),
        )
        for at in order
    )
