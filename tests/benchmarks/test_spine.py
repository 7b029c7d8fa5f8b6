"""The machinery of the benchmark scripts; what they measure is not tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.measures.table import JSON_KEYS, Figure, at_least, at_most, main, measure, shown

from benchmarks import spine

ROOT = Path(__file__).parents[2]


def first() -> Iterator[Figure]:
    yield at_most("first.quick", 2.0, "s", 3)
    yield at_least("first.rate", 1e6, "events/s", 2e6, note="short by half")


def second() -> Iterator[Figure]:
    yield Figure("second", 7, "us")


def never() -> Iterator[Figure]:
    raise AssertionError("measured without being asked for")


GROUPS = {"first": first, "second": second}


def test_json_is_a_list_of_figures_with_their_goals(capsys: pytest.CaptureFixture[str]) -> None:
    main("made up", GROUPS, ["--json"])
    assert json.loads(capsys.readouterr().out) == [
        {"name": "first.quick", "value": 2.0, "unit": "s", "goal": "<= 3", "holds": True},
        {
            "name": "first.rate",
            "value": 1e6,
            "unit": "events/s",
            "goal": ">= 2e+06",
            "holds": False,
        },
        {"name": "second", "value": 7, "unit": "us", "goal": None, "holds": None},
    ]


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("first", ["first.quick", "first.rate"]),
        ("first.rate", ["first.rate"]),
        ("second", ["second"]),
    ],
)
def test_only_measures_the_group_that_is_asked_for(only: str, names: list[str]) -> None:
    others = {name: never for name in GROUPS if not only.startswith(name)}
    assert [figure.name for figure in measure(GROUPS | others, only)] == names


def test_an_unknown_figure_gets_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main("made up", GROUPS, ["--only", "frist"])
    assert "no figure 'frist': did you mean 'first'" in capsys.readouterr().err


def test_an_unknown_figure_of_a_known_group_gets_the_nearest_names() -> None:
    with pytest.raises(KeyError, match=r"no figure 'first\.quik': did you mean 'first\.quick'"):
        measure(GROUPS, "first.quik")


def test_the_table_shows_goals_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    main("made up", GROUPS, [])
    out = capsys.readouterr().out
    assert "made up" in out
    assert "cores" in out
    assert "first.rate: short by half" in out


@pytest.mark.parametrize(
    ("value", "text"), [(10, "10"), (1.2345678, "1.235"), (2480.4, "2,480"), (1e6 / 7, "142,857")]
)
def test_values_are_shown_with_the_digits_that_mean_something(value: float, text: str) -> None:
    assert shown(value) == text


@pytest.mark.slow
def test_every_group_of_the_spine_is_named_as_its_figures_begin() -> None:
    for name in ("board", "matmul-512x512x512"):
        figures = list(spine.GROUPS[name]())
        assert figures
        assert all(figure.name.startswith(f"{name}.") for figure in figures)


def test_the_spine_runs_as_a_script() -> None:
    said = subprocess.run(
        [sys.executable, "benchmarks/spine.py", "--json", "--only", "board.add_4k"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    (figure,) = json.loads(said.stdout)
    assert tuple(figure) == JSON_KEYS
    assert figure["name"] == "board.add_4k"
    assert figure["holds"] is True
