"""How often tiles that load an operand together meet."""

from __future__ import annotations

import numpy as np

from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.mapping.pieces import MatrixPiece
from drawloom.mapping.plan import map_graph
from drawloom.program.addresses import at
from drawloom.program.assemble import assemble
from drawloom.program.commands import Barrier, Command, Loop, Send, Stream


def unrolled(stream: Stream, index: tuple[int, ...] = ()) -> list[Command]:
    out: list[Command] = []
    for item in stream:
        if isinstance(item, Loop):
            for turn in range(item.count):
                out += unrolled(item.body, (*index, turn))
        else:
            out.append(at(item, index))
    return out


def test_chunks_that_are_asked_for_together_need_one_meeting() -> None:
    builder = GraphBuilder("convolution")
    image = builder.input("x", TensorType(DType.F16, (1, 256, 16, 16)))
    weight = builder.constant("w", np.ones((256, 256, 3, 3), np.float16))
    made = builder.add("Conv", (image, weight), {"pads": (1, 1, 1, 1)}, output="y")
    mapping = map_graph(builder.finish([made]), load_chip("tx81"))
    piece = next(p for p in mapping.pieces if isinstance(p, MatrixPiece))
    assert piece.share_a
    assert piece.share_b
    chunks = piece.k // piece.chunk[2]
    assert min(piece.buffers[name].copies for name in "ab") >= chunks > 1
    for stream in assemble(mapping).streams:
        commands = unrolled(stream)
        groups = [c.tiles for c in commands if isinstance(c, Barrier) and len(c.tiles) < 16]
        sends = [c for c in commands if isinstance(c, Send)]
        assert len(sends) >= 2 * chunks
        assert len(groups) == len(set(groups)) == 2, "once for either operand"
