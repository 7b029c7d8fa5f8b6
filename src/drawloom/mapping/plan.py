"""A graph onto one chip: rewrite, group, cut, lay out, allocate."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph, Node
from drawloom.graph.ops import OPS
from drawloom.mapping import matrix, pool, strip
from drawloom.mapping.affine import copy_runs
from drawloom.mapping.dram import Need, allocate
from drawloom.mapping.groups import Group, group_nodes
from drawloom.mapping.kinds import Kinds
from drawloom.mapping.legalise import legalise
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.options import MapOptions
from drawloom.mapping.pieces import Buffer, CopyPiece, CpuPiece, Piece
from drawloom.mapping.storage import Storage
from drawloom.mapping.store import FOREVER, Key, Store, same_geometry

COPY_BUFFER = 512 * 1024  # bytes of each of the two buffers of a copy


def map_graph(graph: Graph, chip: Chip, options: MapOptions | None = None) -> Mapping:
    """Return the mapping of a graph onto a chip.

    Raises:
        DoesNotFit: a node does not fit a tile, or the model not the chip's memory.
    """
    return _Planner(graph, chip, options or MapOptions()).run()


class _Planner:
    def __init__(self, graph: Graph, chip: Chip, options: MapOptions) -> None:
        self.source, self.chip, self.options = graph, chip, options
        self.graph = legalise(graph)
        self.store = Store(self.graph, chip.blocking)
        self.pieces: list[Piece] = []
        self.home: dict[str, str] = {}
        self.outputs: dict[str, Storage] = {}

    def run(self) -> Mapping:
        kinds = Kinds(self.graph)
        plan = group_nodes(self.graph, kinds, fuse=self.options.fuse)
        self.home = plan.home
        names = dict(zip(self.graph.outputs, self.source.outputs, strict=True))
        for value in self.graph.inputs:
            self.store.value(value, "dense", kind="input")
            self.store.used[value, "dense"] = [-1, FOREVER]
        for group in plan.groups:
            self._group(group)
        for position, value in enumerate(self.graph.outputs):
            self._output(value, names[value], position)
        return self._finish()

    # One group.

    def _group(self, group: Group) -> None:
        node = group.nodes[0]
        if group.kind == "move":
            self._move(node, group.layout)
        elif group.kind == "cpu":
            self._cpu(node)
        elif group.kind == "pool":
            src = self.need(node.inputs[0], "image")
            self._add(
                pool.plan(node, self.graph, self.chip, src, self.made(node.outputs[0], "image"))
            )
        else:
            build = matrix.plan if group.kind == "matrix" else strip.plan
            stored = self._stored(group)
            self._add(build(group, stored, self))

    def _stored(self, group: Group) -> set[str]:
        """Values of a group that are read outside it."""
        inside = {node.name for node in group.nodes}
        readers = self._readers()
        return {
            value
            for value in group.made
            if value in self.graph.outputs
            or any(name not in inside for name in readers.get(value, ()))
        }

    def _readers(self) -> dict[str, list[str]]:
        if not hasattr(self, "_read_by"):
            self._read_by: dict[str, list[str]] = {}
            for node in self.graph.nodes:
                for value in node.inputs:
                    self._read_by.setdefault(value, []).append(node.name)
        return self._read_by

    # Values in the layout a piece wants.

    def need(self, value: str, layout: str) -> Storage:
        """Return a value's storage in a layout, with a copy made first where there is none."""
        if value in self.graph.constants:
            return self.store.constant(value, layout, self.graph.types[value].dtype)
        home = self.home[value]
        if layout == home or (value, layout) in self.store.made:
            return self.store.value(value, layout)
        if (
            layout == "rows"
            and home == "dense"
            and (there := self.store.value(value, "dense")).boxable
        ):
            return there
        source, target = self.store.value(value, home), self.store.value(value, layout)
        count = int(np.prod(self.graph.types[value].shape, dtype=np.int64))
        self._copy(f"{value}.{layout}", self._maker(value), [(source, target, np.arange(count))])
        return target

    def made(self, value: str, layout: str) -> Storage:
        """Return the storage a piece writes a value to: results for the host are written dense where they can be."""
        if layout == "rows" and value in self.graph.outputs:
            there = self.store.value(value, "dense")
            if there.boxable:
                self.home[value] = "dense"
                return there
        return self.store.value(value, layout)

    def _maker(self, value: str) -> str:
        for node in self.graph.nodes:
            if value in node.outputs or value in node.inputs:
                return node.name
        return value

    # Moves.

    def _move(self, node: Node, layout: str) -> None:
        out = node.outputs[0]
        if node.op == "Reshape" and self._alias(node, layout):
            return
        target = self.made(out, layout)
        sources = [v for v in node.inputs if v]
        moved = self._moved(node)
        parts: list[tuple[Storage, Storage, np.ndarray]] = []
        for value, taken in zip(sources, moved, strict=False):
            if taken is not None:
                parts.append((self._any_layout(value), target, taken))
        fill = self._fill(node, target)
        self._copy(node.name, node.name, parts, fill)

    def _any_layout(self, value: str) -> Storage:
        return self.need(value, "dense" if value in self.graph.constants else self.home[value])

    def _alias(self, node: Node, layout: str) -> bool:
        """Give a reshape's result the bytes of its operand where the layouts agree."""
        value, out = node.inputs[0], node.outputs[0]
        if value in self.graph.constants or out in self.graph.outputs:
            return False
        before, after = self.graph.types[value].shape, self.graph.types[out].shape
        if (
            self.home[value] == layout
            and same_geometry(before, after, layout)
            or (
                _geometry(before, self.home[value]) == _geometry(after, layout) != None  # noqa: E711
            )
        ):
            self.store.value(value, self.home[value])
            self.store.same_bytes((out, layout), (value, self.home[value]))
            return True
        return False

    def _moved(self, node: Node) -> list[np.ndarray | None]:
        """Run a move on element numbers: for each operand, which of its elements land where (-1: not its own)."""
        values = [v for v in node.inputs if v]
        if node.op in ("Gather", "Pad"):
            numbers = np.arange(self.graph.types[values[0]].size, dtype=np.int64)
            return [self._evaluate(node, [numbers.reshape(self.graph.types[values[0]].shape)])]
        start, arrays, spans = 0, [], []
        for value in values:
            kind = self.graph.types[value]
            arrays.append(np.arange(start, start + kind.size, dtype=np.int64).reshape(kind.shape))
            spans.append((start, start + kind.size))
            start += kind.size
        result = self._evaluate(node, arrays)
        return [np.where((result >= lo) & (result < hi), result - lo, -1) for lo, hi in spans]

    def _evaluate(self, node: Node, arrays: list[np.ndarray]) -> np.ndarray:
        if node.op == "Gather":
            arrays = [arrays[0], self.graph.constants[node.inputs[1]]]
        if node.op == "Pad" and node.str("mode", "constant") == "constant":
            arrays = [arrays[0], np.array(-1, np.int64)]
        return np.asarray(OPS[node.op].evaluate(node, tuple(arrays))[0])

    def _fill(self, node: Node, target: Storage) -> tuple[tuple[Storage, float], ...]:
        if node.op != "Pad" or node.str("mode", "constant") != "constant":
            return ()
        value = node.inputs[1] if len(node.inputs) > 1 else ""
        return ((target, float(self.graph.constants[value].reshape(())) if value else 0.0),)

    def _copy(
        self,
        name: str,
        node: str,
        parts: list[tuple[Storage, Storage, np.ndarray]],
        fill: tuple[tuple[Storage, float], ...] = (),
    ) -> None:
        runs = tuple(
            run for source, target, taken in parts for run in copy_runs(source, target, taken)
        )
        low = self.chip.scratchpad.reserve_low
        buffers = {"copy": Buffer("copy", low, COPY_BUFFER, 2)}
        self._add(CopyPiece(name, (node,), parts[0][1].dtype.bytes, runs, buffers, fill))

    # The tile processor.

    def _cpu(self, node: Node) -> None:
        ins = tuple(self.need(v, "dense") if v else None for v in node.inputs)
        outs = tuple(self.made(v, "dense") for v in node.outputs if v)
        self._add(CpuPiece(node.name, (node.name,), node.op, ins, outs, node.attrs))

    # The end.

    def _output(self, value: str, name: str, position: int) -> None:
        home = "dense" if value in self.graph.constants else self.home[value]
        plain = (
            home == "dense" and value not in self.graph.inputs and value not in self.graph.constants
            and (value, "dense") not in self.store.alias and self.graph.outputs.index(value) == position
        )  # fmt: skip
        if plain:
            storage = self.store.value(value, "dense")
            self.store.made[value, "dense"] = replace(storage, kind="output", value=name)
            self.store.used.setdefault((value, "dense"), []).append(FOREVER)
            return
        source = self.need(value, home)
        key = (f"{name}#out{position}", "dense")
        kind = self.graph.types[value]
        self.store.made[key] = Storage(
            name,
            kind.dtype,
            kind.shape,
            "dense",
            self.chip.blocking,
            len(self.store.made),
            "output",
        )
        self.store.used[key] = [FOREVER]
        self._copy(
            f"{name}.out",
            self._maker(value),
            [(source, self.store.made[key], np.arange(kind.size))],
        )

    def _add(self, piece: Piece) -> None:
        for storage in _storages(piece):
            self.store.note(storage, len(self.pieces))
        self.pieces.append(piece)

    def _finish(self) -> Mapping:
        needs: list[Need] = []
        for key, storage in self.store.made.items():
            if key in self.store.alias:
                continue
            used = self.store.used.get(key, [0])
            constant = storage.kind in ("constant", "input")
            first, last = (-1, FOREVER) if constant else (min(used), max(used))
            needs.append(Need("\0".join(key), storage.bytes, first, last))
        placed, total = allocate(needs, self.chip)
        addresses: dict[Key, int] = {}
        for name, address in placed.items():
            value, layout = name.split("\0")
            addresses[value, layout] = address
        table = self.store.by_number(addresses)
        pieces = tuple(_relocate(piece, table) for piece in self.pieces)
        constants = {
            table[self.store.made[key].address].address: array
            for key, array in self.store.constants.items()
        }
        return Mapping(
            self.graph,
            self.chip,
            pieces,
            tuple(table.values()),
            constants,
            total,
            {"chip": self.chip.name},
        )


def _geometry(shape: tuple[int, ...], layout: str) -> tuple[int, int, int] | None:
    from drawloom.mapping.storage import matrix_view

    return matrix_view(shape, layout) if layout in ("rows", "image") else None


def _storages(item: object) -> list[Storage]:
    """Return every storage inside a piece."""
    if isinstance(item, Storage):
        return [item]
    if isinstance(item, Table):
        return [s for value in item.values() for s in _storages(value)]
    if isinstance(item, tuple):
        return [s for value in item for s in _storages(value)]
    if is_dataclass(item) and not isinstance(item, type):
        return [s for f in fields(item) for s in _storages(getattr(item, f.name))]
    return []


def _relocate(item: Any, table: dict[int, Storage]) -> Any:
    """Return a piece with every storage replaced by its placed twin."""
    if isinstance(item, Storage):
        return table[item.address]
    if isinstance(item, dict):
        return {key: _relocate(value, table) for key, value in item.items()}
    if isinstance(item, tuple):
        return tuple(_relocate(value, table) for value in item)
    if is_dataclass(item) and not isinstance(item, type) and _storages(item):
        changed = {f.name: _relocate(getattr(item, f.name), table) for f in fields(item)}
        return replace(item, **changed)
    return item
