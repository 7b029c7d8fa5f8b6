"""Two products side by side: the second sums up what the first makes, chunk by chunk."""

from __future__ import annotations

import numpy as np
import pytest
from tests.mapping.test_values import check as check_values

from drawloom.check import check
from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.options import MapOptions
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.pieces import MatrixPiece
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble
from drawloom.program.commands import Engine
from drawloom.timing import time
from drawloom.timing.table import ENGINES

TX81 = load_chip("tx81")


def widened(
    rows: int, channels: int, wide: int, act: str = "Gelu", dtype: DType = DType.F16
) -> Graph:
    """Rows that are normalized, made wide, bent, made narrow and added to what they were."""
    rng = np.random.default_rng(3)
    builder = GraphBuilder("widened")

    def weight(name: str, *shape: int) -> str:
        drawn = rng.standard_normal(shape) / shape[0] ** 0.5
        return builder.constant(name, drawn.astype(dtype.numpy))

    x = builder.input("x", TensorType(dtype, (rows, channels)))
    ones = weight("s", channels)
    y = builder.add("LayerNormalization", (x, ones, weight("t", channels)), {"axis": -1})
    y = builder.add("MatMul", (y, weight("w", channels, wide)), name="wide")
    y = builder.add(act, (builder.add("Add", (y, weight("b", wide))),))
    y = builder.add("MatMul", (y, weight("v", wide, channels)), name="narrow")
    y = builder.add("Add", (builder.add("Add", (y, weight("c", channels))), x))
    return builder.finish([y])


def beside(mapping: Mapping) -> list[str]:
    return [p.name for p in mapping.pieces if isinstance(p, MatrixPiece) and p.beside]


@pytest.mark.parametrize(
    ("rows", "channels", "wide", "dtype"),
    [(797, 64, 192, DType.F16), (900, 70, 200, DType.BF16)],
)
def test_what_is_made_side_by_side_is_what_the_graph_has(
    rows: int, channels: int, wide: int, dtype: DType
) -> None:
    graph = widened(rows, channels, wide, dtype=dtype)
    mapping = map_graph(graph, TX81)
    assert beside(mapping) == ["narrow"]
    program = assemble(mapping)
    assert check(program, TX81) == ()
    given = np.random.default_rng(1).standard_normal((rows, channels)).astype(dtype.numpy)
    check_values(graph, {"x": given})


@pytest.mark.slow
def test_side_by_side_is_quicker_than_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = widened(800, 64, 1280)
    trace = time(assemble(map_graph(graph, TX81)), TX81)
    pieces = np.array([each.piece for each in trace.program.origins])[
        trace.table.origin[trace.command]
    ]
    products = trace.engine == ENGINES.index(Engine.MATRIX)
    wide, narrow = (products & (pieces == name) for name in ("wide", "narrow"))
    middle = (trace.start_ps[wide].min() + trace.end_ps[wide].max()) / 2
    assert trace.start_ps[narrow].min() < middle
    monkeypatch.setattr("drawloom.mapping.cut.pair._may", lambda *_: False)
    assert trace.total_ps < time(assemble(map_graph(graph, TX81)), TX81).total_ps


@pytest.mark.parametrize(
    ("graph", "options"),
    [
        (widened(797, 128, 320, "Relu"), MapOptions()),
        (widened(100, 128, 320), MapOptions()),
        (widened(797, 128, 320, dtype=DType.F32), MapOptions()),
        (widened(797, 128, 320), MapOptions(resident=False)),
        (widened(797, 128, 320), MapOptions(multicast=False)),
        (widened(797, 128, 320), MapOptions(fuse=False)),
    ],
    ids=["short body", "few rows", "f32", "nothing stays", "nothing is sent", "nothing is fused"],
)
def test_others_run_one_after_the_other(graph: Graph, options: MapOptions) -> None:
    assert beside(map_graph(graph, TX81, options)) == []


def test_a_mapping_with_such_a_pair_reads_back() -> None:
    mapping = map_graph(widened(797, 128, 320), TX81)
    text = mapping_text(mapping)
    assert mapping_text(parse_mapping(text, mapping.graph, TX81)) == text
