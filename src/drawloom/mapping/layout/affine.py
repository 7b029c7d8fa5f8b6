"""Rearrangements found by looking: which element goes where, folded into strided runs.

Any operator that only moves elements (transpose, slice, expand, reshape, concat, pad,
tile, a change of layout) is run once on the element numbers themselves; comparing where
each number lies before and after gives the copy, and even steps fold into strided levels.
No operator needs code of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.pieces import Atom, CopyRun

Index = NDArray[np.int64]


def physical(storage: Storage) -> Index:
    """Return the element number (row-major) at each place of a storage, -1 for padding."""
    count = int(np.prod(storage.shape, dtype=np.int64))
    numbers = np.arange(1, count + 1, dtype=np.int64)  # zero is padding
    if storage.layout == "dense":
        return numbers - 1
    blocked = storage.blocked
    if storage.layout == "image":
        moved = numbers.reshape(blocked.batch, blocked.channels, blocked.rows).swapaxes(1, 2)
    elif storage.layout == "heads":
        heads = numbers.reshape(storage.shape).swapaxes(1, 2)
        moved = heads.reshape(blocked.batch, blocked.rows, blocked.channels)
    else:
        moved = numbers.reshape(blocked.batch, blocked.rows, blocked.channels)
    # Eight-byte numbers stand in for the elements: lay them out as the real element size would be.
    return _lay_out(storage, moved) - 1


def _lay_out(storage: Storage, numbers: Index) -> Index:
    blocked = storage.blocked
    element = storage.dtype.bytes
    step = blocked.step // element
    out = np.zeros(blocked.bytes // element, np.int64)
    split = blocked.full * blocked.block
    for index in range(blocked.batch):
        base = index * step
        head = (
            numbers[index, :, :split]
            .reshape(blocked.rows, blocked.full, blocked.block)
            .swapaxes(0, 1)
        )
        out[base : base + head.size] = head.reshape(-1)
        if blocked.tail:
            rest = np.zeros((blocked.rows, blocked.tail), np.int64)
            rest[:, : blocked.rest] = numbers[index, :, split:]
            out[base + head.size : base + head.size + rest.size] = rest.reshape(-1)
    return out


def places(storage: Storage) -> Index:
    """Return the place (in elements) of each element number."""
    held = physical(storage)
    out = np.empty(int(np.prod(storage.shape, dtype=np.int64)), np.int64)
    inside = held >= 0
    out[held[inside]] = np.nonzero(inside)[0]
    return out


def copy_runs(source: Storage, target: Storage, taken: Index) -> tuple[CopyRun, ...]:
    """Return the runs that fill ``target``: element i of it comes from element ``taken[i]`` (or -1: none)."""
    size = source.dtype.bytes
    held = physical(target)
    where = np.nonzero(held >= 0)[0]
    number = taken.reshape(-1)[held[where]]
    wanted = number >= 0
    src = places(source)[number[wanted]] * size
    dst = where[wanted] * size
    return tuple(
        CopyRun(source, target, src_at, dst_at, atoms) for src_at, dst_at, atoms in fold(src, dst)
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """Items alike in all but where they start."""

    src: Index
    dst: Index
    atoms: tuple[Atom, ...]


def fold(src: Index, dst: Index) -> list[tuple[int, int, tuple[Atom, ...]]]:
    """Fold pairs of addresses into (source, target, levels outermost first)."""
    groups = [_Group(src, dst, ())]
    done: list[_Group] = []
    while groups:
        group = groups.pop()
        if len(group.src) == 1:
            done.append(group)
            continue
        folded = _fold_once(group)
        if sum(len(g.src) for g in folded) == len(group.src):
            done.append(group)
        else:
            groups += folded
    return [
        (int(s), int(d), group.atoms)
        for group in reversed(done)
        for s, d in zip(group.src, group.dst, strict=True)
    ]


def _fold_once(group: _Group) -> list[_Group]:
    """Fold the longest even runs; runs of each (length, strides) become a group."""
    step_src, step_dst = np.diff(group.src), np.diff(group.dst)
    changes = np.nonzero((step_src[1:] != step_src[:-1]) | (step_dst[1:] != step_dst[:-1]))[0] + 1
    starts, lengths = _segments(len(group.src), changes)
    kinds: dict[tuple[int, int, int], list[int]] = {}
    for start, length in zip(starts, lengths, strict=True):
        key = (length, int(step_src[start]), int(step_dst[start])) if length > 1 else (1, 0, 0)
        kinds.setdefault(key, []).append(start)
    out: list[_Group] = []
    for (length, by_src, by_dst), at in kinds.items():
        atoms = (Atom(length, by_src, by_dst), *group.atoms) if length > 1 else group.atoms
        out.append(_Group(group.src[at], group.dst[at], atoms))
    return out


def _segments(count: int, changes: Index) -> tuple[list[int], list[int]]:
    """Cut ``count`` items where the step changes: a run takes its last item from the step before the change."""
    starts: list[int] = []
    lengths: list[int] = []
    at = 0
    marks = [*changes.tolist(), count - 1]
    next_mark = 0
    while at < count:
        while next_mark < len(marks) and marks[next_mark] <= at:
            next_mark += 1
        stop = marks[next_mark] if next_mark < len(marks) else at
        starts.append(at)
        lengths.append(stop - at + 1)
        at = stop + 1
    return starts, lengths
