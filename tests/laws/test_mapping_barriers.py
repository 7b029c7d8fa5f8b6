"""Tiles that touch each other's DRAM bytes have a barrier between them, whatever the pieces do."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mapping.drawing import graphs

from drawloom.chip.files import load_chip
from drawloom.graph.ir import Graph
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import Barrier, Command, Cpu, Dims, Operand, Read, Stream, Write
from drawloom.program.roll import unroll
from drawloom.program.streams import StreamSet

N_TILES = 4
DIMS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 3)), max_size=2).map(tuple)


def operands(low: int) -> st.SearchStrategy[tuple[Operand, ...]]:
    one = st.builds(
        lambda at, n: Operand("dram", at, "i8", (n,)), st.integers(0, 60), st.integers(1, 9)
    )
    return st.lists(one, min_size=low, max_size=2).map(tuple)


COMMANDS = st.one_of(
    st.builds(
        lambda at, n, dims: Read(at, 0, n, dims), st.integers(0, 60), st.integers(1, 9), DIMS
    ),
    st.builds(
        lambda at, n, dims: Write(0, at, n, dims), st.integers(0, 60), st.integers(1, 9), DIMS
    ),
    st.builds(lambda ins, outs: Cpu("Relu", ins, outs), operands(0), operands(1)),
)
PIECES = st.lists(
    st.lists(st.tuples(st.integers(0, N_TILES - 1), COMMANDS), max_size=5), min_size=2, max_size=6
)


@dataclass(frozen=True, slots=True)
class Touch:
    """What a command does to DRAM, and after how many barriers."""

    epoch: int
    piece: int
    reads: frozenset[int]
    writes: frozenset[int]


def run(base: object, inner: int, dims: Dims) -> frozenset[int]:
    assert isinstance(base, int)
    levels = [[stride * i for i in range(count)] for stride, count in dims]
    starts = [base + sum(each) for each in itertools.product(*levels)]
    return frozenset(start + i for start in starts for i in range(inner))


def touched(command: Command) -> tuple[frozenset[int], frozenset[int]]:
    nothing: frozenset[int] = frozenset()
    match command:
        case Read():
            return run(command.dram, command.inner, command.dims), nothing
        case Write():
            return nothing, run(command.dram, command.inner, command.dims)
        case Cpu():
            reads = [run(o.address, o.shape[0], ()) for o in command.ins if o is not None]
            writes = [run(o.address, o.shape[0], ()) for o in command.outs]
            return nothing.union(*reads), nothing.union(*writes)
        case _:
            return nothing, nothing


def touches(commands: list[Command]) -> list[Touch]:
    out: list[Touch] = []
    epoch = 0
    for command in commands:
        epoch += isinstance(command, Barrier)
        reads, writes = touched(command)
        if reads or writes:
            out.append(Touch(epoch, command.origin, reads, writes))
    return out


def clash(a: Touch, b: Touch) -> bool:
    return bool(a.writes & b.writes or a.writes & b.reads or a.reads & b.writes)


@given(PIECES)
def test_a_barrier_stands_between_pieces_whose_tiles_clash(
    pieces: list[list[tuple[int, Command]]],
) -> None:
    streams = StreamSet(N_TILES)
    for number, piece in enumerate(pieces):
        for tile, command in piece:
            streams.tiles[tile].add(_in_piece(command, number))
        streams.close_piece(number)
    found = [touches(stream.commands) for stream in streams.tiles]
    for here, there in itertools.combinations(found, 2):
        for a, b in itertools.product(here, there):
            if a.piece != b.piece and clash(a, b):
                first, second = (a, b) if a.piece < b.piece else (b, a)
                assert first.epoch < second.epoch, (a, b)


def _in_piece(command: Command, number: int) -> Command:
    return replace(command, origin=number)


@given(PIECES)
def test_every_tile_stands_at_every_barrier(pieces: list[list[tuple[int, Command]]]) -> None:
    streams = StreamSet(N_TILES)
    for number, piece in enumerate(pieces):
        for tile, command in piece:
            streams.tiles[tile].add(command)
        streams.close_piece(number)
    counts = {sum(isinstance(c, Barrier) for c in s.commands) for s in streams.tiles}
    assert len(counts) == 1
    assert counts.pop() < len(pieces)


def accesses(stream: Stream, n_tiles: int) -> list[tuple[int, frozenset[int], frozenset[int]]]:
    """(barriers of all tiles so far, bytes read, bytes written) of each command."""
    out: list[tuple[int, frozenset[int], frozenset[int]]] = []
    epoch = 0
    for command in unroll(stream):
        epoch += isinstance(command, Barrier) and len(command.tiles) == n_tiles
        if isinstance(command, (Read, Write)):
            out.append((epoch, *touched(command)))
    return out


@settings(max_examples=15)
@given(graphs(max_nodes=4))
def test_tiles_of_a_mapped_graph_never_race(graph: Graph) -> None:
    """Between two barriers no tile writes a byte that another tile reads or writes."""
    program = assemble(map_graph(graph, load_chip("tx81")))
    every = [accesses(stream, len(program.streams)) for stream in program.streams]
    writer: dict[tuple[int, int], int] = {}
    for tile, mine in enumerate(every):
        for epoch, _, written in mine:
            for byte in written:
                assert writer.setdefault((epoch, byte), tile) == tile, (epoch, byte)
    for tile, mine in enumerate(every):
        for epoch, read, _ in mine:
            for byte in read:
                assert writer.get((epoch, byte), tile) == tile, (epoch, byte)
