"""Chips that keep weights in SRAM as data: the folder and the list agree, peaks close, faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from drawloom.chip import residents
from drawloom.chip.resident import load_resident, parse_resident
from drawloom.chip.residents import RESIDENTS
from drawloom.errors import InputError

FOLDER = Path(residents.__file__).parent


def test_the_folder_and_the_list_agree() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(RESIDENTS)


@pytest.mark.parametrize("name", RESIDENTS)
def test_every_number_has_a_source_and_a_grade(name: str) -> None:
    chip = load_resident(name)
    assert (chip.name, chip.title) == (name, RESIDENTS[name])
    assert len(chip.sources) == 12 + len(chip.macs_per_cycle)
    assert all(each.text and each.grade in "ABCDEF" for each in chip.sources.values())


def test_peaks_are_those_of_the_vendors() -> None:
    groq, wafer = load_resident("groq_lpu_v1"), load_resident("wse3")
    assert 2 * groq.peak("i8") == pytest.approx(737e12, rel=0.001)
    assert 2 * groq.peak("f16") == pytest.approx(188e12, rel=0.03)
    assert 2 * wafer.peak("f16") == pytest.approx(15.8e15, rel=0.01)
    assert groq.link_delay == pytest.approx(700e-9)


def test_all_faults_of_a_file_are_told() -> None:
    text = (FOLDER / "wse3.yaml").read_text().replace("value: 950 cycles", "value: far")
    with pytest.raises(InputError) as error:
        parse_resident(text.replace("\nsram:", "\nsrams:"), "mine.yaml")
    assert str(error.value).splitlines() == [
        "error[chip.resident]: 3 faults in mine.yaml",
        "  sram (an entry with value, grade and source)",
        "  crossing: far (a number of cycles such as 46 cycles)",
        "  srams (did you mean 'sram'?)",
    ]


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'wse3'"):
        load_resident("wse2")
    with pytest.raises(InputError, match="'wse3' does not multiply this format"):
        load_resident("wse3").peak("i8")
