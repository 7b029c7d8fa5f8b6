"""The passes as a set."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.frontends.rewrite.pairs import assert_same, ramp

import drawloom.frontends.rewrite as room
from drawloom.frontends.rewrite import PASSES, simplify
from drawloom.frontends.rewrite.edit import Edit, rewrite
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, Node, TensorType


def test_every_pass_is_in_the_dict() -> None:
    defined = {
        line.split('"')[1]
        for path in Path(room.__file__).parent.glob("*.py")
        for line in path.read_text().splitlines()
        if line.strip().startswith("name: ClassVar[str] = ")
    }
    assert defined == set(PASSES)


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_is_a_frozen_dataclass_named_as_its_word(name: str) -> None:
    kind = type(PASSES[name])
    assert dataclasses.is_dataclass(kind)
    assert inspect.getdoc(kind)
    words = name.replace("batchnorm", "batch-norm").replace("layernorm", "layer-norm")
    words = words.replace("rmsnorm", "RMS-norm").replace("lrn", "LRN").replace("matmul", "mat-mul")
    assert kind.__name__ == "".join(w[0].upper() + w[1:] for w in words.split("-"))


def test_a_pass_that_never_settles_is_our_bug() -> None:
    @dataclasses.dataclass(frozen=True)
    class Restless:
        name: ClassVar[str] = "restless"

        def __call__(self, graph: Graph) -> Graph:
            return dataclasses.replace(graph)

    builder = GraphBuilder("net")
    x = builder.input("x", TensorType(DType.F32, (3,)))
    graph = builder.finish([builder.add("Relu", [x])])
    with pytest.raises(AssertionError, match="'net' never settles under restless"):
        simplify(graph, [Restless()])


def test_new_names_never_take_those_to_come() -> None:
    """A rule's own values are named after nodes; a later value may have that very name."""
    builder = GraphBuilder("net")
    x = builder.input("x", TensorType(DType.F32, (3,)))
    first = builder.add("Neg", [x], name="a", output="one")
    second = builder.add("Exp", [first], name="b", output="a")
    graph = builder.finish([builder.add("Add", [second, first], name="one", output="b")])

    def rule(edit: Edit, node: Node) -> list[str] | None:
        if node.op != "Neg":
            return None
        inner = edit.emit("Abs", node.inputs, node)
        return [edit.emit("Mul", (inner, node.inputs[0]), node)]

    after = rewrite(graph, rule)
    assert [(n.op, n.name) for n in after.nodes] == [
        ("Abs", "a"),
        ("Mul", "a.2"),
        ("Exp", "b"),
        ("Add", "one"),
    ]
    assert after.nodes[1].outputs == ("one",)
    assert after.nodes[2].outputs == ("a",)


UNARY = ("Relu", "Sigmoid", "Neg", "Abs", "Tanh")
BINARY = ("Add", "Mul", "Sub", "Max")
SHAPES = ((4, 6), (6, 4), (2, 3, 4), (24,), (1, 4, 6), (4, 1, 6))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Random graphs of elementwise nodes, constants, transposes, reshapes and products."""
    builder = GraphBuilder("random")
    values = [builder.input("x", TensorType(DType.F32, (4, 6)))]
    for _ in range(draw(st.integers(1, 14))):
        x = draw(st.sampled_from(values))
        shape = builder.types[x].shape
        kind = draw(
            st.sampled_from(("unary", "binary", "constant", "transpose", "reshape", "matmul"))
        )
        if kind == "unary":
            y = builder.add(draw(st.sampled_from(UNARY)), [x])
        elif kind == "binary":
            twins = [v for v in values if builder.types[v].shape == shape]
            y = builder.add(draw(st.sampled_from(BINARY)), [x, draw(st.sampled_from(twins))])
        elif kind == "constant":
            wanted = draw(st.sampled_from(((), (1,), shape[-1:], shape)))
            array = draw(st.sampled_from((np.zeros, np.ones, lambda s: ramp(*s) - 0.5)))(wanted)
            c = builder.constant("c", np.asarray(array, np.float32))
            y = builder.add(
                draw(st.sampled_from((*BINARY[:3], "Div" if np.all(array) else "Add"))), [x, c]
            )
        elif kind == "transpose":
            perm = draw(st.permutations(range(len(shape))))
            y = builder.add("Transpose", [x], {"perm": tuple(perm)})
        elif kind == "reshape":
            y = builder.add("Reshape", [x], {"shape": draw(st.sampled_from(SHAPES))})
        else:
            w = builder.constant("w", (ramp(shape[-1], shape[-1]) - 1) / 8)
            y = builder.add("MatMul", [x, w], {"trans_b": 1} if draw(st.booleans()) else {})
        values.append(y)
    outputs = draw(st.lists(st.sampled_from(values[1:]), min_size=1, max_size=3, unique=True))
    return builder.finish(outputs)


@given(graphs())
def test_simplify_keeps_the_meaning_and_settles(graph: Graph) -> None:
    simple = simplify(graph)
    assert_same(graph, simple, 1e-4)
    assert simplify(simple) is simple
    assert len(simple.nodes) <= len(graph.nodes) + len(graph.outputs)
