"""What every lowering needs: the chip, the streams, and names for where commands come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from drawloom.chip.model import Chip
from drawloom.mapping.layout.storage import Storage, Transfer
from drawloom.program.commands import Move, Pick, Read, Write
from drawloom.program.program import Origin
from drawloom.program.streams import StreamSet, TileStream
from drawloom.units import align_up


@dataclass(slots=True)
class Context:
    """State shared by the lowerings of one program."""

    chip: Chip
    streams: StreamSet
    layers: Mapping[str, str]  # node -> the layer's name in the user's model
    origins: list[Origin] = field(default_factory=list[Origin])
    _known: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    def origin(self, piece: str, node: str) -> int:
        """Return the number of an origin, new or known."""
        key = (piece, node)
        if key not in self._known:
            self._known[key] = len(self.origins)
            self.origins.append(Origin(piece, node, self.layers.get(node, "")))
        return self._known[key]


def read_ahead(stream: TileStream, transfers: tuple[Transfer, ...], spm: int, origin: int) -> None:
    """Read transfers of constant bytes into the buffer at ``spm``, ahead of the piece's barrier."""
    for t in transfers:
        stream.add_ahead(Read(t.dram, spm + t.offset, t.inner, t.dims, origin))


def read(stream: TileStream, transfers: tuple[Transfer, ...], spm: int, origin: int) -> None:
    """Read transfers into the buffer at ``spm``; what is resident moves there."""
    for t in transfers:
        if t.local:
            stream.add(Move(t.dram, spm + t.offset, t.inner, _moved(t), origin))
            continue
        if t.pick:
            number, step, entries = t.pick
            stream.add(Pick(t.dram, number, spm + t.offset, t.inner, step, entries, t.dims, origin))
            continue
        stream.add(Read(t.dram, spm + t.offset, t.inner, t.dims, origin))


def read_channels(
    stream: TileStream,
    storage: Storage,
    channels: tuple[int, int],
    spm: int,
    origin: int,
    rows: int = 2,
) -> None:
    """Read one value a channel for some channels, from a block on.

    Its tail is repeated to a block, unless it is combined with no more ``rows`` than one at a time.
    """
    size, block = storage.dtype.bytes, storage.blocking.of(storage.dtype.bytes)
    first, end = channels
    if storage.layout == "channel":
        n = align_up(end - first, block) * size
        read(stream, (Transfer(storage.address + first * size, n, (), 0),), spm, origin)
        return
    whole = (end - first) // block * block
    found = list(storage.box(0, (0, 1), channels))
    if end - first > whole:
        tail = storage.blocking.width(end - first - whole, size)
        last = storage.box(0, (0, 1), (first + whole, end))
        found = list(storage.box(0, (0, 1), (first, first + whole))) if whole else []
        for at in range(whole, whole + (block if rows > 1 else tail), tail):
            found += [replace(t, offset=at * size + t.offset) for t in last]
    read(stream, tuple(found), spm, origin)


def write_all(
    stream: TileStream, stores: Sequence[tuple[tuple[Transfer, ...], int]], origin: int
) -> None:
    """Write buffers out: transfers and where the buffer is; one buffer may go to several places."""
    for i, (transfers, spm) in enumerate(stores):
        write(stream, transfers, spm, origin)
        if any(spm == other for _, other in stores[i + 1 :]):
            for t in transfers:
                if t.pitch:
                    stream.add(_spread(t, spm, origin))


def write(stream: TileStream, transfers: tuple[Transfer, ...], spm: int, origin: int) -> None:
    """Write the buffer at ``spm`` out along transfers; what is resident moves there.

    Rows of a buffer that have a pitch are moved together first, where they are.
    """
    for t in transfers:
        if t.pitch:
            at = spm + t.offset
            stream.add(Move(at, at, t.row, ((t.pitch, t.row, t.bytes // t.row),), origin))
        if t.local:
            dims = tuple((near, far, count) for far, near, count in _moved(t))
            stream.add(Move(spm + t.offset, t.dram, t.inner, dims, origin))
            continue
        stream.add(Write(spm + t.offset, t.dram, t.inner, t.dims, origin))


def _spread(t: Transfer, spm: int, origin: int) -> Move:
    """Return the move that gives rows their pitch back."""
    at = spm + t.offset
    return Move(at, at, t.row, ((t.row, t.pitch, t.bytes // t.row),), origin)


def _moved(transfer: Transfer) -> tuple[tuple[int, int, int], ...]:
    """Return the levels of a local transfer: (strided side, compact side, count)."""
    out: list[tuple[int, int, int]] = []
    step = transfer.inner
    for stride, count in reversed(transfer.dims):
        out.append((stride, step, count))
        step *= count
    return tuple(reversed(out))
