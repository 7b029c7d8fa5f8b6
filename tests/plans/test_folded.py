"""One chip that stands for all of a group, against all of them command by command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.plans.test_spans import SMALL

from drawloom.chip.files import load_chip
from drawloom.chip.system import Level, System
from drawloom.errors import DoesNotFit
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.lazy import LazyTensor
from drawloom.graph.tensor import TensorType
from drawloom.plans.span import Spread, compile_folded, compile_span
from drawloom.timing.span import time_span
from drawloom.units import Picoseconds

TX81 = load_chip("tx81")


def mlp(rows: int, inner: int, width: int = 256) -> Graph:
    b = GraphBuilder("mlp")
    x = b.input("x", TensorType(DType.F16, (rows, width)))
    up = b.constant("up", LazyTensor.meta(TensorType(DType.F16, (width, inner))))
    down = b.constant("down", LazyTensor.meta(TensorType(DType.F16, (inner, width))))
    wide = b.add("Relu", (b.add("MatMul", (x, up)),))
    return b.finish([b.add("Relu", (b.add("MatMul", (wide, down)),), name="y")])


def system(shape: str, *sizes: int) -> System:
    level = Level(shape, sizes, 25 * 10**9, Picoseconds(553_000))
    return System("s", "s", "tx81", (level,), Picoseconds(1_500_000))


CASES = [
    (system("mesh", 2), 2),
    (system("torus", 4), 4),
    (system("mesh", 2, 4), 8),
    (system("switch", 8), 8),
    pytest.param(system("torus", 4, 4), 16, marks=pytest.mark.slow),
    pytest.param(system("mesh", 4, 8), 32, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("fabric", "chips"), CASES, ids=str)
@pytest.mark.parametrize("rows", [1, 64])
def test_the_flow_model_is_within_3_percent_of_all_commands(
    fabric: System, chips: int, rows: int
) -> None:
    graph = mlp(rows, 64 * chips)
    whole = time_span(compile_span(graph, fabric, Spread(chips)), TX81)
    one = compile_folded(graph, fabric, Spread(chips)).time(TX81)
    assert one.total_ps == pytest.approx(whole.total_ps, rel=0.03)


HOLED = [
    (replace(system("torus", 8), dead_links=frozenset({(0, 1)})), 8),
    (replace(system("mesh", 8, 4), dead_links=frozenset({(1, 2), (9, 13)})), 32),
    (
        replace(system("mesh", 8, 4), dead_chips=frozenset({0}), dead_links=frozenset({(20, 21)})),
        16,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("fabric", "chips"), HOLED, ids=str)
def test_on_a_ring_around_what_is_dead_it_is_as_near(fabric: System, chips: int) -> None:
    graph = mlp(256, 64 * chips, 1024)
    whole = time_span(compile_span(graph, fabric, Spread(chips)), TX81)
    one = compile_folded(graph, fabric, Spread(chips)).time(TX81)
    assert one.total_ps == pytest.approx(whole.total_ps, rel=0.03)


def test_one_chip_does_not_stand_for_all_where_dead_links_make_some_wait() -> None:
    fabric = replace(system("torus", 8), dead_links=frozenset({(0, 1)}))
    graph = mlp(1, 512)
    compile_span(graph, fabric, Spread(8))
    with pytest.raises(DoesNotFit) as caught:
        compile_folded(graph, fabric, Spread(8))
    assert caught.value.kind == "span.folded"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fabric", "spread"),
    [
        (system("mesh", 2, 4), Spread(8, sliced=True)),
        (system("torus", 8), Spread(8, 1, 2)),
        (system("mesh", 8, 4), Spread(32, 1, 4)),
    ],
    ids=str,
)
def test_it_is_as_near_on_a_decoder_layer(tmp_path: Path, fabric: System, spread: Spread) -> None:
    path = tmp_path / "layer.json"
    widths = {"hidden_size": 1024, "intermediate_size": 2048, "num_attention_heads": 32}
    made = SMALL | widths | {"num_key_value_heads": 8}
    path.write_text(json.dumps(made), encoding="utf-8")
    graph = model_graph(read_config(str(path)), Request("decode", batch=32, context=63))
    whole = time_span(compile_span(graph, fabric, spread), TX81)
    one = compile_folded(graph, fabric, spread).time(TX81)
    assert one.total_ps == pytest.approx(whole.total_ps, rel=0.03)


def test_one_chip_of_each_stage_stands_for_a_pipeline() -> None:
    fabric = system("mesh", 2, 2)
    graph = mlp(8, 256)
    whole = time_span(compile_span(graph, fabric, Spread(2, 2)), TX81)
    one = compile_folded(graph, fabric, Spread(2, 2)).time(TX81)
    assert len(one.chips) == 2
    assert one.total_ps == pytest.approx(whole.total_ps, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [Spread(4), Spread(4, 1, 2), Spread(4, context=True)], ids=str)
def test_one_chip_stands_for_all_in_a_decode_step(tmp_path: Path, spread: Spread) -> None:
    path = tmp_path / "step.json"
    path.write_text(json.dumps(SMALL | {"num_hidden_layers": 2}), encoding="utf-8")
    graph = model_graph(read_config(str(path)), Request("decode", batch=4, context=63))
    fabric = system("mesh", 2, 2)
    whole = time_span(compile_span(graph, fabric, spread), TX81)
    one = compile_folded(graph, fabric, spread).time(TX81)
    assert one.total_ps == pytest.approx(whole.total_ps, rel=0.03)
