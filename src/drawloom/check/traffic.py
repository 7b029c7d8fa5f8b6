"""Findings about what a whole program reads and writes of DRAM, whatever the order.

An address or a stride that is off leaves bytes out, and takes others twice or from a neighbour.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from drawloom.check.code import Flat
from drawloom.check.coverage import Edges, Runs, runs
from drawloom.check.ends import HOLE
from drawloom.check.findings import Finding
from drawloom.check.parts import fill_writes
from drawloom.check.state import IN_DRAM, Ints
from drawloom.check.telling import place_of
from drawloom.program.program import Program, Region

LINE = 256  # bytes that matrices begin at a multiple of


@dataclass(frozen=True, slots=True, eq=False)
class _Tensor:
    """A stretch of DRAM that belongs together."""

    name: str
    start: int
    stop: int
    is_output: bool
    matrix: int = 0  # bytes of each, where it has several
    held: NDArray[np.uint8] | None = None  # a constant's bytes, where they are at hand
    label: str = ""  # of the region
    is_input: bool = False


def traffic(program: Program, flat: Flat, in_part: Container[str] = ()) -> Iterator[Finding]:
    """Yield what the reads and writes of DRAM, taken together, leave out or do twice; nothing of too many.

    ``in_part`` names tensors of which the model takes a part, or parts more often: which ones is not known here.
    """
    found = runs(flat)
    if found is None or not len(found.start):
        return
    tensors = _tensors(program)
    teller = _Teller(flat, tensors)
    edges = Edges(found, np.array([x for t in tensors for x in (t.start, t.stop)], np.int64))
    reads, writes = found.of(found.writes == 0), found.of(found.writes == 1)
    read = edges.times(reads.start, reads.stop)
    for tensor in tensors:
        if tensor.label not in in_part:
            yield from _of_tensor(teller, edges, reads, read, tensor)
    yield from _across(teller, found)
    yield from _twice(teller, writes)


def _tensors(program: Program) -> list[_Tensor]:
    found = [
        _Tensor(f"{region.kind} '{region.name}'", region.address, region.address + region.bytes,
                region.kind == "output", _matrix(region), label=region.name,
                is_input=region.kind == "input")
        for region in program.regions
        if region.kind in ("input", "constant", "output") and region.bytes
    ]  # fmt: skip
    known = {tensor.start for tensor in found}
    found += [
        _Tensor(
            f"the constant at {address:#x}",
            address,
            address + raw.size,
            False,
            held=raw if isinstance(raw, np.ndarray) else None,
        )
        for address, raw in program.data
        if raw.size and address not in known
    ]
    return sorted(found, key=lambda tensor: tensor.start)


def _matrix(region: Region) -> int:
    """Return the bytes of each matrix of an input that has several, row by row; 0 of any other."""
    if region.kind != "input" or len(region.shape) < 3:
        return 0
    return region.bytes // max(1, prod(region.shape[:-2]))


class _Teller:
    """Puts findings in words."""

    def __init__(self, flat: Flat, tensors: list[_Tensor]) -> None:
        self.flat, self.tensors = flat, tensors
        self.origins = np.array(
            [-1 if command is None else command.origin for command in flat.commands], np.int64
        )

    def finding(self, rule: str, row: int | None, start: int, stop: int, more: str = "") -> Finding:
        """Return a finding about some bytes; of those alike one is kept."""
        where = None if row is None else place_of(self.flat, row)
        alike = (row is not None and (int(self.origins[row]), type(self.flat.commands[row])),)
        detail = f"bytes {start:,} to {stop:,} of DRAM{more}"
        return Finding(rule, where, None, detail, alike, IN_DRAM, start, stop)


def _of_tensor(
    teller: _Teller, edges: Edges, reads: Runs, read: Ints, tensor: _Tensor
) -> Iterator[Finding]:
    """Yield bytes of a tensor that nobody reads, or that are read more often than the rest."""
    mine = (reads.start < tensor.stop) & (reads.stop > tensor.start)
    if not mine.any() or tensor.is_output:
        return  # an input that is not used, or an output: its place may hold anything before
    inside = edges.within(tensor.start, tensor.stop)
    gaps = edges.stretches(inside & (read == 0))
    for start, stop in [gap for gap in gaps if not _only_pads(tensor, *gap)][:1]:
        before = np.flatnonzero(mine & (reads.stop <= start))
        after = np.flatnonzero(mine & (reads.start >= stop))
        near = before[np.argmax(reads.stop[before])] if len(before) else after[0]
        more = f", of {tensor.name}, which is read up to there or from there on"
        yield teller.finding("unread", int(reads.row[near]), start, stop, more)
    origins = teller.origins[reads.row]
    for origin in np.unique(origins[mine]).tolist():
        chosen = reads.of(mine & (origins == origin) & (reads.exact == 1))
        # A loop over layers reads a layer's share of a tensor in each turn; one within a layer may
        # read all of it in all of its turns, and turn more often on some tiles than on others.
        uneven = _uneven(edges, tensor, inside, _first_turn(chosen))
        if uneven and _uneven(edges, tensor, inside, chosen):
            start, stop, most, least = uneven
            row = int(chosen.row[np.flatnonzero((chosen.start < stop) & (chosen.stop > start))[-1]])
            more = f", of {tensor.name}, are read {most} times, others {least}"
            yield teller.finding("uneven", row, start, stop, more)


def _first_turn(chosen: Runs) -> Runs:
    return chosen.of(chosen.turn == chosen.turn.min()) if len(chosen.turn) else chosen


def _uneven(
    edges: Edges, tensor: _Tensor, inside: NDArray[np.bool_], chosen: Runs
) -> tuple[int, int, int, int] | None:
    """Return bytes that are read more often than others, how often these and those are; None where that is right."""
    stops = _without_pads(chosen)
    times = edges.times(chosen.start, stops)
    often = times[(times > 0) & inside]
    is_dealt = not tensor.is_input or len(np.unique(often)) <= 2
    if not len(often) or (is_dealt and _is_by_blocks(edges, chosen.start, stops, times)):
        return None
    if _is_even(tensor, edges.at[(times > 0) & inside], often):
        return None
    start, stop = next(edges.stretches(times == often.max()))
    return start, stop, int(often.max()), int(often.min())


def _only_pads(tensor: _Tensor, start: int, stop: int) -> bool:
    """Whether bytes of a constant stand between its matrices, or behind a row: zeros, less than a line."""
    if tensor.held is None or stop - start >= LINE:
        return False
    return not tensor.held[start - tensor.start : stop - tensor.start].any()


def _without_pads(runs: Runs) -> Ints:
    """Return where runs end, but for the first bytes of a next row that they take along to fill a block."""
    starts = np.unique(runs.start)
    after = np.searchsorted(starts, runs.start, side="right")
    following = starts[np.minimum(after, len(starts) - 1)] if len(starts) else runs.start
    is_pad = (following > runs.start) & (following < runs.stop) & (runs.stop - following < HOLE)
    return np.where(is_pad, following, runs.stop)


def _is_even(tensor: _Tensor, at: Ints, times: Ints) -> bool:
    """Whether all of a tensor is read as often; or in each matrix nothing more often than what lies before it.

    What sees no further than itself, as causal attention does, reads the first rows most often.
    """
    if times.min() == times.max():
        return True
    rises = np.flatnonzero(times[1:] > times[:-1]) + 1
    return bool(tensor.matrix and ((at[rises] - tensor.start) % tensor.matrix == 0).all())


def _is_by_blocks(edges: Edges, start: Ints, stop: Ints, times: Ints) -> bool:
    """Whether some blocks of a tensor are read more often than all others, each by runs that cover it.

    So it is where the columns of a product are dealt out to groups of tiles of several sizes.
    """
    changes = np.concatenate(([0], np.cumsum(times[1:] != times[:-1])))
    first, last = np.searchsorted(edges.at, start), np.searchsorted(edges.at, stop) - 1
    return bool((changes[first] == changes[last]).all())


def _across(teller: _Teller, found: Runs) -> Iterator[Finding]:
    """Yield commands that touch two tensors that are given, or one and what is none.

    The place of an output may hold other things before.
    """
    given = [tensor for tensor in teller.tensors if not tensor.is_output]
    if not given:
        return
    starts = np.array([tensor.start for tensor in given])
    stops = np.array([tensor.stop for tensor in given])
    at = np.searchsorted(starts, found.start, side="right") - 1
    inside = (at >= 0) & (found.start < stops[at])
    owner = np.where(inside, at, -1 - at)
    bound = np.where(inside, stops[at], np.append(starts, np.iinfo(np.int64).max)[at + 1])
    beyond = found.stop > bound
    for k in np.flatnonzero(beyond & (found.exact == 1))[:1]:
        row, start, stop = (int(of[k]) for of in (found.row, found.start, found.stop))
        yield teller.finding("across", row, start, stop, _names(teller, start, stop))
    which = np.column_stack([found.row, found.span, found.turn])
    order = np.lexsort(which.T[::-1])
    which = which[order]
    same = (which[1:] == which[:-1]).all(axis=1) & (found.exact[order][1:] == 1)
    for k in np.flatnonzero(same & (owner[order][1:] != owner[order][:-1]))[:1]:
        one, two = int(order[k]), int(order[k + 1])
        low, high = sorted((one, two), key=lambda i: int(found.start[i]))
        start, stop = int(found.start[low]), int(found.stop[high])
        yield teller.finding(
            "across", int(found.row[one]), start, stop, _names(teller, start, stop)
        )


def _names(teller: _Teller, start: int, stop: int) -> str:
    met = [tensor.name for tensor in teller.tensors if tensor.start < stop and tensor.stop > start]
    return f": {' and '.join(met[:3])}{'' if len(met) > 1 else ' and what is none'}"


def _twice(teller: _Teller, writes: Runs) -> Iterator[Finding]:
    """Yield bytes that one piece of work writes twice."""
    # What a fill made lies under what comes over it.
    exact = writes.of((writes.exact == 1) & ~np.isin(writes.row, fill_writes(teller.flat)))
    group = np.column_stack([teller.origins[exact.row], exact.turn])
    order = np.lexsort((exact.start, group[:, 1], group[:, 0]))
    group, exact = group[order], exact.of(order)
    met = (group[1:] == group[:-1]).all(axis=1) & (exact.start[1:] < exact.stop[:-1])
    met &= exact.row[1:] != exact.row[:-1]
    for k in np.flatnonzero(met)[:1]:
        start = int(exact.start[k + 1])
        stop = int(min(exact.stop[k], exact.stop[k + 1]))
        one = teller.finding("twice", int(exact.row[k + 1]), start, stop)
        yield replace(one, other=place_of(teller.flat, int(exact.row[k])))
