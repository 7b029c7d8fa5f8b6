"""Which bytes a command touches: ranges (space, address, bytes), as hazard checks see them."""

from __future__ import annotations

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.layout import Blocked
from drawloom.chip.model import Blocking
from drawloom.program.commands import (
    Address,
    Affine,
    Command,
    Conv,
    Cpu,
    Dims,
    Fill,
    MatMul,
    Move,
    Operand,
    Pick,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Vector,
    Write,
)

Span = tuple[str, Address, int]
INDEX_BYTES = 8  # of the number by which a ``Pick`` picks


def strided_bytes(inner: int, dims: Dims) -> int:
    """Bytes from the lowest to past the highest byte of a strided access."""
    return inner + sum(abs(stride) * (count - 1) for stride, count in dims)


def lowest(address: Address, dims: Dims) -> Address:
    """Address of the lowest byte of a strided access: levels may run backwards."""
    below = sum(min(0, stride) * (count - 1) for stride, count in dims)
    if isinstance(address, int):
        return address + below
    return Affine(address.base + below, address.strides)


def moved_bytes(inner: int, dims: tuple[tuple[int, ...], ...]) -> int:
    """Bytes that a strided access moves."""
    n = inner
    for dim in dims:
        n *= dim[-1]
    return n


def segments(dims: tuple[tuple[int, ...], ...]) -> int:
    """Number of contiguous runs in a strided access."""
    return moved_bytes(1, dims)


def matrix_bytes(blocking: Blocking, rows: int, channels: int, fmt: str, batch: int = 1) -> int:
    """Bytes of a blocked operand."""
    return Blocked(blocking, batch, rows, channels, FORMAT_BYTES[fmt]).bytes


def touched(command: Command, blocking: Blocking) -> tuple[list[Span], list[Span]]:
    """Return the spans a command reads and the spans it writes in its own tile and DRAM.

    ``Send`` lists its source only: what it writes lies in other tiles.
    """
    match command:
        case Read():
            n = moved_bytes(command.inner, command.dims)
            span = strided_bytes(command.inner, command.dims)
            return [("dram", lowest(command.dram, command.dims), span)], [("spm", command.spm, n)]
        case Pick():
            n = moved_bytes(command.inner, command.dims)
            span = strided_bytes(command.inner, command.dims)
            span += command.step * (command.entries - 1)
            return [
                ("dram", lowest(command.dram, command.dims), span),
                ("dram", command.index, INDEX_BYTES),
            ], [("spm", command.spm, n)]
        case Write():
            n = moved_bytes(command.inner, command.dims)
            span = strided_bytes(command.inner, command.dims)
            return [("spm", command.spm, n)], [("dram", lowest(command.dram, command.dims), span)]
        case Send():
            source = lowest(command.src, command.dims)
            return [("spm", source, strided_bytes(command.inner, command.dims))], []
        case Cpu():
            return [_operand(o) for o in command.ins if o], [_operand(o) for o in command.outs]
        case Move() | Fill() | Select():
            return _move(command)
        case MatMul() | Conv():
            return _matrix(command, blocking)
        case Vector() | Reduce() | Pool():
            return _vector(command, blocking)
        case _:
            return [], []


def _operand(operand: Operand) -> Span:
    n = FORMAT_BYTES[operand.fmt]
    for dim in operand.shape:
        n *= dim
    return operand.space, operand.address, n


def _move(command: Move | Fill | Select) -> tuple[list[Span], list[Span]]:
    if isinstance(command, Fill):
        return [], [("spm", command.dst, command.count * FORMAT_BYTES[command.fmt])]
    if isinstance(command, Select):
        n = command.count * command.element
        return [("spm", command.mask, command.count), ("spm", command.src, n)], [
            ("spm", command.dst, n)
        ]
    near = tuple((s, n) for s, _, n in command.dims)
    far = tuple((t, n) for _, t, n in command.dims)
    source = ("spm", lowest(command.src, near), strided_bytes(command.inner, near))
    target = ("spm", lowest(command.dst, far), strided_bytes(command.inner, far))
    return [source], [target]


def _matrix(command: MatMul | Conv, blocking: Blocking) -> tuple[list[Span], list[Span]]:
    if isinstance(command, Conv):
        oh, ow = command.out_hw
        rows = command.kh * command.kw * (1 if command.depthwise else command.oc)
        reads: list[Span] = [
            (
                "spm",
                command.src,
                matrix_bytes(blocking, command.h * command.w, command.c, command.fmt),
            ),
            ("spm", command.weights, matrix_bytes(blocking, rows, command.c, command.fmt)),
        ]
        out = (oh * ow, command.oc)
        total = matrix_bytes(blocking, *out, command.out_fmt)
    else:
        a = (command.k, command.m) if command.trans_a else (command.m, command.k)
        b = (command.n, command.k) if command.trans_b else (command.k, command.n)
        more = command.batch - 1
        reads = [
            ("spm", command.a, more * command.a_step + matrix_bytes(blocking, *a, command.fmt)),
            ("spm", command.b, more * command.b_step + matrix_bytes(blocking, *b, command.fmt)),
        ]
        out = (command.m, command.n)
        total = more * command.dst_step + matrix_bytes(blocking, *out, command.out_fmt)
    if command.psum is not None:
        psum = matrix_bytes(blocking, *out, psum_format(command.fmt))
        if isinstance(command, MatMul):
            psum += (command.batch - 1) * command.psum_step
        reads.append(("spm", command.psum, psum))
    return reads, [("spm", command.dst, total)]


def psum_format(fmt: str) -> str:
    """Format of partial sums for a source format: i32 for 8-bit integers, else f32."""
    return "i32" if fmt in ("i8", "u8") else "f32"


def _vector(command: Vector | Reduce | Pool, blocking: Blocking) -> tuple[list[Span], list[Span]]:
    if isinstance(command, Vector):
        size = FORMAT_BYTES[command.fmt]
        reads: list[Span] = [("spm", command.a, command.count * size)]
        if command.b is not None:
            reads.append(("spm", command.b, (command.unit or command.count) * size))
        return reads, [("spm", command.dst, command.count * FORMAT_BYTES[command.out_fmt])]
    source = matrix_bytes(blocking, command.h * command.w, command.c, command.fmt)
    if isinstance(command, Pool):
        oh, ow = command.out_hw
        target = matrix_bytes(blocking, oh * ow, command.c, command.fmt)
    else:
        rows, channels = reduced_shape(command)
        target = matrix_bytes(blocking, rows, channels, command.out_fmt)
    return [("spm", command.src, source)], [("spm", command.dst, target)]


def reduced_shape(command: Reduce) -> tuple[int, int]:
    """Rows and channels of a ``Reduce`` command's result."""
    h, w, c = command.h, command.w, command.c
    return {"c": (h * w, 1), "w": (h, c), "h": (w, c), "hw": (1, c)}[command.axis]
