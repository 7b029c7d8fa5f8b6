"""A program that stops short of its end: which tiles stand where, and for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drawloom.errors import DrawloomError


@dataclass(frozen=True, slots=True)
class Stuck:
    """A tile that cannot go on: the command it stands at, and what it waits for."""

    tile: int
    command: str
    waits_for: str


class Hang(DrawloomError):
    """No tile can go on and not all have ended; holds every stuck tile."""

    def __init__(self, stuck: Sequence[Stuck], n_tiles: int) -> None:
        self.stuck = tuple(stuck)
        self.n_tiles = n_tiles
        super().__init__(self.text())

    def text(self) -> str:
        """Return the whole message as the command line prints it."""
        width = max(len(str(one.tile)) for one in self.stuck)
        lines = [f"error[run.hang]: {len(self.stuck)} of {self.n_tiles} tiles can go no further"]
        for one in self.stuck:
            lines.append(f"  tile {one.tile:>{width}}  at         {one.command}")
            lines.append(f"  {'':{width + 5}}  waits for  {one.waits_for}")
        return "\n".join(lines)
