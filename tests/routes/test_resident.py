"""A graph on chips that keep its weights: what fits, what is shared, what a token passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawloom.chip.resident import load_resident
from drawloom.errors import DoesNotFit
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.tensor import TensorType
from drawloom.routes.fuse import fuse
from drawloom.routes.resident.place import kept_bytes, place
from drawloom.routes.resident.run import multiply_cycles, run_resident

GROQ, WAFER = load_resident("groq_lpu_v1"), load_resident("wse3")
LLAMA = read_config("llama-3-8b")
TOKEN = Request("decode", batch=1, context=1023)
F16 = DType.F16


@pytest.fixture(scope="module")
def token() -> Graph:
    return model_graph(LLAMA, TOKEN)


def chain(width: int = 640, rows: int = 1, depth: int = 4) -> Graph:
    builder = GraphBuilder("chain")
    x = builder.input("x", TensorType(F16, (rows, width)))
    for at in range(depth):
        weights = builder.constant(f"w{at}", np.zeros((width, width), np.float16))
        x = builder.add("Softmax", (builder.add("MatMul", (x, weights)),))
    return builder.finish((x,))


def test_all_weights_and_the_cache_are_kept_somewhere(token: Graph) -> None:
    kernels = fuse(token)
    cache = 2 * 32 * 8 * 1024 * 128 * 2
    weights = 32 * (4096 * (2 * 4096 + 2 * 1024 + 3 * 14336)) * 2 + 4096 * 128256 * 2
    assert sum(kept_bytes(token, kernels)) == pytest.approx(weights + cache, rel=0.001)
    stages = place(token, kernels, GROQ, 16)
    assert stages.stage_of == tuple(sorted(stages.stage_of))
    for stage in range(stages.count):
        held = sum(
            size for size, of in zip(stages.bytes_of, stages.stage_of, strict=True) if of == stage
        )
        assert held <= 16 * GROQ.sram
    assert (weights + cache) / GROQ.sram < stages.n_chips < 1.4 * (weights + cache) / GROQ.sram


def test_a_wafer_holds_what_many_small_chips_do(token: Graph) -> None:
    assert run_resident(token, WAFER).stages.n_chips == 1
    assert run_resident(token, GROQ).stages.n_chips >= 71


def test_what_does_not_fit_is_told_with_the_way_out(token: Graph) -> None:
    with pytest.raises(DoesNotFit) as error:
        run_resident(token, GROQ, group=1)
    lines = str(error.value).splitlines()
    assert lines[0] == (
        "error[resident.sram]: what layer 'model.layers.0.mlp.gate_proj' keeps does not fit the"
        " chips that share it"
    )
    assert lines[1] == "  needs  234,881,024 bytes of weights and cache"
    assert lines[2].startswith("  has    229,")
    assert "  try    more chips a stage" in lines


@pytest.mark.parametrize("name", ["groq_lpu_v1", "wse3"])
def test_no_pass_outruns_the_chips(token: Graph, name: str) -> None:
    chip = load_resident(name)
    found = run_resident(token, chip)
    n_chips = found.stages.n_chips
    assert found.seconds > found.trace.macs / (n_chips * chip.peak("bf16"))
    assert found.seconds > sum(kept_bytes(token, fuse(token))) / (n_chips * chip.sram_rate)
    assert found.beat_seconds <= found.trace.seconds
    for each in found.trace.spans:
        assert each.seconds >= max(each.parts.values())


def test_the_busiest_stage_gives_the_beat() -> None:
    graph = chain(depth=8)
    small = replace(GROQ, sram=2 * 640 * 640 * 2 + 4 * 640 * 2)
    found = run_resident(graph, small, group=1)
    assert found.stages.count == 4
    assert found.beat_seconds == pytest.approx(found.trace.seconds / 4, rel=0.2)


@pytest.mark.parametrize(
    "change",
    [
        {"link_delay": 2e-6},
        {"link_rate": GROQ.link_rate / 10},
        {"sram_rate": GROQ.sram_rate / 100},
        {"clock": GROQ.clock / 2},
        {"crossing": 400},
        {"block_load": 320},
    ],
)
def test_a_chip_with_less_is_slower(token: Graph, change: dict[str, float]) -> None:
    whole, less = (run_resident(token, chip, 64) for chip in (GROQ, replace(GROQ, **change)))
    assert less.seconds > whole.seconds


def test_blocks_are_whole_and_loads_hide_behind_rows() -> None:
    few, many = (fuse(chain(width=321, rows=rows, depth=1))[0] for rows in (1, 1000))
    assert multiply_cycles(GROQ, few) == 4 * GROQ.block_load
    assert multiply_cycles(GROQ, many) == 4 * 1000
    assert multiply_cycles(WAFER, many) == pytest.approx(321 * 321 * 1000 / 7.2e6)


def test_in_place_a_kernel_has_the_part_that_holds_it_and_rows_stream() -> None:
    one, deep = (run_resident(chain(rows=64, depth=depth), WAFER) for depth in (1, 16))
    first = one.trace.spans[0].parts
    part = 640 * 640 * 2 / WAFER.sram
    assert first["multiply"] == pytest.approx(640 * 640 * 64 / WAFER.peak("f16") / part, rel=0.01)
    assert deep.rows == 64
    assert deep.trace.seconds == pytest.approx(16 * one.trace.seconds, rel=0.1)
    assert deep.seconds < 2 * one.seconds
