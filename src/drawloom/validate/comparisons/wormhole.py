"""Products on one Tenstorrent Wormhole: what a compiled program takes beside the vendor's tuned kernels.

Nothing was fitted on them: the chip file has the vendor's documents. The programs are not the same: these are
drawloom's, with its costs of commands, which are assumed; those were tuned by hand for each shape.

Source: tenstorrent/tt-metal tech_reports/GEMM_FLOPS/GEMM_FLOPS.md@06bd3735, N150 manually tuned, BFLOAT16,
operands and result in DRAM, without trace: the utilisation of 64 tiles by the board's own clocks, in four passes
of the matrix unit (HiFi4, all bits of both operands) and in two (HiFi2). A product of 16,384 on each side is left
out: it was not compiled to its end; and so are smaller ones, whose operands were in scratchpads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.flow import compile
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.timing import time
from drawloom.units import PS_PER_S
from drawloom.validate.comparison import Outcome

# M, K, N and the share of the tiles' peak that was reached in four passes, and in two.
Row = tuple[int, int, int, float, float]
ROWS = (
    (3072, 3072, 4096, 0.9169, 0.7419),
    (3072, 4096, 4096, 0.9218, 0.7509),
    (3328, 2560, 2560, 0.8941, 0.6314),
    (4096, 4096, 4096, 0.8321, 0.5950),
    (8192, 8192, 8192, 0.8869, 0.6647),
)


def compare() -> Iterator[Outcome]:
    """Yield the errors of all rows."""
    return products("wormhole", load_chip("tt_wormhole"), ROWS)


def products(name: str, chip: Chip, rows: Sequence[Row]) -> Iterator[Outcome]:
    """Yield the errors of products in four passes, and of the same programs in two.

    Args:
        name: of the comparison.
        chip: whose rate of 16-bit products is that of four passes.
        rows: sizes and shares of the peak.
    """
    built = [compile(_product(m, k, n), chip, check=False) for m, k, n, *_ in rows]
    rates = {each: 2 * rate for each, rate in chip.matrix.macs_per_cycle.items()}
    quick = replace(chip, matrix=replace(chip.matrix, macs_per_cycle=rates))
    for word, machine, at in (("products", chip, 3), ("products_in_two_passes", quick, 4)):
        peak = machine.matrix.macs_per_cycle["bf16"] * machine.n_tiles * machine.clock
        measured = [row[0] * row[1] * row[2] / peak / row[at] for row in rows]
        predicted = [time(each.program, machine).total_ps / PS_PER_S for each in built]
        yield Outcome(f"{name}.{word}", np.array(predicted), np.array(measured), calibrated=False)


def _product(m: int, k: int, n: int) -> Graph:
    builder = GraphBuilder(f"product-{m}x{k}x{n}")
    a = builder.input("a", TensorType(DType.BF16, (m, k)))
    b = builder.input("b", TensorType(DType.BF16, (k, n)))
    return builder.finish([builder.add("MatMul", (a, b), output="c")])
