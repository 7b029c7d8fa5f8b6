"""A graph on chips that keep its weights in SRAM: each token passes all stages, one after another.

    kernel   = the longest of multiplying, SRAM and vector lanes
               + crossing the chip on the way in and out
               + links: its results to the stage's other chips, or to the next stage
    multiply = blocks of weights x the longer of rows and loading a block
    beat     = the busiest stage: so often a token comes out where all stages work

The chips of a stage share products (their columns) and attention (its heads), and each has all results
of a product before it goes on; what lies between, norms and functions, each chip does for itself.
On a chip that works in place only what holds a kernel's weights works on it, and only that part is
crossed: its share of the area, a side of which is the square root. There rows stream: one follows
another through the parts, as far as no attention waits for later ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, sqrt

from drawloom.chip.resident import Resident
from drawloom.errors import DoesNotFit
from drawloom.graph.ir import Graph
from drawloom.routes.fuse import Kernel, fuse
from drawloom.routes.resident.place import Stages, place
from drawloom.routes.spans import RouteTrace, Span, span
from drawloom.routes.walk import Fusion
from drawloom.routes.work import Attended, Products, Rows

MOST_GROUP = 1024
SOFTMAX_PASSES = 5  # over a score beside its exponential: scale, maximum, subtract, sum, divide


@dataclass(frozen=True, slots=True)
class ResidentRun:
    """What comes of a run.

    Attributes:
        trace: one pass through all stages, kernel after kernel.
        stages: which chips have what.
        beat_seconds: of the busiest stage.
        rows: that stream through the chip one behind the other; 1 where none do.
    """

    trace: RouteTrace
    stages: Stages
    beat_seconds: float
    rows: int = 1

    @property
    def seconds(self) -> float:
        """From the first row's begin to the last one's end."""
        slowest = max((each.seconds for each in self.trace.spans), default=0.0)
        return (self.trace.seconds + (self.rows - 1) * slowest) / self.rows


def run_resident(
    graph: Graph,
    chip: Resident,
    group: int | None = None,
    fusion: Fusion | None = None,
    *,
    kernels: tuple[Kernel, ...] | None = None,
) -> ResidentRun:
    """Return when each kernel runs on as many chips as the graph needs.

    Args:
        graph: one pass of a model.
        chip: of all.
        group: chips that share a kernel; by default the power of two with the quickest pass.
        fusion: what kernels take on.
        kernels: of the graph, where they are others than ``fuse`` gives.

    Raises:
        DoesNotFit: a kernel's weights do not fit its chips (``resident.sram``).
        InputError: ``chip.resident``, for a format that the chip does not multiply.
    """
    kernels = kernels or fuse(graph, fusion)
    if group is not None:
        return _run(graph, kernels, chip, group)
    best: ResidentRun | None = None
    refused: DoesNotFit | None = None
    size = 1
    while size <= MOST_GROUP:
        try:
            found = _run(graph, kernels, chip, size)
        except DoesNotFit as error:
            refused = error
        else:
            if best is None or found.seconds < best.seconds:
                best = found
            if found.stages.count == 1:
                break
        size *= 2
    if best is None:
        assert refused is not None
        raise refused
    return best


def _run(graph: Graph, kernels: tuple[Kernel, ...], chip: Resident, group: int) -> ResidentRun:
    stages = place(graph, kernels, chip, group)
    spans: list[Span] = []
    busy = [0.0] * stages.count
    for at, kernel in enumerate(kernels):
        stage = stages.stage_of[at]
        is_last = at + 1 == len(kernels) or stages.stage_of[at + 1] != stage
        spans.append(_span(chip, kernel, stages, at, is_last))
        busy[stage] += spans[-1].seconds
    trace = RouteTrace(graph.name, chip.name, stages.n_chips, tuple(spans))
    rows = _streamed_rows(kernels) if chip.works_in_place else 1
    return ResidentRun(trace, stages, max(busy), rows)


def _streamed_rows(kernels: tuple[Kernel, ...]) -> int:
    """Return the rows of the longest product; 1 where attention looks at later ones."""
    attended = [each.work for each in kernels if isinstance(each.work, Attended)]
    if any(not work.is_causal and work.queries > 1 for work in attended):
        return 1
    return max((each.work.m for each in kernels if isinstance(each.work, Products)), default=1)


def _span(chip: Resident, kernel: Kernel, stages: Stages, at: int, is_last: bool) -> Span:
    # What no product is, every chip of a stage does for itself.
    group = stages.group if isinstance(kernel.work, (Products, Attended)) else 1
    part = 1.0
    if chip.works_in_place and stages.bytes_of[at]:
        part = min(1.0, stages.bytes_of[at] / (stages.group * chip.sram))
    parts = {
        "multiply": multiply_cycles(chip, kernel) / (group * part * chip.clock),
        "SRAM": (kernel.read_bytes + kernel.written_bytes) / (group * part * chip.sram_rate),
        "vector": _vector_cycles(chip, kernel) / (group * chip.clock),
        "crossing": 2 * chip.crossing * sqrt(part) / chip.clock,
        "links": _links(chip, kernel, stages.group, is_last),
    }
    working = max(parts[name] for name in ("multiply", "SRAM", "vector"))
    return span(kernel, working + parts["crossing"] + parts["links"], parts)


def multiply_cycles(chip: Resident, kernel: Kernel) -> float:
    """Return the cycles of one whole chip for a kernel's products."""
    work = kernel.work
    if isinstance(work, Products):
        return _cycles(chip, work.number_format, work.batch, work.m, work.n, work.k)
    if not isinstance(work, Attended):
        return 0.0
    rows = work.queries * work.heads // work.kv_heads
    batch = work.batch * work.kv_heads
    seen = work.pairs / (work.batch * work.heads * work.queries)
    scores = _cycles(chip, work.number_format, batch, rows, seen, work.head_dim)
    return scores + _cycles(chip, work.number_format, batch, rows, work.value_dim, seen)


def _cycles(chip: Resident, word: str, batch: int, m: int, n: float, k: float) -> float:
    at_once = chip.peak(word) / chip.clock / chip.block**2
    blocks = batch * -(-k // chip.block) * -(-n // chip.block)
    return blocks / at_once * max(m, chip.block_load)


def _vector_cycles(chip: Resident, kernel: Kernel) -> float:
    elements, functions = float(kernel.elements - kernel.functions), float(kernel.functions)
    if isinstance(kernel.work, Rows):
        elements += kernel.work.rows * kernel.work.width * kernel.work.passes
    if isinstance(kernel.work, Attended):
        elements += SOFTMAX_PASSES * kernel.work.pairs
        functions += kernel.work.pairs
    return (elements + functions * chip.function_cycles) / chip.vector_lanes


def _links(chip: Resident, kernel: Kernel, group: int, is_last: bool) -> float:
    """Return the seconds in which results reach whoever reads them on other chips."""
    is_shared = group > 1 and isinstance(kernel.work, Products)
    if not is_shared and not is_last:
        return 0.0
    # Each chip has its share of the results and sends it to all others of its stage, or the next;
    # beyond its neighbours in more steps, each of which reaches so many more.
    steps = max(1, ceil(log(group, chip.link_chips) - 1e-9))
    shared = kernel.written_bytes / group * max(1, group - 1)
    return steps * chip.link_delay + shared / chip.link_rate
