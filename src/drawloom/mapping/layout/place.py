"""The end of a mapping: addresses for all storages, and the pieces with them.

Caches come first, in the order of their names: all programs of a model find them at the same
addresses, whichever of them brings or makes them.

What differs by repetition lies side by side, one repetition's a step behind the one before. Of
a carried value there is one more than repetitions: each reads what the one before it made.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from drawloom.graph.lazy import Held
from drawloom.mapping.layout.dram import Need, allocate, grain
from drawloom.mapping.layout.site import Site, storages_in
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.layout.store import FOREVER, Key
from drawloom.mapping.mapping import Mapping
from drawloom.units import align_up


def place(site: Site) -> Mapping:
    """Return the finished mapping.

    Raises:
        DoesNotFit: the chip's memory is too small.
    """
    table, total = _Placing(site).run()
    storages: list[Storage] = []
    constants: dict[int, Held] = {}
    for key, storage in table.items():
        dtype, names = storage.dtype, site.twins.get(storage.value, (storage.value,))
        for i, name in enumerate(names if storage.step else names[:1]):
            one = replace(storage, value=name, address=storage.address + i * storage.step)
            storages.append(one if i == 0 else replace(one, step=0))
            if storage.kind == "constant":
                same = i == 0
                constants[one.address] = (
                    site.store.constants[key] if same else site.store.contents(name, key[1], dtype)
                )
    by_number = {site.store.made[key].address: storage for key, storage in table.items()}
    return Mapping(
        graph=site.graph,
        chip=site.chip,
        pieces=tuple(_placed(piece, by_number) for piece in site.pieces),
        storages=_in_order(storages, site),
        constants=constants,
        dram_bytes=total,
        repeats=tuple(site.repeats),
        notes={"chip": site.chip.name},
    )


@dataclass(slots=True)
class _Block:
    """Storages that are given addresses together: each lies ``offset`` bytes from the first."""

    bytes: int
    used: list[int]
    members: list[tuple[Key, int, int]]  # storage, offset, step
    always: bool = False
    rank: str = ""  # of caches: their place among all caches


@dataclass(slots=True)
class _Placing:
    site: Site
    blocks: list[_Block] = field(default_factory=list[_Block])

    def run(self) -> tuple[dict[Key, Storage], int]:
        """Return every storage with its address, and the bytes of DRAM in use."""
        store = self.site.store
        self._handed()
        self._caches()
        done = {key for block in self.blocks for key, _, _ in block.members}
        for key, storage in store.made.items():
            if key not in done and key not in store.alias and storage.kind != "resident":
                self._plain(key, storage)
        needs = [self._need(str(i), block) for i, block in enumerate(self.blocks)]
        placed, total = allocate(needs, self.site.chip)
        where = {
            key: (placed[str(i)] + offset, step)
            for i, block in enumerate(self.blocks)
            for key, offset, step in block.members
        }
        where |= {
            key: (self.site.residency.address[key[0]], 0)
            for key, storage in store.made.items()
            if storage.kind == "resident"
        }
        return {
            key: replace(
                storage,
                address=where[root][0] + store.inside.get(key, 0),
                step=where[root][1],
            )
            for key, storage in store.made.items()
            if (root := store.root(key)) in where
        }, total

    def _handed(self) -> None:
        """One block for each carried value: a place more than there are repetitions."""
        store = self.site.store
        for each in store.handed:
            step = self._step(store.made[each.enter])
            count = self._count(each.made)
            keys = (each.enter, 0, step), (each.made, step, step), (each.leave, count * step, 0)
            used = [
                at for key in (each.enter, each.made, each.leave) for at in store.used.get(key, ())
            ]
            self.blocks.append(
                _Block((count + 1) * step, used, [(k, o, s) for k, o, s in keys if k in store.made])
            )

    def _caches(self) -> None:
        """Lay caches out layer by layer, whether or not layers are folded."""
        store, groups = self.site.store, dict[tuple[str, ...], list[tuple[str, Key]]]()
        for key, storage in store.made.items():
            layer, part = _cache(storage)
            if layer and key not in store.alias:
                names = self.site.twins.get(storage.value, (storage.value,))
                layers = tuple(_cache(replace(storage, value=name))[0] for name in names)
                groups.setdefault(layers, []).append((part, key))
        for layers, found in groups.items():
            members: list[tuple[Key, int]] = []
            size = 0
            for _, key in sorted(found):
                members.append((key, size))
                size += self._step(store.made[key])
            step = size if len(layers) > 1 else 0
            placed = [(key, offset, step) for key, offset in members]
            self.blocks.append(_Block(size * len(layers), [], placed, True, min(layers)))

    def _plain(self, key: Key, storage: Storage) -> None:
        used = self.site.store.used.get(key, [])
        always = storage.kind in ("constant", "input")
        if not used and not always and storage.kind != "output":
            return  # asked for and never used
        count = len(self.site.twins.get(storage.value, ())) if storage.kind != "temporary" else 0
        step = self._step(storage) if count else 0
        bytes_ = count * step or storage.bytes
        self.blocks.append(_Block(bytes_, used, [(key, 0, step)], always or not used))

    def _step(self, storage: Storage) -> int:
        return align_up(max(1, storage.bytes), grain(self.site.chip))

    def _count(self, made: Key) -> int:
        """How often the fold runs that makes a carried value."""
        used = self.site.store.used[made]
        return next(r.count for r in self.site.repeats if any(r.first <= at < r.end for at in used))

    def _need(self, key: str, block: _Block) -> Need:
        if block.always:
            return Need(key, block.bytes, -1, FOREVER, block.rank)
        used = [*block.used]
        for repeat in self.site.repeats:
            inside = any(repeat.first <= at < repeat.end for at in block.used)
            if inside and any(step for _, _, step in block.members):
                used.append(repeat.first)  # no later turn may write over what a turn leaves here
            if inside and min(block.used) < repeat.first:
                used.append(repeat.end - 1)  # the last turn reads it, too
        return Need(key, block.bytes, min(used), max(used))


def _cache(storage: Storage) -> tuple[str, str]:
    """Return the layer and the part of a cache as a program brings or makes it; of others nothing."""
    way, _, name = storage.value.partition(".")
    if (storage.kind, way) not in (("input", "past"), ("output", "present")):
        return "", ""
    layer, _, part = name.partition(".")
    return layer.rjust(8, "0"), part


def _in_order(storages: list[Storage], site: Site) -> tuple[Storage, ...]:
    """Return the storages: inputs first and outputs last, in the order the model gives them."""
    inputs = {s.value: s for s in storages if s.kind == "input"}
    outputs = {s.value: s for s in storages if s.kind == "output"}
    rest = [s for s in storages if s.kind not in ("input", "output")]
    return (*(inputs[n] for n in site.inputs), *rest, *(outputs[n] for n in site.results))


def _placed(item: Any, table: dict[int, Storage]) -> Any:
    """Return a piece with every storage replaced by its placed twin."""
    if isinstance(item, Storage):
        return table[item.address]
    if isinstance(item, dict):
        return {key: _placed(value, table) for key, value in item.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(item, tuple):
        return tuple(_placed(value, table) for value in item)  # pyright: ignore[reportUnknownVariableType]
    if is_dataclass(item) and not isinstance(item, type) and storages_in(item):
        return replace(
            item, **{f.name: _placed(getattr(item, f.name), table) for f in fields(item)}
        )
    return item
