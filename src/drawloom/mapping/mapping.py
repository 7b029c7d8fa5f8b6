"""The Mapping: a graph laid over one chip, decided but not yet written as commands."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, field

from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph
from drawloom.graph.lazy import Held
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.pieces import Piece


@dataclass(frozen=True, slots=True)
class Repeat:
    """The pieces from ``first`` to before ``end`` run ``count`` times, storages a step further each."""

    first: int
    end: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """Pieces in order, and every value's place in DRAM.

    ``graph`` is the graph that was mapped (after rewriting into what engines do, with what
    repeats standing once); ``storages`` holds each stored copy of each value; ``constants`` the
    initial contents of those that are known beforehand; ``repeats`` stand in order, apart.
    """

    graph: Graph
    chip: Chip
    pieces: tuple[Piece, ...]
    storages: tuple[Storage, ...]
    constants: Table[int, Held]  # DRAM address -> value to be stored there, by storage
    dram_bytes: int
    repeats: tuple[Repeat, ...] = ()
    notes: Table[str, str] = field(default_factory=dict[str, str])

    def text(self) -> str:
        """Return the mapping as canonical text; ``mapping.parse`` reads it back."""
        from drawloom.mapping.text import mapping_text

        return mapping_text(self)
