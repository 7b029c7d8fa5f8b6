"""Programs that span chips: one chip for all against every command, and up to 4,096 chips."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.measures.table import Figure, at_most

from drawloom.chip.files import load_chip
from drawloom.chip.system import Level, System
from drawloom.frontends.hf import Request
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.lazy import LazyTensor
from drawloom.graph.tensor import TensorType
from drawloom.plans import plan
from drawloom.plans.span import Spread, compile_folded, compile_span
from drawloom.timing.span import time_span
from drawloom.units import Picoseconds

TX81 = load_chip("tx81")


def mlp(rows: int, width: int, inner: int) -> Graph:
    """Return two products without values, the second of which ends in a sum over the chips."""
    b = GraphBuilder("mlp")
    x = b.input("x", TensorType(DType.F16, (rows, width)))
    up = b.constant("up", LazyTensor.meta(TensorType(DType.F16, (width, inner))))
    down = b.constant("down", LazyTensor.meta(TensorType(DType.F16, (inner, width))))
    wide = b.add("Relu", (b.add("MatMul", (x, up)),))
    return b.finish([b.add("Relu", (b.add("MatMul", (wide, down)),), name="y")])


def system(shape: str, *sizes: int) -> System:
    """Return TX81 chips joined by links as in their server."""
    level = Level(shape, sizes, 25 * 10**9, Picoseconds(553_000))
    return System(shape, shape, "tx81", (level,), Picoseconds(1_500_000))


def span_figures() -> Iterator[Figure]:
    """Two products on 2 to 32 chips, by all chips' commands and by one chip for all."""
    for shape, sides in (
        ("mesh", ((2,), (2, 2), (2, 4), (4, 4), (4, 8))),
        ("torus", ((4,), (4, 4), (4, 8))),
        ("switch", ((8,), (32,))),
    ):
        for sizes in sides:
            fabric = system(shape, *sizes)
            chips = fabric.n_places
            for rows in (1, 256):
                graph = mlp(rows, 1024, 64 * chips)
                whole = time_span(compile_span(graph, fabric, Spread(chips)), TX81).total_ps
                one = compile_folded(graph, fabric, Spread(chips)).time(TX81).total_ps
                name = f"spans.{shape}_{'x'.join(map(str, sizes))}.{rows}_rows"
                note = f"{one / 1e6:,.1f} us by one chip for all, {whole / 1e6:,.1f} by all"
                yield at_most(name, abs(one / whole - 1) * 100, "%", 3, note)


def many_figures() -> Iterator[Figure]:
    """Two products on 64 to 4,096 chips as a torus: seconds to compile and time them."""
    for side in (4, 8, 16):
        fabric = system("torus", side, side, side)
        start = time.perf_counter()
        graph = mlp(16, 8192, 64 * fabric.n_places)
        trace = compile_folded(graph, fabric, Spread(fabric.n_places)).time(TX81)
        took = time.perf_counter() - start
        note = f"{trace.total_ps / 1e6:,.1f} us of the chips"
        yield at_most(f"many.{fabric.n_places}_chips", took, "s", 30, note)


def plan_figures() -> Iterator[Figure]:
    """Decode steps of Llama-3-70B on 32 TX81 over their bounds; how long DeepSeek-V3 takes to plan."""
    for batch, goal in ((1, 1.25), (64, 1.4)):
        made = plan("llama-3-70b", "rex1032", Request("decode", batch=batch, context=2047))
        note = f"{made.round_ps / 1e9:,.1f} ms, {made.shares}, {made.copies} copies"
        yield at_most(f"plans.llama-3-70b.batch{batch}", made.over_bound, "x", goal, note)
    start = time.process_time()
    request = Request("decode", batch=32, context=1023)
    made = plan("deepseek-v3", "rex1032", request, weights="int8")
    note = (
        f"{made.round_ps / 1e9:,.1f} ms, {made.over_bound:.2f} of the bound, {made.shares}, "
        f"{made.copies} copies; experts are cut in slices, so what passes links is their sums"
    )
    yield at_most("plans.deepseek-v3.int8.took", time.process_time() - start, "CPU s", 60, note)
