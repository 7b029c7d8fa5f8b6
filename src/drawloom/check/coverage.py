"""Every run of DRAM that a program touches, whatever the order, and how often each byte is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.check.code import Code, Flat
from drawloom.check.memory import moved_by
from drawloom.check.state import Ints
from drawloom.check.templates import (
    ADDRESS,
    COUNT0,
    COUNT1,
    COUNT2,
    DRAM,
    END,
    EXACT,
    HULL,
    INNER,
    LOW,
    SPACE,
    STRIDE0,
    STRIDE1,
    STRIDE2,
    WRITES,
)

MOST_RUNS = 1 << 22  # beyond, these rules are not looked at


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Runs of DRAM that commands touch, one each.

    Attributes:
        start: first byte, and ``stop`` the one behind the last.
        row: the command.
        turn: of the outermost loop around it.
        writes: whether it is written.
        exact: whether all its bytes are touched.
        span: which of the command's spans it belongs to.
    """

    start: Ints
    stop: Ints
    row: Ints
    turn: Ints
    writes: Ints
    exact: Ints
    span: Ints

    def of(self, which: NDArray[Any]) -> Runs:
        """Return some of them."""
        return Runs(
            self.start[which],
            self.stop[which],
            self.row[which],
            self.turn[which],
            self.writes[which],
            self.exact[which],
            self.span[which],
        )


def runs(flat: Flat) -> Runs | None:
    """Return all runs of DRAM that a program touches; None of too many."""
    code = flat.code
    groups: dict[tuple[int, ...], list[int]] = {}
    rows = np.flatnonzero(code.rows[:, 0] > END)
    kinds = np.column_stack((code.rows[rows, 1], flat.counts[rows]))
    for row, kind in zip(rows.tolist(), kinds.tolist(), strict=True):
        groups.setdefault(tuple(kind), []).append(row)
    found: list[Ints] = []
    total = 0
    for (which, *nest), alike in groups.items():
        for number, span in enumerate(flat.templates[which].spans):
            if span[SPACE] == DRAM and span[HULL]:
                n = span[COUNT0] * span[COUNT1] * span[COUNT2] * len(alike) * int(np.prod(nest))
                total += n
                if total > MOST_RUNS:
                    return None
                table = _expanded(code, span, np.array(alike, np.int64), nest)
                found.append(np.column_stack([table, np.full(len(table), number)]))
    table = np.concatenate(found) if found else np.zeros((0, 7), np.int64)
    return Runs(*table.T)


def _expanded(code: Code, span: tuple[int, ...], rows: Ints, nest: list[int]) -> Ints:
    """Return the runs of one span of some commands, in all turns."""
    index = np.indices(nest).reshape(len(nest), -1)
    bases, strides = moved_by(code, rows, span[ADDRESS])
    starts = bases[:, None] + strides @ index
    # Rows that reach into the next ones are wider than a row: the rest only pads what they become.
    steps = [s for n, s in ((span[COUNT0], span[STRIDE0]), (span[COUNT1], span[STRIDE1]),
                            (span[COUNT2], span[STRIDE2])) if n > 1 and s > 0]  # fmt: skip
    inner = min([span[INNER], *steps])
    offsets = sum(
        stride * np.arange(count).reshape([-1 if k == level else 1 for k in range(3)])
        for level, (count, stride) in enumerate(
            (
                (span[COUNT0], span[STRIDE0]),
                (span[COUNT1], span[STRIDE1]),
                (span[COUNT2], span[STRIDE2]),
            )
        )
    )
    start = (starts[:, :, None] + span[LOW] + np.asarray(offsets).reshape(-1)).reshape(-1)
    n = start.size // starts.size
    return np.column_stack(
        [
            start,
            start + inner,
            np.repeat(rows, starts.shape[1] * n),
            np.tile(np.repeat(index[0], n), len(rows)),
            np.full(start.size, span[WRITES]),
            np.full(start.size, span[EXACT]),
        ]
    )


class Edges:
    """DRAM cut wherever a run, or one of some tensors, begins or ends; all else is said piece by piece."""

    def __init__(self, runs: Runs, more: Ints) -> None:
        """Cut at runs and at more places."""
        self.at: Ints = np.unique(np.concatenate([runs.start, runs.stop, more]))

    def times(self, start: Ints, stop: Ints) -> Ints:
        """Return how many of some ranges hold each piece; the last piece is empty."""
        change = np.zeros(len(self.at), np.int64)
        np.add.at(change, np.searchsorted(self.at, start), 1)
        np.add.at(change, np.searchsorted(self.at, stop), -1)
        return np.cumsum(change)

    def within(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which pieces lie in a range."""
        return (self.at >= start) & (self.at < stop)

    def stretches(self, chosen: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
        """Yield the ranges that some pieces make up."""
        ends = np.flatnonzero(np.diff(np.concatenate(([0], chosen.astype(np.int64), [0]))))
        for first, behind in ends.reshape(-1, 2).tolist():
            yield int(self.at[first]), int(self.at[behind])
