"""Bodies to vector, reduce and move commands, for one chunk in one tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.layout import Blocked
from drawloom.chip.model import Blocking
from drawloom.mapping.body import Body, Slot, Step, slot_elements
from drawloom.program.commands import Move, Reduce, Select, Vector
from drawloom.program.streams import TileStream


@dataclass(frozen=True, slots=True)
class Chunk:
    """Size of the piece of data a body works on: rows x channels, or flat elements."""

    blocking: Blocking
    rows: int
    channels: int
    flat: bool = False

    def count(self, slot: Slot) -> int:
        """Elements of a slot, padding included."""
        return slot_elements(self.blocking, slot, self.rows, self.channels, flat=self.flat)

    def blocks(self, element: int) -> list[tuple[int, int]]:
        """Return (first element, width) of each channel block."""
        shape = Blocked(self.blocking, 1, self.rows, self.channels, element)
        out = [(i * self.rows * shape.block, shape.block) for i in range(shape.full)]
        if shape.tail:
            out.append((shape.full * self.rows * shape.block, shape.tail))
        return out


@dataclass(frozen=True, slots=True)
class Emitter:
    """Writes a body's steps into a tile's stream.

    ``address`` gives a slot's place in the scratchpad, ``origins`` the number of a node.
    """

    stream: TileStream
    body: Body
    chunk: Chunk
    address: Callable[[str], int]
    origins: Mapping[str, int]

    def emit(self) -> None:
        """Write all steps."""
        slots = {slot.name: slot for slot in self.body.slots}
        for step in self.body.steps:
            a, dst = slots[step.a], slots[step.dst]
            origin = self.origins[step.node]
            if step.op.startswith("reduce."):
                self._reduce(step, a, dst, origin)
            elif step.op == "spread":
                self._spread(a, dst, origin)
            elif step.op == "turn":
                self._turn(step, a, origin)
            elif step.op == "select":
                places = (self.address(step.b), self.address(step.a), self.address(step.dst))
                count = self.chunk.count(dst)
                self.stream.add(Select(*places, FORMAT_BYTES[a.fmt], count, origin))
            elif step.b and slots[step.b].kind != a.kind:
                self._vector_by_block(step, a, slots[step.b], dst, origin)
            else:
                self._vector(step, a, dst, origin)

    def _reduce(self, step: Step, a: Slot, dst: Slot, origin: int) -> None:
        rows, channels = self.chunk.rows, self.chunk.channels
        src, out = self.address(step.a), self.address(step.dst)
        op = step.op.removeprefix("reduce.")
        self.stream.add(Reduce(op, src, out, rows, 1, channels, "c", a.fmt, dst.fmt, origin))

    def _spread(self, a: Slot, dst: Slot, origin: int) -> None:
        """Copy each row's value to one lane, then double the lanes until the block is full."""
        chunk, element = self.chunk, FORMAT_BYTES[a.fmt]
        rows, out = chunk.rows, self.address(dst.name)
        shape = Blocked(chunk.blocking, 1, rows, chunk.channels, element)
        lanes = shape.block if shape.full else shape.tail
        narrow, wide = chunk.blocking.min_tail * element, lanes * element
        self.stream.add(Move(self.address(a.name), out, element, ((narrow, wide, rows),), origin))
        have = 1
        while have < lanes:
            inner = have * element
            self.stream.add(Move(out, out + inner, inner, ((wide, wide, rows),), origin))
            have *= 2
        if shape.full and shape.tail not in (0, shape.block):
            inner = shape.tail * element
            self.stream.add(Move(out, out + rows * wide, inner, ((wide, inner, rows),), origin))

    def _turn(self, step: Step, a: Slot, origin: int) -> None:
        """Exchange the halves of each row: whole blocks, or parts of blocks row by row."""
        size, rows = FORMAT_BYTES[a.fmt], self.chunk.rows
        half = self.chunk.channels // 2
        src, dst = self.address(step.a), self.address(step.dst)
        shape = Blocked(self.chunk.blocking, 1, rows, self.chunk.channels, size)
        at = 0
        while at < 2 * half:
            other = (at + half) % (2 * half)
            near, far = (_rest_of_block(shape, channel) for channel in (other, at))
            n = min(near[0], far[0], half - at % half)
            if at + n == shape.channels < shape.width:
                # What pads the row takes part in what follows, and may be any number that is there.
                n = min(near[0], shape.width - at)
            dims = ((near[1] * size, far[1] * size, rows),)
            inner = n * size
            if n == near[1] == far[1]:
                inner, dims = inner * rows, ()
            places = src + shape.offset(0, 0, other), dst + shape.offset(0, 0, at)
            self.stream.add(Move(*places, inner, dims, origin))
            at += n
        while at < shape.width:
            n, first = min(shape.rest, shape.width - at), shape.full * shape.block
            places = src + shape.offset(0, 0, first), dst + shape.offset(0, 0, at)
            pitch = shape.tail * size
            self.stream.add(Move(*places, n * size, ((pitch, pitch, rows),), origin))
            at += n

    def _vector(self, step: Step, a: Slot, dst: Slot, origin: int) -> None:
        other = self.address(step.b) if step.b else None
        self.stream.add(
            Vector(
                step.op, self.address(step.a), self.address(step.dst), self.chunk.count(a),
                a.fmt, dst.fmt, other, step.scalar, 0, origin,
            )
        )  # fmt: skip

    def _vector_by_block(self, step: Step, a: Slot, b: Slot, dst: Slot, origin: int) -> None:
        """Combine whole rows with one value a channel, or one a row spread over a block."""
        assert (a.kind, b.kind) in (("full", "wide"), ("full", "channel"), ("wide", "channel"))
        size, out = FORMAT_BYTES[a.fmt], FORMAT_BYTES[dst.fmt]
        left, right, result = (self.address(name) for name in (step.a, step.b, step.dst))
        for start, count, offset, unit in self._runs(b.kind, size):
            self.stream.add(
                Vector(
                    step.op, left + start * size, result + start * out, count,
                    a.fmt, dst.fmt, right + offset * size, None, unit, origin,
                )
            )  # fmt: skip

    def _runs(self, kind: str, size: int) -> list[tuple[int, int, int, int]]:
        """Return (first element, elements, first of b, its period) of the commands of such a step.

        What stands behind a row is the same for all full blocks, and so is what stands behind a
        channel for all rows: one command serves all of either.
        """
        blocks, rows = self.chunk.blocks(size), self.chunk.rows
        first = blocks[0][1]
        if kind == "channel":
            unit = self.chunk.blocking.of(size)
            if rows == 1:
                whole = sum(width for _, width in blocks)
                return [(0, whole, 0, 0)]
            return [(at, rows * width, i * unit, unit) for i, (at, width) in enumerate(blocks)]
        full = sum(width == first for _, width in blocks)
        out = [(0, full * rows * first, 0, rows * first if full > 1 else 0)]
        # A tail narrower than the blocks has its own spread copy behind the first.
        return out + [(at, rows * width, rows * first, 0) for at, width in blocks[full:]]


def _rest_of_block(shape: Blocked, channel: int) -> tuple[int, int]:
    """Return how many channels there are from one on in its block, and the block's width with what pads it."""
    block, inside = divmod(channel, shape.block)
    if block < shape.full:
        return shape.block - inside, shape.block
    return shape.rest - inside, shape.tail
