"""Layers that repeat: found, mapped once, run as a loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from examples.models.llama import Llama, llama

from drawloom.chip.files import load_chip
from drawloom.flow import Build
from drawloom.flow import compile as compile_model
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.options import MapOptions
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.rewrite.fold import fold
from drawloom.mapping.text import mapping_text
from drawloom.program.commands import Loop

TX81 = load_chip("tx81")
F32 = DType.F32


class Stack:
    """A graph of layers that may differ in what a test wants."""

    def __init__(self, layers: int, width: int = 6, nodes: int = 12) -> None:
        self.layers, self.width, self.nodes = layers, width, nodes
        self.builder = GraphBuilder("stack")
        self.rng = np.random.default_rng(0)
        self.x = self.builder.input("x", TensorType(F32, (5, width)))
        self.results: list[str] = []

    def weight(self, i: int, what: str) -> str:
        made = self.rng.normal(size=(self.width, self.width)).astype(np.float32) / self.width
        return self.builder.constant(f"layers.{i}.{what}", made)

    def layer(self, i: int, x: str) -> str:
        add = self.builder.add
        y = add("MatMul", (x, self.weight(i, "weight")), name=f"layers.{i}.product")
        for k in range(self.nodes):
            y = add(("Tanh", "Neg", "Abs")[k % 3], (y,), name=f"layers.{i}.step{k}")
        return add("Add", (x, y), name=f"layers.{i}.sum", output=f"hidden.{i}")

    def graph(self) -> Graph:
        x = self.x
        for i in range(self.layers):
            x = self.layer(i, x)
        return self.builder.finish([*self.results, self.builder.add("Relu", (x,), output="y")])


def both(graph: Graph) -> tuple[Build, Build]:
    """The graph compiled with its layers as a loop, and one by one."""
    return tuple(
        compile_model(graph, precision="f32", mapping=MapOptions(fold=on)) for on in (True, False)
    )  # pyright: ignore[reportReturnType]


def inputs(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        name: rng.normal(size=graph.types[name].shape).astype(graph.types[name].dtype.numpy)
        for name in graph.inputs
    }


def check_same(graph: Graph) -> Build:
    once, all_ = both(graph)
    given = inputs(graph)
    made, wanted = once.run(given), all_.run(given)
    assert made.keys() == wanted.keys()
    for name in wanted:
        assert np.array_equal(made[name], wanted[name]), name
    return once


def test_repeated_layers_stand_once_and_give_the_same_values() -> None:
    graph = Stack(layers=7).graph()
    build = check_same(graph)
    (repeat,) = build.mapping.repeats
    assert repeat.count == 7
    assert set(build.run(inputs(graph))) == {"y"}
    assert any(isinstance(item, Loop) and item.count == 7 for item in build.program.streams[0])


def test_a_fold_names_its_constants_and_what_it_carries() -> None:
    (one,) = fold(Stack(layers=5).graph()).folds
    assert one.count == 5
    assert one.twins == {"layers.0.weight": tuple(f"layers.{i}.weight" for i in range(5))}
    assert [c.made for c in one.carried] == ["hidden.0"]


def test_layers_say_which_of_the_model_they_are() -> None:
    folded = fold(Stack(layers=5).graph())
    layers = {node.layer for node in folded.graph.nodes}
    assert "layers.0-4.product" in layers


def test_caches_and_outputs_of_every_layer_keep_their_names() -> None:
    class Cached(Stack):
        def layer(self, i: int, x: str) -> str:
            past = self.builder.input(f"past.{i}", TensorType(F32, (5, self.width)))
            seen = self.builder.add("Add", (x, past), name=f"layers.{i}.seen")
            y = super().layer(i, seen)
            self.results.append(
                self.builder.add("Mul", (y, past), name=f"l.{i}.now", output=f"now.{i}")
            )
            return y

    build = check_same(Cached(layers=6).graph())
    assert list(build.program.named("input")) == ["x", *(f"past.{i}" for i in range(6))]
    assert list(build.program.named("output")) == [*(f"now.{i}" for i in range(6)), "y"]


def test_a_value_made_before_is_read_in_every_layer() -> None:
    class Masked(Stack):
        mask = ""

        def layer(self, i: int, x: str) -> str:
            if not self.mask:
                self.mask = self.builder.add("Sigmoid", (self.x,), name="mask")
            return super().layer(i, self.builder.add("Mul", (x, self.mask), name=f"layers.{i}.m"))

    assert check_same(Masked(layers=6).graph()).mapping.repeats


def test_two_carried_values_that_start_from_one() -> None:
    class Two(Stack):
        other = ""

        def layer(self, i: int, x: str) -> str:
            y = super().layer(i, self.builder.add("Add", (x, self.other or self.x)))
            self.other = self.builder.add("Neg", (y,), name=f"layers.{i}.other")
            return y

    assert check_same(Two(layers=6).graph()).mapping.repeats


def test_two_stacks_make_two_loops() -> None:
    class Pair(Stack):
        def layer(self, i: int, x: str) -> str:
            if i < 5:
                return super().layer(i, x)
            y = self.builder.add("MatMul", (x, self.weight(i, "other")))
            for _ in range(14):
                y = self.builder.add("Sigmoid", (y,))
            return y

    build = check_same(Pair(layers=11).graph())
    assert [r.count for r in build.mapping.repeats] == [5, 6]


@pytest.mark.parametrize("at", [0, 3, 5])
def test_a_layer_that_another_reads_from_afar_is_not_folded_wrongly(at: int) -> None:
    class Skips(Stack):
        def graph(self) -> Graph:
            x, kept = self.x, ""
            for i in range(self.layers):
                x = self.layer(i, x)
                kept = x if i == at else kept
            return self.builder.finish([self.builder.add("Mul", (x, kept), output="y")])

    check_same(Skips(layers=6).graph())


def test_layers_with_other_scalars_are_not_alike() -> None:
    class Scaled(Stack):
        def layer(self, i: int, x: str) -> str:
            scale = self.builder.constant(f"scale.{i}", np.float32(1 + i % 3))
            return super().layer(i, self.builder.add("Mul", (x, scale)))

    graph = Scaled(layers=6).graph()
    check_same(graph)
    wanted = evaluate(graph, inputs(graph))["y"]
    assert np.allclose(both(graph)[0].run(inputs(graph))["y"], wanted, atol=1e-4)


def test_short_graphs_are_left_alone() -> None:
    assert not fold(Stack(layers=3).graph()).folds


def test_a_mapping_with_a_loop_parses_back() -> None:
    mapping = compile_model(Stack(layers=6).graph()).mapping
    text = mapping_text(mapping)
    assert "repeat " in text
    again = parse_mapping(text, mapping.graph, TX81)
    assert again.repeats == mapping.repeats
    assert mapping_text(again) == text


def test_a_llama_is_one_layer_and_keeps_its_time() -> None:
    model = llama(0, Llama(layers=6))
    once, all_ = (compile_model(model, mapping=MapOptions(fold=on)) for on in (True, False))
    tokens = {"tokens": np.arange(16, dtype=np.int64).reshape(1, 16)}
    assert np.array_equal(once.run(tokens)["logits"], all_.run(tokens)["logits"])
    assert len(once.mapping.pieces) < len(all_.mapping.pieces) / 3
    # A loop adds a barrier and keeps the residual in DRAM: a few per cent, no more.
    assert once.time().total_ps < 1.05 * all_.time().total_ps
    assert once.time().dram_bytes[0] < 1.05 * all_.time().dram_bytes[0]


def test_a_build_with_a_loop_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    build = compile_model(Stack(layers=6).graph())
    build.save(tmp_path / "stack.build")
    again = Build.load(tmp_path / "stack.build")
    assert again.program.text() == build.program.text()
    assert mapping_text(again.mapping) == mapping_text(build.mapping)
