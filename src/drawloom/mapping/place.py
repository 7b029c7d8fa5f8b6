"""The end of a mapping: addresses for all storages, and the pieces with them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from drawloom.mapping.dram import Need, allocate
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.site import Site, storages_in
from drawloom.mapping.storage import Storage
from drawloom.mapping.store import FOREVER, Key


def place(site: Site) -> Mapping:
    """Return the finished mapping.

    Raises:
        DoesNotFit: the chip's memory is too small.
    """
    store = site.store
    needs: list[Need] = []
    keys: list[Key] = []
    for key, storage in store.made.items():
        if key in store.alias or storage.kind == "resident":
            continue
        used = store.used.get(key)
        constant = storage.kind in ("constant", "input")
        if not used and not constant and storage.kind != "output":
            continue  # asked for and never used
        first, last = (-1, FOREVER) if constant or not used else (min(used), max(used))
        needs.append(Need(str(len(keys)), storage.bytes, first, last))
        keys.append(key)
    placed, total = allocate(needs, site.chip)
    addresses = {keys[int(number)]: address for number, address in placed.items()}
    addresses |= {
        key: site.residency.address[key[0]]
        for key, storage in store.made.items()
        if storage.kind == "resident"
    }
    table = {
        storage.address: replace(storage, address=addresses[store.root(key)])
        for key, storage in store.made.items()
        if store.root(key) in addresses
    }
    return Mapping(
        graph=site.graph,
        chip=site.chip,
        pieces=tuple(_placed(piece, table) for piece in site.pieces),
        storages=_in_order(list(table.values()), site.results),
        constants={addresses[key]: array for key, array in store.constants.items()},
        dram_bytes=total,
        notes={"chip": site.chip.name},
    )


def _in_order(storages: list[Storage], results: list[str]) -> tuple[Storage, ...]:
    """Return the storages with the outputs last, in the order the model gives them."""
    outputs = {s.value: s for s in storages if s.kind == "output"}
    rest = [s for s in storages if s.kind != "output"]
    return (*rest, *(outputs[name] for name in results))


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
