"""Run a Program on the bytes of scratchpads and DRAM.

Each tile's stream runs in program order and every command completes before the
next one starts. Tiles take turns: one runs until a ``Send``, ``Wait`` or
``Barrier`` holds it. A program that is free of races gives the same values in
every other legal order; whether it is, ``check`` says and ``orders`` tries.

All memory starts as poison (bytes 0xFF: NaN in every float format), so that a
transfer that is missing shows in the values.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError, nearest
from drawloom.execute import dma
from drawloom.execute.cpu import dense
from drawloom.execute.faults import Index, Outside, Refused, explain, origin_text, told
from drawloom.execute.hang import Hang, Stuck
from drawloom.execute.memory import POISON, Memory, Tile, dram_image, scratchpad
from drawloom.execute.numbers import stored
from drawloom.execute.walker import ENGINES, Holding, Walker, issued
from drawloom.program.commands import Barrier, Send, Wait
from drawloom.program.program import Program, Region

Progress = Callable[[int, int], None]


def execute(
    program: Program,
    inputs: Mapping[str, NDArray[Any]],
    *,
    progress: Progress | None = None,
) -> dict[str, NDArray[Any]]:
    """Return a program's outputs, by the names of their regions.

    Args:
        program: what to run.
        inputs: an array for each input region, in its format and shape.
        progress: called with the commands run so far, and all that will run.

    Raises:
        InputError: inputs are missing, unknown, or of the wrong format or shape
            (kind ``run.inputs``, all faults at once).
        Hang: the tiles wait for each other for ever.
        OutOfBounds: a command reaches outside a memory.
        IllegalCommand: a command asks for what the machine cannot do.
    """
    machine = Machine(program)
    machine.load(inputs)
    machine.run(progress)
    return {name: machine.region(name) for name in program.named("output")}


class Machine:
    """A program and the memory it runs on.

    Attributes:
        program: what runs.
        dram: the bytes of DRAM.
        spm: the bytes of each tile's scratchpad.
        tiles: each tile's memories, counters and armed flags.
        engines: what runs each kind of command.
    """

    def __init__(
        self, program: Program, before: Machine | None = None, *, poison: int = POISON
    ) -> None:
        """Load a program; on the DRAM of ``before``, which keeps what is not loaded over.

        Every byte that is not loaded is ``poison``.
        """
        self.program = program
        self.engines: Mapping[type, Callable[..., None]] = ENGINES
        memory = dram_image(program, before and before.dram, poison)
        self.tiles: list[Tile] = []
        for number in range(len(program.streams)):
            spm = scratchpad(number, program.scratchpad_bytes, poison)
            self.tiles.append(Tile(number, spm, memory, program.blocking, self.tiles))
        self.dram: NDArray[np.uint8] = memory.bytes
        self.spm: list[NDArray[np.uint8]] = [tile.spm.bytes for tile in self.tiles]
        self._memory: Memory = memory
        self._passed: set[int] = set()  # tiles that a barrier has let go

    def load(self, inputs: Mapping[str, NDArray[Any]], held: Container[str] = ()) -> None:
        """Put the inputs into DRAM; those of ``held`` lie there already.

        Raises:
            InputError: as ``execute``.
        """
        wanted = {k: v for k, v in self.program.named("input").items() if k not in held}
        faults = _input_faults(wanted, inputs)
        if faults:
            summary = f"the inputs are not what program '{self.program.name}' takes"
            raise InputError("run.inputs", summary, faults)
        for name, region in wanted.items():
            raw = np.frombuffer(np.asarray(inputs[name]).tobytes(), np.uint8)
            self.dram[region.address : region.address + raw.size] = raw

    def region(self, name: str) -> NDArray[Any]:
        """Return a copy of a region's elements; its bytes where it has no format.

        Raises:
            KeyError: no region has that name.
        """
        region = {region.name: region for region in self.program.regions}[name]
        if not region.fmt:
            return self.dram[region.address : region.address + region.bytes].copy()
        return dense(self._memory, region.address, region.fmt, region.shape)

    def run(self, progress: Progress | None = None) -> None:
        """Run every tile's stream to its end.

        Args:
            progress: called with the commands run so far, and all that will run.

        Raises:
            Hang, OutOfBounds, IllegalCommand: as ``execute``.
        """
        tick = _ticker(progress, self.program) if progress else None
        run_beside([self], tick)

    def turn(self, walkers: list[Walker]) -> bool:
        """Let each tile run until it is held or ends; return whether any ran at all."""
        return sum(self._turn(walker, walkers) for walker in walkers) > 0

    def _turn(self, walker: Walker, walkers: list[Walker]) -> bool:
        """Run a tile until it is held or ends; return whether it ran at all."""
        moved = False
        while not walker.ended and (walker.stands is None or self._lets_go(walker, walkers)):
            walker.go()
            moved = True
        return moved

    def _lets_go(self, walker: Walker, walkers: list[Walker]) -> bool:
        """Return whether the command a tile stands at is done, and do it if it can be."""
        assert walker.stands is not None
        command, index = walker.stands
        try:
            if self._obstacle(walker.tile, command, walkers):
                return False
            self._complete(walker.tile, command, index)
        except (Outside, Refused) as fault:
            raise explain(self.program, walker.tile.number, command, index, fault) from fault
        return True

    def _obstacle(self, tile: Tile, command: Holding, walkers: list[Walker]) -> str:
        """Return what a tile waits for, or nothing where it may go on."""
        match command:
            case Wait():
                count = tile.counters.get(command.flag, 0)
                short = count < command.count
                return f"counter {command.flag} at {command.count}; is {count}" if short else ""
            case Send():
                lazy = [
                    n
                    for n in command.targets
                    if not tile.peer(n, command.chip).armed.get(command.flag)
                ]
                return f"flag {command.flag} armed on {_tiles(lazy)}" if lazy else ""
            case Barrier():
                if tile.number in self._passed:
                    return ""
                away = [
                    n for n in command.tiles if not self._stands_at(walkers, tile.peer(n), command)
                ]
                return _tiles(away) if away else ""

    def _complete(self, tile: Tile, command: Holding, index: Index) -> None:
        match command:
            case Wait():
                tile.counters[command.flag] = tile.counters.get(command.flag, 0) - command.count
            case Send():
                dma.send(tile, command, index)
                for target in (tile.peer(n, command.chip) for n in command.targets):
                    target.armed[command.flag] -= 1
                    target.counters[command.flag] = target.counters.get(command.flag, 0) + 1
            case Barrier():
                # The last to come lets all others go.
                if tile.number not in self._passed:
                    self._passed.update(command.tiles)
                self._passed.discard(tile.number)

    def _stands_at(self, walkers: list[Walker], tile: Tile, barrier: Barrier) -> bool:
        """Return whether a tile stands at the same barrier and was not let go from it."""
        stands = walkers[tile.number].stands
        if stands is None or not isinstance(stands[0], Barrier) or tile.number in self._passed:
            return False
        return set(stands[0].tiles) == set(barrier.tiles)

    def stuck(self, walkers: list[Walker]) -> list[Stuck]:
        """Return which tiles are held, and by what."""
        stuck: list[Stuck] = []
        for walker in walkers:
            if walker.stands is None:
                continue
            command, _ = walker.stands
            text = told(command) + origin_text(self.program, command)
            need = self._obstacle(walker.tile, command, walkers)
            stuck.append(Stuck(walker.tile.number, text, need))
        return stuck


def run_beside(machines: list[Machine], tick: Callable[[], None] | None = None) -> None:
    """Run machines whose tiles may send to each other, to their ends; ``tick`` follows each command.

    Raises:
        Hang, OutOfBounds, IllegalCommand: as ``execute``.
    """
    walkers = [[Walker(m.program, tile, tick, m.engines) for tile in m.tiles] for m in machines]
    # Poison and overflow are values here, not faults of the tool.
    with np.errstate(all="ignore"):
        while not all(walker.ended for each in walkers for walker in each):
            moved = [m.turn(each) for m, each in zip(machines, walkers, strict=True)]
            if not any(moved):
                stuck = [
                    s for m, each in zip(machines, walkers, strict=True) for s in m.stuck(each)
                ]
                raise Hang(stuck, sum(map(len, walkers)))


def _ticker(progress: Progress, program: Program) -> Callable[[], None]:
    """Return what to call after each command so that ``progress`` hears of every 64th."""
    total = sum(issued(stream) for stream in program.streams)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if done % 64 == 0 or done == total:
            progress(done, total)

    return tick


def _tiles(numbers: list[int]) -> str:
    return ("tile " if len(numbers) == 1 else "tiles ") + ", ".join(map(str, numbers))


def _input_faults(wanted: Mapping[str, Region], given: Mapping[str, Any]) -> list[Fault]:
    faults: list[Fault] = []
    for name, region in wanted.items():
        path = f"inputs.{name}"
        if name not in given:
            faults.append(Fault(path, "absent", f"must be given: {_type(region)}"))
            continue
        value = np.asarray(given[name])
        dtype = np.dtype(np.bool_) if region.fmt == "bool" else stored(region.fmt)
        if value.dtype != dtype:
            faults.append(Fault(f"{path}.dtype", str(value.dtype), f"must be {dtype}"))
        if value.shape != region.shape:
            faults.append(
                Fault(f"{path}.shape", _shape(value.shape), f"must be {_shape(region.shape)}")
            )
    for name in given:
        if name not in wanted:
            allowed = nearest(name, wanted) if wanted else "the program takes no inputs"
            faults.append(Fault(f"inputs.{name}", "is not an input", allowed))
    return faults


def _type(region: Region) -> str:
    return region.fmt + _shape(region.shape)


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
