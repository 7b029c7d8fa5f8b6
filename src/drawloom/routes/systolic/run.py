"""A graph on a chip of systolic arrays: kernel by kernel, arrays, vector unit and DRAM at once.

    working = the longer of arrays and vector unit, which takes the results of one tile while the
              arrays work on the next one
    kernel  = the longer of: working, and the first tile's values coming in and the last one's
              results going out; DRAM, and the work on one tile

Weights of the first tile come in while the kernel before still works: they are known beforehand.
The vector unit does norms, softmax and functions. Attention streams queries past keys and values
that stay in the cells; scores never leave the SRAM.
"""

from __future__ import annotations

from typing import cast

from drawloom.chip.systolic import Systolic
from drawloom.graph.ir import Graph
from drawloom.routes.fuse import Kernel, fuse
from drawloom.routes.spans import RouteTrace, Span, span
from drawloom.routes.systolic.array import Array, Dataflow, Product, over
from drawloom.routes.systolic.memory import TILES_SHARE, Residents, tiling
from drawloom.routes.walk import Fusion
from drawloom.routes.work import Attended, Products, Rows

# Passes of the vector unit over a score of a softmax beside its exponential: scale, maximum,
# subtract, sum, divide.
SOFTMAX_PASSES = 5
SCORE_FUNCTIONS = 1


def array_of(chip: Systolic, number_format: str) -> Array:
    """Return one of a chip's arrays for operands of a format.

    Raises:
        InputError: ``chip.systolic``, for a format that the chip does not multiply.
    """
    return Array(
        chip.rows,
        chip.columns,
        is_overlapped=chip.is_overlapped,
        has_drain=chip.has_drain,
        per_cycle=chip.per_cell(number_format),
    )


def run_systolic(
    graph: Graph,
    chip: Systolic,
    fusion: Fusion | None = None,
    *,
    kernels: tuple[Kernel, ...] | None = None,
) -> RouteTrace:
    """Return when each kernel of a graph runs on one chip.

    Args:
        graph: in a format that the chip multiplies.
        chip: where.
        fusion: what kernels take on.
        kernels: of the graph, where they are others than ``fuse`` gives.

    Raises:
        InputError: ``chip.systolic``, for a format that the chip does not multiply.
    """
    kernels = kernels or fuse(graph, fusion)
    residents = Residents.of(graph, kernels, int((1 - TILES_SHARE) * chip.sram))
    spans = [_span(graph, chip, residents, at, each) for at, each in enumerate(kernels)]
    return RouteTrace(graph.name, chip.name, 1, tuple(spans))


def array_cycles(chip: Systolic, work: Products | Attended) -> int:
    """Return the cycles of the arrays for products or attention."""
    array = array_of(chip, work.number_format)
    if isinstance(work, Products):
        return _cycles(chip, array, Product(work.m, work.n, work.k), work.batch)
    group = work.heads // work.kv_heads
    batch, queries = work.batch * work.kv_heads, work.queries * group
    # Keys that a query sees, in the mean: tiles of keys that none of them sees are left out.
    seen = over(work.pairs, work.batch * work.heads * work.queries)
    scores = _cycles(chip, array, Product(queries, seen, work.head_dim), batch)
    return scores + _cycles(chip, array, Product(queries, work.value_dim, seen), batch)


def _cycles(chip: Systolic, array: Array, product: Product, batch: int) -> int:
    is_fixed = chip.dataflow != "any"
    best = None if is_fixed else array.best(product, batch, chip.arrays)
    dataflow = best or cast("Dataflow", chip.dataflow)
    return array.shared_cycles(product, dataflow, batch, chip.arrays)


def _span(graph: Graph, chip: Systolic, residents: Residents, at: int, kernel: Kernel) -> Span:
    work, again = kernel.work, 0
    tiles = over(max(1, kernel.elements), int(chip.vector_lanes))
    if isinstance(work, Products):
        cut = tiling(work, int(TILES_SHARE * chip.sram / 2), chip.rows, chip.columns)
        is_held = work.left in residents.held
        again += 0 if is_held else cut.left_bytes * work.batch - work.left_bytes
        is_held = work.right in residents.held
        again += 0 if is_held else cut.right_bytes * work.batch - work.right_bytes
        tiles = work.batch * max(cut.count, over(work.n, chip.columns))
    elif isinstance(work, Attended):
        tiles = work.batch * work.kv_heads
    elif isinstance(work, Rows):
        tiles = work.rows
    read, written = residents.pass_kernel(at, kernel, graph)
    cycles = array_cycles(chip, work) if isinstance(work, (Products, Attended)) else 0
    parts = {
        "arrays": cycles / chip.clock,
        "vector": vector_seconds(chip, kernel),
        "DRAM": (read + again + kernel.constant_bytes + written) / chip.dram_rate,
    }
    working = max(parts["arrays"], parts["vector"])
    ends = (read + written) / tiles / chip.dram_rate
    return span(kernel, max(working + ends, parts["DRAM"] + working / tiles), parts)


def vector_seconds(chip: Systolic, kernel: Kernel) -> float:
    """Return the seconds of the vector unit: one pass a pointwise node, functions dearer."""
    elements = float(kernel.elements - kernel.functions)
    functions = float(kernel.functions)
    if isinstance(kernel.work, Rows):
        elements += kernel.work.rows * kernel.work.width * kernel.work.passes
    if isinstance(kernel.work, Attended):
        elements += SOFTMAX_PASSES * kernel.work.pairs
        functions += SCORE_FUNCTIONS * kernel.work.pairs
    return (elements + functions * chip.function_cycles) / (chip.vector_lanes * chip.clock)
