from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.frontends.rewrite.pairs import assert_same, built, check, ramp, unchanged

from drawloom.frontends.rewrite import PASSES
from drawloom.frontends.rewrite.tidy import MergeDuplicates
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import TensorType


def one(value: float) -> Any:
    return np.array(value, np.float32)


COPIES = [
    ("Identity", {}, []),
    ("Reshape", {"shape": (2, 4, 6)}, []),
    ("Reshape", {"shape": (2, -1, 6)}, []),
    ("Expand", {"shape": (4, 1)}, []),
    ("Tile", {"repeats": (1, 1, 1)}, []),
    ("Cast", {"to": "f32"}, []),
    ("Transpose", {"perm": (0, 1, 2)}, []),
    ("Slice", {"starts": (0, -99), "ends": (2, 99), "axes": (0, 2)}, []),
    ("Pad", {"pads": (0,) * 6}, []),
    ("Concat", {"axis": 1}, []),
    ("Mul", {}, [one(1)]),
    ("Add", {}, [one(0)]),
    ("Sub", {}, [one(0)]),
    ("Div", {}, [np.ones((1, 1), np.float32)]),
    ("Pow", {}, [one(1)]),
]
WORK = [
    ("Reshape", {"shape": (4, 2, 6)}, []),
    ("Expand", {"shape": (3, 1, 1, 1)}, []),
    ("Tile", {"repeats": (1, 2, 1)}, []),
    ("Cast", {"to": "f16"}, []),
    ("Transpose", {"perm": (0, 2, 1)}, []),
    ("Slice", {"starts": (1,), "ends": (4,), "axes": (1,)}, []),
    ("Slice", {"starts": (-1,), "ends": (-99,), "axes": (0,), "steps": (-1,)}, []),
    ("Pad", {"pads": (0, 0, 0, 0, 0, 1)}, []),
    ("Mul", {}, [one(2)]),
    ("Add", {}, [one(1)]),
    ("Add", {}, [np.zeros((1, 1, 1, 1), np.float32)]),
    ("Relu", {}, []),
]


def followed(op: str, attrs: dict[str, Any], constants: list[Any]) -> Any:
    def build(b: GraphBuilder, x: str) -> str:
        inputs = [b.add("Relu", [x]), *(b.constant("c", c) for c in constants)]
        y = b.add(op, inputs, attrs)
        return b.add("Exp", [y]) if b.types[y].dtype is DType.F32 else y

    return built(build)


@pytest.mark.parametrize(("op", "attrs", "constants"), COPIES)
def test_copies_are_dropped(op: str, attrs: dict[str, Any], constants: list[Any]) -> None:
    check("drop-copies", followed(op, attrs, constants), "Relu Exp")


@pytest.mark.parametrize(("op", "attrs", "constants"), WORK)
def test_what_is_no_copy_stays(op: str, attrs: dict[str, Any], constants: list[Any]) -> None:
    unchanged("drop-copies", followed(op, attrs, constants))


def test_widening_and_narrowing_back_is_a_copy() -> None:
    def build(b: GraphBuilder, x: str, middle: str) -> str:
        wide = b.add("Cast", [b.add("Relu", [x])], {"to": middle})
        return b.add("Neg", [b.add("Cast", [wide], {"to": "f16"})])

    wide = built(lambda b, x: build(b, x, "f32"), dtype=DType.F16)
    check("drop-copies", wide, "Relu Neg")
    unchanged("drop-copies", built(lambda b, x: build(b, x, "bf16"), dtype=DType.F16))


def test_an_output_keeps_its_name_when_its_node_goes() -> None:
    builder = GraphBuilder("net")
    x = builder.input("x", TensorType(DType.F32, (3,)))
    inner = builder.add("Relu", [x], name="act")
    outputs = [
        builder.add("Identity", [v], output=o)
        for v, o in ((inner, "y"), (x, "same"), (inner, "twin"))
    ]
    before = builder.finish([*outputs, inner])
    after = PASSES["drop-copies"](before)
    assert after.outputs == ("y", "same", "twin", "act")
    assert_same(before, after)
    assert [n.op for n in after.nodes].count("Relu") == 1
    assert [n.name for n in after.nodes if n.op == "Relu"] == ["act"]


def test_constants_are_computed() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        c = b.add("Transpose", [b.constant("c", ramp(6, 4))], {"perm": (1, 0)})
        return b.add("Add", [x, b.add("Neg", [c])])

    check("fold-constants", built(build), "Add")


def test_dequantized_constants_are_not_computed() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        codes = b.constant("q", np.arange(6, dtype=np.int8))
        return b.add("Mul", [x, b.add("DequantizeLinear", [codes, b.constant("s", one(0.5))])])

    unchanged("fold-constants", built(build))


def test_equal_nodes_and_constants_are_shared() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        halves = [
            b.add("Exp", [b.add("Mul", [x, b.constant("c", ramp(6))])]),
            b.add("Exp", [b.add("Mul", [x, b.constant("d", ramp(6))])]),
            b.add("Exp", [b.add("Mul", [x, b.constant("e", ramp(6) + 1)])]),
        ]
        return b.add("Add", [b.add("Sub", halves[:2]), b.add("Add", halves[1:])])

    after = check("merge-duplicates", built(build), "Mul Exp Mul Exp Sub Add Add")
    assert sorted(after.constants) == ["c", "e"]
    assert MergeDuplicates(constant_bytes=0)(built(build)) is not None


def test_equal_nodes_that_are_both_outputs() -> None:
    builder = GraphBuilder("net")
    x = builder.input("x", TensorType(DType.F32, (3,)))
    before = builder.finish([builder.add("Relu", [x], output=o) for o in ("a", "b")])
    after = check("merge-duplicates", before, "Relu Identity")
    unchanged("drop-copies", after)


def test_dead_nodes_and_constants_go_but_inputs_stay() -> None:
    builder = GraphBuilder("net")
    x = builder.input("x", TensorType(DType.F32, (3,)))
    builder.input("unused", TensorType(DType.F32, (3,)))
    builder.add("Add", [x, builder.constant("c", ramp(3))])
    graph = builder.finish([builder.add("Relu", [x], output="y")])
    after = PASSES["drop-dead"](graph)
    assert ([n.op for n in after.nodes], after.inputs) == (["Relu"], ("x", "unused"))
    assert (dict(after.constants), set(after.types)) == ({}, {"x", "unused", "y"})
    unchanged("drop-dead", after)
    inputs = {"x": ramp(3), "unused": ramp(3)}
    np.testing.assert_array_equal(evaluate(after, inputs)["y"], evaluate(graph, inputs)["y"])
