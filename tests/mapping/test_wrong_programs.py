"""A program that is wrong in one command gives wrong numbers, or is caught: values come from the commands.

Each fault is put into compiled programs at several places, one at a time. What runs must differ
from the reference by more than rounding does, hang, leave a memory or be refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from tests.mapping.drawing import values_of

from drawloom.chip.files import load_chip
from drawloom.execute.faults import IllegalCommand, OutOfBounds
from drawloom.execute.hang import Hang
from drawloom.execute.machine import execute
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import Barrier, Command, Conv, MatMul, Read, Send, Vector, Write
from drawloom.program.program import Program
from drawloom.program.roll import unroll

TX81 = load_chip("tx81")
PLACES = 7  # at which each fault is tried
Flat = list[list[Command]]


def operand(seed: int, *shape: int, scale: float = 1.0) -> Array:
    array = values_of(TensorType(DType.F32, shape), seed) * scale
    return array.astype(np.float16)


def gemm() -> Graph:
    b = GraphBuilder("gemm")
    x = b.input("x", TensorType(DType.F16, (256, 512)))
    return b.finish([b.add("MatMul", [x, b.constant("w", operand(1, 512, 256))])])


def conv_net() -> Graph:
    b = GraphBuilder("convs")
    x = b.input("x", TensorType(DType.F16, (1, 5, 18, 13)))
    attrs = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
    w = b.constant("w", operand(2, 70, 5, 3, 3))
    y = b.add("Sigmoid", [b.add("Conv", [x, w, b.constant("c", operand(3, 70))], attrs)])
    y = b.add("MaxPool", [y], {"kernel_shape": (2, 2), "strides": (2, 2)})
    y = b.add("Conv", [y, b.constant("v", operand(4, 9, 70, 3, 3, scale=0.1))], attrs)
    return b.finish([b.add("ReduceMean", [y], {"axes": (2, 3), "keepdims": 1})])


def attention() -> Graph:
    b = GraphBuilder("attention")
    s, d, heads = 33, 96, 2
    parts = []
    for i in range(3):
        # An input each: what was read for one product must not do for the next.
        x = b.input(f"x{i}", TensorType(DType.F16, (1, s, d)))
        y = b.add("MatMul", [x, b.constant(f"w{i}", operand(5 + i, d, d, scale=0.1))])
        y = b.add("Reshape", [y], {"shape": (1, s, heads, d // heads)})
        parts.append(b.add("Transpose", [y], {"perm": (0, 2, 1, 3)}))
    scores = b.add("MatMul", parts[:2], {"trans_b": 1})
    mixed = b.add("MatMul", [b.add("Softmax", [scores], {"axis": -1}), parts[2]])
    mixed = b.add("Transpose", [mixed], {"perm": (0, 2, 1, 3)})
    return b.finish([b.add("Reshape", [mixed], {"shape": (1, s, d)})])


GRAPHS: dict[str, Callable[[], Graph]] = {"gemm": gemm, "convs": conv_net, "attention": attention}


@cache
def compiled(name: str) -> tuple[Mapping, Program, dict[str, Array], dict[str, Array]]:
    graph = GRAPHS[name]()
    inputs = {v: operand(20 + i, *graph.types[v].shape) for i, v in enumerate(graph.inputs)}
    mapping = map_graph(graph, TX81)
    program = assemble(mapping)
    return mapping, program, inputs, execute(program, inputs)


def flat(program: Program) -> Flat:
    return [list(unroll(stream)) for stream in program.streams]


def caught(program: Program, inputs: dict[str, Array], right: dict[str, Array]) -> bool:
    """Whether a program hangs, is refused, or gives other numbers."""
    try:
        found = execute(program, inputs)
    except (Hang, OutOfBounds, IllegalCommand):
        return True
    return any(found[name].tobytes() != want.tobytes() for name, want in right.items())


def places(flat_streams: Flat, kinds: tuple[type, ...]) -> list[tuple[int, int]]:
    """(tile, position) of commands of some kinds, a few, spread over the whole program."""
    found = [
        (tile, at)
        for tile, commands in enumerate(flat_streams)
        for at, command in enumerate(commands)
        if isinstance(command, kinds)
    ]
    if len(found) <= PLACES:
        return found
    return [found[i * (len(found) - 1) // (PLACES - 1)] for i in range(PLACES)]


def survivors(
    name: str, kinds: tuple[type, ...], change: Callable[[Command], Command | None]
) -> tuple[int, list[Command]]:
    """Break each place in turn; return how many there were and which made no difference."""
    _, program, inputs, right = compiled(name)
    streams = flat(program)
    unnoticed: list[Command] = []
    chosen = places(streams, kinds)
    for tile, at in chosen:
        broken = list(streams)
        command = streams[tile][at]
        new = change(command)
        broken[tile] = streams[tile][:at] + ([new] if new else []) + streams[tile][at + 1 :]
        changed = replace(program, streams=tuple(tuple(s) for s in broken))
        if not caught(changed, inputs, right):
            unnoticed.append(command)
    return len(chosen), unnoticed


def shift_dram(command: Command) -> Command:
    assert isinstance(command, (Read, Write))
    assert isinstance(command.dram, int)
    return replace(command, dram=command.dram + 64)


def shift_spm(command: Command) -> Command:
    assert isinstance(command, (Read, Write))
    assert isinstance(command.spm, int)
    return replace(command, spm=command.spm + 64)


def fewer_rows(command: Command) -> Command:
    if isinstance(command, MatMul):
        return replace(command, k=command.k - 1)
    assert isinstance(command, Conv)
    return replace(command, c=command.c - 1)


def fewer_elements(command: Command) -> Command:
    assert isinstance(command, Vector)
    return replace(command, count=command.count // 2)


def shorter(command: Command) -> Command:
    assert isinstance(command, Write)
    return replace(command, inner=command.inner // 2)


def drop(command: Command) -> None:
    return None


FAULTS: dict[str, tuple[tuple[type, ...], Callable[[Command], Command | None]]] = {
    "shift a DRAM read": ((Read,), shift_dram),
    "shift a DRAM write": ((Write,), shift_dram),
    "shift where a read lands": ((Read,), shift_spm),
    "shift what a write takes": ((Write,), shift_spm),
    "leave out the last channel": ((MatMul, Conv), fewer_rows),
    "do half of the elements": ((Vector,), fewer_elements),
    "write half a run": ((Write,), shorter),
    "drop a read": ((Read,), drop),
    "drop a write": ((Write,), drop),
    "drop a product": ((MatMul, Conv), drop),
    "drop a barrier of one tile": ((Barrier,), drop),
    "drop a send": ((Send,), drop),
}

# A plain product has no vector work, and what is small is not sent.
HAVE_NONE = {
    ("gemm", "do half of the elements"),
    ("attention", "drop a send"),
    ("convs", "drop a send"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_fault_in_one_command_shows(name: str, fault: str) -> None:
    kinds, change = FAULTS[fault]
    tried, unnoticed = survivors(name, kinds, change)
    assert unnoticed == []
    assert tried or (name, fault) in HAVE_NONE


def laid_out_as(mapping: Mapping, layout: str) -> list[Mapping]:
    """The mapping with one blocked constant at a time laid out in another way."""
    out: list[Mapping] = []
    for i, storage in enumerate(mapping.storages):
        if storage.kind == "constant" and storage.layout in ("rows", "weights"):
            wrong = replace(storage, layout=layout)
            out.append(
                replace(
                    mapping, storages=(*mapping.storages[:i], wrong, *mapping.storages[i + 1 :])
                )
            )
    return out


@pytest.mark.parametrize("name", GRAPHS)
def test_weights_in_another_layout_show(name: str) -> None:
    mapping, _, inputs, right = compiled(name)
    wrong = laid_out_as(mapping, "dense")
    assert wrong
    assert all(caught(assemble(each), inputs, right) for each in wrong)


@pytest.mark.parametrize("name", GRAPHS)
def test_another_blocking_shows(name: str) -> None:
    _, program, inputs, right = compiled(name)
    for narrower in (
        replace(program.blocking, block=32),
        replace(program.blocking, min_tail=16),
    ):
        assert caught(replace(program, blocking=narrower), inputs, right) or name == "gemm"


def test_a_gemm_of_whole_blocks_sees_only_their_width() -> None:
    _, program, inputs, right = compiled("gemm")
    assert caught(replace(program, blocking=replace(program.blocking, block=32)), inputs, right)
    assert not caught(
        replace(program, blocking=replace(program.blocking, min_tail=16)), inputs, right
    )


def test_tiles_that_read_the_wrong_share_show() -> None:
    """The streams of two tiles of the grid, exchanged."""
    _, program, inputs, right = compiled("gemm")
    for a, b in ((0, 1), (3, 12), (5, 10)):
        streams = list(program.streams)
        streams[a], streams[b] = streams[b], streams[a]
        assert caught(replace(program, streams=tuple(streams)), inputs, right)
