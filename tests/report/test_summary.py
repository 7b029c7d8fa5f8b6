from __future__ import annotations

import sys
from types import ModuleType

import pytest
from rich.console import Console
from tests.report import hand

import drawloom
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.report.captions import caption
from drawloom.report.figures import figures
from drawloom.report.notebook import trace_html
from drawloom.report.summary import headline, summary


def printed(top: int = 10) -> str:
    console = Console(width=140, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(summary(figures(hand.trace()), top))
    return capture.get()


def test_the_summary_names_what_holds_for_every_figure() -> None:
    text = printed()
    assert "precision fp16" in text
    assert "profile lean: 50 cycles a command (grade F)" in text
    assert "grade F: assumed" in text


def test_each_headline_has_its_bound_beside_it() -> None:
    names = [name for name, _, _ in headline(figures(hand.trace()))]
    assert names == [
        "latency", "bound", "over bound", "throughput", "matrix rate", "DRAM", "NoC", "energy",
        "power",
    ]  # fmt: skip


def test_layers_are_listed_by_share_and_no_more_than_asked_for() -> None:
    text = printed(top=2)
    assert "(2 of 4)" in text
    assert "/model/conv1/<Conv> & co" in text
    assert "/model/softmax" not in text


def test_a_caption_tells_alike_commands_alike() -> None:
    found = {caption(command) for tile in range(16) for command in hand.program().commands(tile)}
    assert found == {
        "Arm flag 0",
        "Barrier of 16 tiles",
        "Cpu Softmax 1000",
        "Fill 2,048 × 0 f16",
        "Join move",
        "MatMul 128×256×128 f16",
        "Read 64.0 KiB",
        "Send 4.00 KiB to 15 tiles",
        "Vector relu 16,384 f16",
        "Wait flag 0 ≥ 1",
        "Write 32.0 KiB",
    }


def test_a_notebook_shows_the_figures_as_escaped_html() -> None:
    html = trace_html(hand.trace())
    assert "&lt;/script&gt; hand &amp; made on tx81" in html
    assert "profile lean, precision fp16" in html


def test_a_notebook_is_told_how_to_show_every_artefact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.delitem(vars(drawloom), "Graph", raising=False)
    assert drawloom.Graph is not None
    graph = GraphBuilder("tiny <g>")
    y = graph.add("Relu", [graph.input("x", TensorType(DType.F16, (4, 8)))], output="y")
    for artefact, word in (
        (graph.finish([y]), "<b>tiny &lt;g&gt;</b>"),
        (hand.trace().chip, "16 (4 × 4) at 1.00 GHz"),
        (hand.program(), "x f16[256,128]"),
        (hand.trace(), "over bound"),
    ):
        assert word in artefact._repr_html_()  # pyright: ignore[reportAttributeAccessIssue]
