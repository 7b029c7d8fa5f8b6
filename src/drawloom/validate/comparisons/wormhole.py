"""Products on one Tenstorrent Wormhole: what a compiled program takes beside the vendor's tuned kernels.

Nothing was fitted on them: the chip file has the vendor's documents. The programs are not the same: these are
drawloom's, with its costs of commands, which are assumed; those were tuned by hand for each shape.

Source: tenstorrent/tt-metal tech_reports/GEMM_FLOPS/GEMM_FLOPS.md@06bd3735, N150 manually tuned, BFLOAT16,
HiFi4 (all bits of both operands), operands and result in DRAM, without trace: the utilisation of 64 tiles
by the board's own clocks. A product of 16,384 on each side is left out: it was not compiled to its end.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drawloom.chip.files import load_chip
from drawloom.flow import compile
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.units import PS_PER_S
from drawloom.validate.comparison import Outcome

# M, K, N and the share of the tiles' peak that was reached.
ROWS = (
    (3072, 3072, 4096, 0.9169),
    (3072, 4096, 4096, 0.9218),
    (3328, 2560, 2560, 0.8941),
    (4096, 4096, 4096, 0.8321),
    (8192, 8192, 8192, 0.8869),
)


def compare() -> Iterator[Outcome]:
    """Yield the errors of all rows."""
    chip = load_chip("tt_wormhole")
    rate = chip.matrix.macs_per_cycle["bf16"] * chip.n_tiles * chip.clock
    measured = [m * k * n / rate / share for m, k, n, share in ROWS]
    predicted = [
        compile(_product(m, k, n), chip, check=False).time().total_ps / PS_PER_S
        for m, k, n, _ in ROWS
    ]
    yield Outcome("wormhole.products", np.array(predicted), np.array(measured), calibrated=False)


def _product(m: int, k: int, n: int) -> Graph:
    builder = GraphBuilder(f"product-{m}x{k}x{n}")
    a = builder.input("a", TensorType(DType.BF16, (m, k)))
    b = builder.input("b", TensorType(DType.BF16, (k, n)))
    return builder.finish([builder.add("MatMul", (a, b), output="c")])
