"""Reads of constants that may go before all else of a stream: while an exchange waits for its links.

A read goes to the front if nothing that it passes uses the scratchpad that it fills, and no other
tile may send there: what is behind an arming stays. Of a loop of reads the first turns go. Joins
behind that let some reads go on are made to let no earlier one go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from drawloom.chip.model import Blocking
from drawloom.program.addresses import at as at_index
from drawloom.program.commands import Arm, Command, Cpu, Engine, Join, Loop, Read, Wait
from drawloom.program.extents import moved_bytes, touched

Item = Command | Loop
GIVEN = Join((), 0)
"""Stands where a read was that is given before: joins behind count it. No command of a program."""
_LOOKED = 24  # items of a stream that are looked at


@dataclass(slots=True)
class Early:
    """A stream in two: reads that go to the front, and the rest."""

    reads: list[Command] = field(default_factory=list[Command])
    rest: list[Item] = field(default_factory=list[Item])


@dataclass(slots=True)
class Splitter:
    """Splits streams of one program.

    Attributes:
        constants: bytes of DRAM that nobody writes: first, behind the last.
        blocking: the layout of operands.
        most: reads of a tile.
        budget: bytes of a tile.
    """

    constants: Sequence[tuple[int, int]]
    blocking: Blocking
    most: int
    budget: int

    def split(self, stream: Sequence[Item]) -> Early:
        """Return a stream's early reads and the rest of it."""
        made, used, left = Early(), list[tuple[int, int]](), self.budget
        behind = 0
        for behind, item in enumerate(stream):
            if behind == _LOOKED or len(made.reads) >= self.most or left <= 0:
                break
            turns = _turns(item)
            if turns is None or not all(self._is_early(read, used) for read in turns):
                if not self._passes(item, used):
                    break
                made.rest.append(item)
                continue
            taken = 0
            for read in turns:
                size = moved_bytes(read.inner, read.dims)
                if len(made.reads) >= self.most or size > left:
                    break
                made.reads.append(read)
                made.rest.append(GIVEN)
                left -= size
                taken += 1
            made.rest += turns[taken:]
            if taken < len(turns):
                left = 0
        else:
            behind = len(stream)
        if not made.reads:
            return Early([], list(stream))
        made.rest += _joined(stream[behind:])
        return made

    def _is_early(self, read: Read, used: list[tuple[int, int]]) -> bool:
        assert isinstance(read.dram, int) and isinstance(read.spm, int)
        low, high = read.spm, read.spm + moved_bytes(read.inner, read.dims)
        if any(low < stop and start < high for start, stop in used):
            return False
        return any(start <= read.dram < stop for start, stop in self.constants)

    def _passes(self, item: Item, used: list[tuple[int, int]]) -> bool:
        """Note the scratchpad of a command that reads may pass; False where they may not."""
        if isinstance(item, Loop | Arm | Wait | Cpu):
            return False
        reads, writes = touched(item, self.blocking)
        for space, address, size in (*reads, *writes):
            if space == "spm":
                if not isinstance(address, int):
                    return False
                used.append((address, address + size))
        return True


def _turns(item: Item) -> list[Read] | None:
    """Return the reads of an item, or of all turns of a loop of reads; None where it is something else."""
    if isinstance(item, Read):
        return [item] if isinstance(item.dram, int) and isinstance(item.spm, int) else None
    if not isinstance(item, Loop) or not all(isinstance(each, Read) for each in item.body):
        return None
    turns: list[Read] = []
    for turn in range(item.count):
        for each in item.body:
            read = at_index(each, (turn,))  # pyright: ignore[reportArgumentType]
            assert isinstance(read, Read)
            turns.append(read)
    return turns


def _joined(stream: Sequence[Item]) -> list[Item]:
    """Let no join count the reads that are gone from before it among those that may go on."""
    made: list[Item] = []
    since = 0
    for item in stream:
        if isinstance(item, Join) and Engine.READ in item.engines and item.keep > since:
            # Engines other than the one that reads are joined as before.
            others = tuple(engine for engine in item.engines if engine is not Engine.READ)
            made.append(replace(item, engines=(Engine.READ,), keep=since))
            if others:
                made.append(replace(item, engines=others))
            continue
        since += _reads(item)
        made.append(item)
    return made


def _reads(item: Item) -> int:
    if isinstance(item, Loop):
        return item.count * sum(_reads(each) for each in item.body)
    return int(isinstance(item, Read))
