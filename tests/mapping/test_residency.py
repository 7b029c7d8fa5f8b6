"""Values that stay in the scratchpads from piece to piece: whole images, or rows of one."""

from __future__ import annotations

import numpy as np
import pytest
from tests.mapping.test_values import check as check_values

from drawloom.check import check
from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.options import MapOptions
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import Read, Send
from drawloom.program.lower.halo import FLAG
from drawloom.program.lower.handed import FLAG as HANDED

TX81 = load_chip("tx81")


def blocks(batch: int, high: int, wide: int, channels: int = 70, *, norm: bool = False) -> Graph:
    """Two bottlenecks, the second's sum where the first's was."""
    rng = np.random.default_rng(3)
    builder = GraphBuilder("blocks")

    def conv(x: str, name: str, outs: int, size: int) -> str:
        ins = builder.types[x].shape[1]
        drawn = rng.standard_normal((outs, ins, size, size)) / (ins * size * size) ** 0.5
        weights = builder.constant(f"{name}.w", drawn.astype(np.float16))
        pads = {"pads": (size // 2,) * 4}
        return builder.add("Conv", (x, weights), pads, name=name)

    given = builder.input("x", TensorType(DType.F16, (batch, 5, high, wide)))
    x = conv(given, "stem", channels, 3)
    for i in range(2):
        y = builder.add("Relu", (conv(x, f"b{i}.narrow", 24, 1),))
        y = builder.add("Relu", (conv(y, f"b{i}.middle", 24, 3),))
        if norm:
            scale = builder.constant(f"b{i}.s", rng.standard_normal(24).astype(np.float16))
            y = builder.add("GroupNormalization", (y, scale, scale), {"num_groups": 4})
        y = builder.add("Add", (conv(y, f"b{i}.wide", channels, 1), x))
        x = builder.add("Relu", (y,), name=f"b{i}.out")
    return builder.finish([conv(x, "last", 8, 3)])


def inputs(graph: Graph) -> dict[str, np.ndarray]:
    kind = graph.types["x"]
    return {"x": np.random.default_rng(1).standard_normal(kind.shape).astype(np.float16)}


@pytest.mark.parametrize(
    ("batch", "high", "wide", "norm"),
    [(16, 6, 5, False), (1, 14, 48, False), (1, 16, 48, True), (1, 32, 24, True)],
)
def test_what_stays_is_what_the_graph_has(batch: int, high: int, wide: int, norm: bool) -> None:
    graph = blocks(batch, high, wide, norm=norm)
    mapping = map_graph(graph, TX81)
    held = [s for s in mapping.storages if s.kind == "resident"]
    assert len(held) >= 4
    assert all(bool(s.held_rows) == (batch == 1) for s in held)
    check_values(graph, inputs(graph), slack=16.0)
    assert check(assemble(mapping), TX81) == ()


def test_tiles_send_each_other_the_rows_around_their_own() -> None:
    mapping = map_graph(blocks(1, 16, 48, norm=True), TX81)
    halos = {s.value: s.halo for s in mapping.storages if s.kind == "resident"}
    # The narrow convolutions' results are seen by those of 3 x 3 behind them, three rows each.
    assert sum(halo == 48 for halo in halos.values()) >= 2
    program = assemble(mapping)
    sent = [c for stream in program.streams for c in stream if isinstance(c, Send)]
    assert sum(c.flag == FLAG for c in sent) >= 2 * 2 * 15
    graph = blocks(1, 16, 48, norm=True)
    assert sum(isinstance(c, Read) for c in program.streams[3]) < sum(
        isinstance(c, Read)
        for c in assemble(map_graph(graph, TX81, MapOptions(resident=False))).streams[3]
    )


@pytest.mark.parametrize(("high", "wide"), [(7, 7), (5, 9)])
def test_small_images_are_held_by_all_tiles(high: int, wide: int) -> None:
    graph = blocks(1, high, wide)
    mapping = map_graph(graph, TX81)
    held = [s for s in mapping.storages if s.kind == "resident"]
    assert len(held) >= 6
    assert all(s.everywhere and s.held_bytes == s.bytes for s in held)
    program = assemble(mapping)
    sent = [c for stream in program.streams for c in stream if isinstance(c, Send)]
    assert {c.flag for c in sent} >= {HANDED}
    assert all(len(c.targets) == 15 for c in sent if c.flag == HANDED)
    check_values(graph, inputs(graph), slack=16.0)
    assert check(program, TX81) == ()


def test_what_others_than_convolutions_want_is_not_held_by_all_tiles() -> None:
    mapping = map_graph(blocks(1, 7, 7, norm=True), TX81)
    held = {s.value for s in mapping.storages if s.everywhere}
    assert held
    assert not any(f"b{i}.middle" in held for i in range(2))


def test_rows_of_ragged_images_lie_on_lines_where_engines_want_them() -> None:
    mapping = map_graph(blocks(1, 16, 49, norm=True), TX81)
    assert any(s.halo for s in mapping.storages)
    found = check(assemble(mapping), TX81, strict=True)
    assert [one.rule for one in found if one.rule == "align"] == []


def test_a_sum_takes_the_place_of_what_it_adds_to() -> None:
    mapping = map_graph(blocks(16, 6, 5), TX81)
    places = {s.value: s.address for s in mapping.storages if s.kind == "resident"}
    assert places["b0.out"] == places["b1.out"] == places["stem"]
    others = [v for v in places if v not in ("b0.out", "b1.out", "stem")]
    assert all(places[v] != places["stem"] for v in others)


def test_nothing_stays_where_that_is_turned_off() -> None:
    mapping = map_graph(blocks(16, 6, 5), TX81, MapOptions(resident=False))
    assert not any(s.kind == "resident" for s in mapping.storages)


def test_rows_stay_only_where_weights_may_be_multicast() -> None:
    mapping = map_graph(blocks(1, 16, 48), TX81, MapOptions(multicast=False))
    assert not any(s.kind == "resident" for s in mapping.storages)


def stem(batch: int, side: int) -> Graph:
    """Images as a host brings them, a folded convolution, a pool."""
    builder = GraphBuilder("stem")
    x = builder.input("x", TensorType(DType.F32, (batch, 3, side, side)))
    drawn = np.random.default_rng(5).standard_normal((24, 3, 7, 7)) / 12
    w = builder.constant("w", drawn.astype(np.float16))
    y = builder.add("Cast", (x,), {"to": "f16"})
    y = builder.add("Conv", (y, w), {"pads": (3,) * 4, "strides": (2, 2)}, name="conv")
    attrs = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1,) * 4}
    return builder.finish([builder.add("MaxPool", (y,), attrs)])


def test_images_of_a_batch_are_turned_where_they_are() -> None:
    graph = stem(16, 32)
    mapping = map_graph(graph, TX81)
    program = assemble(mapping)
    assert not check(program, TX81)
    held = {s.value for s in mapping.storages if s.kind == "resident"}
    assert {"conv_2", "conv_3", "conv_6", "conv_7"} <= held
    kinds = [type(piece).__name__ for piece in mapping.pieces]
    assert kinds == ["StripPiece", "MatrixPiece", "MatrixPiece", "PoolPiece", "CopyPiece"]
    given = {"x": np.random.default_rng(1).standard_normal((16, 3, 32, 32)).astype(np.float32)}
    check_values(graph, given)
