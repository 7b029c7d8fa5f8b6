"""Tile streams while they are written, and the barriers that order tiles.

Pieces are appended one after the other. A barrier goes in before a piece exactly when
one of its tiles touches DRAM bytes that another tile wrote (or overwrites bytes that
another tile read) since the last barrier: within a tile the hardware keeps that order.
A tile comes to a barrier when it has nothing left to read or write in DRAM.

A piece's first reads of what never changes need not wait for a barrier. They go ahead of it,
behind the last read before, as far as no piece between uses the scratchpad that they fill.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.program.commands import (
    ENGINE_OF,
    Address,
    Barrier,
    Command,
    Cpu,
    Engine,
    Join,
    Pick,
    Read,
    Write,
)
from drawloom.program.extents import INDEX_BYTES, moved_bytes, strided_bytes

MEMORY = (Engine.READ, Engine.WRITE)
ALL_ENGINES = (Engine.MATRIX, Engine.VECTOR, Engine.READ, Engine.WRITE, Engine.MOVE, Engine.SEND)
AT_ONCE = 2  # reads ahead that are handed over together
MAX_RUNS = 256  # strided accesses with more runs count as one solid span
Spans = NDArray[np.int64]  # n x 2, sorted, disjoint
Extent = tuple[int, int]  # scratchpad addresses: the first, and the one behind the last
Extents = tuple[Extent, ...]


class TileStream:
    """The commands of one tile, with how many each engine has been given."""

    def __init__(self, tile: int) -> None:
        """Start an empty stream."""
        self.tile = tile
        self.commands: list[Command] = []
        self.issued: dict[Engine, int] = dict.fromkeys(Engine, 0)
        self.ahead: list[Read] = []

    def add(self, command: Command) -> None:
        """Append a command."""
        self.commands.append(command)
        self.issued[ENGINE_OF[type(command)]] += 1

    def add_ahead(self, command: Read) -> None:
        """Add a read of constant bytes, the first that the piece does: it may go ahead of a barrier."""
        self.ahead.append(command)
        self.issued[Engine.READ] += 1

    def join_since(self, engine: Engine, mark: int, depth: int, origin: int) -> None:
        """Wait until everything ``engine`` was given before ``mark`` is done."""
        keep = self.issued[engine] - mark
        if mark and keep <= depth:
            self.add(Join((engine,), keep, origin))

    def join_all(self, origin: int) -> None:
        """Wait until every engine is idle; what was read ahead may go on."""
        if not self.ahead:
            if self.commands and self.commands[-1] != Join(ALL_ENGINES, 0, origin):
                self.add(Join(ALL_ENGINES, 0, origin))
            return
        others = tuple(engine for engine in ALL_ENGINES if engine is not Engine.READ)
        self.add(Join(others, 0, origin))
        self.add(Join((Engine.READ,), len(self.ahead), origin))


class StreamSet:
    """All tiles' streams and what they have touched in DRAM since the last barrier."""

    def __init__(self, n_tiles: int) -> None:
        """Start empty streams."""
        self.tiles = [TileStream(tile) for tile in range(n_tiles)]
        self._start = [0] * n_tiles
        self._before: list[tuple[list[int], Extents | None]] = []  # pieces: first commands, extents
        self._read: list[Spans] = [_EMPTY] * n_tiles
        self._written: list[Spans] = [_EMPTY] * n_tiles

    def close_piece(self, origin: int, extents: Extents | None = None) -> None:
        """End a piece: put a barrier before it where it needs one.

        ``extents`` are the scratchpad that the piece uses, None if that is not known.
        """
        new = [
            stream.commands[start:] for stream, start in zip(self.tiles, self._start, strict=True)
        ]
        reads = [_merge(_dram_spans(commands, write=False)) for commands in new]
        writes = [_merge(_dram_spans(commands, write=True)) for commands in new]
        ahead = [len(stream.ahead) for stream in self.tiles]
        for stream in self.tiles:
            self._send_ahead(stream)
        self._before.append((list(self._start), extents))
        if self._conflict(reads, writes):
            everyone = tuple(range(len(self.tiles)))
            for stream, start, n in zip(self.tiles, self._start, ahead, strict=True):
                joins = [Join(MEMORY, 0, origin)]
                if n:
                    joins = [Join((Engine.READ,), n, origin), Join((Engine.WRITE,), 0, origin)]
                stream.commands[start:start] = [*joins, Barrier(everyone, origin)]
            self._read, self._written = reads, writes
        else:
            self._read = [_merge_two(a, b) for a, b in zip(self._read, reads, strict=True)]
            self._written = [_merge_two(a, b) for a, b in zip(self._written, writes, strict=True)]
        self._start = [len(stream.commands) for stream in self.tiles]

    def _send_ahead(self, stream: TileStream) -> None:
        """Put what a tile reads ahead behind the last read before it, and as high as it may stand."""
        found, tile, commands = stream.ahead, stream.tile, stream.commands
        if not found:
            return
        stream.ahead = []
        low = min(_plain(read.spm) for read in found)
        high = max(_plain(read.spm) + moved_bytes(read.inner, read.dims) for read in found)
        place = top = self._start[tile]
        for starts, extents in reversed(self._before):
            if extents is None or any(first < high and low < end for first, end in extents):
                break
            top = starts[tile]
        while place > top and not _holds_reads(commands[place - 1]):
            place -= 1
        places = _spread_out(place, self._start[tile], len(found))
        for at, read in reversed(list(zip(places, found, strict=True))):
            commands.insert(at, read)
        for starts in (self._start, *(starts for starts, _ in self._before)):
            starts[tile] += bisect_right(places, starts[tile])

    def meet(self, origin: int) -> None:
        """Let every tile finish and wait for all others: nothing before is looked at again."""
        everyone = tuple(range(len(self.tiles)))
        for stream in self.tiles:
            stream.add(Join(ALL_ENGINES, 0, origin))
            stream.add(Barrier(everyone, origin))
        self._read = [_EMPTY] * len(self.tiles)
        self._written = [_EMPTY] * len(self.tiles)
        self._start = [len(stream.commands) for stream in self.tiles]
        self._before = []

    def starts(self) -> list[list[int]]:
        """Return where each piece since the last call of ``take`` begins: its first command, by tile."""
        return [starts for starts, _ in self._before]

    def take(self) -> list[list[Command]]:
        """Return the commands of each tile since the last call, in order of the tiles."""
        taken = [stream.commands for stream in self.tiles]
        for stream in self.tiles:
            stream.commands = []
        self._start = [0] * len(self.tiles)
        self._before = []
        return taken

    def _conflict(self, reads: list[Spans], writes: list[Spans]) -> bool:
        for here in range(len(self.tiles)):
            if not reads[here].size and not writes[here].size:
                continue
            for there in range(len(self.tiles)):
                if there == here:
                    continue
                written = self._written[there]
                if _overlap(reads[here], written) or _overlap(writes[here], written):
                    return True
                if _overlap(writes[here], self._read[there]):
                    return True
        return False


def _spread_out(first: int, end: int, count: int) -> list[int]:
    """Return where reads go: a few at once, the rest among the commands that follow.

    A processor that finds no room in the queue of reads hands nothing else over meanwhile.
    """
    rest = max(0, count - AT_ONCE)
    later = [first + (end - first) * (i + 1) // (rest + 1) for i in range(rest)]
    return [first] * min(count, AT_ONCE) + later


def _plain(address: Address) -> int:
    assert isinstance(address, int), address
    return address


def _holds_reads(command: Command) -> bool:
    """Whether a command is a read, or waits for reads: what is read ahead stays behind it."""
    if isinstance(command, Join):
        return Engine.READ in command.engines
    return ENGINE_OF[type(command)] is Engine.READ


_EMPTY: Spans = np.zeros((0, 2), np.int64)


def _dram_spans(commands: Iterable[Command], *, write: bool) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for command in commands:
        if isinstance(command, Write if write else Read):
            assert isinstance(command.dram, int)
            out += _runs(command.dram, command.inner, command.dims)
        elif isinstance(command, Pick) and not write:
            assert isinstance(command.dram, int) and isinstance(command.index, int)
            reach = strided_bytes(command.inner, command.dims)
            last = command.dram + command.step * (command.entries - 1)
            out.append((command.dram, last + reach))
            out.append((command.index, command.index + INDEX_BYTES))
        elif isinstance(command, Cpu):
            for operand in command.outs if write else command.ins:
                if operand is not None and operand.space == "dram":
                    assert isinstance(operand.address, int)
                    out.append(
                        (
                            operand.address,
                            operand.address + _operand_bytes(operand.fmt, operand.shape),
                        )
                    )
    return out


def _operand_bytes(fmt: str, shape: tuple[int, ...]) -> int:
    return FORMAT_BYTES[fmt] * int(np.prod(shape, dtype=np.int64))


def _runs(base: int, inner: int, dims: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    runs = 1
    for _, count in dims:
        runs *= count
    if runs > MAX_RUNS:
        low = base + sum(min(0, s) * (n - 1) for s, n in dims)
        return [(low, low + inner + sum(abs(s) * (n - 1) for s, n in dims))]
    starts = [base]
    for stride, count in dims:
        starts = [start + i * stride for start in starts for i in range(count)]
    return [(start, start + inner) for start in starts]


def _merge(spans: list[tuple[int, int]]) -> Spans:
    if not spans:
        return _EMPTY
    return _join(np.array(spans, np.int64))


def _merge_two(a: Spans, b: Spans) -> Spans:
    if not a.size or not b.size:
        return b if not a.size else a
    return _join(np.concatenate([a, b]))


def _join(spans: Spans) -> Spans:
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.concatenate([[True], spans[1:, 0] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.stack([spans[first, 0], reach[last]], axis=1)


def _overlap(a: Spans, b: Spans) -> bool:
    if not a.size or not b.size:
        return False
    at = np.searchsorted(b[:, 1], a[:, 0], side="right")
    inside = at < len(b)
    return bool(np.any(b[at[inside], 0] < a[inside, 1]))
