"""Which mesh so many cards with chips of tiles are."""

from __future__ import annotations

import pytest

from drawloom.compare.grid import fabric_of
from drawloom.compare.machine import parse_machine
from drawloom.compare.passes import Lacking


@pytest.mark.parametrize(
    ("machine", "name", "chip", "sizes"),
    [
        ("tx81", "rex1032.1", "tx81", (1, 1)),
        ("tx81x32", "rex1032", "tx81", (4, 8)),
        ("tx81x1024", "tx81_hall", "tx81", (32, 32)),
        ("tt_n150", "n300_t3000.1", "tt_wormhole", (1, 1)),
        ("tt_n300", "n300_t3000.2", "tt_wormhole", (1, 2)),
        ("tt_n300x4", "n300_t3000", "tt_wormhole", (2, 4)),
        ("tt_n300x8", "wormhole_32.16", "tt_wormhole", (4, 4)),
        ("tt_p150", "p150_8.1", "tt_blackhole", (1, 1)),
        ("tt_p150x8", "p150_8", "tt_blackhole", (2, 4)),
        ("tt_n300x16", "wormhole_32", "tt_wormhole", (4, 8)),
    ],
)
def test_cards_are_a_block_of_the_smallest_system_that_holds_them(
    machine: str, name: str, chip: str, sizes: tuple[int, ...]
) -> None:
    system = fabric_of(parse_machine(machine))
    assert (system.name, system.chip, system.levels[0].sizes) == (name, chip, sizes)


def test_a_number_that_is_no_mesh_is_refused_with_those_that_are() -> None:
    with pytest.raises(Lacking, match=r"no mesh of 3 such chips: 1, 2, 4, 8, 16, 32$"):
        fabric_of(parse_machine("tt_n150x3"))
