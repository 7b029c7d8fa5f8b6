"""The standing picture of a trace: well-formed, and true to the spans."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from drawloom.flow import Build, compile
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.report import picture
from drawloom.report.picture import COLOURS, busy_share, dram_rate
from drawloom.timing.table import ENGINES
from drawloom.units import PS_PER_S

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def build() -> Build:
    builder = GraphBuilder("two <products>")
    x = builder.input("x", TensorType(DType.F16, (96, 128)))
    w = builder.constant("w", np.ones((128, 128), np.float16))
    y = builder.add("MatMul", (x, w), name="first")
    return compile(builder.finish([builder.add("MatMul", (y, w), name="second")]))


def test_busy_share_is_the_part_of_each_column_that_spans_fill() -> None:
    start, end = np.array([5.0, 0.0, 30.0]), np.array([15.0, 3.0, 31.0])
    np.testing.assert_allclose(busy_share(start, end, 40, 4), [0.8, 0.5, 0.0, 0.1])


def test_no_span_is_busy_never() -> None:
    assert busy_share(np.array([]), np.array([]), 40, 4).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(20))
def test_busy_share_adds_up_to_the_time_of_spans(seed: int) -> None:
    edges = np.sort(np.random.default_rng(seed).integers(0, 1000, 20)).astype(float)
    share = busy_share(edges[::2], edges[1::2], 1000, 7)
    assert share.sum() * 1000 / 7 == pytest.approx((edges[1::2] - edges[::2]).sum())


def test_the_curve_of_dram_adds_up_to_its_bytes(build: Build) -> None:
    trace = build.time()
    read, written = (rate.sum() / 100 * trace.total_ps / PS_PER_S for rate in dram_rate(trace, 100))
    assert (read, written) == pytest.approx(trace.dram_bytes)


def test_every_tile_and_piece_is_there(build: Build) -> None:
    drawn = ElementTree.fromstring(picture(build.time()))
    words = {element.text for element in drawn.iter(f"{SVG}text")}
    assert {"two <products>", "first", "second", "DRAM", "matrix", "read", "write"} <= words
    assert {f"tile {tile}" for tile in range(16)} <= words


def test_a_lane_is_filled_while_its_engine_works(build: Build) -> None:
    trace = build.time()
    drawn = ElementTree.fromstring(picture(trace, "title"))
    filled = [e for e in drawn.iter(f"{SVG}path") if e.get("stroke-width") == "3"]
    engines = {ENGINES.index(engine) for engine in COLOURS}
    busy = zip(trace.tile.tolist(), trace.engine.tolist(), strict=True)
    lanes = {(tile, engine) for tile, engine in busy if engine in engines}
    heights = {d.split("h")[0].split()[1] for d in (e.get("d", "") for e in filled)}
    assert len(heights) == len(lanes)
