"""Where a mapping is put together: the pieces so far, and each value in the layouts it exists in."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from collections.abc import Mapping as Table
from dataclasses import dataclass, field, fields, is_dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph, Node
from drawloom.mapping.body import Body
from drawloom.mapping.cut.sizes import Cut, Work
from drawloom.mapping.fuse.coded import Coded
from drawloom.mapping.layout.affine import copy_runs
from drawloom.mapping.layout.residency import Residency
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.layout.store import Store
from drawloom.mapping.mapping import Repeat
from drawloom.mapping.options import MapOptions
from drawloom.mapping.pieces import Buffer, CopyPiece, Piece
from drawloom.mapping.rewrite.picked import Picked
from drawloom.units import KIB, align_down, ceil_div

COPY_ROOM = 1024 * KIB  # bytes of all buffers of a copy, where there is room
COPY_BUFFERS = 2, 8  # as few, and as many where what is copied is small
COPY_LEAST = 16 * KIB  # of one of them
Index = NDArray[np.int64]
# How some work shall be cut, given its nodes, those of their values that are stored, and the graph;
# None where prices shall decide.
Choose = Callable[[Work, Sequence[Node], Container[str], Graph], Cut | None]


@dataclass(slots=True)
class Site:
    """The state of one mapping in the making."""

    graph: Graph
    chip: Chip
    options: MapOptions
    store: Store
    home: dict[str, str]  # value -> the layout it is first stored in
    residency: Residency
    coded: dict[str, Coded]  # weights that products decode, by the value they read
    picked: dict[str, Picked]  # weights that products pick by index, by the value they read
    results: list[str]  # names of the model's outputs
    inputs: list[str]  # names of the model's inputs
    twins: Table[str, tuple[str, ...]]  # of what differs by repetition, the names in all
    # Results of products that are written as an output has them, head by head, with that output.
    turned: Table[str, str] = field(default_factory=dict[str, str])
    repeats: list[Repeat] = field(default_factory=list[Repeat])
    pieces: list[Piece] = field(default_factory=list[Piece])
    choose: Choose | None = (
        None  # says how products are cut; None, or where it does not know, prices do
    )

    def need(self, value: str, layout: str) -> Storage:
        """Return a value's storage in a layout, with a copy made first where there is none."""
        if value in self.graph.constants:
            return self.store.constant(value, layout, self.graph.types[value].dtype)
        home = self.home[value]
        if layout == home or (value, layout) in self.store.made:
            return self.store.value(value, layout)
        source = self.store.value(value, home)
        if layout == "rows" and home == "dense" and source.boxable:
            return source
        target = self.store.value(value, layout)
        count = math.prod(self.graph.types[value].shape)
        self.copy(f"{value}.{layout}", self._about(value), [(source, target, np.arange(count))])
        return target

    def loaded(self, body: Body, slot: str, value: str, layout: str) -> Storage:
        """Return the storage from which a body loads a slot."""
        if body.slot(slot).kind == "channel" and value in self.graph.constants:
            return self.store.constant(value, "channel", self.graph.types[value].dtype)
        return self.need(value, layout)

    def as_stored(self, value: str) -> Storage:
        """Return a value's storage in whichever layout it was first stored."""
        return self.need(value, "dense" if value in self.graph.constants else self.home[value])

    def made(self, value: str, layout: str) -> Storage:
        """Return the storage a piece writes a value to.

        Results for the host are written dense where that can be done on the way.
        """
        if value in self.residency.address:
            held = self.residency.held_of[value]
            return self.store.value(
                value, layout, kind="resident", per_tile=held.matrices, held_rows=held.rows,
                halo=held.halo, everywhere=held.everywhere,
            )  # fmt: skip
        if output := self.turned.get(value):
            self.home[output] = "dense"
            self.store.value(output, "dense")
            self.store.same_bytes((output, "turned"), (output, "dense"))
            return self.store.value(output, "turned")
        if layout == "rows" and value in self.graph.outputs:
            kind = self.graph.types[value]
            # Not through the store: what stands there counts as written.
            if Storage(value, kind.dtype, kind.shape, "dense", self.chip.blocking).boxable:
                self.home[value] = layout = "dense"
        return self.store.value(value, layout)

    def copy(
        self,
        name: str,
        node: str,
        parts: list[tuple[Storage, Storage, Index]],
        fill: tuple[tuple[Storage, float], ...] = (),
    ) -> None:
        """Add a copy: each part fills a storage from another, by the elements taken."""
        runs = tuple(
            run for source, target, taken in parts for run in copy_runs(source, target, taken)
        )
        room = self.chip.scratchpad.usable - self.residency.reserved
        least, most = COPY_BUFFERS
        room = min(COPY_ROOM, room)
        # A tile does parts of each run; a small part is soon read, and must not wait for the last's writing.
        part = 2 * max((math.prod(atom.count for atom in run.atoms) for run in runs), default=0)
        part = max(COPY_LEAST, ceil_div(part * parts[0][1].dtype.bytes, self.chip.n_tiles))
        copies = max(least, min(most, room // part))
        size = align_down(room // copies, self.chip.blocking.align)
        buffers = {"copy": Buffer("copy", self.chip.scratchpad.reserve_low, size, copies)}
        self.add(CopyPiece(name, (node,), parts[0][1].dtype.bytes, runs, buffers, fill))

    def add(self, piece: Piece) -> None:
        """Append a piece, and note which storages it uses."""
        for storage in storages_in(piece):
            self.store.note(storage, len(self.pieces))
        self.pieces.append(piece)

    def _about(self, value: str) -> str:
        """Return a node that has to do with a value: where a copy of it is said to come from."""
        for node in self.graph.nodes:
            if value in node.outputs or value in node.inputs:
                return node.name
        return value


def storages_in(item: object) -> list[Storage]:
    """Return every storage inside a piece, once for each mention."""
    if isinstance(item, Storage):
        return [item]
    parts: list[object] = []
    if isinstance(item, Table):
        parts = list(cast("Table[str, object]", item).values())
    elif isinstance(item, tuple):
        parts = list(cast("tuple[object, ...]", item))
    elif is_dataclass(item) and not isinstance(item, type):
        parts = [getattr(item, f.name) for f in fields(item)]
    return [storage for part in parts for storage in storages_in(part)]
