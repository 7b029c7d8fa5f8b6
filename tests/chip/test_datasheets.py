"""Datasheets: the folder and the list agree, numbers carry sources, what is unsure is a range."""

from __future__ import annotations

from pathlib import Path

import pytest

from drawloom.chip import datasheets
from drawloom.chip.asics import ASICS
from drawloom.chip.catalog import CATALOG
from drawloom.chip.datasheet import (
    COUNTS,
    FIELDS,
    ROUTES,
    Datasheet,
    datasheet_names,
    load_datasheet,
    parse_datasheet,
)
from drawloom.chip.datasheets import DATASHEETS
from drawloom.chip.gpus import GPUS
from drawloom.errors import InputError

FOLDER = Path(datasheets.__file__).parent
SHEET = """\
name: made
title: Made up
vendor: Nobody
kind: asic
route: systolic
numbers:
  peak_int8: {value: 256 TOPS, grade: B, source: a page}
  memory: {value: 16 GB, grade: C, source: another page}
  power: {value: unknown, range: [250 W, 350 W], grade: D, source: two pages}
  hour_price: {value: unknown, grade: none, source: nobody says}
"""


def test_the_folder_and_the_list_agree() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(DATASHEETS)
    others = [other for also in DATASHEETS.values() for other in also]
    assert len(set(others)) == len(others)
    assert not set(others) & set(DATASHEETS)


@pytest.mark.parametrize("name", DATASHEETS)
def test_every_number_has_a_grade_and_a_source(name: str) -> None:
    sheet = load_datasheet(name)
    assert (sheet.name, sheet.route in ROUTES) == (name, True)
    assert len(sheet.figures) > 5
    for word, figure in sheet.figures.items():
        assert figure.source, word
        assert figure.grade in ("A", "B", "C", "D", "none"), word
        if figure.kind is not None and figure.value is not None:
            assert figure.low is not None
            assert figure.high is not None
            assert figure.low <= float(figure.value) <= figure.high, word
            if figure.grade in ("C", "D") and word not in COUNTS:
                assert figure.low < figure.high, word
    assert not sheet.model or sheet.model in {*GPUS, *CATALOG, *ASICS}


def test_all_systems_that_the_field_talks_of_are_there() -> None:
    asked = """a100 h100 h20 h200 b200 mi300x l40s s4000 s5000 c500 c550 tpu_v4 tpu_v5e tpu_v5p tpu_v6e
        tpu_v7 trn1 trn2 trn3 mlu270 mlu290 mlu370_x4 mlu370_x8 mlu370_s4 k200 r200 r200_8f p800 910b
        tx81 sn40l groq wse3 n150 n300 p150 gc200"""
    assert len({load_datasheet(name).name for name in asked.split()}) == 37
    assert len(datasheet_names()) == 58


def peak(sheet: Datasheet, clock: float) -> float:
    """Return multiply-adds of all arrays as operations a second."""
    counts = [sheet.number(name) or 0 for name in ("arrays", "array_rows", "array_columns")]
    return 2 * counts[0] * counts[1] * counts[2] * clock


@pytest.mark.parametrize(
    ("name", "least", "most"),
    # The vendors of Trainium print a little more than their arrays at their clocks make.
    [("tpu_v5e", 0.99, 1.01), ("gaudi2", 0.99, 1.01), ("gaudi3", 0.99, 1.01),
     ("trainium1", 0.96, 1.0), ("trainium2", 0.94, 1.0), ("tpu_v3", 0.99, 1.01)],
)  # fmt: skip
def test_arrays_and_clock_make_the_peak(name: str, least: float, most: float) -> None:
    sheet = load_datasheet(name)
    clock, printed = sheet.number("clock"), sheet.number("peak_bf16")
    assert clock
    assert printed
    assert least <= peak(sheet, clock) / printed <= most


def test_a_number_of_grade_c_or_d_is_a_range_and_an_unknown_one_stays_unknown() -> None:
    sheet = parse_datasheet(SHEET)
    assert sheet.number("peak_int8") == 256e12
    assert sheet.figures["peak_int8"].text() == "256 TOPS"
    assert sheet.figures["memory"].text() == "14.4..17.6 GB"
    assert sheet.figures["power"].text() == "250..350 W"
    assert (sheet.number("power"), sheet.ends("power")) == (None, (250, 350))
    assert sheet.figures["hour_price"].text() == "unknown"
    assert (sheet.ends("hour_price"), sheet.ends("clock")) == (None, None)
    assert [name for name, _ in sheet.unsure()] == ["memory", "power"]
    assert [name for name, figure in sheet.figures.items() if figure.is_sure] == ["peak_int8"]


def test_all_faults_of_a_file_are_told_with_their_lines() -> None:
    text = SHEET.replace("vendor", "vender").replace("systolic", "rings").replace("16 GB", "16 GP")
    text = text.replace("peak_int8", "peak_int9").replace("grade: D", "grade: E")
    text = text.replace("[250 W, 350 W]", "[350 W, 250 W]")
    with pytest.raises(InputError) as raised:
        parse_datasheet(text, "made.yaml")
    assert raised.value.text() == (
        "error[chip.datasheet]: 7 faults in made.yaml\n"
        "  made.yaml:1: vendor missing (who makes it)\n"
        "  made.yaml:3 vender (did you mean 'vendor'?)\n"
        "  made.yaml:5 route: 'rings' (one of gpu, systolic, sram, grid)\n"
        "  made.yaml:7 numbers.peak_int9 (did you mean 'peak_int8'?)\n"
        "  made.yaml:8 numbers.memory: '16 GP' (a size such as 141 GB; units B, kB, MB, GB, TB, "
        "KiB, MiB, GiB, TiB)\n"
        "  made.yaml:9 numbers.power.grade: 'E' (one of A, B, C, D, none)\n"
        "  made.yaml:9 numbers.power.range: [350 W, 250 W] (the range must hold the value, low end "
        "first)"
    )


def test_a_system_goes_by_its_other_names_and_an_unknown_one_gets_the_nearest() -> None:
    assert load_datasheet("R200") is load_datasheet("kunlun_r200")
    with pytest.raises(InputError, match="did you mean 'mlu270'"):
        load_datasheet("mlu271")


def test_every_field_says_what_it_is() -> None:
    assert all(what for _, what in FIELDS.values())
