"""One legal order of a program, drawn from a seed: a command takes effect any time before what fences it.

Who acts are the tiles' processors and their queues. A processor issues, joins, waits and meets others;
a queue lets its first command take effect, once the hazard checks of its tile allow it. Who may act does
so by priorities that are drawn at the start and, now and then, anew: a few draws suffice to reach
most faults of order, as they hang on one or two choices (probabilistic concurrency testing; Source:
Burckhardt et al., ASPLOS 2010).
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import DrawloomError
from drawloom.execute import dma
from drawloom.execute.faults import Outside, Refused, explain, origin_text, told
from drawloom.execute.hang import Hang, Stuck
from drawloom.execute.machine import Machine
from drawloom.execute.memory import Tile
from drawloom.execute.queues import Issued, Queues, Spans, walk
from drawloom.execute.walker import ENGINES
from drawloom.program.commands import (
    ENGINE_OF,
    Arm,
    Barrier,
    Command,
    Cpu,
    Engine,
    Join,
    Pick,
    Read,
    Send,
    Signal,
    Wait,
)
from drawloom.program.program import Program

_REDRAWN = 48  # actions, on average, between two draws of a priority
_INDEX = np.dtype(np.int64)
Actor = tuple[int, Engine]  # the processor of a tile, or one of its queues


class Shuffled:
    """A program on its way through one order."""

    def __init__(
        self,
        program: Program,
        inputs: Mapping[str, NDArray[Any]],
        rng: Random,
        depths: dict[Engine, int],
        poison: int,
        spans: Spans,
    ) -> None:
        """Load a program; bytes that nobody writes are ``poison``; ``spans`` are as for ``Queues``."""
        self._program, self._rng = program, rng
        self.machine = Machine(program, poison=poison)
        self.machine.load(inputs)
        n = len(program.streams)
        self._queues = [Queues(depths, program.blocking, spans) for _ in range(n)]
        self._paths = [walk(stream) for stream in program.streams]
        self._stands: list[Command | None] = [next(path, None) for path in self._paths]
        self._ready: list[tuple[float, Actor]] = []
        self._waits: set[Actor] = set()
        self._asleep: set[Actor] = set()
        self._priority = self._draw(n)
        for actor in self._priority:
            self._wake(actor, first=True)

    def _draw(self, n: int) -> dict[Actor, float]:
        """Give everyone a priority: the least acts first."""
        rng = self._rng
        slow = rng.choice((0.0, 1.0, 1.0, 2.0))  # how far queues lag behind processors
        apart = rng.choice((0.0, 0.0, 3.0))  # how far tiles are apart
        tiles = [rng.random() * apart for _ in range(n)]
        return {
            (tile, engine): tiles[tile] + rng.random() + slow * (engine is not Engine.CPU)
            for tile in range(n)
            for engine in Engine
        }

    def run(self) -> dict[str, NDArray[Any]]:
        """Run to the end; return the outputs.

        Raises:
            Hang, OutOfBounds, IllegalCommand: as ``machine.execute``; Hang too where a send starts
                before its target is armed.
        """
        with np.errstate(all="ignore"):
            while self._ready:
                priority, actor = heappop(self._ready)
                if actor not in self._waits or priority != self._priority[actor]:
                    continue
                self._waits.discard(actor)
                self._turn(actor, priority)
        if any(stands is not None for stands in self._stands):
            raise self._hang()
        return {name: self.machine.region(name) for name in self._program.named("output")}

    def _turn(self, actor: Actor, priority: float) -> None:
        """Let someone act until they cannot, or someone before them can."""
        tile, engine = actor
        while True:
            moved = self._process(tile) if engine is Engine.CPU else self._serve(tile, engine)
            if not moved:
                self._asleep.add(actor)
                return
            if self._rng.random() * _REDRAWN < 1:
                priority = self._priority[actor] = self._rng.random() * 4
                self._wake(actor, first=True)
                return
            if self._ready and self._ready[0][0] < priority:
                self._wake(actor, first=True)
                return

    def _wake(self, actor: Actor, *, first: bool = False) -> None:
        """Let someone try again."""
        if first or actor in self._asleep:
            self._asleep.discard(actor)
            self._waits.add(actor)
            heappush(self._ready, (self._priority[actor], actor))

    # The processor.

    def _process(self, number: int) -> bool:
        """Do what a processor stands at; return False where it must wait."""
        command = self._stands[number]
        if command is None:
            return False
        tile = self.machine.tiles[number]
        try:
            if not self._try(tile, command):
                return False
        except (Outside, Refused) as fault:
            raise explain(self._program, number, command, (), fault) from fault
        if not isinstance(command, Barrier):
            self._stands[number] = next(self._paths[number], None)
        return True

    def _try(self, tile: Tile, command: Command) -> bool:
        queues = self._queues[tile.number]
        match command:
            case Wait():
                if tile.counters.get(command.flag, 0) < command.count:
                    return False
                tile.counters[command.flag] -= command.count
            case Join():
                return all(
                    len(queues.held[engine]) <= command.keep
                    for engine in command.engines
                    if engine in queues.held
                )
            case Barrier():
                return self._meet(command)
            case Arm() | Cpu():
                ENGINES[type(command)](tile, command, ())
            case Signal():
                ENGINES[Signal](tile, command, ())
                self._wake((command.target, Engine.CPU))
            case _:
                return self._issue(tile, command)
        return True

    def _issue(self, tile: Tile, command: Command) -> bool:
        queues = self._queues[tile.number]
        engine = ENGINE_OF[type(command)]
        if queues.is_full(engine):
            return False
        queues.issue(_picked(tile, command) if isinstance(command, Pick) else command)
        self._wake((tile.number, engine))
        return True

    def _meet(self, command: Barrier) -> bool:
        """Let all go where all stand at the same barrier."""
        wanted = set(command.tiles)
        for number in command.tiles:
            stands = self._stands[self.machine.tiles[0].peer(number).number]
            if not isinstance(stands, Barrier) or set(stands.tiles) != wanted:
                return False
        for number in command.tiles:
            self._stands[number] = next(self._paths[number], None)
            self._wake((number, Engine.CPU))
        return True

    # A queue.

    def _serve(self, number: int, engine: Engine) -> bool:
        """Let a queue's first command take effect; return False where it must wait."""
        queues = self._queues[number]
        first = queues.head(engine)
        if first is None:
            return False
        tile = self.machine.tiles[number]
        try:
            if isinstance(first.command, Send):
                self._send(tile, first, first.command)
            else:
                ENGINES[type(first.command)](tile, first.command, ())
        except (Outside, Refused) as fault:
            raise explain(self._program, number, first.command, (), fault) from fault
        if first.left:
            return True
        for each in queues.end(engine):
            self._wake((number, each))
        self._wake((number, Engine.CPU))
        return True

    def _send(self, tile: Tile, issued: Issued, command: Send) -> None:
        """Let a send reach one more of its targets."""
        if issued.left is None:
            lazy = [n for n in command.targets if tile.peer(n).armed.get(command.flag, 0) < 1]
            if lazy:
                need = f"flag {command.flag} armed on {'tile' if len(lazy) == 1 else 'tiles'} "
                text = told(command) + origin_text(self._program, command)
                stuck = Stuck(tile.number, text, need + ", ".join(map(str, lazy)))
                raise Hang([stuck], len(self._stands))
            for n in command.targets:
                tile.peer(n).armed[command.flag] -= 1
            issued.left = self._rng.sample(command.targets, len(command.targets))
        if issued.left:
            target = tile.peer(issued.left.pop())
            dma.send(tile, command, (), (target.number,))
            target.counters[command.flag] = target.counters.get(command.flag, 0) + 1
            self._wake((target.number, Engine.CPU))

    def _hang(self) -> DrawloomError:
        stuck: list[Stuck] = []
        for number, command in enumerate(self._stands):
            if command is not None:
                text = told(command) + origin_text(self._program, command)
                stuck.append(Stuck(number, text, self._need(number, command)))
        return Hang(stuck, len(self._stands))

    def _need(self, number: int, command: Command) -> str:
        match command:
            case Wait():
                count = self.machine.tiles[number].counters.get(command.flag, 0)
                return f"counter {command.flag} at {command.count}; is {count}"
            case Barrier():
                return "tiles " + ", ".join(map(str, command.tiles))
            case _:
                return "commands of its queues"


def _picked(tile: Tile, command: Pick) -> Read:
    """Return what a pick reads: the processor looks its number up when it comes to it."""
    assert isinstance(command.index, int) and isinstance(command.dram, int)
    number = int(tile.dram.array(command.index, 1, _INDEX)[0])
    if not 0 <= number < command.entries:
        raise Refused(f"it picks entry {number}; there are {command.entries}, from 0 on")
    source = command.dram + number * command.step
    return Read(source, command.spm, command.inner, command.dims, command.origin)
