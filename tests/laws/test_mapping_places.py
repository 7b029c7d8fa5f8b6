"""Where values lie: copies move every element once, boxes cover once, nothing alive overlaps."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drawloom.chip.files import load_chip
from drawloom.graph.dtypes import DType
from drawloom.mapping.layout.affine import copy_runs, places
from drawloom.mapping.layout.dram import Need, allocate
from drawloom.mapping.layout.storage import Storage, Transfer, matrix_view, split
from drawloom.mapping.pieces import CopyRun

TX81 = load_chip("tx81")
ALIGN = max(TX81.dram.align, TX81.blocking.align)
DTYPES = (DType.I8, DType.F16, DType.F32)
WIDTHS = (1, 3, 4, 5, 8, 16, 17, 31, 33, 63, 64, 65, 100, 127, 128, 129, 200)


@st.composite
def storages(draw: st.DrawFn, shape: tuple[int, ...], dtype: DType) -> Storage:
    legal = ["dense"] + (["rows"] if len(shape) > 1 else []) + (["image"] if len(shape) > 2 else [])
    return Storage("x", dtype, shape, draw(st.sampled_from(legal)), TX81.blocking, 0)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, ...]:
    rank = draw(st.integers(1, 4))
    shape = draw(st.lists(st.integers(1, 6), min_size=rank, max_size=rank))
    shape[draw(st.integers(0, rank - 1))] = draw(st.sampled_from(WIDTHS))
    return tuple(shape)


def expanded(run: CopyRun) -> list[tuple[int, int]]:
    """The byte pairs (source, target) a run goes through."""
    steps = [[(i * atom.src, i * atom.dst) for i in range(atom.count)] for atom in run.atoms]
    return [
        (run.src + sum(s for s, _ in each), run.dst + sum(d for _, d in each))
        for each in itertools.product(*steps)
    ]


@given(st.data(), shapes(), st.sampled_from(DTYPES))
def test_copy_runs_are_exactly_the_element_map(
    data: st.DataObject, shape: tuple[int, ...], dtype: DType
) -> None:
    size = math.prod(shape)
    numbers = np.arange(size).reshape(shape)
    perm = data.draw(st.permutations(range(len(shape))))
    taken = numbers.transpose(perm)
    axis = data.draw(st.integers(0, len(shape) - 1))
    step = data.draw(st.sampled_from((1, 2, -1)))
    taken = np.take(taken, range(taken.shape[axis])[::step], axis=axis)
    if data.draw(st.booleans()):  # some elements come from nowhere
        taken = np.where(taken % data.draw(st.integers(2, 5)) == 0, -1, taken)
    source = data.draw(storages(shape, dtype))
    target = replace(data.draw(storages(taken.shape, dtype)), value="y")
    found = [pair for run in copy_runs(source, target, taken) for pair in expanded(run)]
    from_place, to_place = places(source) * dtype.bytes, places(target) * dtype.bytes
    flat = taken.reshape(-1)
    wanted = [(int(from_place[n]), int(to_place[i])) for i, n in enumerate(flat) if n >= 0]
    assert sorted(found) == sorted(wanted)


@given(st.data(), st.integers(0, 999))
def test_random_element_maps_survive_folding(data: st.DataObject, seed: int) -> None:
    count = data.draw(st.integers(1, 60))
    taken = np.random.default_rng(seed).integers(-1, count, count)
    source = Storage("x", DType.F16, (count,), "dense", TX81.blocking, 0)
    runs = copy_runs(source, replace(source, value="y"), taken)
    found = sorted(pair for run in runs for pair in expanded(run))
    assert found == sorted((2 * int(n), 2 * i) for i, n in enumerate(taken) if n >= 0)


def covered(transfers: tuple[Transfer, ...]) -> tuple[list[int], list[int]]:
    """The bytes touched in DRAM and in the buffer, in the order in which they are moved."""
    dram: list[int] = []
    spm: list[int] = []
    for t in transfers:
        levels = [[stride * i for i in range(count)] for stride, count in t.dims]
        starts = [t.dram + sum(each) for each in itertools.product(*levels)]
        dram += [start + i for start in starts for i in range(t.inner)]
        spm += range(t.offset, t.offset + t.bytes)
    return dram, spm


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Storage, int, tuple[int, int], tuple[int, int]]:
    """A storage and a box in it: matrix, rows, channels (from a block to a block or the end)."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 12)), draw(st.sampled_from(WIDTHS)))
    layout = draw(st.sampled_from(("rows", "image", "dense")))
    storage = Storage("x", dtype, shape, layout, TX81.blocking, 512)
    if not storage.boxable:
        storage = replace(storage, layout="rows")
    batch, rows, channels = matrix_view(shape, storage.layout)
    first = draw(st.integers(0, rows - 1))
    cuts = [*range(0, channels, storage.blocking.of(dtype.bytes)), channels]
    low = draw(st.integers(0, len(cuts) - 2))
    high = draw(st.integers(low + 1, len(cuts) - 1))
    last = draw(st.integers(first + 1, rows))
    return storage, draw(st.integers(0, batch - 1)), (first, last), (cuts[low], cuts[high])


def box_bytes(
    storage: Storage, batch: int, rows: tuple[int, int], channels: tuple[int, int]
) -> list[int]:
    """The bytes of a box, element by element, with the padding of a tail where it is stored."""
    blocked = storage.blocked
    size, end = blocked.element, channels[1]
    if end == blocked.channels:
        end = blocked.full * blocked.block + blocked.tail
    out: list[int] = []
    for c in range(channels[0], end):
        for r in range(*rows):
            if storage.layout == "dense":
                at = ((batch * blocked.rows + r) * blocked.channels + c) * size
            else:
                block = min(c // blocked.block, blocked.full)
                width = blocked.block if block < blocked.full else blocked.tail
                inside = c - block * blocked.block
                at = batch * blocked.step + size * (
                    block * blocked.rows * blocked.block + r * width + inside
                )
            out += range(storage.address + at, storage.address + at + size)
    return out


@given(boxes())
def test_a_box_covers_its_elements_once_and_is_compact(
    box: tuple[Storage, int, tuple[int, int], tuple[int, int]],
) -> None:
    storage, batch, rows, channels = box
    dram, spm = covered(storage.box(batch, rows, channels))
    if storage.layout == "dense":
        # Padding is whatever stands behind a row, but never what stands behind the value.
        assert min(dram) >= storage.address
        assert max(dram) < storage.address + storage.bytes
        taken = dict(zip(spm, dram, strict=True))
        assert len(taken) == len(spm)
        wanted = elements(storage, batch, rows, channels)
        assert {at: taken[at] for at in wanted} == wanted
        return
    assert sorted(dram) == sorted(box_bytes(storage, batch, rows, channels))
    assert spm == list(range(len(spm)))


@given(boxes())
def test_what_is_written_to_a_box_is_its_elements_and_no_padding(
    box: tuple[Storage, int, tuple[int, int], tuple[int, int]],
) -> None:
    storage, batch, rows, channels = box
    if storage.layout != "dense":
        assert storage.target(batch, rows, channels) == storage.box(batch, rows, channels)
        return
    put: dict[int, int] = {}
    for t in storage.target(batch, rows, channels):
        dram, spm = covered((t,))
        if t.pitch:
            spm = [t.offset + i // t.row * t.pitch + i % t.row for i in range(t.bytes)]
        put.update(zip(spm, dram, strict=True))
    assert put == elements(storage, batch, rows, channels)


def elements(
    storage: Storage, batch: int, rows: tuple[int, int], channels: tuple[int, int]
) -> dict[int, int]:
    """Where each byte of a box stands in its buffer, and where in a dense storage."""
    blocked, size = storage.blocked, storage.dtype.bytes
    n_rows, found = rows[1] - rows[0], dict[int, int]()
    for c in range(*channels):
        block = min(c // blocked.block, blocked.full)
        width = blocked.block if block < blocked.full else blocked.tail
        before = (block * blocked.block - channels[0]) * n_rows
        for r in range(n_rows):
            at = (before + r * width + c - block * blocked.block) * size
            place = (batch * blocked.rows + rows[0] + r) * blocked.channels + c
            found |= {at + i: storage.address + place * size + i for i in range(size)}
    return found


@given(boxes(), st.integers(1, 16))
def test_the_parts_of_a_split_are_the_whole(
    box: tuple[Storage, int, tuple[int, int], tuple[int, int]], n_parts: int
) -> None:
    storage, batch, rows, channels = box
    whole = storage.box(batch, rows, channels)
    parts = split(whole, n_parts)
    assert len(parts) == n_parts
    pieces = tuple(t for part in parts for t in part)
    assert all(t.bytes > 0 for t in pieces)
    # Each byte of the buffer comes from the same byte of DRAM as before.
    assert sorted(zip(*covered(pieces), strict=True)) == sorted(zip(*covered(whole), strict=True))


@given(
    st.lists(
        st.tuples(st.integers(0, 5000), st.integers(-1, 12), st.integers(0, 12)),
        min_size=1,
        max_size=25,
    )
)
def test_nothing_alive_at_the_same_time_shares_bytes(rows: list[tuple[int, int, int]]) -> None:
    needs = [Need(f"v{i}", size, at, at + more) for i, (size, at, more) in enumerate(rows)]
    placed, total = allocate(needs, TX81)
    assert placed.keys() == {need.key for need in needs}
    for need in needs:
        assert placed[need.key] % ALIGN == 0
        assert 0 <= placed[need.key] <= placed[need.key] + need.bytes <= total
    for a, b in itertools.combinations(needs, 2):
        together = a.first <= b.last and b.first <= a.last
        at, bt = placed[a.key], placed[b.key]
        apart = at + a.bytes <= bt or bt + b.bytes <= at
        assert apart or not together, (a, at, b, bt)
