"""The storages of a mapping while it is planned: which copies of which values exist, and when they are used."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from drawloom.chip.model import Blocking
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Graph
from drawloom.mapping.storage import Storage, matrix_view

FOREVER = 1 << 30
Key = tuple[str, str]  # value, layout


@dataclass(slots=True)
class Store:
    """Storages by (value, layout); ``alias`` names storages that share another's bytes."""

    graph: Graph
    blocking: Blocking
    made: dict[Key, Storage] = field(default_factory=dict[Key, Storage])
    alias: dict[Key, Key] = field(default_factory=dict[Key, Key])
    constants: dict[Key, Array] = field(default_factory=dict[Key, Array])
    used: dict[Key, list[int]] = field(default_factory=dict[Key, list[int]])

    def value(
        self, name: str, layout: str, *, kind: str = "temporary", known_as: str = ""
    ) -> Storage:
        """Return the storage of a graph value in a layout, making it when it is new."""
        key = (name, layout)
        if key not in self.made:
            kind_of = self.graph.types[name]
            self.made[key] = Storage(
                known_as or name,
                kind_of.dtype,
                kind_of.shape,
                layout,
                self.blocking,
                _number(self.made),
                kind,
            )
        return self.made[key]

    def constant(self, name: str, layout: str, fmt: DType) -> Storage:
        """Return a constant's storage in a layout and format."""
        key = (f"{name}@{fmt.value}", layout)
        if key not in self.made:
            array = self.graph.constants[name]
            if array.dtype != fmt.numpy:
                array = array.astype(fmt.numpy)
            shape = (array.size,) if layout == "channel" else array.shape
            self.made[key] = Storage(
                name, fmt, shape, layout, self.blocking, _number(self.made), "constant"
            )
            self.constants[key] = array.reshape(shape)
        return self.made[key]

    def same_bytes(self, new: Key, old: Key) -> None:
        """Make ``new`` another name for the bytes of ``old``."""
        self.alias[new] = self.root(old)
        self.value(*new)

    def root(self, key: Key) -> Key:
        """Return the storage whose bytes a storage uses."""
        return self.alias.get(key, key)

    def note(self, storage: Storage, piece: int) -> None:
        """Remember that a piece uses a storage."""
        self.used.setdefault(self.root(self.key_of(storage)), []).append(piece)

    def key_of(self, storage: Storage) -> Key:
        """Return the key of a storage made here."""
        return self._keys()[storage.address]

    def _keys(self) -> list[Key]:
        return list(self.made)

    def by_number(self, addresses: dict[Key, int]) -> dict[int, Storage]:
        """Return the placed storages by the number they had while planning."""
        return {
            storage.address: replace(storage, address=addresses[self.root(key)])
            for key, storage in self.made.items()
        }

    def array(self, key: Key) -> Array:
        """Return the initial contents of a constant storage."""
        return np.asarray(self.constants[key])


def _number(made: dict[Key, Storage]) -> int:
    """While a mapping is planned, a storage's address is its number."""
    return len(made)


def same_geometry(a: tuple[int, ...], b: tuple[int, ...], layout: str) -> bool:
    """Whether two shapes have the same bytes in a layout."""
    if layout == "dense":
        return True
    return matrix_view(a, layout) == matrix_view(b, layout)
