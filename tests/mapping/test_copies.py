"""Copies: how they are dealt out over tiles, and under way at a time."""

from __future__ import annotations

import numpy as np
from tests.mapping.test_values import check as check_values

from drawloom.chip.files import load_chip
from drawloom.execute.machine import execute
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.pieces import CopyPiece
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import Loop, Read, Stream, Write

TX81 = load_chip("tx81")


def heads(rows: int, n: int, features: int) -> Graph:
    """Turn rows to heads that are no whole blocks of channels."""
    builder = GraphBuilder("heads")
    x = builder.input("x", TensorType(DType.F16, (rows, 64)))
    drawn = np.random.default_rng(2).standard_normal((64, n * features)) / 8
    y = builder.add("MatMul", (x, builder.constant("w", drawn.astype(np.float16))))
    split = builder.add("Reshape", (y,), {"shape": (1, rows, n, features)})
    return builder.finish([builder.add("Transpose", (split,), {"perm": (0, 2, 1, 3)})])


def count(stream: Stream, kind: type[Read | Write], origins: set[int]) -> int:
    inner = (c.count * count(c.body, kind, origins) if isinstance(c, Loop) else 0 for c in stream)
    return sum(inner) + sum(isinstance(c, kind) and c.origin in origins for c in stream)


def test_a_copy_of_many_runs_has_few_commands_a_tile_and_none_is_left_out() -> None:
    mapping = map_graph(heads(256, 16, 72), TX81)
    copy = next(p for p in mapping.pieces if isinstance(p, CopyPiece))
    assert len(copy.runs) > 4
    assert copy.buffers["copy"].copies > 2
    program = assemble(mapping)
    origins = {at for at, each in enumerate(program.origins) if each.piece == copy.name}
    reads = [count(stream, Read, origins) for stream in program.streams]
    assert reads == [count(stream, Write, origins) for stream in program.streams]
    assert min(reads) > 1
    assert max(reads) < len(copy.runs)


def test_heads_of_ragged_blocks_are_what_the_graph_has() -> None:
    given = np.random.default_rng(1).standard_normal((70, 64)).astype(np.float16)
    check_values(heads(70, 5, 24), {"x": given})


def test_what_has_no_elements_is_copied() -> None:
    builder = GraphBuilder("nothing")
    at = builder.input("at", TensorType(DType.I64, (0,)))
    c = builder.input("c", TensorType(DType.F16, (2,)))
    y = builder.add("OneHot", (at, c), {"axis": 0, "depth": 9})
    program = assemble(map_graph(builder.finish([y]), TX81))
    made = execute(program, {"at": np.zeros(0, np.int64), "c": np.ones(2, np.float16)})
    assert made[y].shape == (9, 0)
