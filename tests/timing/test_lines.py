"""One line of each side tells what all messages of a system tell."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from drawloom.chip.system import Level, System
from drawloom.chip.topology import topology
from drawloom.mapping.collectives import ALGORITHMS
from drawloom.timing.fabric import FabricClock
from drawloom.timing.lines import LineClock
from drawloom.units import MIB, Picoseconds

HOP, SEAM = Picoseconds(553_000), Picoseconds(2_000_000)


def level(shape: str, *sizes: int, **more: object) -> Level:
    return replace(Level(shape, sizes, 25 * 10**9, HOP), **more)  # pyright: ignore[reportArgumentType]


def system(*levels: Level) -> System:
    return System("s", "s", "tx81", levels, Picoseconds(1_500_000))


SYSTEMS = {
    "mesh": system(level("mesh", 4, 5)),
    "mesh_of_servers": system(level("mesh", 8, 6, blocks=(4, 2), seam=SEAM)),
    "torus": system(level("torus", 3, 2, 4)),
    "torus_of_servers": system(level("torus", 4, 4, blocks=(2, 4), seam=SEAM)),
    "ring": system(level("torus", 7)),
    "full": system(level("full", 5)),
    "switch": system(level("switch", 8)),
    "switch_of_six": system(level("switch", 6)),
    "fat_tree": system(level("switch", 16, leaf=4, trunk=40 * 10**9)),
    "servers": system(level("mesh", 2, 4), level("switch", 8, leaf=2, trunk=10**10)),
}
KINDS = [
    ("all_reduce", "dimensions"), ("all_reduce", "turns"), ("reduce_scatter", "dimensions"),
    ("all_gather", "dimensions"),
]  # fmt: skip


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("cut_through", [True, False])
def test_a_line_of_each_side_takes_as_long_as_all_messages(name: str, cut_through: bool) -> None:
    made = replace(SYSTEMS[name], cut_through=cut_through)
    fabric, lines = topology(made), LineClock(made)
    clock = FabricClock(fabric)
    compared = 0
    for kind, schedule in KINDS:
        whole = ALGORITHMS[kind].get(schedule, lambda _: None)(fabric)
        if whole is None:
            continue
        for size, splits in ((1, 0), (1000, 3), (16 * MIB + 8, 0), (16 * MIB, 8)):
            one = lines.price(kind, schedule, size, splits)
            all_of_it = clock.price(whole, size, splits or None)
            assert one.splits == all_of_it.splits
            assert abs(one.ps - all_of_it.ps) <= 2e-6 * all_of_it.ps
            assert one.busiest == int(all_of_it.link_bytes.max())
            compared += 1
    assert compared >= 12


def test_lines_are_priced_without_numpy() -> None:
    code = "import sys, drawloom.timing.lines; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_lines_are_refused_where_something_is_dead() -> None:
    with pytest.raises(AssertionError, match="dead"):
        LineClock(replace(SYSTEMS["mesh"], dead_chips=frozenset({3})))
