"""Where a value lies in DRAM, and which runs of bytes a box of it is made of.

Layouts:
    dense    row-major, as the host sees it
    rows     channel-blocked on the last axis: batch = all but the last two axes
    heads    (entry, head, row, feature) as ``rows`` of all entries, the heads' features side by side
    turned   (entry, head, row, feature) as the host sees it, written as rows of the heads side by side
    image    channel-blocked on axis 1: batch = axis 0, rows = the spatial axes
    weights  convolution weights: rows = taps x output channels, channels = input channels
    depthwise  depthwise weights: rows = taps, channels = channels
    channel  one value per channel, block by block, the tail repeated to a whole block
    codes    weights as codes of a byte (or two of half a byte), in the blocks of what they become
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from drawloom.chip.layout import Blocked
from drawloom.chip.model import Blocking
from drawloom.graph.dtypes import DType
from drawloom.units import align_up

Dims = tuple[tuple[int, int], ...]
DECODED_BYTES = 2  # of the floats that codes become


@dataclass(frozen=True, slots=True)
class Transfer:
    """One strided DRAM access that is compact at ``offset`` in its scratchpad buffer."""

    dram: int
    inner: int
    dims: Dims
    offset: int
    local: bool = False  # ``dram`` is an address of the tile's own scratchpad
    # Where it is picked by index: address of the number, bytes a number, how many there may be.
    pick: tuple[int, int, int] | None = None
    # Of what is written from a buffer that is not compact: bytes of a row, and from row to row.
    row: int = 0
    pitch: int = 0

    @property
    def bytes(self) -> int:
        """Bytes moved."""
        return self.inner * prod(n for _, n in self.dims)


@dataclass(frozen=True, slots=True)
class Storage:
    """A value (or one copy of it) in DRAM."""

    value: str
    dtype: DType
    shape: tuple[int, ...]
    layout: str
    blocking: Blocking
    address: int = -1
    kind: str = "temporary"  # or input, output, constant, resident
    step: int = 0  # bytes from one repetition's to the next one's, in a piece that repeats
    per_tile: int = 0  # matrices each tile holds of a resident value, at a scratchpad address
    held_rows: int = 0  # rows each tile holds where tiles share one resident matrix
    halo: int = 0  # rows of its neighbours that a tile has room for, above its own and below
    everywhere: bool = False  # each tile holds all of a resident value, of which it makes a part

    @property
    def blocked(self) -> Blocked:
        """Geometry of a blocked layout (``rows``, ``image`` or ``weights``)."""
        batch, rows, channels = matrix_view(self.shape, self.layout)
        unit = DECODED_BYTES if self.layout == "codes" else 0
        return Blocked(self.blocking, batch, rows, channels, self.dtype.bytes, unit)

    @property
    def bytes(self) -> int:
        """Bytes in DRAM."""
        if self.layout in ("dense", "turned"):
            return prod(self.shape) * self.dtype.bytes
        if self.layout == "channel":
            block = self.blocking.of(self.dtype.bytes)
            return align_up(prod(self.shape), block) * self.dtype.bytes
        return self.blocked.bytes

    @property
    def held_bytes(self) -> int:
        """Bytes in each tile's scratchpad of a resident value."""
        rows = self.held_rows + 2 * self.halo if self.held_rows else self.blocked.rows
        return replace(self.blocked, batch=self.per_tile, rows=rows).bytes

    @property
    def matrices(self) -> int:
        """How many matrices there are boxes of."""
        return prod(self.shape[:-2]) if self.layout == "heads" else self.blocked.batch

    @property
    def held(self) -> Blocked:
        """Geometry of the rows of a shared resident matrix that a tile has room for."""
        return replace(self.blocked, batch=1, rows=self.held_rows + 2 * self.halo)

    def box(
        self, batch: int, rows: tuple[int, int], channels: tuple[int, int]
    ) -> tuple[Transfer, ...]:
        """Transfers that gather rows x channels of one matrix into a compact blocked buffer.

        ``channels`` starts at a block and ends at a block or at the last channel. A dense storage is
        blocked on the way, a run a row and block; of it a box may also be a tail's width of one block.
        """
        if self.layout == "heads":
            entry, head = divmod(batch, self.shape[1])
            first, before = entry * self.shape[2] + rows[0], head * self.shape[3]
            width = before + channels[0], before + channels[1]
            return blocked_box(
                self.blocked, self.address, 0, ((first, 1),), rows[1] - rows[0], width
            )
        if self.layout == "dense":
            return self._dense_box(batch, rows, channels)
        if self.layout == "turned":
            return self._turned_box(batch, rows, channels)
        if self.held_rows:
            own = rows[0] // self.held_rows * self.held_rows
            assert rows[1] <= own + self.held_rows, (self.value, rows)
            return self.around(own, rows, channels)
        # Every tile holds resident matrices of its own, counted from its first.
        at = batch % self.per_tile if self.per_tile else batch
        found = blocked_box(
            self.blocked, self.address, at, ((rows[0], 1),), rows[1] - rows[0], channels
        )
        return tuple(replace(t, local=True) for t in found) if self.per_tile else found

    def worked(
        self, batch: int, rows: tuple[int, int], channels: tuple[int, int], *, into: bool = False
    ) -> tuple[Transfer, ...]:
        """Transfers between a box and the buffer of a body, which has codes in the blocks of numbers."""
        found = (self.target if into else self.box)(batch, rows, channels)
        if self.layout != "image" or self.dtype.bytes > 1:
            return found
        n_rows, block, half = rows[1] - rows[0], self.blocking.of(1), self.blocking.of(2)
        out: list[Transfer] = []
        for t in found:
            blocks = t.bytes // (n_rows * block)
            if t.bytes % (n_rows * block) or not blocks:
                out.append(t)  # a tail is no wider than half a block
                continue
            step = t.dims[0][0] if t.dims else n_rows * block
            dims = ((step, blocks), (half, block // half), (block, n_rows))
            out.append(replace(t, inner=half, dims=tuple(d for d in dims if d[1] > 1)))
        return tuple(out)

    def around(
        self, own: int, rows: tuple[int, int], channels: tuple[int, int]
    ) -> tuple[Transfer, ...]:
        """Local transfers of rows that a tile holds whose own begin at ``own``, its halo included."""
        first, held = self.halo + rows[0] - own, self.held
        assert first >= 0, (self.value, rows)
        assert rows[1] - rows[0] <= held.rows - first, (self.value, rows)
        found = blocked_box(held, self.address, 0, ((first, 1),), rows[1] - rows[0], channels)
        return tuple(replace(t, local=True) for t in found)

    def picked(self, found: tuple[Transfer, ...], number: int) -> tuple[Transfer, ...]:
        """Return transfers of the first matrix as those of the one whose number stands at ``number``."""
        pick = number, self.blocked.step, self.blocked.batch
        return tuple(replace(t, pick=pick) for t in found)

    @property
    def boxable(self) -> bool:
        """Whether boxes of rows can be cut from it: blocked, or dense of a size that engines know."""
        if self.layout != "dense":
            return self.layout in ("rows", "heads", "image")
        return len(self.shape) >= 2 and self.dtype.bytes in (1, 2, 4)

    def target(
        self, batch: int, rows: tuple[int, int], channels: tuple[int, int]
    ) -> tuple[Transfer, ...]:
        """Transfers that write a compact blocked buffer to its box; see ``box``.

        Where the rows of a dense storage end in a part of a block, the padding of the buffer is
        left out: such a transfer has a ``pitch``.
        """
        blocked, size = self.blocked, self.dtype.bytes
        padded = self.layout == "dense" and blocked.rest not in (0, blocked.tail)
        if not padded or channels[1] <= blocked.full * blocked.block:
            return self.box(batch, rows, channels)
        n_rows, width = rows[1] - rows[0], blocked.full * blocked.block
        found: list[Transfer] = []
        if channels[0] < width:
            found += self._dense_box(batch, rows, (channels[0], width))
        line, done = blocked.channels * size, sum(t.bytes for t in found)
        at = self.address + (batch * blocked.rows + rows[0]) * line + width * size
        tail = _run(at, blocked.rest * size, ((line, n_rows),), done)
        return (*found, replace(tail, row=blocked.rest * size, pitch=blocked.tail * size))

    def _dense_box(
        self, batch: int, rows: tuple[int, int], channels: tuple[int, int]
    ) -> tuple[Transfer, ...]:
        blocked, size = self.blocked, self.dtype.bytes
        line, width, n_rows = blocked.channels * size, blocked.block * size, rows[1] - rows[0]
        start = self.address + (batch * blocked.rows + rows[0]) * line
        end, part = blocked.full * blocked.block, (channels[1] - channels[0]) * size
        if channels[1] <= end and part < width:
            return (_run(start + channels[0] * size, part, ((line, n_rows),), 0),)
        full = (min(channels[1], end) - channels[0]) // blocked.block
        out: list[Transfer] = []
        if full:
            out.append(_run(start + channels[0] * size, width, ((width, full), (line, n_rows)), 0))
        if channels[1] > blocked.full * blocked.block:
            at = start + blocked.full * width
            out += self._tail(at, line, n_rows, full * width * n_rows)
        return tuple(out)

    def _turned_box(
        self, entry: int, rows: tuple[int, int], channels: tuple[int, int]
    ) -> tuple[Transfer, ...]:
        """Transfers of whole blocks of channels, each of one head: a run a row."""
        _, heads, n_rows, features = self.shape
        size, block, high = self.dtype.bytes, self.blocked.block, rows[1] - rows[0]
        out: list[Transfer] = []
        for at, first in enumerate(range(*channels, block)):
            head, inside = divmod(first, features)
            start = (((entry * heads + head) * n_rows + rows[0]) * features + inside) * size
            dims = ((features * size, high),)
            out.append(_run(self.address + start, block * size, dims, at * high * block * size))
        return tuple(out)

    def _tail(self, at: int, line: int, n_rows: int, offset: int) -> list[Transfer]:
        """Transfers of the last, partial block of rows that start at ``at``.

        Where it needs padding, what follows in DRAM is read in its place, which nobody looks at:
        the start of the next row, and nothing behind the last one.
        """
        blocked, size = self.blocked, self.dtype.bytes
        rest, tail = blocked.rest * size, blocked.tail * size
        if rest == tail:
            return [_run(at, rest, ((line, n_rows),), offset)]
        # Rows that have as many bytes behind them.
        inside = (self.address + self.bytes - tail - at) // line + 1
        inside = max(0, min(n_rows, inside))
        found = [_levels(at, tail, line, inside, offset)] if inside else []
        return found + [
            Transfer(at + row * line, rest, (), offset + row * tail)
            for row in range(inside, n_rows)
        ]

    def taps(
        self, n_taps: int, outs: tuple[int, int], channels: tuple[int, int]
    ) -> tuple[Transfer, ...]:
        """Transfers that gather output channels ``outs`` of every tap of ``weights``."""
        per_tap = self.blocked.rows // n_taps
        return blocked_box(
            self.blocked,
            self.address,
            0,
            ((outs[0], n_taps), (per_tap, 0)),
            outs[1] - outs[0],
            channels,
        )


def matrix_view(shape: tuple[int, ...], layout: str) -> tuple[int, int, int]:
    """Return (batch, rows, channels) of a tensor in a blocked layout."""
    if layout == "image":
        return shape[0], prod(shape[2:]), shape[1]
    if layout == "heads":
        entries, heads, rows, features = shape
        return 1, entries * rows, heads * features
    if layout == "turned":
        entries, heads, rows, features = shape
        return entries, rows, heads * features
    if layout == "weights":
        out_channels, channels, *kernel = shape
        return 1, prod(kernel) * out_channels, channels
    if layout == "depthwise":
        return 1, prod(shape[2:]), shape[0]
    padded = (1,) * (2 - len(shape)) + shape
    return prod(padded[:-2]), padded[-2], padded[-1]


def blocked_box(
    blocked: Blocked,
    base: int,
    batch: int,
    runs: tuple[tuple[int, int], ...],
    n_rows: int,
    channels: tuple[int, int],
) -> tuple[Transfer, ...]:
    """Transfers for ``n_rows`` rows from ``runs[0][0]``, repeated ``runs[0][1]`` times every ``runs[1][0]`` rows."""
    first, repeats = runs[0]
    every = runs[1][0] if len(runs) > 1 else 0
    element, block = blocked.element, blocked.block
    assert channels[0] % block == 0, channels
    full = (min(channels[1], blocked.full * block) - channels[0]) // block
    out: list[Transfer] = []
    start = base + blocked.offset(batch, 0, channels[0])
    if full:
        width = block * element
        dims = ((blocked.rows * width, full), (every * width, repeats))
        out.append(_run(start + first * width, n_rows * width, dims, 0))
    if channels[1] > blocked.full * block:
        width = blocked.tail * element
        tail = base + batch * blocked.step + blocked.full * block * blocked.rows * element
        done = full * block * element * n_rows * repeats
        out.append(_run(tail + first * width, n_rows * width, ((every * width, repeats),), done))
    return tuple(out)


def _levels(dram: int, inner: int, stride: int, count: int, offset: int) -> Transfer:
    """Make a transfer of one level, whose runs may overlap in DRAM."""
    return Transfer(dram, inner, ((stride, count),) if count > 1 else (), offset)


def _run(dram: int, inner: int, dims: Dims, offset: int) -> Transfer:
    """Make a transfer, merging levels that continue each other."""
    kept = [(stride, count) for stride, count in dims if count > 1]
    while kept and kept[-1][0] == inner:
        inner *= kept.pop()[1]
    return Transfer(dram, inner, tuple(kept), offset)


def split(transfers: tuple[Transfer, ...], parts: int) -> tuple[tuple[Transfer, ...], ...]:
    """Cut transfers into ``parts`` lists of nearly equal bytes; each piece stays compact at its offset."""
    pieces = list(transfers)
    share = sum(t.bytes for t in transfers) // parts
    while any(_uneven(t, parts, share) for t in pieces):
        pieces = [cut for t in pieces for cut in (_peel(t) if _uneven(t, parts, share) else (t,))]
    out: list[list[Transfer]] = [[] for _ in range(parts)]
    total, done = sum(t.bytes for t in pieces), 0
    for piece in sorted(pieces, key=lambda t: t.offset):
        rest: Transfer | None = piece
        while rest is not None:
            part = min(parts - 1, done * parts // max(1, total))
            room = -(-(part + 1) * total // parts) - done
            head, rest = _cut(rest, room)
            out[part].append(head)
            done += head.bytes
    return tuple(tuple(part) for part in out)


def _uneven(transfer: Transfer, parts: int, share: int) -> bool:
    """Whether whole outer levels would share the transfer out unevenly."""
    if not transfer.dims or transfer.bytes <= share:
        return False
    count = transfer.dims[0][1]
    return count < 4 * parts and count % parts != 0


def _peel(transfer: Transfer) -> tuple[Transfer, ...]:
    """Write the outermost level out as separate transfers."""
    (stride, count), *rest = transfer.dims
    size = transfer.bytes // count
    return tuple(
        replace(
            transfer,
            dram=transfer.dram + i * stride,
            dims=tuple(rest),
            offset=transfer.offset + i * size,
        )
        for i in range(count)
    )


def _cut(transfer: Transfer, room: int) -> tuple[Transfer, Transfer | None]:
    """Cut off the first ``room`` bytes at a multiple of 256 bytes, or nothing when it fits or is strided."""
    at = align_up(room, 256)
    if transfer.bytes <= at or (transfer.dims and transfer.dims[0][1] < 2):
        return transfer, None
    if transfer.dims:
        (stride, count), *rest = transfer.dims
        size = transfer.bytes // count
        n = max(1, min(count - 1, -(-room // size)))
        head = replace(transfer, dims=_keep(stride, n, rest))
        tail = replace(
            transfer,
            dram=transfer.dram + n * stride,
            dims=_keep(stride, count - n, rest),
            offset=transfer.offset + n * size,
        )
        return head, tail
    head = replace(transfer, inner=at)
    return head, replace(
        transfer, dram=transfer.dram + at, inner=transfer.inner - at, offset=transfer.offset + at
    )


def _keep(stride: int, count: int, rest: list[tuple[int, int]]) -> Dims:
    return ((stride, count), *rest) if count > 1 else tuple(rest)
