"""Cuts chosen by trial: quicker, remembered, the same each time, and resumed where they stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawloom.chip.files import load_chip
from drawloom.errors import InputError
from drawloom.flow import Build, compile
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.mapping.options import MapOptions
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.tune import Bench, memory, search
from drawloom.tune.trial import Trial, trial_of


def layers(rows: int = 48) -> Graph:
    """Two products, the first with a bias and a relu behind it, and a third like the second."""
    builder = GraphBuilder("layers")
    rng = np.random.default_rng(0)
    value = builder.input("x", TensorType(DType.F16, (rows, 160)))
    for number, (k, n) in enumerate([(160, 320), (320, 320), (320, 320)]):
        w = builder.constant(
            f"w{number}", (rng.standard_normal((k, n)) / k**0.5).astype(np.float16)
        )
        value = builder.add("MatMul", (value, w))
        value = builder.add("Relu", (value,))
    return builder.finish([value])


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAWLOOM_CACHE", str(tmp_path / "cache"))
    # Fewer trials than a person gets: each takes a tenth of a second.
    monkeypatch.setattr(search, "TRIED", {2: (3, 0), 3: (5, 3)})


def tuned(effort: int = 2, seed: int = 0) -> Build:
    return compile(layers(), mapping=MapOptions(effort=effort, tune_seed=seed))


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every trial that is made from here on."""
    made: list[str] = []
    time_ps = Trial.time_ps

    def watched(self: Trial, cut: object) -> int | None:
        made.append(memory.word(cut))  # pyright: ignore[reportArgumentType]
        return time_ps(self, cut)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Trial, "time_ps", watched)
    return made


def test_a_tuned_program_is_no_slower_and_gives_the_same_values() -> None:
    plain, best = compile(layers()), tuned()
    assert best.time().total_ps <= plain.time().total_ps
    x = {"x": np.random.default_rng(1).standard_normal((48, 160)).astype(np.float16)}
    (one,), (two,) = plain.run(x).values(), best.run(x).values()
    np.testing.assert_allclose(one.astype(float), two.astype(float), rtol=2e-2, atol=2e-2)


def test_the_mapping_says_what_was_tried(timed: list[str]) -> None:
    note = tuned().mapping.notes["tuning"]
    # The third layer is the second once more.
    assert note.startswith(f"effort 2: 2 pieces cut by {len(timed)} trials, ")
    assert len(timed) >= 6


def test_no_trial_is_made_twice(timed: list[str]) -> None:
    first = tuned()
    count = len(timed)
    again = tuned()
    assert len(timed) == count
    assert mapping_text(first.mapping) == mapping_text(again.mapping)


@pytest.mark.slow
def test_more_effort_uses_what_less_found(timed: list[str]) -> None:
    tuned(2)
    few = list(timed)
    tuned(3)
    every = list(timed)
    timed.clear()
    assert len(every) > len(few)
    tuned(2)
    assert timed == []


def test_where_results_are_kept_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tuned(3, seed=5)
    monkeypatch.setenv("DRAWLOOM_CACHE", str(tmp_path / "another"))
    assert mapping_text(tuned(3, seed=5).mapping) == mapping_text(first.mapping)


@pytest.mark.slow
def test_a_seed_draws_other_ways(timed: list[str]) -> None:
    tuned(3, seed=1)
    count = len(timed)
    tuned(3, seed=2)
    assert len(timed) > count


def test_an_interrupted_search_goes_on_where_it_was(
    timed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Trial.time_ps

    def stops(self: Trial, cut: object) -> int | None:
        if len(timed) == 4:
            raise KeyboardInterrupt
        return watched(self, cut)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Trial, "time_ps", stops)
    with pytest.raises(KeyboardInterrupt):
        tuned()
    monkeypatch.setattr(Trial, "time_ps", watched)
    note = tuned().mapping.notes["tuning"]
    assert f"by {len(timed)} trials" in note


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"format": "drawloom-trials-0", "ps": {}}',
        b'{"format": "drawloom-trials-1", "ps": 3}',
        b'{"format": "drawloom-trials-1", "ps": {"x": -1}}',
        b'{"format": "drawloom-trials-1", "ps": {"x": true}}',
        b'{"format": "drawloom-trials-1", "ps": {"x": "1"}}',
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_counts_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert memory.recall(path) == {}


def test_results_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    memory.remember(path, {"a": 3, "b": None})
    assert memory.recall(path) == {"a": 3, "b": None}
    assert json.loads(path.read_text())["format"] == memory.FORMAT


def test_without_a_place_to_keep_results_tuning_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("DRAWLOOM_CACHE", str(file))
    assert tuned().mapping.notes["tuning"].startswith("effort 2")


@pytest.mark.parametrize(
    "bench",
    [
        Bench(load_chip("tx81"), "vendor", MapOptions(effort=2)),
        Bench(load_chip("tx81"), "lean", MapOptions(effort=2, multicast=False)),
        Bench(replace(load_chip("tx81"), clock=2_000_000_000), "lean", MapOptions(effort=2)),
    ],
    ids=["profile", "options", "chip"],
)
def test_results_belong_to_chip_profile_and_options(bench: Bench) -> None:
    assert not files_of(Bench(load_chip("tx81"), "lean", MapOptions(effort=2))) & files_of(bench)


def files_of(bench: Bench) -> set[str]:
    """Return the files of all trials of a graph."""
    found: set[str] = set()

    def choose(*asked: Any) -> None:
        trial = trial_of(bench, *asked)
        assert trial is not None
        found.add(memory.path_of(trial).name)

    map_graph(layers(), bench.chip, bench.options, choose)
    assert len(found) == 2
    return found


def test_little_effort_makes_no_longer_programs() -> None:
    least, usual = (compile(layers(500), mapping=MapOptions(effort=e)) for e in (0, 1))
    lengths = [sum(1 for _ in b.program.commands(0)) for b in (least, usual)]
    assert lengths[0] <= lengths[1]


def test_refuses_an_effort_that_there_is_not() -> None:
    with pytest.raises(InputError) as caught:
        MapOptions(effort=4, tune_seed=-1)
    assert caught.value.kind == "mapping.options"
    assert [fault.path for fault in caught.value.faults] == ["effort", "tune_seed"]


def test_progress_says_how_near_the_bound_it_is() -> None:
    said: list[str] = []
    compile(layers(), mapping=MapOptions(effort=2), step=said.append)
    assert [s for s in said if s.startswith("tune: piece 2, ") and "times the bound" in s]
