"""The commands a tile issues: drawloom's own, close to what the engines do.

    program ::= per tile a stream; stream ::= (command | loop)*; loop ::= count, stream
    address ::= base + sum(stride[k] * index[k])   over the enclosing loops, outermost first

A tile's processor reads its stream in order. Engine commands go into that engine's
queue and run asynchronously, each queue in order; within a tile the hardware orders
commands of different queues whose byte ranges conflict (read after write, write after
read, write after write), in scratchpad and DRAM. Not covered by that: ``Send``, the
tile processor (``Cpu``) and other tiles. Those need ``Join``, ``Wait`` or ``Barrier``.
Formats are dtype words; ``tf32`` is f32 storage of 10 mantissa bits for the matrix engine. Matrix,
reduce and pool operands are channel-blocked (``chip/layout.py``); vector commands see flat elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Engine(Enum):
    """The queues of a tile; ``CPU`` is the tile's own processor."""

    MATRIX = "matrix"
    VECTOR = "vector"
    READ = "read"
    WRITE = "write"
    MOVE = "move"
    SEND = "send"
    CPU = "cpu"

    # Members are compared by identity: Enum's own hash, of the name, is computed anew each time.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Affine:
    """An address that moves with the enclosing loops (bytes; outermost loop first)."""

    base: int
    strides: tuple[int, ...]

    def at(self, index: tuple[int, ...]) -> int:
        """Return the address at the given loop indices."""
        return self.base + sum(s * i for s, i in zip(self.strides, index, strict=False))


Address = int | Affine
Dims = tuple[tuple[int, int], ...]  # (stride in bytes, count), outermost first, at most 3


@dataclass(frozen=True, slots=True)
class Read:
    """DRAM to scratchpad: ``inner`` contiguous bytes under up to 3 strided levels; compact in the scratchpad."""

    dram: Address
    spm: Address
    inner: int
    dims: Dims = ()
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Pick:
    """A ``Read`` from ``dram`` + n * ``step``, n (0 to ``entries`` - 1) the i64 at ``index`` in DRAM."""

    dram: Address
    index: Address
    spm: Address
    inner: int
    step: int
    entries: int
    dims: Dims = ()
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Write:
    """Scratchpad to DRAM: the reverse of ``Read``; strides are on the DRAM side."""

    spm: Address
    dram: Address
    inner: int
    dims: Dims = ()
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Move:
    """Scratchpad to scratchpad: ``inner`` bytes under up to 3 levels (source stride, target stride, count)."""

    src: Address
    dst: Address
    inner: int
    dims: tuple[tuple[int, int, int], ...] = ()
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Fill:
    """Write ``count`` copies of ``value`` in format ``fmt`` (move engine)."""

    dst: Address
    fmt: str
    count: int
    value: float
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Select:
    """Move ``count`` elements of ``src`` over ``dst`` where ``mask`` (one byte each) is not zero (move engine)."""

    mask: Address
    src: Address
    dst: Address
    element: int
    count: int
    origin: int = -1


@dataclass(frozen=True, slots=True)
class MatMul:
    """``dst[m,n] = a[m,k] @ b[k,n] (+ psum[m,n])`` for each of ``batch`` matrices, blocked operands.

    ``trans_a``: a is stored as rows k, channels m. ``trans_b``: b is stored as rows n, channels k.
    Steps are bytes between matrices of a batch (0 shares one). Products are exact, sums carried
    wide and rounded once to ``psum_fmt`` (f32, or i32 for 8-bit sources), then once to ``out_fmt``.
    """

    a: Address
    b: Address
    dst: Address
    m: int
    k: int
    n: int
    fmt: str
    out_fmt: str
    psum: Address | None = None
    trans_a: bool = False
    trans_b: bool = False
    batch: int = 1
    a_step: int = 0
    b_step: int = 0
    dst_step: int = 0
    psum_step: int = 0
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Conv:
    """2-D convolution of one blocked image (rows = h*w, channels = c).

    Weights are blocked with rows = kh*kw*oc and channels = c (``depthwise``: rows = kh*kw,
    channels = c, and oc = c). ``pads`` = top, bottom, left, right. Result rows = oh*ow,
    channels = oc. Sums and rounding as in ``MatMul``.
    """

    src: Address
    weights: Address
    dst: Address
    h: int
    w: int
    c: int
    oc: int
    kh: int
    kw: int
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    fmt: str
    out_fmt: str
    depthwise: bool = False
    psum: Address | None = None
    origin: int = -1

    @property
    def out_hw(self) -> tuple[int, int]:
        """Height and width of the result."""
        return _windows(self)


@dataclass(frozen=True, slots=True)
class Vector:
    """Elementwise on ``count`` flat elements: ``dst[i] = op(a[i], b[i] | b[i % unit] | scalar)``.

    ``fmt`` is the format of the operands, ``out_fmt`` of the result. With ``unit`` > 0 operand b
    holds that many elements, used over and over. ``op`` is one of ``vector_ops.VECTOR_OPS``. Computed wide,
    rounded once to ``out_fmt``. Compare ops give 1 or 0 in ``out_fmt``.
    """

    op: str
    a: Address
    dst: Address
    count: int
    fmt: str
    out_fmt: str
    b: Address | None = None
    scalar: float | None = None
    unit: int = 0
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Reduce:
    """Reduce a blocked (h*w rows, c channels) array along ``axis`` in {c, w, h, hw} (vector engine).

    ``op`` in {sum, max, min}; the reduced axis becomes 1 (axis c leaves rows x 1 channel, blocked).
    Sums are carried wide and rounded once.
    """

    op: str
    src: Address
    dst: Address
    h: int
    w: int
    c: int
    axis: str
    fmt: str
    out_fmt: str
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Pool:
    """Window ``op`` in {max, min, avg} over one blocked image (vector engine).

    ``pads`` = top, bottom, left, right; padding never wins a max and counts in an average's
    divisor only with ``count_pad``.
    """

    op: str
    src: Address
    dst: Address
    h: int
    w: int
    c: int
    kh: int
    kw: int
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    fmt: str
    count_pad: bool = False
    origin: int = -1

    @property
    def out_hw(self) -> tuple[int, int]:
        """Height and width of the result."""
        return _windows(self)


def _windows(command: Conv | Pool) -> tuple[int, int]:
    """How many windows fit the padded image, down and across."""
    top, bottom, left, right = command.pads
    high = command.h + top + bottom - command.dilations[0] * (command.kh - 1) - 1
    wide = command.w + left + right - command.dilations[1] * (command.kw - 1) - 1
    return high // command.strides[0] + 1, wide // command.strides[1] + 1


@dataclass(frozen=True, slots=True)
class Send:
    """Tile-to-tile DMA: gather from this scratchpad, compact at ``dst`` of every target.

    On completion ``flag`` of each target goes up by one. Every target must have armed
    ``flag`` before the send starts, or it hangs. A target may be the sender itself.
    """

    src: Address
    dst: Address
    inner: int
    targets: tuple[int, ...]
    flag: int
    dims: Dims = ()
    origin: int = -1
    chip: int = -1  # of the targets, in a span; -1: the sender's own


@dataclass(frozen=True, slots=True)
class Arm:
    """Make ready to receive one ``Send`` on ``flag`` (tile processor)."""

    flag: int
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Signal:
    """Raise counter ``flag`` of tile ``target`` by one (tile processor)."""

    target: int
    flag: int
    origin: int = -1
    chip: int = -1  # as of ``Send``


@dataclass(frozen=True, slots=True)
class Wait:
    """Hold the tile processor until its counter ``flag`` is at least ``count``; then take ``count`` off."""

    flag: int
    count: int = 1
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Join:
    """Hold the tile processor until at most ``keep`` commands are unfinished in each named engine's queue."""

    engines: tuple[Engine, ...]
    keep: int = 0
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Barrier:
    """Hold the tile processor until every listed tile stands at this barrier."""

    tiles: tuple[int, ...]
    origin: int = -1


@dataclass(frozen=True, slots=True)
class Operand:
    """A dense, row-major tensor that a ``Cpu`` command reads or writes."""

    space: str  # "spm" or "dram"
    address: Address
    fmt: str
    shape: tuple[int, ...]


AttrValue = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cpu:
    """A declared, priced piece of work of the tile's processor, named after a graph operator.

    Not covered by the hazard checks: join the engines whose data it touches. An absent
    optional operand is None.
    """

    op: str
    ins: tuple[Operand | None, ...]
    outs: tuple[Operand, ...]
    attrs: tuple[tuple[str, AttrValue], ...] = ()
    origin: int = -1


Command = (
    Read
    | Pick
    | Write
    | Move
    | Fill
    | Select
    | MatMul
    | Conv
    | Vector
    | Reduce
    | Pool
    | Send
    | Arm
    | Signal
    | Wait
    | Join
    | Barrier
    | Cpu
)


@dataclass(frozen=True, slots=True)
class Loop:
    """Run ``body`` ``count`` times."""

    count: int
    body: tuple[Command | Loop, ...]


Stream = tuple[Command | Loop, ...]

ENGINE_OF: dict[type, Engine] = {
    **dict.fromkeys((Read, Pick), Engine.READ),
    Write: Engine.WRITE,
    **dict.fromkeys((Move, Fill, Select), Engine.MOVE),
    **dict.fromkeys((MatMul, Conv), Engine.MATRIX),
    **dict.fromkeys((Vector, Reduce, Pool), Engine.VECTOR),
    Send: Engine.SEND,
    **dict.fromkeys((Arm, Signal, Wait, Join, Barrier, Cpu), Engine.CPU),
}
