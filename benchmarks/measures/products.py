"""Matrix products, FP16, on one TX81: how near the bound, and beside the vendor's figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.measures.table import Figure, at_most

from drawloom.bound import Bound, bound
from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import Engine, Send
from drawloom.timing import Trace, time
from drawloom.timing.trace import SPENT
from drawloom.units import MIB

GOAL = 1.35
PS_PER_US = 10**6


@dataclass(frozen=True, slots=True)
class Product:
    """A product ``M x K`` by ``K x N``; ``published_us`` is the best of FlagTree PR #426."""

    M: int
    K: int
    N: int
    published_us: float
    software: str
    goal: float | None = None

    @property
    def name(self) -> str:
        """The group of its figures."""
        return f"matmul-{self.M}x{self.K}x{self.N}"


PRODUCTS = (
    Product(4096, 1024, 4096, 1390, "TLE + NoC", GOAL),
    Product(2048, 2048, 2048, 471, "native + NoC", GOAL),
    Product(1024, 1024, 1024, 230, "native, no NoC"),
    Product(512, 512, 512, 144, "tuned Triton"),
)


def graph_of(product: Product) -> Graph:
    """Return the graph of a product of two inputs."""
    builder = GraphBuilder(product.name)
    a = builder.input("a", TensorType(DType.F16, (product.M, product.K)))
    b = builder.input("b", TensorType(DType.F16, (product.K, product.N)))
    return builder.finish([builder.add("MatMul", (a, b), output="c")])


def figures(product: Product) -> Iterator[Figure]:
    """Yield bound and times of a product, under lean software and the vendor's."""
    chip = load_chip("tx81")
    graph = graph_of(product)
    least = bound(graph, chip)
    program = assemble(map_graph(graph, chip))
    lean, vendor = time(program, chip, "lean"), time(program, chip, "vendor")
    name = product.name
    yield Figure(f"{name}.bound", least.ps / PS_PER_US, "us", note=bound_note(least))
    yield Figure(f"{name}.lean", lean.total_ps / PS_PER_US, "us", note=account(lean))
    ratio = lean.total_ps / least.ps
    if product.goal is None:
        yield Figure(f"{name}.over_bound", ratio, "x")
    else:
        yield at_most(f"{name}.over_bound", ratio, "x", product.goal)
    yield Figure(
        f"{name}.vendor",
        vendor.total_ps / PS_PER_US,
        "us",
        note=why(product, least, vendor),
    )
    yield Figure(f"{name}.vendor_ratio", vendor.total_ps / PS_PER_US / product.published_us, "x")


def bound_note(least: Bound) -> str:
    """Say what a bound is made of."""
    parts = {
        "matrix": least.matrix_ps,
        "reads": least.read_ps,
        "writes": least.write_ps,
        "both": least.both_ps,
        "fixed": least.fixed_ps,
    }
    spelled = ", ".join(f"{part} {ps / PS_PER_US:.1f} us" for part, ps in parts.items())
    return f"{spelled}; set by {least.limit}"


def account(trace: Trace) -> str:
    """Say where the time of a trace went: the processors' mean, and the busiest engine."""
    total = trace.total_ps
    spent = trace.spent_ps.mean(axis=0) / total
    by_part = sorted(zip(SPENT, spent, strict=True), key=lambda part: -part[1])
    parts = ", ".join(f"{part} {share:.0%}" for part, share in by_part if share >= 0.005)
    busy = {engine: trace.busy(engine) / trace.chip.n_tiles / total for engine in Engine}
    busy.pop(Engine.CPU)  # what the processors did is said before
    engines = ", ".join(
        f"{engine.value} {share:.0%}"
        for engine, share in sorted(busy.items(), key=lambda pair: -pair[1])
        if share >= 0.005
    )
    return f"tile processors: {parts}; engines busy: {engines}"


def message_share(trace: Trace) -> float:
    """Return the share of the time in which a tile's DMA prepares messages, mean over tiles."""
    table = trace.table
    rows = [row for row, each in enumerate(table.commands) if isinstance(each, Send)]
    steady = int((trace.runs[rows] * table.fixed_ps[rows]).sum())
    profile = trace.chip.profiles[trace.profile]
    senders = len({int(table.tile[row]) for row in rows})
    first = senders * (profile.first_message - profile.message) * trace.chip.period
    return (steady + first) / trace.chip.n_tiles / trace.total_ps


def why(product: Product, least: Bound, trace: Trace) -> str:
    """Say how a trace under the vendor's software differs from the published time."""
    cost_ps = trace.chip.profiles[trace.profile].issue * trace.chip.period
    issued = len(trace) / trace.chip.n_tiles
    read, written = trace.dram_bytes
    issue = trace.spent_ps[:, SPENT.index("issue")].mean() / trace.total_ps
    ours = trace.total_ps / PS_PER_US
    return (
        f"published {product.published_us:,g} us ({product.software}), here {ours:,.0f} us. "
        f"Of ours, issuing takes {issue:.0%} ({issued:,.0f} commands a tile, "
        f"{cost_ps / PS_PER_US:g} us each), preparing messages "
        f"{message_share(trace):.0%} ({trace.n_sends:,} sends), the bound {least.ps / trace.total_ps:.0%}. "
        f"DRAM traffic is {read / MIB:.1f} + {written / MIB:.1f} MiB, "
        f"{(read + written) / least.bytes:.2f} times the least. "
        f"{remainder(product, least, trace)} Host launch is not in either."
    )


def remainder(product: Product, least: Bound, trace: Trace) -> str:
    """Say what the published time could hold that the trace does not."""
    gap = product.published_us * PS_PER_US - trace.total_ps
    if gap <= 0:
        return "The published software is quicker: it must issue fewer, larger commands."
    issues = gap / (trace.chip.profiles[trace.profile].issue * trace.chip.period)
    sides = (trace.busy(Engine.MOVE) + trace.busy(Engine.VECTOR)) / trace.chip.n_tiles
    return (
        f"The {gap / PS_PER_US:,.0f} us that remain would be {issues:,.0f} more commands a tile, or "
        f"{gap / least.dram_ps:.1f} times the least DRAM traffic on top: the vendor's public runtime "
        "waits for idle after most transfers and converts layouts, where here the processors wait "
        f"{waiting(trace):.0%} of the time and layouts cost {sides / trace.total_ps:.0%}."
    )


def waiting(trace: Trace) -> float:
    """Return the share of the time in which a tile's processor waits for others, mean over tiles."""
    held = [SPENT.index(part) for part in ("queue", "wait", "join", "barrier")]
    return float(trace.spent_ps[:, held].sum(axis=1).mean()) / trace.total_ps
