"""What a command touches and which rules it is held to, apart from where: worked out once for all its likes.

A span is a row of integers: which memory, which of the command's addresses it starts from, and runs of ``inner``
bytes under up to three strided levels. Of more runs than ``RUNS`` the span is the solid range around them, and not
exact: it may hold bytes that are not touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from drawloom.check.limits import Fault, broken
from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Blocking, Chip
from drawloom.program.addresses import addresses, with_addresses
from drawloom.program.commands import (
    ENGINE_OF,
    Arm,
    Barrier,
    Command,
    Conv,
    Cpu,
    Dims,
    Engine,
    Fill,
    Join,
    MatMul,
    Move,
    Pick,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Signal,
    Vector,
    Wait,
    Write,
)
from drawloom.program.extents import INDEX_BYTES, moved_bytes, psum_format, touched

# Rows of the code.
LOOP, END, ENGINE, SEND, ARM, SIGNAL, WAIT, JOIN, BARRIER, CPU, PICK = range(11)
# Columns of a span.
(WRITES, SPACE, ADDRESS, LOW, INNER, COUNT0, STRIDE0, COUNT1, STRIDE1, COUNT2, STRIDE2) = range(11)
FORMAT, HULL_LOW, HULL, EXACT, BY_CPU, TAIL, RUN = range(11, 18)
N_SPAN = 18
SPM, DRAM, REMOTE = range(3)
# What a command is held to.
COVERED = 1  # hazard checks look at it
WHOLE_USED = 2  # all it writes must not go unread
PART_USED = 4  # no large part of it must
WHOLE_PIECES = 8  # reads no part of one write beside another
ONE_PART = 16  # reads parts of at most one write
NO_REMAINS = 32  # reads no remains of a write beside what went over the rest
IS_MOVE = 64
COPIES = 128  # what it writes has the format of what it reads
IS_FILL = 256
ONE_FORMAT = 512  # what it reads first and last, and writes over, has one format
# Rules that a sound program may break on purpose.
STRICT = WHOLE_USED | PART_USED | WHOLE_PIECES | ONE_PART | NO_REMAINS | ONE_FORMAT
PIECED = WHOLE_PIECES | ONE_PART | NO_REMAINS  # what it reads is counted by pieces
RUNS = {DRAM: 16_384, SPM: 64, REMOTE: 64}
_MARK = 1 << 44  # sets addresses apart while spans are worked out
FORMATS = tuple(sorted({*FORMAT_BYTES, "bool"} - {"tf32"}))
OPS: dict[type, int] = {
    Send: SEND,
    Arm: ARM,
    Signal: SIGNAL,
    Wait: WAIT,
    Join: JOIN,
    Barrier: BARRIER,
    Cpu: CPU,
    Pick: PICK,
}
ENGINES = list(Engine)
_LOADS = WHOLE_USED | PART_USED
_HELD_TO: dict[type, int] = {
    Read: COVERED | _LOADS | COPIES,
    Pick: COVERED | _LOADS | COPIES,
    Write: COVERED | _LOADS | WHOLE_PIECES | NO_REMAINS | COPIES,
    Move: COVERED | _LOADS | WHOLE_PIECES | NO_REMAINS | COPIES | IS_MOVE,
    Fill: COVERED | IS_FILL,
    Select: COVERED | ONE_PART | ONE_FORMAT,
    MatMul: COVERED | _LOADS | WHOLE_PIECES | NO_REMAINS,
    Conv: COVERED | _LOADS | WHOLE_PIECES | NO_REMAINS,
    Vector: COVERED | ONE_PART,
    Reduce: COVERED
    | WHOLE_USED
    | WHOLE_PIECES,  # of each row of its results the first element counts
    Pool: COVERED | _LOADS | WHOLE_PIECES | NO_REMAINS,
    Send: PART_USED | WHOLE_PIECES | NO_REMAINS | COPIES,
    Cpu: ONE_PART,
}
Row = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A command without its addresses.

    Attributes:
        op: row of the code.
        engine: its queue, by place in ``Engine``.
        flag: flag, or set of tiles of a barrier.
        count: of a wait; commands that a join lets go on.
        tiles: targets of a send or signal; engines of a join.
        held_to: rules that it is held to.
        spans: what it touches.
        aligned: for each address, the bytes it must be a multiple of.
        faults: what is wrong with it wherever it works.
    """

    op: int
    engine: int
    flag: int
    count: int
    tiles: tuple[int, ...]
    held_to: int
    spans: tuple[Row, ...]
    aligned: tuple[int, ...]
    faults: tuple[Fault, ...]


def template(command: Command, chip: Chip, blocking: Blocking) -> Template:
    """Return the template of a command."""
    flag, count, tiles = 0, 0, ()
    match command:
        case Send():
            flag, tiles = command.flag, command.targets
        case Signal():
            flag, tiles = command.flag, (command.target,)
        case Arm():
            flag = command.flag
        case Wait():
            flag, count = command.flag, command.count
        case Join():
            count, tiles = command.keep, tuple(ENGINES.index(e) for e in command.engines)
        case Barrier():
            tiles = tuple(sorted(set(command.tiles)))
        case _:
            pass
    spans = tuple(_spans(command, blocking))
    return Template(
        op=OPS.get(type(command), ENGINE),
        engine=ENGINES.index(ENGINE_OF[type(command)]),
        flag=flag,
        count=count,
        tiles=tiles,
        held_to=_HELD_TO.get(type(command), 0),
        spans=spans,
        aligned=tuple(_aligned(command, chip, spans)),
        faults=tuple(broken(command, chip)),
    )


def _spans(command: Command, blocking: Blocking) -> Iterator[Row]:
    moved = _runs(command, blocking)
    if moved is not None:
        yield from moved
        return
    old = addresses(command)
    marked = with_addresses(command, [(k + 1) * _MARK for k in range(len(old))])
    batch, steps = 1, ()
    if isinstance(marked, MatMul) and marked.batch > 1:
        batch = marked.batch
        psum = () if marked.psum is None else (marked.psum_step,)
        steps = (marked.a_step, marked.b_step, *psum, marked.dst_step)
        marked = replace(marked, batch=1)
    reads, writes = touched(marked, blocking)
    formats, tails = _formats(command), _tails(command, blocking)
    if isinstance(command, Select):
        # What a mask leaves out stays: the target must be there before.
        yield _row(False, False, 2, command.count * command.element, ())
    for k, (space, start, size) in enumerate((*reads, *writes)):
        assert isinstance(start, int)
        which = (start + _MARK // 2) // _MARK - 1
        dims = ((steps[k], batch),) if steps and steps[k] else ()
        tail = tails[k] if k < len(reads) else 0
        rows = _rows_of_block(command, k, blocking) if tail and not dims else 1
        if rows > 1:
            size, dims = size // rows, ((size // rows, rows),)
        yield _row(k >= len(reads), space == "dram", which, size, dims, formats[k], tail=tail)


def _runs(command: Command, blocking: Blocking) -> list[Row] | None:
    """Return the spans of what is strided; None for other commands."""
    match command:
        case Read() | Pick():
            n = moved_bytes(command.inner, command.dims)
            dims = command.dims
            if isinstance(command, Read):
                source = [_row(False, True, 0, command.inner, dims)]
                return [*source, _row(True, False, 1, n, ())]
            reach = _row(False, True, 0, command.inner, ((command.step, command.entries), *dims))
            index = _row(False, True, 1, INDEX_BYTES, (), "i64", by_cpu=True)
            return [reach, index, _row(True, False, 2, n, ())]
        case Write():
            n = moved_bytes(command.inner, command.dims)
            return [
                _row(False, False, 0, n, ()),
                _row(True, True, 1, command.inner, command.dims),
            ]
        case Move():
            near = tuple((s, n) for s, _, n in command.dims)
            far = tuple((t, n) for _, t, n in command.dims)
            return [
                _row(False, False, 0, command.inner, near),
                _row(True, False, 1, command.inner, far),
            ]
        case Send():
            n = moved_bytes(command.inner, command.dims)
            sent = list(_row(True, False, 1, n, ()))
            sent[SPACE] = REMOTE
            # Rows go on as they were read: what pads the last one may not be there.
            pad = 0 if command.dims else min(4 * (blocking.min_tail - 1), command.inner // 2)
            return [_row(False, False, 0, command.inner, command.dims, tail=pad), tuple(sent)]
        case _:
            return None


def _row(
    is_write: bool,
    in_dram: bool,
    which: int,
    inner: int,
    dims: Dims,
    fmt: str = "",
    *,
    by_cpu: bool = False,
    tail: int = 0,
) -> Row:
    """Return a span; strided, or solid where it has too many runs.

    Which bytes are touched is asked, not in which sequence or how often: levels go upwards, from the widest stride
    to the narrowest, and one that stays where it is counts once. What is told apart of a run, ``RUN``, stays what the
    command itself takes at a time.
    """
    space = DRAM if in_dram else SPM
    if moved_bytes(inner, dims) == 0:
        inner, dims = 0, ()
    low = sum(min(0, stride) * (count - 1) for stride, count in dims)
    run, _ = _joined(inner, dims, most=len(dims)) or (inner, ())
    dims = tuple(sorted(((abs(s), n) for s, n in dims if s), reverse=True))
    hull = inner + sum(stride * (count - 1) for stride, count in dims)
    levels = (inner, dims) if tail else _joined(inner, dims)
    exact = 1
    if levels is None or moved_bytes(1, levels[1]) > RUNS[space]:
        exact = int(moved_bytes(inner, dims) == hull)
        levels, run = (hull, ()), hull
        tail = hull if tail else 0
    inner, dims = levels
    padded = [x for stride, count in (*dims, *((0, 1),) * (3 - len(dims))) for x in (count, stride)]
    number = FORMATS.index({"tf32": "f32"}.get(fmt, fmt)) + 1 if fmt else 0
    return (
        int(is_write), space, which, low, inner, *padded, number, low, hull, exact, int(by_cpu), tail,
        run,
    )  # fmt: skip


def _joined(inner: int, dims: Dims, most: int = 3) -> tuple[int, Dims] | None:
    """Return runs with levels joined where one follows the other; None where over ``most`` are left."""
    left = [(stride, count) for stride, count in dims if count != 1]
    while left and left[-1][0] == inner:
        inner *= left.pop()[1]
    return (inner, tuple(left)) if len(left) <= most else None


def _formats(command: Command) -> list[str]:
    """Return the format of what a command reads and writes, in the order of its spans."""
    match command:
        case MatMul() | Conv():
            psum = [psum_format(command.fmt)] if command.psum is not None else []
            return [command.fmt, command.fmt, *psum, command.out_fmt]
        case Vector():
            return [command.fmt] * (1 + (command.b is not None)) + [command.out_fmt]
        case Reduce():
            return [command.fmt, command.out_fmt]
        case Pool():
            return [command.fmt, command.fmt]
        case Fill():
            return [command.fmt]
        case Select():
            return ["", "", ""]
        case Cpu():
            return [o.fmt for o in (*command.ins, *command.outs) if o]
        case _:
            return []


def _tails(command: Command, blocking: Blocking) -> list[int]:
    """Return for each span that is read how many bytes at its end may be what pads a block."""
    match command:
        case MatMul():
            a = command.m if command.trans_a else command.k
            b = command.k if command.trans_b else command.n
            fmt = command.fmt
            sides = [(a, fmt), (b, fmt), (command.n, psum_format(fmt))]
            return [_pad(blocking, channels, fmt) for channels, fmt in sides]
        case Conv():
            fmt = command.fmt
            sides = [(command.c, fmt), (command.c, fmt), (command.oc, psum_format(fmt))]
            return [_pad(blocking, channels, fmt) for channels, fmt in sides]
        case Reduce() | Pool():
            return [_pad(blocking, command.c, command.fmt)]
        case Vector():
            # Flat elements: how many of the last pad a row is not said.
            size = FORMAT_BYTES[command.fmt]
            row = (blocking.of(size) - 1) * size
            counts = (command.count, command.unit or command.count)
            return [min(row, (count - 1) * size) for count in counts]
        case _:
            return [0] * 16
    return []


def _rows_of_block(command: Command, k: int, blocking: Blocking) -> int:
    """Return the rows of what is read ``k``-th, where it is one block whose rows each end in what pads it; else 1."""
    match command:
        case Reduce():
            rows, channels = command.h * command.w, command.c
        case MatMul() if k == 0:
            rows, channels = (command.m, command.k)[:: -1 if command.trans_a else 1]
        case MatMul() if k == 1:
            rows, channels = (command.k, command.n)[:: -1 if command.trans_b else 1]
        case _:
            return 1
    return rows if channels < blocking.of(FORMAT_BYTES[command.fmt]) else 1


def _pad(blocking: Blocking, channels: int, fmt: str) -> int:
    size = FORMAT_BYTES[fmt]
    return (blocking.width(channels, size) - channels) * size


def _aligned(command: Command, chip: Chip, spans: tuple[Row, ...]) -> Iterator[int]:
    """Yield for each address the bytes it must be a multiple of."""
    sizes = dict[int, int]()
    for span in spans:
        if span[FORMAT]:
            sizes[span[ADDRESS]] = FORMAT_BYTES[FORMATS[span[FORMAT] - 1]]
    on_lines = isinstance(command, (MatMul, Conv, Reduce, Pool))
    for k in range(len(addresses(command))):
        yield chip.blocking.align if on_lines else sizes.get(k, 1)
