"""Networks of other chips as data: the folder and the list agree, faults are told together."""

from __future__ import annotations

from pathlib import Path

import pytest

from drawloom.chip import nocs
from drawloom.chip.noc import load_noc, parse_noc
from drawloom.chip.nocs import NOCS
from drawloom.errors import InputError

FOLDER = Path(nocs.__file__).parent


def test_the_folder_and_the_list_agree() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(NOCS)


@pytest.mark.parametrize("name", NOCS)
def test_every_number_has_a_source_and_a_grade(name: str) -> None:
    noc = load_noc(name)
    assert (noc.name, noc.title) == (name, NOCS[name])
    assert len(noc.sources) == 13
    assert all(each.text and each.grade in "ABCDEF" for each in noc.sources.values())


def test_wormhole_has_eighteen_tiles_with_dram() -> None:
    assert len(load_noc("wormhole").memory_tiles) == 18


def test_all_faults_of_a_file_are_told() -> None:
    text = (FOLDER / "wormhole.yaml").read_text().replace("value: 10,", "value: ten,")
    text = text.replace("0,0 0,1", "0,12 left").replace("\nhop:", "\nhops:")
    with pytest.raises(InputError) as error:
        parse_noc(text, "mine.yaml")
    assert [line.split(" (")[0] for line in str(error.value).splitlines()] == [
        "error[chip.noc]: 5 faults in mine.yaml",
        "  columns: ten",
        "  hop",
        "  memory_tiles: 0,12",
        "  memory_tiles: left",
        "  hops",
    ]


def test_an_unknown_network_gets_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'wormhole'"):
        load_noc("wormhole_b0")
