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


def emit(
    stream: TileStream,
    body: Body,
    chunk: Chunk,
    address: Callable[[str], int],
    origins: Mapping[str, int],
) -> None:
    """Write a body's steps as commands; ``address`` gives a slot's place, ``origins`` a node's number."""
    slots = {slot.name: slot for slot in body.slots}
    for step in body.steps:
        origin = origins[step.node]
        if step.op.startswith("reduce."):
            _reduce(stream, step, slots, chunk, address, origin)
        elif step.op == "spread":
            _spread(stream, step, slots, chunk, address, origin)
        elif step.op == "select":
            size = FORMAT_BYTES[slots[step.a].fmt]
            count = chunk.count(slots[step.dst])
            stream.add(
                Select(address(step.b), address(step.a), address(step.dst), size, count, origin)
            )
        else:
            _vector(stream, step, slots, chunk, address, origin)


def _reduce(
    stream: TileStream,
    step: Step,
    slots: Mapping[str, Slot],
    chunk: Chunk,
    address: Callable[[str], int],
    origin: int,
) -> None:
    a, dst = slots[step.a], slots[step.dst]
    stream.add(
        Reduce(
            step.op.removeprefix("reduce."), address(step.a), address(step.dst),
            chunk.rows, 1, chunk.channels, "c", a.fmt, dst.fmt, origin,
        )
    )  # fmt: skip


def _spread(
    stream: TileStream,
    step: Step,
    slots: Mapping[str, Slot],
    chunk: Chunk,
    address: Callable[[str], int],
    origin: int,
) -> None:
    """Copy each row's value to one lane, then double the lanes until the block is full."""
    element = FORMAT_BYTES[slots[step.a].fmt]
    src, dst = address(step.a), address(step.dst)
    shape = Blocked(chunk.blocking, 1, chunk.rows, chunk.channels, element)
    lanes = shape.block if shape.full else shape.tail
    step_in, step_out = chunk.blocking.min_tail * element, lanes * element
    stream.add(Move(src, dst, element, ((step_in, step_out, chunk.rows),), origin))
    have = 1
    while have < lanes:
        inner = have * element
        stream.add(Move(dst, dst + inner, inner, ((step_out, step_out, chunk.rows),), origin))
        have *= 2
    if shape.full and shape.tail not in (0, shape.block):
        tail = dst + chunk.rows * step_out
        inner = shape.tail * element
        stream.add(Move(dst, tail, inner, ((step_out, inner, chunk.rows),), origin))


def _vector(
    stream: TileStream,
    step: Step,
    slots: Mapping[str, Slot],
    chunk: Chunk,
    address: Callable[[str], int],
    origin: int,
) -> None:
    a, dst = slots[step.a], slots[step.dst]
    b = slots[step.b] if step.b else None
    if b is None or a.kind == b.kind:
        other = None if b is None else address(step.b)
        stream.add(
            Vector(
                step.op, address(step.a), address(step.dst), chunk.count(a), a.fmt, dst.fmt,
                other, step.scalar, 0, origin,
            )
        )  # fmt: skip
        return
    assert a.kind in ("full", "wide") and b.kind in ("wide", "channel"), (step, a.kind, b.kind)
    _vector_by_block(stream, step, a, b, dst, chunk, address, origin)


def _vector_by_block(
    stream: TileStream,
    step: Step,
    a: Slot,
    b: Slot,
    dst: Slot,
    chunk: Chunk,
    address: Callable[[str], int],
    origin: int,
) -> None:
    size, out = FORMAT_BYTES[a.fmt], FORMAT_BYTES[dst.fmt]
    blocks = chunk.blocks(size)
    first = blocks[0][1]
    for index, (start, width) in enumerate(blocks):
        if b.kind == "channel":
            offset, unit = index * chunk.blocking.of(size), chunk.blocking.of(size)
        else:
            # A tail narrower than the blocks has its own spread copy behind the first.
            offset, unit = (0 if width == first else chunk.rows * first), 0
        stream.add(
            Vector(
                step.op, address(step.a) + start * size, address(step.dst) + start * out,
                chunk.rows * width, a.fmt, dst.fmt, address(step.b) + offset * size, None, unit, origin,
            )
        )  # fmt: skip
