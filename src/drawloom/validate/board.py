"""What others measured on TX81 boards, each with the program that measures it here.

Sources: PJLAB-CHIP/vibe_compiler (board counters, which tick about once a nanosecond, and its
notes) and, where it says so, the FlagOpen/FlagPerf sample log. No figure was measured by
drawloom. A row that drawloom does not reproduce says in ``gap`` what the public record leaves
open; it counts as missed all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from drawloom.chip.model import Chip
from drawloom.program.commands import (
    Arm,
    Barrier,
    Command,
    Engine,
    Join,
    Loop,
    MatMul,
    Move,
    Read,
    Send,
    Vector,
    Write,
)
from drawloom.program.program import Program
from drawloom.timing import Trace, time
from drawloom.units import KIB, MIB, Cycles

TOLERANCE = 0.05
# Small DRAM commands were measured with the cost of issuing them, about 30 cycles on the board.
BOARD_ISSUE = Cycles(30)
SPM = 64 * KIB  # the first byte a program may use
DRAM_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: the range that was published, and how to find the figure here."""

    name: str
    what: str
    low: float
    high: float
    unit: str
    found: Callable[[Chip], float]
    gap: str = ""

    def error(self, value: float) -> float:
        """Return how far a value lies outside the published range, as a share of its nearer end."""
        if value < self.low:
            return 1 - value / self.low
        return max(0.0, value / self.high - 1)

    def holds(self, value: float) -> bool:
        """Return whether a value is within the tolerance of the published range."""
        return self.error(value) <= TOLERANCE


def run(chip: Chip, *streams: tuple[Command | Loop, ...], profile: str = "lean") -> Trace:
    """Return the trace of streams for tiles 0, 1, ..."""
    program = Program(
        name="board",
        chip=chip.name,
        blocking=chip.blocking,
        scratchpad_bytes=chip.scratchpad.bytes,
        dram_bytes=DRAM_BYTES,
        regions=(),
        data=(),
        streams=streams,
        origins=(),
    )
    return time(program, chip, profile)


def cycles(chip: Chip, *commands: Command | Loop, profile: str = "lean") -> float:
    """Return the cycles one tile takes for its whole stream, issue included."""
    return run(chip, commands, profile=profile).total_ps / chip.period


def on_engine(chip: Chip, *commands: Command) -> float:
    """Return the cycles from the first command's start on its engine to the last one's end."""
    trace = run(chip, commands)
    return float(trace.end_ps.max() - trace.start_ps.min()) / chip.period


def board_issue(chip: Chip) -> Chip:
    """Return the chip with the issue cost of the board's own test programs."""
    lean = replace(chip.profiles["lean"], issue=BOARD_ISSUE)
    return replace(chip, profiles={**chip.profiles, "lean": lean})


def add(n_bytes: int, at: int = SPM) -> Vector:
    """Return an FP16 add of two operands of ``n_bytes``."""
    return Vector("add", at, at + 2 * n_bytes, n_bytes // 2, "f16", "f16", b=at + n_bytes)


def gemm(m: int, k: int, n: int, *, psum: bool = False, at: int = SPM) -> MatMul:
    """Return an FP16 GEMM of blocked operands that follow each other."""
    b = at + 2 * m * k
    dst = b + 2 * k * n
    sums = dst + 2 * m * n if psum else None
    return MatMul(at, b, dst, m, k, n, "f16", "f16", psum=sums)


def read(n_bytes: int, at: int = SPM) -> Read:
    """Return a contiguous read."""
    return Read(0, at, n_bytes)


def write(n_bytes: int, at: int = SPM) -> Write:
    """Return a contiguous write, away from what ``read`` reads."""
    return Write(at, DRAM_BYTES // 2, n_bytes)


def move(n_bytes: int, at: int = SPM) -> Move:
    """Return a contiguous move."""
    return Move(at, at + n_bytes, n_bytes)


def gather_cycles(chip: Chip) -> float:
    """Return the cycles of one inner move of a gather of 4-byte runs."""
    runs = 4096
    return on_engine(chip, Move(SPM, SPM + MIB, 4, ((8, 4, runs),))) / runs


def sends(chip: Chip, n_bytes: int) -> Trace:
    """Return the trace of eight sends of tile 0 to its neighbour, vendor software, armed before."""
    count = 8
    pair = Barrier((0, 1))
    sender = (pair, *[Send(SPM, SPM + MIB, n_bytes, (1,), 0)] * count, Join((Engine.SEND,)))
    return run(chip, sender, (*[Arm(0)] * count, pair), profile="vendor")


def send_ends(chip: Chip, n_bytes: int) -> tuple[float, list[float]]:
    """Return in cycles when the first of eight sends starts, and when each ends."""
    trace = sends(chip, n_bytes)
    found = np.flatnonzero(trace.bytes == n_bytes)
    ends = np.sort(trace.end_ps[found]) / chip.period
    return float(trace.start_ps[found].min()) / chip.period, [float(end) for end in ends]


def send_step_us(chip: Chip, n_bytes: int) -> float:
    """Return the microseconds between sends once they run steadily."""
    _, ends = send_ends(chip, n_bytes)
    return (ends[-1] - ends[1]) / (len(ends) - 2) * chip.period / 1e6


def first_send_us(chip: Chip) -> float:
    """Return the microseconds of a tile's first send."""
    start, ends = send_ends(chip, 2 * KIB)
    return (ends[0] - start) * chip.period / 1e6


def engine_work(n_bytes: int, slot: int) -> dict[Engine, Command]:
    """Return a command for each engine of a tile, of about ``n_bytes`` and apart from other slots."""
    at = SPM + slot * MIB
    side = {16 * KIB: 64, 64 * KIB: 128}[n_bytes]
    return {
        Engine.MATRIX: gemm(2 * side, side, side, at=at),
        Engine.VECTOR: add(n_bytes, at),
        Engine.READ: read(n_bytes, at),
        Engine.WRITE: write(n_bytes, at),
        Engine.MOVE: move(n_bytes, at),
    }


def saved(chip: Chip, one: Engine, other: Engine, n_bytes: int) -> float:
    """Return the cycles that two engines save by working at the same time."""
    first, second = engine_work(n_bytes, 0)[one], engine_work(n_bytes, 1)[other]
    apart = cycles(chip, first) + cycles(chip, second)
    return apart - cycles(chip, first, second)


def overlapping_pairs(chip: Chip) -> float:
    """Count the pairs of engines that save time together at 16 and at 64 KiB.

    What is saved must be more than half of the shorter command: less could be issue cost alone.
    """
    count = 0
    for one, other in combinations(engine_work(16 * KIB, 0), 2):
        count += all(_overlaps(chip, one, other, size) for size in (16 * KIB, 64 * KIB))
    return count


def _overlaps(chip: Chip, one: Engine, other: Engine, n_bytes: int) -> bool:
    shorter = min(cycles(chip, engine_work(n_bytes, 0)[each]) for each in (one, other))
    return saved(chip, one, other, n_bytes) > shorter / 2


def issue_ms(chip: Chip) -> float:
    """Return the milliseconds that the vendor's runtime takes to issue 16,544 small commands."""
    return cycles(chip, Loop(16_544, (add(256),)), profile="vendor") * chip.period / 1e9


def latency_us(chip: Chip, profile: str) -> float:
    """Return the latency of a nearly empty program in microseconds."""
    return run(chip, (Join((Engine.VECTOR,)),), profile=profile).latency_ps / 1e6


def vendor_us(chip: Chip, *commands: Command) -> float:
    """Return the microseconds of a stream under the vendor's runtime."""
    return cycles(chip, *commands, profile="vendor") * chip.period / 1e6


ROWS: tuple[Row, ...] = (
    Row("add_4k", "vector add, FP16, 4 KiB", 78, 79, "cycles", lambda c: on_engine(c, add(4096))),
    Row("add_256", "vector add, FP16, 256 B", 47, 50, "cycles", lambda c: on_engine(c, add(256))),
    Row(
        "add_three",
        "three adds of 4 KiB from three workers: one engine, in turn",
        238,
        238,
        "cycles",
        lambda c: on_engine(c, *(add(4096, SPM + i * MIB // 2) for i in range(3))),
    ),
    Row("gemm_tiny", "tiny GEMM", 82, 82, "cycles", lambda c: on_engine(c, gemm(64, 64, 64))),
    Row(
        "gemm_psum",
        "GEMM 256 x 256 x 128 with partial sums, other engines busy",
        2464,
        2464,
        "cycles",
        lambda c: on_engine(c, gemm(256, 256, 128, psum=True)),
    ),
    Row(
        "gemm_peak",
        "GEMM 256 x 512 x 256: 98.21 % of peak (FlagPerf log)",
        8341,
        8341,
        "cycles",
        lambda c: on_engine(c, gemm(256, 512, 256)),
    ),
    Row("move_tiny", "tiny local move", 73, 73, "cycles", lambda c: on_engine(c, move(64))),
    Row(
        "read_small",
        "small DRAM read, 30 cycles of issue included",
        350,
        350,
        "cycles",
        lambda c: cycles(board_issue(c), read(256)),
    ),
    Row(
        "write_small",
        "small DRAM write, 30 cycles of issue included",
        263,
        263,
        "cycles",
        lambda c: cycles(board_issue(c), write(256)),
    ),
    Row(
        "read_8k_join",
        "DRAM read of 8 KiB and join, vendor software",
        1.73,
        1.85,
        "us",
        lambda c: vendor_us(c, read(8 * KIB), Join((Engine.READ,))),
    ),
    Row(
        "write_8k_join",
        "DRAM write of 8 KiB and join, vendor software",
        1.00,
        1.09,
        "us",
        lambda c: vendor_us(c, write(8 * KIB), Join((Engine.WRITE,))),
        gap="the measured write is 0.7 us quicker than the read, of which the engines' latencies"
        " explain 0.09: no one issue cost gives both, and 1.2 us is an older runtime's",
    ),
    Row("pairs", "pairs of engines that overlap, of 10", 10, 10, "pairs", overlapping_pairs),
    Row(
        "read_write_64k",
        "cycles saved by reading and writing 64 KiB at the same time",
        7000,
        7700,
        "cycles",
        lambda c: saved(c, Engine.READ, Engine.WRITE, 64 * KIB),
        gap="two transfers can save 7,000 cycles only if each takes that long: 9.4 GB/s for one"
        " tile, near its share of all (9.7), where the chip file takes the width of a port, 128",
    ),
    Row(
        "send_2k",
        "tile-to-tile DMA of 2 KiB, steady, vendor software",
        1.44,
        1.44,
        "us",
        lambda c: send_step_us(c, 2 * KIB),
    ),
    Row(
        "send_8k",
        "tile-to-tile DMA of 8 KiB, steady, vendor software",
        1.49,
        1.49,
        "us",
        lambda c: send_step_us(c, 8 * KIB),
    ),
    Row("send_first", "a tile's first send, vendor software", 8, 13, "us", first_send_us),
    Row(
        "join_idle",
        "idle join, one participant, vendor software",
        0.185,
        0.185,
        "us",
        lambda c: vendor_us(c, Join((Engine.VECTOR,))),
    ),
    Row("gather", "gather of 4-byte runs, per run", 1.9, 2.3, "cycles", gather_cycles),
    Row("issue", "16,544 commands through the vendor's runtime", 20.02, 20.02, "ms", issue_ms),
    Row("entry", "nearly empty kernel", 18, 19, "us", lambda c: latency_us(c, "lean")),
    Row(
        "launch",
        "launch and event on the host, vendor software",
        900,
        1300,
        "us",
        lambda c: latency_us(c, "vendor"),
    ),
)
