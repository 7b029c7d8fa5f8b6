"""Systems: files with sources, links laid as the shape says, ways around what is dead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drawloom.chip.files import load_chip
from drawloom.chip.system import System
from drawloom.chip.system_files import load_system, parse_system
from drawloom.chip.systems import SYSTEMS
from drawloom.chip.topology import topology
from drawloom.errors import InputError

FOLDER = Path(load_system.__code__.co_filename).parent / "systems"


def made(levels: str) -> System:
    return parse_system(
        f"name: made\ntitle: made\nchip: tx81\nlevels: [{levels}]\n"
        "overhead: 1 us\nswitching: cut-through\n"
    )


def test_every_file_is_in_the_table_and_every_number_has_a_source() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(SYSTEMS)
    for name in SYSTEMS:
        system = load_system(name)
        assert system.name == name
        assert system.sources
        assert not [s.text for s in system.sources.values() if s.text.startswith("user file")]


@pytest.mark.parametrize(
    ("level", "links"),
    [
        ("{shape: mesh, sizes: [4, 8], rate: 1 GB/s, latency: 1 ns}", 104),
        ("{shape: torus, sizes: [4, 8], rate: 1 GB/s, latency: 1 ns}", 128),
        ("{shape: torus, sizes: [2], rate: 1 GB/s, latency: 1 ns}", 2),
        ("{shape: full, sizes: [5], rate: 1 GB/s, latency: 1 ns}", 20),
        ("{shape: switch, sizes: [5], rate: 1 GB/s, latency: 1 ns}", 10),
        (
            "{shape: switch, sizes: [6], rate: 1 GB/s, latency: 1 ns, leaf: 2, trunk: 2 GB/s}",
            18,
        ),
    ],
)
def test_links_are_those_of_the_shape(level: str, links: int) -> None:
    assert len(topology(made(level)).links.rate) == links


def test_a_way_goes_side_by_side_and_around_a_dead_chip() -> None:
    system = load_system("rex1032")
    ends = np.array([0]), np.array([7])
    straight = topology(system).routes(*ends)
    assert straight.hops.tolist() == [7]
    around = topology(replace(system, dead_chips=frozenset({3}))).routes(*ends)
    assert around.hops.tolist() == [9]
    assert around.latency.tolist() == [9 * 553_000]


def test_a_ring_is_gone_round_the_shorter_way() -> None:
    ring = topology(made("{shape: torus, sizes: [7], rate: 1 GB/s, latency: 1 ns}"))
    assert ring.routes(np.zeros(7, np.int64), np.arange(7)).hops.tolist() == [0, 1, 2, 3, 3, 2, 1]


def test_a_hop_between_servers_has_a_delay_of_its_own() -> None:
    hall = topology(load_system("tx81_hall"))
    ways = hall.routes(np.array([0, 0, 0]), np.array([7, 8, 4 * 32]))
    assert ways.latency.tolist() == [
        7 * 553_000,
        7 * 553_000 + 1_417_000,
        3 * 553_000 + 1_417_000,
    ]


def test_what_is_cut_off_has_no_way() -> None:
    alone = replace(load_system("rex1032"), dead_chips=frozenset({1, 8}))
    with pytest.raises(InputError, match="no way from chip 0 to chip 31 of system 'rex1032'"):
        topology(alone).routes(np.array([0]), np.array([31]))


def test_a_dead_link_must_exist() -> None:
    with pytest.raises(InputError) as error:
        topology(replace(load_system("rex1032"), dead_links=frozenset({(0, 2), (0, 1)})))
    assert str(error.value) == (
        "error[chip.link]: system 'rex1032' has no such links\n"
        "  link 0-2 (two chips that a link joins)"
    )


def test_a_file_is_told_all_its_faults() -> None:
    text = (
        "name: x\ntitle: y\nchip: tx81\nlevels:\n"
        "  - {shape: mush, sizes: [4, 4], rate: 25 GBs, latency: 5 ns}\n"
        "  - {shape: full, sizes: [4, 4], rate: 1 GB/s, latency: 5 ns}\noverhead: 4\nswitchng: z\n"
    )
    with pytest.raises(InputError) as error:
        parse_system(text, "pod.yaml")
    assert str(error.value) == (
        "error[chip.system]: 6 faults in pod.yaml\n"
        "  pod.yaml:1: switching missing\n"
        "  pod.yaml:5 levels.shape: 'mush' (one of mesh, torus, full, switch)\n"
        "  pod.yaml:5 levels.rate: '25 GBs' (a rate such as 155.8 GB/s; units B/s, kB/s, MB/s, GB/s,"
        " TB/s, KiB/s, MiB/s, GiB/s, TiB/s)\n"
        "  pod.yaml:6 levels (a full has at most 1 sizes)\n"
        "  pod.yaml:7 overhead: '4' (a time such as 18 us; units ps, ns, us, ms, s)\n"
        "  pod.yaml:8 switchng (did you mean 'switching'?)"
    )


def test_an_unknown_system_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as error:
        load_system("rex1023")
    assert str(error.value) == (
        "error[chip.system]: there is no system 'rex1023'\n"
        "  rex1023 (did you mean 'rex1032'?; or the path of a system file)"
    )


def test_the_system_of_the_page_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "fabric.md").read_text(encoding="utf-8")
    system = parse_system(page.split("```yaml\n")[1].split("```")[0])
    assert (system.n_places, len(topology(system).links.rate)) == (64, 4 * 48 + 2 * 64)


@pytest.mark.parametrize(
    ("level", "says"),
    [
        (
            "{shape: torus, sizes: [8], pitch_mm: 26, layers: 1",
            "links of 52 mm: on a wafer at most 50",
        ),
        (
            "{shape: full, sizes: [4], pitch_mm: 20, layers: 1",
            "links of 60 mm: on a wafer at most 50",
        ),
        ("{shape: mesh, sizes: [8], pitch_mm: 26, layers: 4", "4 layers of wiring: at most 3"),
        (
            "{shape: mesh, sizes: [8], pitch_mm: 26",
            "pitch_mm and layers stand together, on a wafer",
        ),
    ],
)
def test_a_wafer_holds_short_links_in_few_layers(level: str, says: str) -> None:
    text = (
        "name: w\ntitle: w\nchip: wafer_die\noverhead: 1 us\nswitching: cut-through\n"
        f"levels: [{level}, rate: 1 GB/s, latency: 1 ns}}]\n"
    )
    with pytest.raises(InputError) as error:
        parse_system(text)
    assert says in str(error.value)


def test_what_does_not_exist_says_so() -> None:
    assert load_system("wafer_64").title.startswith("HYPOTHETICAL")
    assert load_chip("wafer_die").title.startswith("HYPOTHETICAL")
    assert load_chip("stacked_die").title.startswith("HYPOTHETICAL")
