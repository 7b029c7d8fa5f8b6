"""A trace by layer of the user's model: what each layer took, moved and cost.

Layers overlap in time. So that their shares add up, each instant is divided evenly among the
layers that have an engine at work; instants when no engine works belong to nobody (``waiting``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.program.commands import Conv, Cpu, Engine, MatMul
from drawloom.timing import Trace
from drawloom.timing.costs import macs
from drawloom.timing.table import ENGINES, CommandTable

Ints = NDArray[np.int64]
NO_LAYER = "(no layer)"
FJ_PER_J = 1e15


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its nodes, its share of the latency, when it ran, what it did."""

    name: str
    nodes: tuple[str, ...]
    n_commands: int
    share_ps: int
    start_ps: int
    end_ps: int
    busy_ps: tuple[int, ...]  # by engine, in the order of Engine, over all tiles
    macs: int
    dram_read_bytes: int
    dram_write_bytes: int
    noc_byte_hops: int
    energy_j: tuple[float, float, float]  # low, default, high; idle power not counted

    @property
    def dram_bytes(self) -> int:
        """Bytes read from DRAM and written to it."""
        return self.dram_read_bytes + self.dram_write_bytes


@dataclass(frozen=True, slots=True, eq=False)
class ByLayer:
    """The layers in the order in which they start, and which layer each command belongs to."""

    layers: tuple[Layer, ...]
    of_command: Ints  # row of the command table -> position in ``layers``
    waiting_ps: int


def by_layer(trace: Trace) -> ByLayer:
    """Return the layers of a trace."""
    table = trace.table
    names, of_command = _layer_of_commands(trace)
    spans = _working_spans(trace)
    layer_of_span = of_command[trace.command[spans]]
    start, end = trace.start_ps[spans], trace.end_ps[spans]
    firsts, lasts = _extents(len(names), layer_of_span, start, end)
    order = sorted(range(len(names)), key=lambda i: (int(firsts[i]), i))
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    shares, waiting = _shares(len(names), layer_of_span, start, end, trace.total_ps)
    sums = _sums(table, trace.runs, of_command, len(names))
    busy = _busy(trace, spans, layer_of_span, len(names))
    nodes = _nodes(trace, names)
    layers = tuple(
        Layer(
            name=names[i],
            nodes=nodes[i],
            n_commands=int(sums["commands"][i]),
            share_ps=int(shares[i]),
            start_ps=int(firsts[i]) if lasts[i] else 0,
            end_ps=int(lasts[i]),
            busy_ps=tuple(int(ps) for ps in busy[i]),
            macs=int(sums["macs"][i]),
            dram_read_bytes=int(sums["read"][i]),
            dram_write_bytes=int(sums["written"][i]),
            noc_byte_hops=int(sums["hops"][i]),
            energy_j=_joules(sums, i),
        )
        for i in order
    )
    return ByLayer(layers, place[of_command], waiting)


def _layer_of_commands(trace: Trace) -> tuple[list[str], Ints]:
    """Return the names of the layers, and for each command the position of its layer's."""
    origins = trace.program.origins
    positions: dict[str, int] = {}
    of_origin = [positions.setdefault(o.layer or o.node, len(positions)) for o in origins]
    column = trace.table.origin
    if bool(np.any(column < 0)):
        of_origin.append(positions.setdefault(NO_LAYER, len(positions)))
    return list(positions), np.array(of_origin, np.int64)[column]


def _nodes(trace: Trace, names: list[str]) -> list[tuple[str, ...]]:
    nodes: dict[str, dict[str, None]] = {name: {} for name in names}
    for origin in trace.program.origins:
        nodes[origin.layer or origin.node][origin.node] = None
    return [tuple(nodes[name]) for name in names]


def _working_spans(trace: Trace) -> Ints:
    """Return the spans of real work: none that only waits for others."""
    engine = trace.table.engine[trace.command]
    is_cpu = engine == ENGINES.index(Engine.CPU)
    working = np.array([isinstance(c, Cpu) for c in trace.table.commands], bool)
    return np.nonzero(~is_cpu | working[trace.command])[0]


def _extents(n: int, layer: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    firsts = np.full(n, np.iinfo(np.int64).max, np.int64)
    lasts = np.zeros(n, np.int64)
    np.minimum.at(firsts, layer, start)
    np.maximum.at(lasts, layer, end)
    return firsts, lasts


def _shares(n: int, layer: Ints, start: Ints, end: Ints, total: int) -> tuple[Ints, int]:
    """Divide each instant among the layers at work; return picoseconds each, and nobody's."""
    owners, starts, ends = _unions(n, layer, start, end)
    marks = np.unique(np.concatenate([starts, ends, np.array([0, total], np.int64)]))
    change = np.zeros(len(marks), np.int64)
    np.add.at(change, np.searchsorted(marks, starts), 1)
    np.add.at(change, np.searchsorted(marks, ends), -1)
    at_work = np.cumsum(change)[:-1]
    lengths = np.diff(marks)
    each = np.where(at_work > 0, lengths / np.maximum(at_work, 1), 0.0)
    passed = np.concatenate([[0.0], np.cumsum(each)])
    parts = passed[np.searchsorted(marks, ends)] - passed[np.searchsorted(marks, starts)]
    shares = np.rint(np.bincount(owners, parts, minlength=n)).astype(np.int64)
    return shares, int(lengths[at_work == 0].sum())


def _unions(n: int, layer: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """Return each layer's times at work as disjoint intervals: owner, start, end."""
    owners: list[Ints] = [np.zeros(0, np.int64)]
    starts, ends = [owners[0]], [owners[0]]
    order = np.lexsort((start, layer))
    cuts = np.searchsorted(layer[order], np.arange(n + 1))
    for i in range(n):
        mine = order[cuts[i] : cuts[i + 1]]
        if not mine.size:
            continue
        reach = np.maximum.accumulate(end[mine])
        first = np.concatenate([[True], start[mine][1:] > reach[:-1]])
        last = np.concatenate([first[1:], [True]])
        starts.append(start[mine][first])
        ends.append(reach[last])
        owners.append(np.full(int(first.sum()), i, np.int64))
    return np.concatenate(owners), np.concatenate(starts), np.concatenate(ends)


def _sums(table: CommandTable, runs: Ints, layer: Ints, n: int) -> dict[str, Ints]:
    """Add up what the commands of each layer did, over all their executions."""
    work = np.array(
        [macs(c) if isinstance(c, (MatMul, Conv)) else 0 for c in table.commands], np.int64
    )
    columns = {
        "commands": np.ones_like(work),
        "macs": work,
        "read": table.dram_read,
        "written": table.dram_written,
        "hops": table.bytes * table.n_links,
        "low": table.energy_fj[:, 0],
        "default": table.energy_fj[:, 1],
        "high": table.energy_fj[:, 2],
    }
    sums = {name: np.zeros(n, np.int64) for name in columns}
    for name, column in columns.items():
        np.add.at(sums[name], layer, column * runs)
    return sums


def _busy(trace: Trace, spans: Ints, layer: Ints, n: int) -> Ints:
    busy = np.zeros((n, len(ENGINES)), np.int64)
    engine = trace.table.engine[trace.command[spans]]
    np.add.at(busy, (layer, engine), trace.end_ps[spans] - trace.start_ps[spans])
    return busy


def _joules(sums: dict[str, Ints], i: int) -> tuple[float, float, float]:
    low, default, high = (float(sums[k][i]) / FJ_PER_J for k in ("low", "default", "high"))
    return low, default, high
