"""``drawloom span``: several chips from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.plans.test_spans import mlp

from drawloom import cli
from drawloom.flow import compile
from drawloom.graph.files import write_graph
from drawloom.program.span_files import read_span

Line = Callable[..., tuple[int, str, str]]


@pytest.fixture
def line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Line:
    monkeypatch.chdir(tmp_path)
    graph, inputs = mlp()
    write_graph(graph, tmp_path / "mlp.graph")
    np.savez(tmp_path / "x.npz", **inputs)

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["drawloom", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


def test_a_span_is_compiled_run_timed_and_checked(line: Line) -> None:
    code, out, err = line("span", "compile", "mlp.graph", "--chips", 2, "-o", "mlp.span")
    assert (code, err) == (0, "")
    assert out.startswith("span 'mlp' on 2 chips of 'rex1032'\n")
    assert line("span", "run", "mlp.span", "--inputs", "x.npz", "-o", "y.npz")[0] == 0
    graph, inputs = mlp()
    one = compile(graph).run(inputs)["narrow"]
    with np.load("y.npz") as many:
        assert np.abs(many["narrow"] - one.astype(np.float64)).max() < 0.01
    code, out, _ = line("span", "time", "mlp.span", "--json")
    record = json.loads(out)
    assert code == 0
    assert all(sum(parts.values()) == record["total_ps"] for parts in record["split_ps"].values())
    assert line("span", "check", "mlp.span")[:2] == (0, "nothing found in 'mlp' on 2 chips\n")


def test_a_span_file_holds_all_of_it_and_equal_ones_are_equal(line: Line) -> None:
    words = ("span", "compile", "mlp.graph", "--chips", 2, "--dead", "chip:5,link:0-1")
    line(*words, "-o", "a.span")
    line(*words, "-o", "b.span")
    assert Path("a.span").read_bytes() == Path("b.span").read_bytes()
    span = read_span("a.span")
    assert span.system.dead_chips == {5}
    assert span.system.dead_links == {(0, 1)}
    assert 5 not in span.places


def test_what_is_no_span_is_refused(line: Line) -> None:
    Path("broken.span").write_bytes(b"PK")
    code, _, err = line("span", "time", "broken.span")
    assert code != 0
    assert err.startswith("error[span.file]: this is no span\n  broken.span: ")


def test_numbers_of_chips_that_there_are_not_are_named_together(line: Line) -> None:
    code, _, err = line("span", "time", "mlp.graph", "--chips", 0, "--stages", -1)
    assert code != 0
    assert err == (
        "error[span.spread]: no model is spread so\n  chips: 0 (1 or more)\n  stages: -1 (1 or more)\n"
    )
