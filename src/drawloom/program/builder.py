"""Programs by hand in Python: the same as the text says, for those who want types and loops.

    k = Kernel("double", chip="tx81")
    x, y = k.input("x", "f16", (8,)), k.output("y", "f16", (8,))
    xs = k.buffer("xs", "f16", (8,))
    with k.tile(0):
        k.read(x, xs, x.bytes)
        k.vector("add", xs, xs, xs.count, "f16", b=xs)
        k.write(xs, y, y.bytes)
    program = k.program()

Regions and buffers follow one another as they do in a text, so that both give one program.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError
from drawloom.graph.dtypes import DType
from drawloom.program.check_fields import (
    Scope,
    complaints,
    length_complaints,
    loop_complaints,
    region_complaints,
)
from drawloom.program.commands import Command, Loop, Stream
from drawloom.program.defaults import Buffer, fill, place_buffer
from drawloom.program.fields import Header
from drawloom.program.issue import Issue
from drawloom.program.kinds import Bad
from drawloom.program.names import Names
from drawloom.program.places import Dram, Index, Spm
from drawloom.program.program import Origin, Program, Region
from drawloom.program.text import command_text

_HERE = {str(Path(__file__)), str(Path(__file__).with_name("issue.py"))}
Item = Command | Loop


class Kernel(Issue):
    """A program in the making."""

    def __init__(self, name: str, chip: str | Chip = "tx81") -> None:
        """Start an empty program.

        Args:
            name: what it is called.
            chip: a chip of the catalog by name, a chip file, or a chip.

        Raises:
            InputError: there is no such chip (``chip.file``).
        """
        from drawloom.chip.files import load_chip  # here, since it imports pydantic

        self._chip = chip if isinstance(chip, Chip) else load_chip(chip)
        self._names = Names(self._chip, self._chip.blocking)
        given: dict[str, Any] = {"name": name}
        fill(Header, given, self._names)
        self._header = Header(**given)
        self._regions: list[Region] = []
        self._data: list[tuple[int, NDArray[np.uint8]]] = []
        self._notes: dict[str, str] = {}
        self._streams: dict[int, list[Item]] = {}
        self._open: list[list[Item]] = []
        self._loops: list[int] = []
        self._issued: list[tuple[str, Command, tuple[int, ...]]] = []
        self._step = -1
        self._faults: list[Fault] = []

    # What there is.

    def input(self, name: str, fmt: str, shape: Sequence[int]) -> Dram:
        """Add a region that is given when the program runs: elements of ``fmt``, row-major."""
        return self.region(name, "input", fmt, shape)

    def output(self, name: str, fmt: str, shape: Sequence[int]) -> Dram:
        """Add a region that is taken when the program has run."""
        return self.region(name, "output", fmt, shape)

    def constant(self, name: str, values: NDArray[Any]) -> Dram:
        """Add a region that holds these values from the start."""
        dtype = DType.of(values.dtype)
        place = self.region(name, "constant", dtype.value, values.shape)
        raw = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._data.append((place.base, raw))
        return place

    def region(
        self,
        name: str,
        kind: str,
        fmt: str,
        shape: Sequence[int],
        address: int | None = None,
    ) -> Dram:
        """Add a region of DRAM behind those before, or at an address."""
        given: dict[str, Any] = {"name": name, "kind": kind, "fmt": fmt, "shape": tuple(shape)}
        if address is not None:
            given["address"] = address
        fill(Region, given, self._names)
        given.setdefault("bytes", 0)  # an unknown format: told below
        region = Region(**given)
        for part, value, allowed in region_complaints(region, self._header.dram_bytes):
            self._fault(f"region '{name}', {part}", value, allowed)
        self._regions.append(region)
        self._names.dram_end = max(self._names.dram_end, region.address + region.bytes)
        count = int(np.prod(region.shape, dtype=np.int64))
        return Dram(name, region.address, region.bytes, count)

    def buffer(
        self,
        name: str,
        fmt: str = "",
        shape: Sequence[int] = (),
        *,
        bytes: int = -1,
        at: Spm | None = None,
        blocked: bool = False,
    ) -> Spm:
        """Add a piece of every tile's scratchpad: behind those before, or at a place of another.

        Args:
            name: what messages call it.
            fmt: format of its elements.
            shape: how many there are; the last axis is the channels where it is ``blocked``.
            bytes: its size, where format and shape do not say it.
            at: where it lies, on bytes that another buffer has too.
            blocked: whether it is channel-blocked (``chip/layout.py``).
        """
        address = at.base if at else -1
        buffer = Buffer(name, bytes, address, fmt, tuple(shape), blocked)
        try:
            place_buffer(buffer, self._names)
        except Bad as bad:
            self._fault(f"buffer '{name}'", "", str(bad))
            return Spm(name, 0, 0, 0)
        of = self._names.values
        base, size, count = (of[key].number for key in (name, f"{name}.bytes", f"{name}.count"))
        return Spm(name, int(base), int(size), int(count))

    def note(self, key: str, text: str) -> None:
        """Add a fact that is shown wherever a figure of the program is."""
        self._notes[key] = text

    def step(self, name: str) -> None:
        """Say what the commands that follow are for, "" for nothing; reports and the checker say it."""
        known = self._names.origins
        self._step = known.setdefault(name, len(known)) if name else -1

    # What tiles do.

    @contextmanager
    def tile(self, *tiles: int) -> Generator[None]:
        """Within this, commands go to these tiles, all of which have one stream."""
        if self._open:
            self._fault(f"tile {', '.join(map(str, tiles))}", "", "not within a tile or a loop")
        self._open.append([])
        try:
            yield
        finally:
            items = self._open.pop()
            for tile in tiles:
                if tile in self._streams:
                    self._fault(f"tile {tile}", "", "each tile once")
                self._streams[tile] = items

    @contextmanager
    def loop(self, count: int) -> Generator[Index]:
        """Within this, commands run ``count`` times; yields the index, for addresses."""
        depth = len(self._loops)
        if not self._open:
            self._fault("loop", "", "within a tile")
            self._open.append([])
        for _, value, allowed in loop_complaints(count, depth):
            self._fault("loop", value, allowed)
        self._open.append([])
        self._loops.append(count)
        try:
            yield Index(((depth, 1),))
        finally:
            self._loops.pop()
            body = self._open.pop()
            self._open[-1].append(Loop(count, tuple(body)))

    def issue(self, command: Command) -> None:
        """Append a command to the streams of the open tiles."""
        if not self._open:
            self._fault(command_text(command).split(" ")[0], "", "within a tile")
            return
        command = replace(command, origin=self._step)
        self._open[-1].append(command)
        self._issued.append((_line(), command, tuple(self._loops)))

    # The whole.

    def program(self) -> Program:
        """Return the program.

        Raises:
            InputError: ``program.builder``, with every fault and the line that it comes from.
        """
        n = len(self._streams)
        faults = list(self._faults)
        for tile in self._streams:
            if not 0 <= tile < n:
                faults.append(Fault(f"tile {tile}", "", f"0 to {n - 1}, none left out"))
        for part, value, allowed in length_complaints([tuple(s) for s in self._streams.values()]):
            faults.append(Fault(part, value, allowed))
        for line, command, loops in self._issued:
            scope = Scope(n, len(self._names.origins), loops)
            for part, value, allowed in complaints(command, scope):
                faults.append(Fault(f"{line}, {part}", value, allowed))
        if faults:
            found = list(dict.fromkeys(faults))
            count = "1 fault" if len(found) == 1 else f"{len(found)} faults"
            raise InputError("program.builder", f"{count} in kernel '{self._header.name}'", found)
        return Program(
            name=self._header.name,
            chip=self._header.chip,
            blocking=self._chip.blocking,
            scratchpad_bytes=self._header.scratchpad_bytes,
            dram_bytes=self._header.dram_bytes,
            regions=tuple(self._regions),
            data=tuple(self._data),
            streams=tuple(self._stream(tile) for tile in range(n)),
            origins=tuple(Origin(name, name, "") for name in self._names.origins),
            notes=dict(self._notes),
        )

    def _stream(self, tile: int) -> Stream:
        return tuple(self._streams[tile])

    def _fault(self, path: str, value: str, allowed: str) -> None:
        self._faults.append(Fault(f"{_line()}, {path}", value, allowed))


def _line() -> str:
    """Return where in the user's file the builder was called."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back and (
        frame.f_code.co_filename in _HERE or frame.f_globals.get("__name__") == "contextlib"
    ):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name} line {frame.f_lineno}"
