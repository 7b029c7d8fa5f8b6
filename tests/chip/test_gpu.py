"""GPUs as data: the folder and the list agree, peaks close, faults are told together."""

from __future__ import annotations

from pathlib import Path

import pytest

from drawloom.chip import gpus
from drawloom.chip.gpu import load_gpu, parse_gpu
from drawloom.chip.gpus import GPUS
from drawloom.errors import InputError

FOLDER = Path(gpus.__file__).parent


def test_the_folder_and_the_list_agree() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(GPUS)


@pytest.mark.parametrize("name", GPUS)
def test_every_number_has_a_source_and_a_grade(name: str) -> None:
    gpu = load_gpu(name)
    assert (gpu.name, gpu.title) == (name, (FOLDER / f"{name}.yaml").read_text().split(":")[0][2:])
    assert len(gpu.sources) == 15 + len(gpu.macs_per_cycle)
    assert all(each.text and each.grade in "ABCDEF" for each in gpu.sources.values())


def test_the_a100_reaches_312_tflops() -> None:
    assert 2 * load_gpu("a100_sxm").peak("f16") == pytest.approx(312e12, rel=0.001)


def test_an_unknown_gpu_gets_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'h200_sxm'"):
        load_gpu("h200sxm")


def test_all_faults_of_a_file_are_told() -> None:
    text = (FOLDER / "a100_sxm.yaml").read_text()
    text = text.replace("value: 108,", "value: many,").replace("\nscratchpad:", "\nscratchpads:")
    with pytest.raises(InputError) as error:
        parse_gpu(text, "mine.yaml")
    assert str(error.value).splitlines() == [
        "error[chip.gpu]: 3 faults in mine.yaml",
        "  sms: many (a whole number such as 16, without a unit)",
        "  scratchpad (an entry with value, grade and source)",
        "  scratchpads (did you mean 'scratchpad'?)",
    ]


def test_a_format_that_a_gpu_lacks_is_told() -> None:
    with pytest.raises(InputError) as error:
        load_gpu("a100_sxm").peak("f8")
    assert str(error.value) == (
        "error[chip.gpu]: 'a100_sxm' does not multiply this format\n  f8 (one of bf16, f16, i8, tf32)"
    )
