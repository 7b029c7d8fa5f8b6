"""The storages of a mapping while it is planned: which copies of which values exist, and when they are used.

Until addresses are given out, a storage's address is its number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from drawloom.chip.model import Blocking
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.graph.lazy import Held, derive
from drawloom.mapping.fuse.coded import by_blocks
from drawloom.mapping.layout.storage import DECODED_BYTES, Storage, matrix_view

FOREVER = 1 << 30
Key = tuple[str, str]  # value, layout


@dataclass(frozen=True, slots=True)
class Handed:
    """The storages of a carried value: as a repetition reads it, makes it, and at the end."""

    enter: Key
    made: Key
    leave: Key


@dataclass(slots=True)
class Store:
    """Storages by (value, layout); ``alias`` names storages that share another's bytes.

    ``inside`` says how far from the other's first byte, where it is not the same.
    """

    graph: Graph
    blocking: Blocking
    made: dict[Key, Storage] = field(default_factory=dict[Key, Storage])
    alias: dict[Key, Key] = field(default_factory=dict[Key, Key])
    inside: dict[Key, int] = field(default_factory=dict[Key, int])
    constants: dict[Key, Held] = field(default_factory=dict[Key, Held])
    used: dict[Key, list[int]] = field(default_factory=dict[Key, list[int]])
    keys: list[Key] = field(default_factory=list[Key])  # by number
    in_place: set[Key] = field(default_factory=set[Key])  # made over the bytes of an input
    handed: list[Handed] = field(default_factory=list[Handed])

    def value(
        self,
        name: str,
        layout: str,
        *,
        kind: str = "temporary",
        per_tile: int = 0,
        held_rows: int = 0,
        halo: int = 0,
        everywhere: bool = False,
    ) -> Storage:
        """Return the storage of a graph value in a layout, making it when it is new."""
        held = per_tile, held_rows, halo, everywhere
        return self._make((name, layout), name, self.graph.types[name], kind, held)

    def constant(self, name: str, layout: str, fmt: DType) -> Storage:
        """Return a constant's storage in a layout and format."""
        key = (f"{name}@{fmt.value}", layout)
        if key not in self.constants:
            self.constants[key] = self.contents(name, layout, fmt)
        return self._make(key, name, TensorType(fmt, self.constants[key].shape), "constant")

    def derived(
        self, name: str, layout: str, what: str, change: Callable[[Array], Array], kind: TensorType
    ) -> Storage:
        """Return the storage of what ``change`` makes of a constant."""
        key = (f"{name}#{what}", layout)
        if key not in self.constants:
            self.constants[key] = derive(self.graph.constants.held[name], change, kind)
        return self._make(key, name, kind, "constant")

    def contents(self, name: str, layout: str, fmt: DType) -> Held:
        """Return a constant's values as its storage in a layout and format holds them."""
        held = self.graph.constants.held[name]
        if layout == "codes" and fmt is DType.U8:
            *lead, rows, channels = held.shape
            kind = TensorType(fmt, (*lead, 2 * rows, channels // 2))
            return derive(held, partial(by_blocks, self.blocking.of(DECODED_BYTES)), kind)
        if held.dtype != fmt.numpy:
            held = derive(held, partial(_cast, fmt), TensorType(fmt, held.shape))
        return held.reshape((held.size,)) if layout == "channel" else held

    def output(self, name: str, position: int, kind: TensorType) -> Storage:
        """Return a new dense storage for an output that is a copy of a value."""
        key = (f"{name}#out{position}", "dense")
        self.used[key] = [FOREVER]
        return self._make(key, name, kind, "output")

    def copy_of(self, storage: Storage, key: Key) -> Storage:
        """Return a new storage under a key, like another."""
        return self._make(key, storage.value, TensorType(storage.dtype, storage.shape), "temporary")

    def _make(
        self, key: Key, name: str, kind: TensorType, what: str,
        held: tuple[int, int, int, bool] = (0, 0, 0, False),
    ) -> Storage:  # fmt: skip
        if key not in self.made:
            number = len(self.keys)
            self.keys.append(key)
            self.made[key] = Storage(
                name,
                kind.dtype,
                kind.shape,
                key[1],
                self.blocking,
                number,
                what,
                per_tile=held[0],
                held_rows=held[1],
                halo=held[2],
                everywhere=held[3],
            )
        return self.made[key]

    def same_bytes(self, new: Key, old: Key, offset: int = 0) -> None:
        """Make ``new`` another name for the bytes of ``old``, or for some from ``offset`` on."""
        self.alias[new] = self.root(old)
        if within := self.inside.get(old, 0) + offset:
            self.inside[new] = within
        self.value(*new)

    def put_inside(self, part: Key, whole: Key, offset: int) -> None:
        """Let a storage, and all that share its bytes, lie ``offset`` bytes within another."""
        for key in (part, *(key for key, root in self.alias.items() if root == part)):
            self.alias[key] = whole
            self.inside[key] = self.inside.get(key, 0) + offset
        self.used.setdefault(whole, []).extend(self.used.pop(part, []))

    def root(self, key: Key) -> Key:
        """Return the storage whose bytes a storage uses."""
        return self.alias.get(key, key)

    def note(self, storage: Storage, piece: int) -> None:
        """Remember that a piece uses a storage."""
        self.used.setdefault(self.root(self.keys[storage.address]), []).append(piece)


def _cast(fmt: DType, array: Array) -> Array:
    return array.astype(fmt.numpy)


def same_geometry(
    before: tuple[int, ...], layout: str, after: tuple[int, ...], new_layout: str
) -> bool:
    """Whether the elements of two shapes lie at the same bytes in their layouts."""
    if layout == "dense" or new_layout == "dense":
        return layout == new_layout
    seen = matrix_view(before, layout)
    # An image counts channel by channel, rows count row by row: one of either reads the same.
    same_order = layout == new_layout or 1 in seen[1:]
    return same_order and seen == matrix_view(after, new_layout)


def is_linear(shape: tuple[int, ...], layout: str, blocking: Blocking, size: int) -> bool:
    """Whether elements of ``size`` bytes lie one after the other, as the host has them.

    So lie a matrix of one row and full blocks, and several such without a gap between them.
    """
    if layout != "rows":
        return layout == "dense"
    batch, rows, channels = matrix_view(shape, layout)
    whole = rows == 1 and channels % blocking.of(size) == 0
    return whole and (batch == 1 or channels * size % blocking.align == 0)
