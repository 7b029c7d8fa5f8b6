"""Published figures of a TX81: board measurements, rates of all tiles, floors, products.

Sources: FlagOpen/FlagPerf sample log (DRAM and tile-to-tile DMA with all tiles); FlagTree pull
request #426 (products, FP16, vendor software); those of the board table stand there. No figure
was measured by drawloom.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from drawloom.bound import bound
from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import (
    Arm,
    Barrier,
    Command,
    Engine,
    Join,
    Loop,
    Read,
    Send,
    Write,
)
from drawloom.program.program import Program
from drawloom.timing import time
from drawloom.timing.table import ENGINES
from drawloom.units import KIB, MIB
from drawloom.validate.board import ROWS, Row, run

TX81 = load_chip("tx81")
SPM = 64 * KIB
# M, K, N: published ms, best of the vendor's four programs.
PUBLISHED_MS = {
    (4096, 1024, 4096): 1.390,
    (2048, 2048, 2048): 0.471,
    (1024, 1024, 1024): 0.230,
    (512, 512, 512): 0.144,
}
SMALL = (512, 512, 512)
LARGE = [
    pytest.param(sizes, marks=[] if sizes == SMALL else pytest.mark.slow) for sizes in PUBLISHED_MS
]


HELD = [pytest.param(row, id=row.name) for row in ROWS if not row.gap]
GAPS = [pytest.param(row, id=row.name) for row in ROWS if row.gap]


def product(m: int, k: int, n: int) -> Graph:
    builder = GraphBuilder("product")
    a = builder.input("a", TensorType(DType.F16, (m, k)))
    b = builder.input("b", TensorType(DType.F16, (k, n)))
    return builder.finish([builder.add("MatMul", (a, b), output="c")])


@cache
def mapped(sizes: tuple[int, int, int]) -> Program:
    return assemble(map_graph(product(*sizes), TX81))


def rate(stream: tuple[Command | Loop, ...], n_bytes: int) -> float:
    """Return the GB/s of all tiles running a stream that moves ``n_bytes``."""
    trace = run(TX81, *[stream] * TX81.n_tiles)
    return TX81.n_tiles * n_bytes / trace.total_ps * 1e3


@pytest.mark.parametrize("row", HELD)
def test_a_board_measurement_is_reproduced_within_five_percent(row: Row) -> None:
    value = row.found(TX81)
    assert row.holds(value), f"{value:g} {row.unit}, published {row.low:g} to {row.high:g}"


@pytest.mark.parametrize("row", GAPS)
def test_a_figure_that_contradicts_others_is_missed_and_says_why(row: Row) -> None:
    """Once such a row holds, its gap must go."""
    assert not row.holds(row.found(TX81))
    assert len(row.gap) > 40


def test_all_tiles_together_read_dram_at_the_logged_rate() -> None:
    found = rate((Loop(16, (Read(0, SPM, MIB),)),), 16 * MIB)
    assert found == pytest.approx(155.762, rel=0.05)


def test_all_tiles_together_write_dram_at_the_logged_rate() -> None:
    found = rate((Loop(16, (Write(SPM, 0, MIB),)),), 16 * MIB)
    assert found == pytest.approx(165.798, rel=0.05)


def test_all_tiles_together_send_at_the_logged_rate_of_both_directions() -> None:
    # Neighbours exchange: every tile sends and receives at once, which the log counts twice.
    count, size = 16, MIB
    streams = []
    for tile in range(TX81.n_tiles):
        each = (Send(SPM, SPM + MIB, size, (tile ^ 1,), 0), Join((Engine.SEND,), 1))
        everyone = Barrier(tuple(range(TX81.n_tiles)))
        streams.append((*[Arm(0)] * count, everyone, *each * count))
    trace = run(TX81, *streams)
    per_tile = 2 * count * size / trace.total_ps * 1e3
    assert per_tile == pytest.approx(3746.553 / 16, rel=0.05)


def test_the_bounds_of_the_published_products_are_the_closed_form() -> None:
    for (m, k, n), want_us in {(4096, 1024, 4096): 262.4, (2048, 2048, 2048): 131.3}.items():
        reads, writes = 2 * (m * k + k * n), 2 * m * n
        dram_us = max(reads / 155.8e9, writes / 165.8e9, (reads + writes) / 200e9) * 1e6
        matrix_us = m * k * n / (4096 * 16 * 1e9) * 1e6
        fixed_us = (50 + 200) / 1e3  # issuing a command, and the quickest way through a tile
        found_us = bound(product(m, k, n), TX81).ps / 1e6
        assert found_us == pytest.approx(max(dram_us, matrix_us) + fixed_us, rel=1e-6)
        assert found_us == pytest.approx(want_us, abs=0.05)


@pytest.mark.parametrize("sizes", LARGE)
def test_a_product_is_no_quicker_than_its_bound(sizes: tuple[int, int, int]) -> None:
    least = bound(product(*sizes), TX81)
    assert time(mapped(sizes), TX81, "lean").total_ps >= least.ps


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "most"), [((4096, 1024, 4096), 1.35), ((2048, 2048, 2048), 1.6)])
def test_a_large_product_comes_near_its_bound(sizes: tuple[int, int, int], most: float) -> None:
    least = bound(product(*sizes), TX81)
    assert time(mapped(sizes), TX81, "lean").total_ps <= most * least.ps


@pytest.mark.parametrize("sizes", LARGE)
def test_with_the_vendors_software_a_product_pays_for_its_commands_and_beats_the_published(
    sizes: tuple[int, int, int],
) -> None:
    # The published programs ran on a runtime that waits for idle after most transfers. This
    # mapping overlaps, so it should be quicker, but not than the cost of issuing its commands.
    trace = time(mapped(sizes), TX81, "vendor")
    engine_commands = trace.engine != ENGINES.index(Engine.CPU)
    busiest = np.bincount(trace.tile[engine_commands]).max()
    assert trace.total_ps >= busiest * TX81.profiles["vendor"].issue * TX81.period
    assert trace.total_ps / 1e9 <= PUBLISHED_MS[sizes]
