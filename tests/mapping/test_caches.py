"""Caches: written in place where nothing else reads them, and found again by the next program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drawloom.execute.machine import Machine
from drawloom.flow import Build
from drawloom.flow import compile as compile_model
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.options import MapOptions

RNG = np.random.default_rng(4)
BATCH, ROOM, WIDTH = 3, 40, 64


def step(layers: int = 2, *, read_past: bool = False) -> Graph:
    """A row goes into each layer's cache; the sum over the cache goes on."""
    builder = GraphBuilder("step")
    x = builder.input("x", TensorType(DType.F16, (BATCH, 1, WIDTH)))
    position = builder.input("position", TensorType(DType.I32, (BATCH,)))
    caches: list[str] = []
    for i in range(layers):
        past = builder.input(f"past.{i}.key", TensorType(DType.F16, (BATCH, ROOM, WIDTH)))
        present = builder.add(
            "TensorScatter", (past, x, position), {"axis": 1}, output=f"present.{i}.key"
        )
        caches.append(present)
        for _ in range(14):
            x = builder.add("Tanh", (x,))
        seen = builder.add("ReduceSum", (present,), {"axes": (1,), "keepdims": 1})
        x = builder.add("Add", (x, seen))
        if read_past:
            before = builder.add("ReduceMax", (past,), {"axes": (1,), "keepdims": 1})
            x = builder.add("Add", (x, before))
    return builder.finish([builder.add("Neg", (x,), output="y"), *caches])


def inputs(graph: Graph) -> dict[str, Any]:
    made: dict[str, Any] = {
        name: (RNG.normal(size=kind.shape) / 8).astype(np.float16)
        for name in graph.inputs
        if (kind := graph.types[name]).dtype is DType.F16
    }
    return made | {"position": np.array([0, 39, 17], np.int32)}


def addresses(build: Build, kind: str) -> dict[str, int]:
    return {
        name.partition(".")[2]: region.address
        for name, region in build.program.named(kind).items()
        if name.startswith(("past.", "present."))
    }


@pytest.mark.parametrize("layers", [2, 6])
@pytest.mark.parametrize("fold", [True, False])
def test_a_cache_is_written_in_place(layers: int, fold: bool) -> None:
    graph = step(layers)
    build = compile_model(graph, mapping=MapOptions(fold=fold))
    given = inputs(graph)
    wanted, found = evaluate(graph, given), build.run(given)
    for i in range(layers):
        name = f"present.{i}.key"
        assert np.array_equal(found[name], wanted[name]), name
    np.testing.assert_allclose(found["y"], wanted["y"], rtol=0.01, atol=0.02)
    assert addresses(build, "input") == addresses(build, "output")
    # A row of each entry is written, not the cache.
    written = sum(r.dram_written for r in build.time().by_node() if "present" in r.node)
    written += sum(r.dram_written for r in build.time().by_node() if r.node.startswith("tensorsc"))
    assert written == layers * BATCH * WIDTH * 2


def test_a_cache_that_is_read_as_it_was_keeps_its_bytes() -> None:
    graph = step(2, read_past=True)
    build = compile_model(graph)
    given = inputs(graph)
    wanted, found = evaluate(graph, given), build.run(given)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=0.01, atol=0.02)
    assert set(addresses(build, "input").values()).isdisjoint(addresses(build, "output").values())


def test_folded_or_not_caches_lie_where_the_next_program_looks() -> None:
    folded, plain = (compile_model(step(6), mapping=MapOptions(fold=on)) for on in (True, False))
    assert folded.mapping.repeats
    assert addresses(folded, "input") == addresses(plain, "input")


def test_a_program_is_loaded_over_another_and_finds_its_cache() -> None:
    graph = step(2)
    build = compile_model(graph)
    given = inputs(graph)
    machine = Machine(build.program)
    machine.load(given)
    machine.run()
    after = Machine(build.program, machine)
    more = {"x": given["x"], "position": np.array([1, 2, 3], np.int32)}
    after.load(more, held={"past.0.key", "past.1.key"})
    after.run()
    first = build.run(given)
    caches = {f"past.{i}.key": first[f"present.{i}.key"] for i in range(2)}
    wanted = build.run({**more, **caches})
    for name, value in wanted.items():
        assert np.array_equal(after.region(name), value), name
