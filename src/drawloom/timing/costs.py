"""What one command costs by itself: engine cycles, bytes, arithmetic.

Cycles are whole and round up. What depends on other commands (shared DRAM, links, queues) is
not here but in ``machine.py``. The formulas are those written at each engine in ``chip/model.py``;
their numbers, with sources, are the chip's.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, prod

from drawloom.chip.model import Chip
from drawloom.program.commands import (
    Command,
    Conv,
    Cpu,
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
from drawloom.program.extents import FORMAT_BYTES, moved_bytes, segments, touched
from drawloom.units import PS_PER_S, align_up, ceil_div

ROW_BYTES = 256  # one scratchpad line: shorter rows are copied by the processor
EIGHT_BIT = ("i8", "u8")
PICKS = (
    "Gather",
    "GatherElements",
    "GatherND",
)  # processor commands that read only some of their first operand


def matrix_format(fmt: str) -> str:
    """Return the format word under which the chip lists rate and energy of the matrix engine."""
    return {"u8": "i8", "f32": "tf32"}.get(fmt, fmt)


def matrix_cycles(command: MatMul | Conv, chip: Chip) -> int:
    """Return the cycles of the matrix engine: padded work plus overhead.

    Raises:
        KeyError: the chip lists no rate for the format.
    """
    engine = chip.matrix
    rate = engine.macs_per_cycle[matrix_format(command.fmt)]
    work = _matrix_work(command, engine.block, rate, engine.depthwise_rate)
    overhead = min(engine.fixed, engine.start + work // engine.bubble_every)
    return work + overhead + (engine.psum_fixed if command.psum is not None else 0)


def _matrix_work(command: MatMul | Conv, block: int, rate: int, depthwise_rate: int) -> int:
    k_block = 2 * block if command.fmt in EIGHT_BIT else block
    if isinstance(command, MatMul):
        m, k, n, times = command.m, command.k, command.n, command.batch
    else:
        m, k, n = prod(command.out_hw), command.c, command.oc
        times = command.kh * command.kw  # one GEMM per kernel tap
        if command.depthwise:
            return ceil_div(m * times * align_up(k, k_block), depthwise_rate)
    blocks = ceil_div(m, block) * ceil_div(n, block) * ceil_div(k, k_block) * times
    return ceil_div(blocks * block * block * k_block, rate)


def macs(command: MatMul | Conv) -> int:
    """Return the multiply-adds asked for, without padding."""
    if isinstance(command, MatMul):
        return command.m * command.k * command.n * command.batch
    channels = command.c if command.depthwise else command.c * command.oc
    return prod(command.out_hw) * command.kh * command.kw * channels


def elements(command: Vector | Reduce | Pool) -> int:
    """Return the elements the vector engine passes: results, or inputs of a reduction.

    A pool passes every result once per element of its window.
    """
    match command:
        case Vector():
            return command.count
        case Reduce():
            return command.h * command.w * command.c
        case Pool():
            return prod(command.out_hw) * command.c * command.kh * command.kw


def vector_cycles(command: Vector | Reduce | Pool, chip: Chip) -> int:
    """Return the cycles of the vector engine; the wider format sets the lanes.

    8-bit data uses the 16-bit lanes, 64-bit data half of the 32-bit lanes.
    """
    out = command.fmt if isinstance(command, Pool) else command.out_fmt
    width = max(FORMAT_BYTES[command.fmt], FORMAT_BYTES[out])
    lanes = chip.vector.lanes_16 if width <= 2 else max(1, chip.vector.lanes_32 * 4 // width)
    match command:
        case Reduce():
            op = "reduce"
        case Pool():
            op = "pool"
        case Vector():
            op = command.op
    passes = chip.vector.rates.get(op, 1)
    return chip.vector.fixed + ceil_div(elements(command), lanes) * passes


def move_cycles(command: Move | Fill | Select, chip: Chip) -> int:
    """Return the cycles of the move engine: by bytes, or by inner runs where these are slower."""
    engine = chip.move
    cycles = ceil_div(payload(command), engine.bytes_per_cycle)
    if isinstance(command, Move) and command.dims:
        cycles = max(cycles, engine.inner_cycles * segments(command.dims))
    return engine.fixed + cycles


def dram_lead_ps(command: Read | Pick | Write, chip: Chip) -> int:
    """Return the picoseconds before the bytes of a DRAM transfer flow; the number of a pick comes first."""
    engine = chip.dram_write if isinstance(command, Write) else chip.dram_read
    times = 2 if isinstance(command, Pick) else 1
    return times * engine.latency * chip.period + segments(command.dims) * chip.dram.segment


def send_cycles(command: Send, hops: int, chip: Chip) -> int:
    """Return the cycles a transfer holds its route, ``hops`` being the longest path."""
    rate = chip.noc.bytes_per_cycle * Fraction(str(chip.send.efficiency))
    return chip.noc.hop * hops + ceil(payload(command) / rate)


def cpu_cycles(command: Cpu, chip: Chip) -> int:
    """Return the cycles of a processor command, DRAM accesses not counted."""
    if rows := picked_rows(command):
        return rows * chip.cpu.start
    rates = chip.cpu.cycles_per_element
    rate = Fraction(str(rates.get(command.op, rates.get("default", 1))))
    walked = (*_walked(command), *_written(command))
    n = max((prod(o.shape) for o in walked if o), default=0)
    return chip.cpu.start + ceil(n * rate)


def _walked(command: Cpu) -> tuple[Operand | None, ...]:
    """Return the operands a processor command goes through: of a table it picks from, only what it picks."""
    return command.ins[1:] if command.op in PICKS or is_in_place(command) else command.ins


def _written(command: Cpu) -> tuple[Operand | None, ...]:
    """Return the operands whose size is that of what a processor command writes."""
    return command.ins[1:2] if is_in_place(command) else command.outs


def is_in_place(command: Cpu) -> bool:
    """Whether a processor command writes its updates over part of its first operand."""
    first = command.ins[0] if command.ins else None
    return (
        command.op == "TensorScatter" and first is not None
        and (first.space, first.address) == (command.outs[0].space, command.outs[0].address)
    )  # fmt: skip


def picked_rows(command: Cpu) -> int:
    """Return how many whole rows of DRAM a processor command copies; 0 where it does other work.

    Rows of a line and more are not copied element by element: the processor reads an index and
    hands the row to the tile's DRAM engines.
    """
    if command.op != "Gather" or dict(command.attrs).get("axis", 0) != 0:
        return 0
    table, indices = command.ins[:2]
    if table is None or indices is None or table.space != "dram":
        return 0
    row = prod(table.shape[1:]) * FORMAT_BYTES[table.fmt]
    return prod(indices.shape) if row >= ROW_BYTES else 0


def cpu_ps(command: Cpu, chip: Chip) -> int:
    """Return the picoseconds of a processor command, its DRAM bytes at one tile's port rate.

    Rows that the DRAM engines copy go at a tile's share of what all tiles reach together.
    """
    if picked_rows(command):
        moved = sum(dram_bytes(command)) * chip.n_tiles
        return cpu_cycles(command, chip) * chip.period + ceil_div(
            moved * PS_PER_S, chip.dram.combined
        )
    fetched = ceil_div(sum(dram_bytes(command)) * PS_PER_S, chip.dram.port)
    return cpu_cycles(command, chip) * chip.period + fetched


def payload(command: Command) -> int:
    """Return the bytes a command moves; of a compute command 0."""
    match command:
        case Read() | Pick() | Write() | Move() | Send():
            return moved_bytes(command.inner, command.dims)
        case Fill():
            return command.count * FORMAT_BYTES[command.fmt]
        case Select():
            return command.count * command.element
        case Cpu():
            return sum(operand_bytes(o) for o in (*command.ins, *command.outs) if o)
        case _:
            return 0


def operand_bytes(operand: Operand) -> int:
    """Return the bytes of a dense operand."""
    return prod(operand.shape) * FORMAT_BYTES[operand.fmt]


def dram_bytes(command: Command) -> tuple[int, int]:
    """Return the bytes a command reads from DRAM and writes to it."""
    match command:
        case Read() | Pick():
            return payload(command), 0
        case Write():
            return 0, payload(command)
        case Cpu():
            ins = sum(operand_bytes(o) for o in _walked(command) if o and o.space == "dram")
            if command.op in PICKS:
                ins += sum(operand_bytes(o) for o in command.outs)
            outs = _written(command)
            return ins, sum(operand_bytes(o) for o in outs if o and o.space == "dram")
        case _:
            return 0, 0


def scratchpad_bytes(command: Command, chip: Chip) -> int:
    """Return the bytes a command reads and writes in scratchpads, those of its targets included."""
    match command:
        case Read() | Pick() | Write():
            return payload(command)
        case Move():
            return 2 * payload(command)
        case Send():
            return payload(command) * (1 + len(command.targets))
        case _:
            reads, writes = touched(command, chip.blocking)
            return sum(n for space, _, n in (*reads, *writes) if space == "spm")
