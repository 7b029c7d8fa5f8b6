"""Products whose results the host gets head by head."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.measures.limits import LLAMA, PROMPT, distance, filled
from tests.mapping.test_values import check as check_values

from drawloom.check import check
from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.pieces import CopyPiece
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble

TX81 = load_chip("tx81")


def by_heads(entries: int, rows: int, heads: int, features: int, *, seen: bool = False) -> Graph:
    """A product with a bias, turned to heads for the host and for a work of its own."""
    rng = np.random.default_rng(5)
    builder = GraphBuilder("heads")
    x = builder.input("x", TensorType(DType.F16, (entries, rows, 70)))
    w = builder.constant("w", (rng.standard_normal((70, heads * features)) / 8).astype(np.float16))
    b = builder.constant("b", rng.standard_normal(heads * features).astype(np.float16))
    y = builder.add("Add", (builder.add("MatMul", (x, w), name="product"), b), output="y")
    split = builder.add("Reshape", (y,), {"shape": (entries, rows, heads, features)})
    turned = builder.add("Transpose", (split,), {"perm": (0, 2, 1, 3)}, output="turned")
    doubled = builder.add("Add", (turned, turned))
    return builder.finish([turned, doubled, *([y] if seen else [])])


def copies(mapping: Mapping) -> list[CopyPiece]:
    return [piece for piece in mapping.pieces if isinstance(piece, CopyPiece)]


@pytest.mark.parametrize(
    ("entries", "rows", "heads", "features"), [(1, 45, 3, 64), (2, 64, 2, 128), (1, 150, 3, 192)]
)
def test_heads_are_written_as_the_host_gets_them(
    entries: int, rows: int, heads: int, features: int
) -> None:
    graph = by_heads(entries, rows, heads, features)
    mapping = map_graph(graph, TX81)
    assert not copies(mapping)
    assert check(assemble(mapping), TX81) == ()
    given = np.random.default_rng(1).standard_normal((entries, rows, 70)).astype(np.float16)
    check_values(graph, {"x": given})
    text = mapping_text(mapping)
    assert mapping_text(parse_mapping(text, mapping.graph, TX81)) == text


@pytest.mark.parametrize(
    "graph",
    [by_heads(1, 45, 3, 72), by_heads(1, 45, 3, 64, seen=True)],
    ids=["ragged heads", "the product is an output itself"],
)
def test_other_heads_are_copied(graph: Graph) -> None:
    assert copies(map_graph(graph, TX81))
    given = np.random.default_rng(1).standard_normal((1, 45, 70)).astype(np.float16)
    check_values(graph, {"x": given})


@pytest.mark.slow
def test_layers_that_run_in_a_loop_write_their_values_so() -> None:
    config = LLAMA | {"num_attention_heads": 2, "num_key_value_heads": 2}
    assert distance(filled(config, PROMPT)) < 0.01
