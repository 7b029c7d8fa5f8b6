"""The machine as data: tiles, engines, memories, links, rates and energy. It knows no model.

These are the plain numbers that mapping, timing and reports calculate with;
where each came from, and how sure it is, stays beside it in ``Chip.sources``
(dotted path -> ``Source``). Every number is a YAML entry in ``chip/catalog``
or in a person's own file; nothing here has a hardware default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drawloom.units import Bytes, Cycles, Picoseconds


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number came from: text, grade A-F, and the range it may lie in."""

    text: str
    grade: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Scratchpad:
    """A tile's software-managed memory; addresses run from 0 to ``bytes``."""

    bytes: Bytes
    reserve_low: Bytes
    reserve_high: Bytes
    banks: int
    line: Bytes

    @property
    def usable(self) -> Bytes:
        """Bytes that a program may use."""
        return Bytes(self.bytes - self.reserve_low - self.reserve_high)


@dataclass(frozen=True, slots=True)
class MatrixEngine:
    """GEMM and convolution: scratchpad to scratchpad.

    A command takes ``work + overhead`` cycles. ``work`` is the multiply-adds, with M, N and K
    rounded up to blocks, over ``macs_per_cycle`` of the format, rounded up. ``overhead =
    min(fixed, start + work // bubble_every) + (psum_fixed if partial sums are read)``.
    """

    macs_per_cycle: Mapping[str, int]  # by format word: i8, f16, bf16, tf32
    block: int  # M, N and K round up to this (K: twice this for 8-bit formats)
    start: Cycles  # before the first multiply-add
    bubble_every: Cycles  # one lost cycle per this many working cycles ...
    fixed: Cycles  # ... until the overhead reaches this
    psum_fixed: Cycles  # on top, when partial sums are read back
    depthwise_rate: int  # MACs per cycle of depthwise convolution
    depth: int


@dataclass(frozen=True, slots=True)
class VectorEngine:
    """Elementwise, reduce, convert and pool commands: scratchpad to scratchpad.

    A command takes ``fixed + ceil(n / lanes) * rate[op]`` cycles.
    """

    lanes_16: int
    lanes_32: int
    fixed: Cycles
    rates: Mapping[str, int]  # op -> passes over the data; absent means 1
    depth: int


@dataclass(frozen=True, slots=True)
class DmaEngine:
    """DRAM to scratchpad or back: ``latency + segments * segment``, then bytes at a shared rate."""

    latency: Cycles
    depth: int


@dataclass(frozen=True, slots=True)
class MoveEngine:
    """Scratchpad to scratchpad: ``fixed + max(bytes / bytes_per_cycle, inner_cycles * moves)``."""

    fixed: Cycles
    bytes_per_cycle: int
    inner_cycles: int
    max_inner_moves: int
    max_bytes: Bytes
    depth: int


@dataclass(frozen=True, slots=True)
class SendEngine:
    """Tile-to-tile DMA: message cost by profile, then bytes at ``efficiency`` of a link."""

    efficiency: float
    fanout: tuple[int, ...]  # numbers of targets one command may have
    depth: int


@dataclass(frozen=True, slots=True)
class TileCpu:
    """The tile's own processor: issues commands and runs the declared CPU commands."""

    cycles_per_element: Mapping[str, float]  # by CPU op; "default" for the rest
    start: Cycles


@dataclass(frozen=True, slots=True)
class Noc:
    """The mesh inside the chip: XY routing, one transfer at a time on a link and a port."""

    bytes_per_cycle: int
    hop: Cycles


@dataclass(frozen=True, slots=True)
class Dram:
    """The chip's memory, shared by all tiles (rates in bytes per second)."""

    bytes: Bytes
    peak: int
    read: int
    write: int
    combined: int
    port: int  # one tile's ceiling
    segment: Picoseconds  # cost of each contiguous run
    align: Bytes


@dataclass(frozen=True, slots=True)
class Profile:
    """What the software on the tile costs."""

    issue: Cycles  # per command handed to an engine
    message: Cycles  # per tile-to-tile DMA command
    first_message: Cycles  # the first of each tile
    signal: Cycles  # one remote counter increment
    wait: Cycles  # reading a counter or a queue's state that is already there
    barrier: Cycles
    launch: Picoseconds  # host to the first command


@dataclass(frozen=True, slots=True)
class Blocking:
    """The channel-blocked layout (Cx): elements per block, by element size."""

    block: int
    block_8bit: int
    min_tail: int
    align: Bytes  # operands of the matrix engine and reductions; batches too

    def of(self, element_bytes: int) -> int:
        """Elements in a full block for this element size in bytes."""
        return self.block_8bit if element_bytes == 1 else self.block

    def tail(self, channels: int, element_bytes: int) -> int:
        """Padded width of the block that holds the last ``channels % block`` channels."""
        block = self.of(element_bytes)
        rest = channels % block
        if rest == 0 or rest > block // 2:
            return block if rest else 0
        width = self.min_tail
        while width < rest:
            width *= 2
        return width

    def width(self, channels: int, element_bytes: int) -> int:
        """Padded number of channels: full blocks plus the padded tail."""
        block = self.of(element_bytes)
        return channels // block * block + self.tail(channels, element_bytes)


@dataclass(frozen=True, slots=True)
class Range:
    """A figure of which only bounds are public."""

    low: float
    default: float
    high: float


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy per event in picojoules, and idle power in watts; bounded estimates."""

    matrix_per_mac: Mapping[str, Range]  # by format word
    vector_per_element: Range
    cpu_per_cycle: Range
    scratchpad_per_byte: Range
    dram_per_byte: Range
    noc_per_byte_hop: Range
    idle_watts: Range
    cap_watts: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest sizes one command may have."""

    rows: int  # N, H, W and batch
    channels: int  # C and K
    pad: int
    kernel: int
    stride: int


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip. ``rows x cols`` tiles; tile id = x * rows + y with x the column."""

    name: str
    title: str
    rows: int
    cols: int
    clock: int  # hertz
    scratchpad: Scratchpad
    matrix: MatrixEngine
    vector: VectorEngine
    dram_read: DmaEngine
    dram_write: DmaEngine
    move: MoveEngine
    send: SendEngine
    cpu: TileCpu
    noc: Noc
    dram: Dram
    profiles: Mapping[str, Profile]
    blocking: Blocking
    energy: Energy
    limits: Limits
    sources: Mapping[str, Source]

    def __post_init__(self) -> None:
        """Check what no single field can."""
        assert self.rows > 0 and self.cols > 0 and self.clock > 0
        assert self.scratchpad.usable > 0
        assert self.profiles, "a chip needs a software profile"

    def text(self) -> str:
        """Return the chip as a canonical chip file; ``chip.files.parse_chip`` reads it back."""
        from drawloom.chip.text import chip_text

        return chip_text(self)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return self.rows * self.cols

    @property
    def period(self) -> Picoseconds:
        """Length of one cycle in whole picoseconds."""
        return Picoseconds(round(10**12 / self.clock))

    def xy(self, tile: int) -> tuple[int, int]:
        """Column and row of a tile."""
        return divmod(tile, self.rows)

    def tile(self, x: int, y: int) -> int:
        """Tile at column ``x`` and row ``y``."""
        return x * self.rows + y

    @property
    def peak_flops(self) -> float:
        """FP16 multiply-adds of all matrix engines, two operations each, per second."""
        return 2.0 * self.matrix.macs_per_cycle["f16"] * self.n_tiles * self.clock
