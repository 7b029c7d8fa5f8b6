"""How near a stream of weights comes to what the DRAM gives: nothing but it should hold the chip up."""

from __future__ import annotations

import numpy as np
import pytest

from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import Engine
from drawloom.timing import time
from drawloom.timing.table import ENGINES
from drawloom.timing.trace import Trace


@pytest.fixture(scope="module")
def chip() -> Chip:
    return load_chip("tx81")


def product(rows: int, inputs: int, channels: int) -> Graph:
    builder = GraphBuilder("product")
    x = builder.input("x", TensorType(DType.F16, (rows, inputs)))
    w = builder.constant("w", np.ones((inputs, channels), np.float16))
    return builder.finish([builder.add("MatMul", (x, w))])


def idle_share(trace: Trace) -> float:
    """Share of the time between first and last read in which no byte is read."""
    reads = trace.engine == ENGINES.index(Engine.READ)
    start = (trace.start_ps + trace.table.fixed_ps[trace.command])[reads]
    order = np.argsort(start)
    start, end = start[order], trace.end_ps[reads][order]
    reach = np.maximum.accumulate(end)
    idle = np.maximum(start[1:] - reach[:-1], 0).sum()
    return float(idle / (reach[-1] - start[0]))


@pytest.mark.parametrize(("rows", "most"), [(1, 0.01), (7, 0.03)])
def test_tiles_do_not_stand_in_the_latency_of_a_read_all_at_once(
    chip: Chip, rows: int, most: float
) -> None:
    trace = time(assemble(map_graph(product(rows, 4096, 8192), chip)), chip)
    assert idle_share(trace) < most


def test_weights_are_loaded_while_the_piece_before_still_ends(chip: Chip) -> None:
    builder = GraphBuilder("chain")
    x = builder.input("x", TensorType(DType.F16, (1, 4096)))
    scale = builder.constant("scale", np.ones(4096, np.float16))
    for number in range(3):
        x = builder.add("RMSNormalization", (x, scale), {"axis": -1})
        w = builder.constant(f"w{number}", np.ones((4096, 4096), np.float16))
        x = builder.add("MatMul", (x, w))
    trace = time(assemble(map_graph(builder.finish([x]), chip)), chip)
    # A norm takes 3 us and a product 215: without overlap a seam alone is 2 %.
    assert idle_share(trace) < 0.01
