"""Commands between their issue and their end: what a queue holds, and what holds a queue up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from drawloom.chip.model import Blocking, Chip
from drawloom.execute.faults import Index
from drawloom.program.addresses import at
from drawloom.program.commands import ENGINE_OF, Command, Engine, Loop, Send, Stream
from drawloom.program.extents import touched

Range = tuple[str, int, int]  # memory, first byte, byte behind the last
QUEUES = tuple(engine for engine in Engine if engine is not Engine.CPU)
UNBOUNDED = 1 << 30
MOST_SPANS = 1 << 17  # commands of which what they touch is kept
Spans = dict[int, tuple[Command, list[Range], list[Range]]]  # by the command's id


@dataclass(slots=True, eq=False)
class Issued:
    """A command that was handed to a queue.

    Attributes:
        command: the command, its addresses plain.
        engine: whose queue it is in.
        after: commands of the tile's other queues that the hazard checks let end first.
        before: queues of which a command waits for it so.
        is_done: whether it has taken effect.
        left: targets of a send that the bytes have not reached; None before it starts.
    """

    command: Command
    engine: Engine
    after: list[Issued] = field(default_factory=list["Issued"])
    before: list[Engine] = field(default_factory=list[Engine])
    is_done: bool = False
    left: list[int] | None = None


class Queues:
    """The queues of one tile."""

    def __init__(
        self, depths: dict[Engine, int], blocking: Blocking, spans: Spans | None = None
    ) -> None:
        """Start with empty queues; what commands touch is kept in ``spans``, for other queues too."""
        self._blocking = blocking
        self.room = {engine: depths.get(engine, UNBOUNDED) + 1 for engine in QUEUES}
        self.held: dict[Engine, deque[Issued]] = {engine: deque() for engine in QUEUES}
        self._spans: Spans = {} if spans is None else spans

    def is_full(self, engine: Engine) -> bool:
        """Whether the processor must wait before it hands over another command."""
        return len(self.held[engine]) >= self.room[engine]

    def issue(self, command: Command) -> None:
        """Hand a command to its queue; hazard checks see what stands in the others."""
        engine = ENGINE_OF[type(command)]
        made = Issued(command, engine)
        if not isinstance(command, Send):
            reads, writes = self._touched(command)
            for other in QUEUES:
                if other is engine or other is Engine.SEND:
                    continue
                for there in self.held[other]:
                    if _conflict(reads, writes, *self._touched(there.command)):
                        made.after.append(there)
                        there.before.append(engine)
        self.held[engine].append(made)

    def head(self, engine: Engine) -> Issued | None:
        """Return the first command of a queue where nothing holds it up."""
        held = self.held[engine]
        if not held:
            return None
        first = held[0]
        return first if all(one.is_done for one in first.after) else None

    def end(self, engine: Engine) -> list[Engine]:
        """Take the first command out of a queue: it has taken effect; return the queues that it held up."""
        ended = self.held[engine].popleft()
        ended.is_done = True
        return ended.before

    def _touched(self, command: Command) -> tuple[list[Range], list[Range]]:
        found = self._spans.get(id(command))
        if found is None:
            reads, writes = (
                [(space, first, first + n) for space, first, n in spans if isinstance(first, int)]
                for spans in touched(command, self._blocking)
            )
            if len(self._spans) >= MOST_SPANS:
                self._spans.clear()
            # The command is held too: its id must not be given to another.
            found = self._spans[id(command)] = command, reads, writes
        return found[1], found[2]


def depths_of(chip: Chip) -> dict[Engine, int]:
    """Return how many commands the queue of each engine of a chip holds beside the one at work."""
    return {
        Engine.READ: chip.dram_read.depth,
        Engine.WRITE: chip.dram_write.depth,
        Engine.MOVE: chip.move.depth,
        Engine.MATRIX: chip.matrix.depth,
        Engine.VECTOR: chip.vector.depth,
        Engine.SEND: chip.send.depth,
    }


def walk(stream: Stream, index: Index = ()) -> Iterator[Command]:
    """Yield the commands of a stream as they run, with plain addresses."""
    for item in stream:
        if isinstance(item, Loop):
            for i in range(item.count):
                yield from walk(item.body, (*index, i))
        else:
            yield at(item, index)


def _conflict(
    reads: list[Range], writes: list[Range], other_reads: list[Range], other_writes: list[Range]
) -> bool:
    return (
        _overlap(writes, other_writes)
        or _overlap(writes, other_reads)
        or _overlap(reads, other_writes)
    )


def _overlap(ones: list[Range], others: list[Range]) -> bool:
    for space, first, last in ones:
        for other, start, stop in others:
            if first < stop and start < last and space == other:
                return True
    return False
