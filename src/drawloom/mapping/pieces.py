"""The parts of a Mapping: each piece is work that all tiles do between two common points.

    piece ::= matrix | strip | pool | copy | cpu | flash | norm

A piece says which tile does what, in which chunks, from which buffers; the program room
turns it into commands. Ranges are half-open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drawloom.graph.ir import Attr
from drawloom.mapping.body import Body
from drawloom.mapping.layout.storage import Storage

Span = tuple[int, int]
FEW_MATRICES = 2  # as many must share rows
LEAST_SHARED = 16  # rows of a matrix that a tile must have


@dataclass(frozen=True, slots=True)
class Buffer:
    """A scratchpad area, the same in every tile: ``copies`` slots of ``bytes`` each."""

    name: str
    address: int
    bytes: int
    copies: int = 1

    def at(self, slot: int) -> int:
        """Address of a slot."""
        return self.address + (slot % self.copies) * self.bytes


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window: input size, kernel, strides, pads (top, bottom, left, right), dilations."""

    h: int
    w: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    oh: int
    ow: int

    @property
    def is_pointwise(self) -> bool:
        """Whether each result is of one pixel, and each pixel is seen: work on rows of channels."""
        return self.kernel == self.strides == (1, 1) and not any(self.pads)

    @property
    def right(self) -> int:
        """Padding on the right that makes exactly the wanted width."""
        span = (self.ow - 1) * self.strides[1] + (self.kernel[1] - 1) * self.dilations[1] + 1
        return max(0, span - self.w - self.pads[2])

    def rows_for(self, outs: Span) -> tuple[Span, int, int]:
        """Input rows that output rows ``outs`` need, with the padding above and below.

        Rows that see padding alone need none.
        """
        first = outs[0] * self.strides[0] - self.pads[0]
        last = (
            (outs[1] - 1) * self.strides[0]
            - self.pads[0]
            + (self.kernel[0] - 1) * self.dilations[0]
            + 1
        )
        if last <= 0 or first >= self.h:
            row = 0 if last <= 0 else self.h
            above = last - first if last <= 0 else 0
            return (row, row), above, last - first - above
        return (max(0, first), min(self.h, last)), max(0, -first), max(0, last - self.h)


@dataclass(frozen=True, slots=True)
class Fold:
    """How few channels of an image become many: a row's neighbouring pixels, and rows, side by side.

    Each result sees ``pixels`` of a row of ``width``, ``step`` on from the result before, the first
    with ``left`` of them before the row; a pixel of ``channels``. So many ``rows`` stand together.
    """

    channels: int
    pixels: int
    step: int
    left: int
    rows: int
    width: int


@dataclass(frozen=True, slots=True)
class Coding:
    """How codes of the second operand become numbers, chunk by chunk behind their load.

    Codes have 8 ``bits``, or 4: a byte then holds one of a block of channels in its low half, 8
    added, and one of the next block in its high half, as it is. A scale serves ``group`` inputs. Where it
    serves all of a channel, it may stand ``behind`` the product: codes are multiplied as they
    are, and the body's first step scales the sums.
    """

    bits: int
    group: int
    scales: Storage
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """How a large product sums many channels side by side while its operands come in.

    The first ``channels`` of a round of rows are summed together, ``depth`` inputs at a time (at
    first fewer): work begins with the first of them. Those inputs of ``a`` stay, and the channels
    behind follow a chunk at a time over their whole depth. With ``always``, the channels behind
    are summed side by side as well, and nothing stays. With ``within``, results lie where sums were.
    """

    channels: int
    depth: int
    always: bool = False
    within: bool = False


@dataclass(frozen=True, slots=True)
class MatrixPiece:
    """A matrix product or convolution with a fused body on its result.

    The tiles form a grid ``gb x gm x gn`` over batch, rows and output channels. Within a
    tile, chunks of ``mt`` rows (output rows of the image for a convolution), ``nt`` channels
    and ``kt`` input channels run in ``order``. ``share_a``/``share_b``: tiles that need the
    same operand read a part each and multicast it over the NoC.
    """

    name: str
    nodes: tuple[str, ...]
    a: Storage
    b: Storage
    batch: int
    m: int
    k: int
    n: int
    fmt: str
    out_fmt: str
    grid: tuple[int, int, int]
    chunk: tuple[int, int, int]
    order: str
    share_a: bool
    share_b: bool
    trans_a: bool
    trans_b: bool
    body: Body
    result: str  # slot of the body that receives the product
    buffers: Mapping[str, Buffer]
    values: Mapping[str, Storage]  # what the body loads and stores
    window: Window | None = None
    depthwise: bool = False
    products: int = 1  # 3 when f32 is made of tf32 products
    coding: Coding | None = None  # of b
    fold: Fold | None = None  # of a: then k and the window are those of the folded image
    numbers: Storage | None = (
        None  # which matrix of b each one is multiplied by; all in turn if None
    )
    panel: Panel | None = None
    beside: bool = False  # it runs with the piece before, whose results it takes chunk by chunk
    estimate: float = 0.0  # expected nanoseconds, by the cost model


@dataclass(frozen=True, slots=True)
class StripPiece:
    """A body over chunks of rows (``rows`` geometry) or of flat elements."""

    name: str
    nodes: tuple[str, ...]
    geometry: str  # "rows" or "flat"
    batch: int
    rows: int  # rows of a matrix, or elements in all
    channels: int  # 1 when flat
    chunk: int  # rows (or elements) at a time
    body: Body
    buffers: Mapping[str, Buffer]
    values: Mapping[str, Storage]
    by_batch: bool = False  # a tile's share is whole matrices

    def across(self, n_tiles: int) -> tuple[str, ...]:
        """Return the slots that are the same for all matrices: tiles then have rows of each of them."""
        if self.by_batch or self.geometry == "flat":
            return ()
        return shared(self.body, self.values, self.batch, self.rows, n_tiles)


def shared(
    body: Body, values: Mapping[str, Storage], batch: int, rows: int, n_tiles: int
) -> tuple[str, ...]:
    """Return the slots of a strip's body that hold the same rows for all its matrices.

    None where the matrices have too few rows for all tiles, or something else is kept by the tiles.
    """
    if batch < FEW_MATRICES or rows < LEAST_SHARED * n_tiles:
        return ()
    if any(storage.per_tile for storage in values.values()):
        return ()
    return tuple(
        slot
        for slot, value in body.loads
        if body.slot(slot).kind == "full" and values[value].blocked.batch == 1
    )


@dataclass(frozen=True, slots=True)
class PoolPiece:
    """Pooling windows, or a reduction over the whole image (``op`` = sum with no window)."""

    name: str
    nodes: tuple[str, ...]
    op: str
    src: Storage
    dst: Storage
    window: Window | None
    count_pad: bool
    chunk: tuple[int, int]  # output rows, channels
    buffers: Mapping[str, Buffer]
    scale: float | None = None
    by_batch: bool = False  # a tile's share is whole images


@dataclass(frozen=True, slots=True)
class Atom:
    """One level of an affine copy: ``count`` steps of so many bytes on either side."""

    count: int
    src: int
    dst: int


@dataclass(frozen=True, slots=True)
class CopyRun:
    """Elements that go from one storage to another along the atoms, from byte offsets in each."""

    source: Storage
    target: Storage
    src: int
    dst: int
    atoms: tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class CopyPiece:
    """Values rearranged in DRAM through the scratchpads; ``fill`` writes a constant first."""

    name: str
    nodes: tuple[str, ...]
    element: int
    runs: tuple[CopyRun, ...]
    buffers: Mapping[str, Buffer]
    fill: tuple[tuple[Storage, float], ...] = ()


@dataclass(frozen=True, slots=True)
class CpuPiece:
    """Work of one tile's processor on dense values in DRAM."""

    name: str
    nodes: tuple[str, ...]
    op: str
    ins: tuple[Storage | None, ...]
    outs: tuple[Storage, ...]
    attrs: Mapping[str, Attr] = field(default_factory=dict[str, Attr])


@dataclass(frozen=True, slots=True)
class FlashPiece:
    """Attention whose scores stay in the scratchpads.

    Queries are taken ``strip`` at a time, and ``span`` keys at most are held at once; where these
    are not all, ``units`` strips go over the keys together. ``team`` tiles go over the same keys,
    each loading a part of them for all. Query i sees keys from i - ``behind``
    to i + ``ahead``, None being no bound, and ``mask`` is added to the scores.
    """

    name: str
    nodes: tuple[str, ...]
    q: Storage
    k: Storage
    v: Storage
    out: Storage
    heads: int  # of the queries, in each entry of the batch
    groups: int  # heads of the keys
    queries: int
    keys: int
    features: int
    values: int  # features of a value
    fmt: str
    scale: float  # of the scores
    strip: int
    span: int
    units: int
    team: int
    buffers: Mapping[str, Buffer]
    behind: int | None = None
    ahead: int | None = None
    mask: Storage | None = None


@dataclass(frozen=True, slots=True)
class NormPiece:
    """Normalization of groups of channels over whole images, with a fused body on its result.

    An image is shared by ``parts`` tiles, each with some of its pixels, ``chunk`` at a time. What
    is ``held`` stays in the scratchpads from the sums to the results; else it is read again.
    """

    name: str
    nodes: tuple[str, ...]
    src: Storage
    scale: Storage
    bias: Storage
    groups: int
    epsilon: float
    parts: int
    chunk: int
    held: bool
    body: Body
    result: str  # slot of the body that receives what is normalized
    buffers: Mapping[str, Buffer]
    values: Mapping[str, Storage]  # what the body loads and stores


Piece = MatrixPiece | StripPiece | PoolPiece | CopyPiece | CpuPiece | FlashPiece | NormPiece
