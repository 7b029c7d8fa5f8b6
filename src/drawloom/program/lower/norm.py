"""Norm pieces: sums over pixels in every tile, added up among the tiles, then the pixels again.

Twice, first for the mean and then for the power of what differs from it, each tile sums its pixels
channel by channel and sends the sums to all tiles that share the image:

    1. the tile's sums are there, and it is armed for those of the others
    2. all tiles meet at a barrier, and send theirs
    3. each adds up the sums of all, then those of the channels of a group

So every tile finds the same mean and power of every group, in f32.
"""

from __future__ import annotations

from collections.abc import Iterator

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.layout import Blocked
from drawloom.mapping.pieces import NormPiece, Span
from drawloom.program.commands import (
    Arm,
    Barrier,
    Engine,
    Fill,
    Join,
    Move,
    Reduce,
    Send,
    Vector,
    Wait,
)
from drawloom.program.lower.body import Chunk, Emitter
from drawloom.program.lower.context import Context, read, read_channels, write_all
from drawloom.program.lower.operand import fans_of
from drawloom.program.streams import TileStream
from drawloom.units import ceil_div

SUM, POWER = 0, 1  # rounds of sums: each has a flag and a buffer of its own


def lower(piece: NormPiece, context: Context) -> None:
    """Write a norm piece's commands into every tile's stream."""
    _Lowering(piece, context).run()


class _Lowering:
    def __init__(self, piece: NormPiece, context: Context) -> None:
        self.piece, self.context = piece, context
        self.blocked = piece.src.blocked
        self.tiles = range(context.chip.n_tiles)
        self.origins = {node: context.origin(piece.name, node) for node in piece.nodes}
        self.origin = self.origins[piece.nodes[0]]
        self.everyone = tuple(self.tiles)
        self.line = Blocked(self.blocked.blocking, 1, 1, self.blocked.channels, 4)

    def run(self) -> None:
        batch, shared = self.blocked.batch, self.piece.parts > 1
        if shared:
            for tile in self.tiles:
                self.context.streams.tiles[tile].join_all(self.origin)
        each = batch if shared else ceil_div(batch, len(self.tiles))
        for turn in range(each):
            for tile in self.tiles:
                image = turn if shared else tile * each + turn
                if image < batch:
                    self._image(tile, image, first=turn == 0)
        if shared:
            for tile in self.tiles:
                self.context.streams.tiles[tile].add(Join((Engine.SEND,), 0, self.origin))

    def _at(self, name: str, copy: int = 0) -> int:
        return self.piece.buffers[name].at(copy)

    def _spans(self, tile: int) -> list[Span]:
        """The pixels of a tile, chunk by chunk."""
        parts, size = self.piece.parts, self.piece.chunk
        share = ceil_div(self.blocked.rows, parts)
        first = tile * share if parts > 1 else 0
        end = min(first + share, self.blocked.rows)
        return [(at, min(at + size, end)) for at in range(first, end, size)]

    def _blocks(self, rows: int) -> Iterator[tuple[int, int, int]]:
        """First element, width and first channel of each block of an f32 chunk."""
        channel = 0
        for start, width in Chunk(self.blocked.blocking, rows, self.blocked.channels).blocks(4):
            yield start, width, channel
            channel += width

    def _constants(self, tile: int) -> None:
        stream, piece = self.context.streams.tiles[tile], self.piece
        for name, storage in (("scale", piece.scale), ("bias", piece.bias)):
            whole = (0, self.blocked.channels)
            read_channels(stream, storage, whole, self._at(name), self.origin)
        for slot, value in piece.body.loads:
            if piece.body.slot(slot).kind == "channel":
                place = self._at(f"slot.{slot}")
                whole = (0, self.blocked.channels)
                read_channels(stream, piece.values[value], whole, place, self.origin)

    def _image(self, tile: int, image: int, *, first: bool) -> None:
        spans, stream = self._spans(tile), self.context.streams.tiles[tile]
        if self.piece.parts > 1 and not first:
            # Sums of the image before may still be on their way from where this one's will lie.
            stream.add(Join((Engine.SEND,), 0, self.origin))
        for copy, span in enumerate(spans):
            self._load(stream, image, span, copy)
            self._sum(stream, self._at("x", copy), self.piece.src.dtype.value, span, SUM, copy)
            if self.piece.held:
                self._widen(stream, span, copy)
        if first:
            # Behind the pixels: only results need them.
            self._constants(tile)
        self._gather(tile, SUM, spans)
        if spans or self.piece.parts == 1:
            self._mean(stream)
        for copy, span in enumerate(spans):
            if not self.piece.held:
                self._load(stream, image, span, copy)
                self._widen(stream, span, copy)
            self._each(stream, "sub", span, copy, "mean")
            wide, square = self._at("wide", copy), self._at("square")
            count = (span[1] - span[0]) * self.blocked.width
            stream.add(Vector("square", wide, square, count, "f32", "f32", origin=self.origin))
            self._sum(stream, square, "f32", span, POWER, copy)
        self._gather(tile, POWER, spans)
        if spans:
            self._gain(stream)
        for copy, span in enumerate(spans):
            self._finish(stream, image, span, copy)

    def _load(self, stream: TileStream, image: int, span: Span, copy: int) -> None:
        box = self.piece.src.box(image, span, (0, self.blocked.channels))
        read(stream, box, self._at("x", copy), self.origin)

    def _widen(self, stream: TileStream, span: Span, copy: int) -> None:
        """Make f32 of a chunk."""
        fmt = self.piece.src.dtype.value
        count = (span[1] - span[0]) * self.blocked.width
        op = "copy" if fmt == "f32" else "convert"
        places = self._at("x", copy), self._at("wide", copy)
        stream.add(Vector(op, *places, count, fmt, "f32", origin=self.origin))

    def _each(self, stream: TileStream, op: str, span: Span, copy: int, by: str) -> None:
        """Combine a chunk with one number a channel, in place."""
        rows, wide = span[1] - span[0], self._at("wide", copy)
        for start, width, channel in self._blocks(rows):
            place, other = wide + 4 * start, self._at(by) + 4 * channel
            stream.add(
                Vector(op, place, place, rows * width, "f32", "f32", other, None, width, self.origin)
            )  # fmt: skip

    # Sums.

    def _own(self, tile: int, which: int) -> int:
        row = tile if self.piece.parts > 1 else 0
        return self._at("sums", which) + 4 * row * self.line.width

    def _sum(
        self, stream: TileStream, src: int, fmt: str, span: Span, which: int, copy: int
    ) -> None:
        """Sum a chunk over its pixels, and add what the chunks before it had."""
        rows, own = span[1] - span[0], self._own(stream.tile, which)
        # Sums go to whole lines of the scratchpad; those of few channels lie closer together.
        apart = bool(copy or 4 * self.line.width % self.blocked.blocking.align)
        target = self._at("part") if apart else own
        channels = self.blocked.channels
        stream.add(
            Reduce("sum", src, target, rows, 1, channels, "hw", fmt, "f32", self.origin)
        )  # fmt: skip
        count = self.line.width
        if copy:
            stream.add(Vector("add", own, own, count, "f32", "f32", target, origin=self.origin))
        elif apart:
            stream.add(Vector("copy", target, own, count, "f32", "f32", origin=self.origin))

    def _gather(self, tile: int, which: int, spans: list[Span]) -> None:
        """Add up the sums of all tiles that share the image, into ``total``."""
        stream, parts, width = self.context.streams.tiles[tile], self.piece.parts, self.line.width
        if parts == 1:
            own = self._own(tile, which)
            count, total = width, self._at("total")
            stream.add(Vector("copy", own, total, count, "f32", "f32", origin=self.origin))
            return
        own = self._own(tile, which)
        if not spans:
            stream.add(Fill(own, "f32", width, 0.0, self.origin))
        fanout = self.context.chip.send.fanout
        incoming = sum(
            any(tile in fan for fan in fans_of(other, self.everyone, fanout))
            for other in self.tiles
        )
        for _ in range(incoming):
            stream.add(Arm(which, self.origin))
        stream.add(Join((Engine.MOVE, Engine.VECTOR), 0, self.origin))
        stream.add(Barrier(self.everyone, self.origin))
        for fan in fans_of(tile, self.everyone, fanout):
            stream.add(Send(own, own, 4 * width, fan, which, (), self.origin))
        stream.add(Wait(which, incoming, self.origin))
        lanes = self.line.tail or self.line.block
        size = parts, width // lanes, lanes
        sums, total = self._at("sums", which), self._at("total")
        stream.add(Reduce("sum", sums, total, *size, "h", "f32", "f32", self.origin))

    def _by_group(self, stream: TileStream) -> int:
        """Sum ``total`` over the channels of each group; return how many numbers ``stat`` has."""
        groups, total, stat = self.piece.groups, self._at("total"), self._at("stat")
        size = self.blocked.channels // groups
        inside = Blocked(self.blocked.blocking, 1, groups, size, 4)
        place = total
        if inside.width != size or size > inside.block:
            place, channel = self._at("grouped"), 0
            for start, width in Chunk(self.blocked.blocking, groups, size).blocks(4):
                n = min(width, size - channel)
                dims = ((4 * size, 4 * width, groups),)
                stream.add(
                    Move(total + 4 * channel, place + 4 * start, 4 * n, dims, self.origin)
                )  # fmt: skip
                channel += n
        stream.add(
            Reduce("sum", place, stat, groups, 1, size, "c", "f32", "f32", self.origin)
        )  # fmt: skip
        return groups * self.blocked.blocking.min_tail

    def _spread(self, stream: TileStream, name: str) -> None:
        """Give every channel what ``stat`` has of its group."""
        groups, out = self.piece.groups, self._at(name)
        size, pitch = self.blocked.channels // groups, 4 * self.blocked.blocking.min_tail
        dims = ((pitch, 4 * size, groups),)
        stream.add(Move(self._at("stat"), out, 4, dims, self.origin))
        have = 1
        while have < size:
            n = min(have, size - have)
            dims = ((4 * size, 4 * size, groups),)
            stream.add(Move(out, out + 4 * have, 4 * n, dims, self.origin))
            have += n

    def _mean(self, stream: TileStream) -> None:
        stat, count = self._at("stat"), self._by_group(stream)
        of = float(self.blocked.rows * (self.blocked.channels // self.piece.groups))
        stream.add(
            Vector("div", stat, stat, count, "f32", "f32", scalar=of, origin=self.origin)
        )  # fmt: skip
        self._spread(stream, "mean")

    def _gain(self, stream: TileStream) -> None:
        """What the differences are multiplied by: scale / sqrt(variance + epsilon)."""
        stat, count = self._at("stat"), self._by_group(stream)
        of = float(self.blocked.rows * (self.blocked.channels // self.piece.groups))
        for op, scalar in (("div", of), ("add", self.piece.epsilon), ("rsqrt", None)):
            stream.add(
                Vector(op, stat, stat, count, "f32", "f32", scalar=scalar, origin=self.origin)
            )  # fmt: skip
        self._spread(stream, "gain")
        gain, scale, width = self._at("gain"), self._at("scale"), self.line.width
        stream.add(Vector("mul", gain, gain, width, "f32", "f32", scale, origin=self.origin))

    # The result.

    def _finish(self, stream: TileStream, image: int, span: Span, copy: int) -> None:
        piece, body = self.piece, self.piece.body
        if not piece.held:
            self._load(stream, image, span, copy)
            self._widen(stream, span, copy)
            self._each(stream, "sub", span, copy, "mean")
        self._each(stream, "mul", span, copy, "gain")
        rows, wide = span[1] - span[0], self._at("wide", copy)
        fmt = body.slot(piece.result).fmt

        def address(slot: str) -> int:
            return self._at(f"slot.{slot}", 0 if body.slot(slot).kind == "channel" else copy)

        for slot, value in body.loads:
            if body.slot(slot).kind != "channel":
                storage = piece.values[value]
                box = storage.box(image % storage.blocked.batch, span, (0, self.blocked.channels))
                read(stream, box, address(slot), self.origin)
        result = address(piece.result)
        for start, width, channel in self._blocks(rows):
            places = wide + 4 * start, result + FORMAT_BYTES[fmt] * start
            bias = self._at("bias") + 4 * channel
            stream.add(
                Vector("add", *places, rows * width, "f32", fmt, bias, None, width, self.origin)
            )  # fmt: skip
        chunk = Chunk(self.blocked.blocking, rows, self.blocked.channels)
        Emitter(stream, body, chunk, address, self.origins).emit()
        stores = [
            (
                piece.values[value].target(image, span, (0, self.blocked.channels)),
                address(slot),
            )
            for slot, value in body.stores
        ]
        write_all(stream, stores, self.origin)
