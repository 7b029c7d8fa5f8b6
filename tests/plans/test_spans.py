"""Programs that span chips: they give what one chip gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawloom.check import check_span
from drawloom.chip.files import load_chip
from drawloom.errors import DoesNotFit, InputError
from drawloom.execute.span import execute_span
from drawloom.flow import compile
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.lazy import Constants
from drawloom.graph.tensor import TensorType
from drawloom.plans.cut import cut
from drawloom.plans.lie import Lie
from drawloom.plans.span import Spread, compile_span

SMALL = {
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 1,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "torch_dtype": "float16",
}


def mlp() -> tuple[Graph, dict[str, Any]]:
    rng = np.random.default_rng(0)
    b = GraphBuilder("mlp")
    x = b.input("x", TensorType(DType.F16, (5, 128)))
    up = b.constant("up", (rng.standard_normal((128, 256)) / 11).astype(np.float16))
    down = b.constant("down", (rng.standard_normal((256, 96)) / 16).astype(np.float16))
    inner = b.add("Silu", (b.add("MatMul", (x, up), name="wide"),), name="act")
    y = b.add("MatMul", (inner, down), name="narrow")
    return b.finish([y]), {"x": rng.standard_normal((5, 128)).astype(np.float16)}


def integers() -> tuple[Graph, dict[str, Any]]:
    rng = np.random.default_rng(0)
    b = GraphBuilder("integers")
    x = b.input("x", TensorType(DType.I8, (3, 64)))
    up = b.constant("up", rng.integers(-9, 10, (64, 256)).astype(np.int8))
    down = b.constant("down", rng.integers(-9, 10, (256, 64)).astype(np.int8))
    wide = b.add("MatMulInteger", (x, up), name="wide")
    held = b.add("Clip", (wide,), {"min": -100.0, "max": 100.0}, name="held")
    small = b.add("Cast", (held,), {"to": "i8"}, name="small")
    y = b.add("MatMulInteger", (small, down), name="narrow")
    return b.finish([y]), {"x": rng.integers(-9, 10, (3, 64)).astype(np.int8)}


def llama(tmp_path: Path, request: Request) -> tuple[Graph, dict[str, Any]]:
    path = tmp_path / "small" / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(SMALL), encoding="utf-8")
    graph = model_graph(read_config(str(path)), request)
    rng = np.random.default_rng(0)
    held = dict(graph.constants.held)
    for name in graph.constants:
        if graph.constants.is_meta(name):
            shape = graph.types[name].shape
            drawn = rng.standard_normal(shape)
            drawn = 1 + 0.1 * drawn if len(shape) == 1 else drawn / np.sqrt(shape[0])
            held[name] = drawn.astype(np.float16)
    inputs: dict[str, Any] = {}
    for name in graph.inputs:
        kind = graph.types[name]
        if kind.dtype is DType.I32:
            top = 20 if name == "position" else 256
            inputs[name] = rng.integers(0, top, kind.shape).astype(np.int32)
        else:
            inputs[name] = rng.standard_normal(kind.shape).astype(np.float16)
    return replace(graph, constants=Constants(held)), inputs


def test_an_mlp_on_several_chips_is_within_the_error_of_one() -> None:
    graph, inputs = mlp()
    one = compile(graph).run(inputs)["narrow"].astype(np.float64)
    for chips in (2, 4, 8):
        many = execute_span(compile_span(graph, "rex1032", Spread(chips)), inputs)["narrow"]
        # Each chip rounds its sum to 11 bits, and so does each of the additions on the way.
        assert np.abs(many - one).max() <= 2**-11 * (chips + 1) * np.abs(one).max()


def test_integers_on_several_chips_are_exact() -> None:
    graph, inputs = integers()
    one = compile(graph).run(inputs)["narrow"]
    for chips in (2, 8):
        many = execute_span(compile_span(graph, "rex1032", Spread(chips)), inputs)["narrow"]
        assert np.array_equal(many, one)


@pytest.mark.parametrize("spread", [Spread(2), Spread(1, 2), Spread(2, 2)], ids=str)
def test_a_decode_step_on_several_chips_is_that_of_one(tmp_path: Path, spread: Spread) -> None:
    graph, inputs = llama(tmp_path, Request("decode", batch=2, context=31))
    one = compile(graph).run(inputs)
    many = execute_span(compile_span(graph, "rex1032", spread), inputs)
    assert sorted(many) == sorted(one)
    for name, value in one.items():
        assert many[name].shape == value.shape
        assert np.abs(many[name] - value.astype(np.float64)).max() < 0.02, name


@pytest.mark.parametrize(
    "spread",
    [Spread(2, sliced=True), pytest.param(Spread(4, 2, sliced=True), marks=pytest.mark.slow)],
    ids=str,
)
def test_sums_that_are_scattered_and_gathered_are_sums(tmp_path: Path, spread: Spread) -> None:
    graph, inputs = llama(tmp_path, Request("decode", batch=4, context=31))
    parts = spread.cut(graph, spread.tensor)
    kinds = [e.kind for stage in parts.stages for e in stage.exchanges]
    assert kinds.count("scatter") == 2
    assert "sum" not in kinds
    one = compile(graph).run(inputs)
    span = compile_span(graph, "rex1032", spread)
    many = execute_span(span, inputs)
    for name, value in one.items():
        assert np.abs(many[name] - value.astype(np.float64)).max() < 0.02, name
    assert not check_span(span, load_chip("tx81"))


def test_rows_that_cannot_be_shared_out_evenly_stay_whole(tmp_path: Path) -> None:
    graph, _ = llama(tmp_path, Request("decode", batch=3, context=31))
    parts = Spread(2, sliced=True).cut(graph, 1)
    assert not [e for stage in parts.stages for e in stage.exchanges if e.kind == "scatter"]


@pytest.mark.slow
@pytest.mark.parametrize("spread", [Spread(4), Spread(8), Spread(4, 2)], ids=str)
def test_a_prefill_on_up_to_eight_chips_is_that_of_one(tmp_path: Path, spread: Spread) -> None:
    graph, inputs = llama(tmp_path, Request("prefill", batch=1, tokens=9))
    one = compile(graph).run(inputs)
    many = execute_span(compile_span(graph, "rex1032", spread), inputs)
    for name, value in one.items():
        assert np.abs(many[name] - value.astype(np.float64)).max() < 0.02, name


def test_stages_alone_give_the_very_same_values(tmp_path: Path) -> None:
    graph, inputs = llama(tmp_path, Request("decode", batch=1, context=31))
    one = compile(graph).run(inputs)
    many = execute_span(compile_span(graph, "rex1032", Spread(1, 2)), inputs)
    assert all(np.array_equal(many[name], one[name]) for name in one)


def test_a_layer_is_cut_by_heads_and_ends_in_two_sums(tmp_path: Path) -> None:
    graph, _ = llama(tmp_path, Request("decode", batch=1, context=31))
    parts = cut(graph, 4)
    kinds = [[e.kind for e in stage.exchanges] for stage in parts.stages]
    assert kinds == [["sum"], ["sum"], []]
    # Two key heads on four chips: neighbours hold the same one.
    assert parts.lies["past.0.key"].ways == 2
    assert parts.lies["logits"].axis == 1
    held = parts.stages[0].graphs[0].types["past.0.key"].shape
    assert held == (1, 1, 32, 32)


def test_heads_that_do_not_go_round_are_said(tmp_path: Path) -> None:
    graph, _ = llama(tmp_path, Request("decode", batch=1, context=31))
    with pytest.raises(InputError) as error:
        cut(graph, 16)
    assert str(error.value).startswith("error[plan.cut]: 'small.decode' cannot be cut so\n")


def test_a_system_without_room_for_a_group_is_said() -> None:
    graph, _ = mlp()
    with pytest.raises(DoesNotFit) as error:
        compile_span(graph, "rex1032", Spread(32, 2))
    assert "2 whole blocks of 32 chips" in str(error.value)


@pytest.mark.parametrize(
    "spread",
    [Spread(4, 1, 2), pytest.param(Spread(8, 1, 4), marks=pytest.mark.slow)],
    ids=str,
)
def test_chips_of_one_key_head_that_part_its_rows_give_what_one_chip_does(
    tmp_path: Path, spread: Spread
) -> None:
    graph, inputs = llama(tmp_path, Request("decode", batch=4, context=31))
    span = compile_span(graph, "rex1032", spread)
    assert span.cuts["past.0.key"] == (1, 2, spread.apart)
    held = span.programs[0].named("input")["past.0.key"]
    assert held.shape == (4 // spread.apart, 1, 32, 32)
    assert check_span(span, load_chip("tx81")) == ()
    one, many = compile(graph).run(inputs), execute_span(span, inputs)
    for name, value in one.items():
        assert np.abs(many[name] - value.astype(np.float64)).max() < 0.02, name


def test_rows_that_cannot_be_parted_are_said(tmp_path: Path) -> None:
    graph, _ = llama(tmp_path, Request("decode", batch=3, context=31))
    with pytest.raises(InputError) as error:
        cut(graph, 4, apart=2)
    assert str(error.value) == (
        "error[plan.cut]: 'small.decode' cannot be cut so\n"
        "  apart: 2 chips of 4 for 3 rows (a number that divides both)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("chips", [2, 4, 8])
def test_caches_cut_along_the_context_give_what_one_chip_does(tmp_path: Path, chips: int) -> None:
    graph, inputs = llama(tmp_path, Request("decode", batch=2, context=31))
    # One sequence is at a place of the first chip, the other at one of the last.
    inputs["position"] = np.array([1, 30], np.int32)
    span = compile_span(graph, "rex1032", Spread(chips, context=True))
    held = span.programs[0].named("input")["past.0.key"]
    assert held.shape == (2, 2, 32 // chips, 32)
    assert check_span(span, load_chip("tx81")) == ()
    one, many = compile(graph).run(inputs), execute_span(span, inputs)
    for name, value in one.items():
        assert np.abs(many[name] - value.astype(np.float64)).max() < 0.02, name
    for name in ("present.0.key", "present.0.value"):
        old = inputs[name.replace("present", "past")]
        kept = [p for p in range(32) if p not in (1, 30)]
        assert np.array_equal(many[name][:, :, kept], old[:, :, kept])


def test_a_softmax_over_chips_takes_the_largest_of_all_and_one_sum(tmp_path: Path) -> None:
    graph, _ = llama(tmp_path, Request("decode", batch=1, context=31))
    parts = cut(graph, 4, context=True)
    made = [e.source.rpartition(".")[2] for stage in parts.stages for e in stage.exchanges]
    assert "large" in made
    assert "both" in made
    assert parts.lies["present.0.key"] == parts.lies["past.0.key"] == Lie("part", 2, 4)
