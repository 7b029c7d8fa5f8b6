"""One tile's stream in program order, stopping at the commands that may hold a tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from drawloom.execute import dma, matrix, vector, window
from drawloom.execute.cpu import cpu
from drawloom.execute.faults import Index, Outside, Refused, explain
from drawloom.execute.memory import Tile
from drawloom.program.commands import (
    Arm,
    Barrier,
    Conv,
    Cpu,
    Fill,
    Join,
    Loop,
    MatMul,
    Move,
    Pick,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Signal,
    Stream,
    Vector,
    Wait,
    Write,
)
from drawloom.program.program import Program


def arm(tile: Tile, command: Arm, _index: Index) -> None:
    """Make ready for one more send on a flag."""
    tile.armed[command.flag] = tile.armed.get(command.flag, 0) + 1


def signal(tile: Tile, command: Signal, _index: Index) -> None:
    """Raise another tile's counter."""
    counters = tile.peer(command.target, command.chip).counters
    counters[command.flag] = counters.get(command.flag, 0) + 1


def join(_tile: Tile, _command: Join, _index: Index) -> None:
    """Nothing: every command has ended when the next one starts."""


ENGINES: dict[type, Callable[..., None]] = {
    Read: dma.read,
    Pick: dma.pick,
    Write: dma.write,
    Move: dma.move,
    Fill: dma.fill,
    Select: dma.select,
    MatMul: matrix.matmul,
    Conv: matrix.conv,
    Vector: vector.vector,
    Reduce: window.reduce,
    Pool: window.pool,
    Arm: arm,
    Signal: signal,
    Join: join,
    Cpu: cpu,
}
"""What runs at once. The rest, ``Send``, ``Wait`` and ``Barrier``, may hold the tile."""

Holding = Send | Wait | Barrier


class Walker:
    """A tile on its way through its stream.

    Attributes:
        tile: the tile.
        stands: the command that holds it, with its loop indices; None while it can go on.
        ended: whether the stream is through.
    """

    __slots__ = ("_engines", "_path", "_program", "_tick", "ended", "stands", "tile")

    def __init__(
        self,
        program: Program,
        tile: Tile,
        tick: Callable[[], None] | None,
        engines: Mapping[type, Callable[..., None]] = ENGINES,
    ) -> None:
        """Stand at the start of a stream; ``tick`` is called after every command."""
        self._engines = engines
        self._program = program
        self._tick = tick
        self.tile = tile
        self.stands: tuple[Holding, Index] | None = None
        self.ended = False
        self._path = self._walk(program.streams[tile.number], ())

    def go(self) -> None:
        """Run up to the next command that may hold the tile, or to the end."""
        self.stands = next(self._path, None)
        self.ended = self.stands is None

    def _walk(self, stream: Stream, index: Index) -> Iterator[tuple[Holding, Index]]:
        tile, tick, engines = self.tile, self._tick, self._engines
        for item in stream:
            engine = engines.get(type(item))
            if engine is not None:
                try:
                    engine(tile, item, index)
                except (Outside, Refused) as fault:
                    assert not isinstance(item, Loop)
                    raise explain(self._program, tile.number, item, index, fault) from fault
            elif isinstance(item, Loop):
                for i in range(item.count):
                    yield from self._walk(item.body, (*index, i))
            else:
                assert isinstance(item, Holding), item
                yield item, index
            if tick and not isinstance(item, Loop):
                tick()


def issued(stream: Stream) -> int:
    """Return the number of commands a stream issues, loops counted as often as they run."""
    return sum(i.count * issued(i.body) if isinstance(i, Loop) else 1 for i in stream)
