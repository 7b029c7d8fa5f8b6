"""Products whose channels are summed side by side: forced at small sizes, executed and checked."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from drawloom.check import check
from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.execute.machine import execute
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.cut import matrix
from drawloom.mapping.cut.panel_price import panel_cut
from drawloom.mapping.cut.panels import Way, depths
from drawloom.mapping.cut.sizes import Cut, Work
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.pieces import MatrixPiece
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble
from drawloom.timing import time

TX81 = load_chip("tx81")


def work_of(m: int, k: int, n: int, fmt: str = "f16", out: str = "f16") -> Work:
    return Work(1, m, k, n, fmt, out, False, False, False, None, False, (("full", out),), 0, 1, 0)  # fmt: skip


def product(m: int, k: int, n: int, dtype: DType = DType.F16, *, body: bool = False) -> Graph:
    builder = GraphBuilder("product")
    a = builder.input("a", TensorType(dtype, (m, k)))
    b = builder.input("b", TensorType(dtype, (k, n)))
    if dtype is DType.I8:
        return builder.finish([builder.add("MatMulInteger", (a, b))])
    made = builder.add("MatMul", (a, b))
    if body:
        bias = builder.constant("bias", np.linspace(-1, 1, n).astype(np.float16))
        more = builder.input("more", TensorType(dtype, (m, n)))
        made = builder.add("Relu", (builder.add("Add", (builder.add("Add", (made, bias)), more)),))
    return builder.finish([made])


def given(graph: Graph) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(3)
    out: dict[str, NDArray[np.generic]] = {}
    for name in graph.inputs:
        kind = graph.types[name]
        numbers = rng.integers(-9, 9, kind.shape)
        out[name] = numbers.astype(kind.dtype.numpy)
    return out


def mapped(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, *, chip: Chip = TX81, **way: object
) -> Mapping:
    """Map a product in a way that its price would not choose."""

    def forced(work: Work, chip: Chip, name: str, *, multicast: bool, alike: float) -> Cut:
        found = Way(work, chip, **way).cut()  # pyright: ignore[reportArgumentType]
        assert found is not None, name
        return replace(found, estimate=1.0)

    monkeypatch.setattr(matrix, "cut", forced)
    mapping = map_graph(graph, chip)
    assert any(isinstance(piece, MatrixPiece) and piece.panel for piece in mapping.pieces)
    return mapping


WAYS = {
    "stays": {"grid": (16, 1), "mt": 16, "nt": 64, "wide": 128, "depth": 64, "always": False},
    "stays in two rounds": {
        "grid": (8, 2), "mt": 16, "nt": 64, "wide": 64, "depth": 128, "always": False,
    },
    "stays for all channels": {
        "grid": (4, 4), "mt": 24, "nt": 64, "wide": 128, "depth": 64, "always": False,
    },
    "streams": {"grid": (4, 4), "mt": 32, "nt": 64, "wide": 128, "depth": 64, "always": True},
    "streams in groups": {
        "grid": (2, 8), "mt": 64, "nt": 64, "wide": 64, "depth": 128, "always": True,
    },
    "channels alone": {"grid": (1, 16), "mt": 50, "nt": 64, "wide": 64, "depth": 64, "always": False},
}  # fmt: skip


SIZES = [(256, 512, 512), (203, 333, 419), (97, 65, 1100), (777, 100, 70)]
KINDS = ["f16", "i8", "body"]
ALL = [(name, size, kind) for name in WAYS for size in SIZES for kind in KINDS]
SOME = ALL[::7]  # of each way, size and kind some


@pytest.mark.parametrize(
    ("name", "size", "kind"),
    [pytest.param(*each, marks=[] if each in SOME else [pytest.mark.slow]) for each in ALL],
)
def test_a_product_summed_side_by_side_is_the_product_and_nothing_races(
    monkeypatch: pytest.MonkeyPatch, name: str, size: tuple[int, int, int], kind: str
) -> None:
    dtype = DType.I8 if kind == "i8" else DType.F16
    graph = product(*size, dtype, body=kind == "body")
    way = dict(WAYS[name])
    if kind == "i8":  # whose blocks are twice as wide
        way |= {key: max(128, int(str(way[key]))) for key in ("nt", "wide", "depth")}
    mapping = mapped(monkeypatch, graph, **way)
    program = assemble(mapping)
    inputs = given(graph)
    wanted = evaluate(graph, inputs, wide=True)
    for value, made in execute(program, inputs).items():
        near = {"i8": 0.0, "f16": 2e-3, "body": 2e-2}[kind]  # each step of a body rounds
        np.testing.assert_allclose(made.astype(float), wanted[value].astype(float), near, near)
    assert not check(program, TX81)
    text = mapping_text(mapping)
    assert mapping_text(parse_mapping(text, mapping.graph, TX81)) == text


@pytest.mark.parametrize("depth", [64, 128, 192, 256])
@pytest.mark.parametrize("total", [1, 64, 100, 500, 512, 1000, 4097])
def test_depths_make_up_the_total_and_are_whole_blocks_but_for_the_last(
    total: int, depth: int
) -> None:
    for first in (False, True):
        for last in (False, True):
            spans = depths(total, depth, 64, first=first, last=last)
            assert spans[0][0] == 0
            assert spans[-1][1] == total
            assert all(a[1] == b[0] for a, b in pairwise(spans))
            assert all(0 < end - start <= depth for start, end in spans)
            assert all(start % 64 == 0 for start, _ in spans)


def test_a_large_product_is_cut_so_and_a_stream_of_weights_is_not() -> None:
    chosen = panel_cut(work_of(2048, 2048, 2048), TX81, multicast=True)
    assert chosen is not None
    assert chosen.panel is not None
    assert panel_cut(work_of(8, 4096, 4096), TX81, multicast=True) is None
    assert panel_cut(work_of(2048, 2048, 2048), TX81, multicast=False) is None


def test_its_price_is_near_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = product(1024, 1024, 1024)
    mapping = map_graph(graph, TX81)
    piece = mapping.pieces[0]
    assert isinstance(piece, MatrixPiece)
    assert piece.panel is not None
    took = time(assemble(mapping), TX81).total_ps / 1e3
    assert abs(took / piece.estimate - 1) < 0.15
