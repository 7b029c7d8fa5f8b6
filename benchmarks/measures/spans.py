"""Programs that span chips: one chip for all against every command, and up to 4,096 chips."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measures.table import Figure, at_most

from drawloom.chip.files import load_chip
from drawloom.chip.system import Level, System
from drawloom.frontends.hf import Request, model_graph, read_config
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
LAYER = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 2048,
    "intermediate_size": 4096,
    "num_hidden_layers": 1,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "torch_dtype": "float16",
}


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


def layer(folder: Path, batch: int) -> Graph:
    """Return a decode step of a decoder layer of small widths, without values."""
    path = folder / "layer" / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(LAYER), encoding="utf-8")
    return model_graph(read_config(str(path)), Request("decode", batch=batch, context=255))


def span_figures() -> Iterator[Figure]:
    """One chip for all against all chips' commands, on 2 to 32 chips, with dead links and chips too."""
    for shape, sides in (
        ("mesh", ((2,), (2, 2), (2, 4), (4, 4), (4, 8))),
        ("ring", ((2,), (3,), (4,), (8,), (16,), (32,))),
        ("torus", ((4, 4), (4, 8))),
        ("switch", ((8,), (32,))),
    ):
        for sizes in sides:
            fabric = system("torus" if shape == "ring" else shape, *sizes)
            for rows in (1, 256):
                name = f"{shape}_{'x'.join(map(str, sizes))}.{rows}_rows"
                graph = mlp(rows, 1024, 64 * fabric.n_places)
                yield _against(name, graph, fabric, Spread(fabric.n_places))
    for name, fabric, chips in holed():
        graph = mlp(256, 1024, 64 * chips)
        yield _against(f"{name}.256_rows", graph, fabric, Spread(chips))
    with TemporaryDirectory() as folder:
        for name, fabric, batch, spread in layers():
            yield _against(f"layer.{name}", layer(Path(folder), batch), fabric, spread)


def holed() -> Iterator[tuple[str, System, int]]:
    """Yield systems with dead links and chips, and of how many chips a group is."""
    for shape, sizes, links in (
        ("mesh", (2, 4), {(2, 3)}),
        ("torus", (8,), {(0, 1)}),
        ("mesh", (4, 4), {(5, 6)}),
        ("torus", (4, 4), {(5, 6), (9, 10)}),
        ("mesh", (8, 4), {(1, 2), (9, 13)}),
    ):
        whole = system(shape, *sizes)
        name = f"dead_links_{'ring' if len(sizes) == 1 else shape}_{'x'.join(map(str, sizes))}"
        yield name, replace(whole, dead_links=frozenset(links)), whole.n_places
    dead = replace(
        system("mesh", 8, 4), dead_chips=frozenset({0}), dead_links=frozenset({(20, 21)})
    )
    yield "dead_chip_mesh_8x4", dead, 16


def layers() -> Iterator[tuple[str, System, int, Spread]]:
    """Yield on what, with which batch and how a decoder layer is spread."""
    yield "mesh_2x4.batch1", system("mesh", 2, 4), 1, Spread(8)
    yield "mesh_8x4.batch1", system("mesh", 8, 4), 1, Spread(32)
    yield "ring_8.batch32", system("torus", 8), 32, Spread(8)
    yield "mesh_2x4.batch32.sliced", system("mesh", 2, 4), 32, Spread(8, sliced=True)
    yield "mesh_8x4.batch32.apart", system("mesh", 8, 4), 32, Spread(32, 1, 4)


def _against(name: str, graph: Graph, fabric: System, spread: Spread) -> Figure:
    """Return how far one chip for all is from all chips' commands."""
    whole = time_span(compile_span(graph, fabric, spread), TX81).total_ps
    one = compile_folded(graph, fabric, spread).time(TX81).total_ps
    note = f"{one / 1e6:,.1f} us by one chip for all, {whole / 1e6:,.1f} by all"
    return at_most(f"spans.{name}", abs(one / whole - 1) * 100, "%", 3, note)


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
