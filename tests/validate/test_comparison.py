"""Comparisons with measurements: figures of an error, goals, the registry, tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawloom.chip.gpu import load_gpu
from drawloom.errors import InputError
from drawloom.validate import comparisons
from drawloom.validate.comparison import Outcome, figures_of, run_comparisons
from drawloom.validate.comparisons import COMPARISONS
from drawloom.validate.comparisons.gpt3 import PASSES, parts
from drawloom.validate.tables import is_tenth, read_table


def outcome(predicted: list[float], goal: dict[str, float]) -> Outcome:
    return Outcome("x", np.array(predicted), np.ones(len(predicted)), calibrated=False, goal=goal)


def test_errors_are_shares_of_what_was_measured() -> None:
    figures = figures_of(outcome([1.0, 1.1, 0.8, 1.5], {"median": 0.15, "worst": 0.6}))
    assert figures.median == pytest.approx(0.15)
    assert figures.mean == pytest.approx(0.2)
    assert figures.p90 == pytest.approx(0.41)
    assert figures.worst == pytest.approx(0.5)
    assert (figures.count, figures.calibrated) == (4, False)


@pytest.mark.parametrize(
    ("goal", "holds"), [({"mean": 0.1}, True), ({"mean": 0.1, "worst": 0.1}, False), ({}, None)]
)
def test_a_goal_holds_when_all_its_bounds_do(goal: dict[str, float], holds: bool | None) -> None:
    assert figures_of(outcome([1.0, 1.15], goal)).holds is holds


def test_a_record_has_the_fields_that_json_promises() -> None:
    record = figures_of(outcome([1.2], {"median": 0.125})).record()
    assert list(record) == [
        "name", "median", "mean", "p90", "worst", "count", "calibrated", "goal", "holds"
    ]  # fmt: skip
    assert record["goal"] == "median <= 12.5 %"


def test_a_misspelt_comparison_gets_the_nearest() -> None:
    with pytest.raises(InputError) as error:
        run_comparisons(["gem"])
    assert str(error.value) == (
        "error[validate.names]: no such comparison\n  gem (did you mean 'gemm'?)"
    )


def test_each_module_of_the_folder_is_registered() -> None:
    folder = Path(comparisons.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(COMPARISONS)


def test_words_of_a_table_are_expanded() -> None:
    table = read_table("h200_vllm_gemm")
    assert {len(values) for values in table.values()} == {107_225}
    assert set(table["gemm_dtype"].tolist()) == {"bfloat16", "fp8", "fp8_block"}


def test_a_tenth_depends_on_the_row_alone() -> None:
    table = read_table("nccl_perf")
    names = ("op_name", "num_gpus", "message_size")
    tenth = is_tenth(table, names)
    backwards = {name: values[::-1] for name, values in table.items()}
    assert 0.05 < tenth.mean() < 0.15
    np.testing.assert_array_equal(is_tenth(backwards, names), tenth[::-1])


def test_parts_of_a_layer_are_those_that_were_measured() -> None:
    found = parts(load_gpu("a100_sxm"), PASSES["decode"])
    assert list(found) == read_table("llmcompass_a100_gpt3_layer")["part"].tolist()
    weights = 2 * 12288 * (12288 // 4)  # bytes of one of three products, at most 2,039 GB/s
    assert found["q_k_v"] > 3 * weights / 2.039e12
