"""Chips of systolic arrays as data: the folder and the list agree, peaks close, faults are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from drawloom.chip import asics
from drawloom.chip.asics import ASICS
from drawloom.chip.systolic import load_systolic, parse_systolic
from drawloom.errors import InputError

FOLDER = Path(asics.__file__).parent


def test_the_folder_and_the_list_agree() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(ASICS)


@pytest.mark.parametrize("name", ASICS)
def test_every_number_has_a_source_and_a_grade(name: str) -> None:
    chip = load_systolic(name)
    assert (chip.name, chip.title) == (name, ASICS[name])
    assert len(chip.sources) == 12 + len(chip.cell_macs)
    assert all(each.text and each.grade in "ABCDEF" for each in chip.sources.values())


@pytest.mark.parametrize(
    ("name", "bf16", "i8"), [("tpu_v4", 275, 275), ("tpu_v5e", 197, 393), ("tpu_v6e", 918, 1836)]
)
def test_the_peaks_are_those_of_the_vendor(name: str, bf16: float, i8: float) -> None:
    chip = load_systolic(name)
    found = [2 * chip.peak(word) / 1e12 for word in ("bf16", "i8")]
    assert found == pytest.approx([bf16, i8], rel=0.005)


def test_all_faults_of_a_file_are_told() -> None:
    text = (FOLDER / "tpu_v4.yaml").read_text()
    text = text.replace("value: 8,", "value: many,").replace("\nsram:", "\nsrams:")
    text = text.replace("dataflow: weight", "dataflow: weigth")
    with pytest.raises(InputError) as error:
        parse_systolic(text, "mine.yaml")
    assert str(error.value).splitlines() == [
        "error[chip.systolic]: 4 faults in mine.yaml",
        "  arrays: many (a whole number such as 16, without a unit)",
        "  sram (an entry with value, grade and source)",
        "  dataflow: weigth (did you mean 'weight'?)",
        "  srams (did you mean 'sram'?)",
    ]


def test_an_unknown_chip_and_format_get_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'tpu_v5e'"):
        load_systolic("tpuv5e")
    with pytest.raises(InputError) as error:
        load_systolic("tpu_v4").peak("tf32")
    assert str(error.value) == (
        "error[chip.systolic]: 'tpu_v4' does not multiply this format\n"
        "  tf32 (one of bf16, f16, i8)"
    )
