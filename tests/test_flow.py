"""The whole tool, from a model to its values, times and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import drawloom
from drawloom.chip.files import load_chip
from drawloom.errors import InputError
from drawloom.flow import STEPS, Build
from drawloom.graph.evaluate import evaluate
from drawloom.graph.text import text as graph_text
from drawloom.program.text import text as program_text

RNG = np.random.default_rng(7)
WEIGHTS = RNG.standard_normal((24, 10)).astype(np.float32)
X = {"x": RNG.standard_normal((3, 24)).astype(np.float32)}


def model() -> onnx.ModelProto:
    """relu(x @ w) with a batch of any size."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"], name="/fc/MatMul"),
            helper.make_node("Relu", ["xw"], ["y"], name="/act/Relu"),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture(scope="module")
def build() -> Build:
    return drawloom.compile(model(), "tx81", dims={"batch": 3})


def test_a_model_runs_to_the_values_that_its_graph_means(build: Build) -> None:
    wanted = evaluate(build.graph, X)["y"]
    found = build.run(X)["y"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found, np.maximum(X["x"] @ WEIGHTS, 0), rtol=2e-2, atol=2e-2)


def test_a_model_may_be_a_path_bytes_a_message_or_a_graph(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(model().SerializeToString())
    wanted = program_text(build.program)
    for given in (str(path), path, path.read_bytes()):
        made = drawloom.compile(given, dims={"batch": 3})
        assert program_text(made.program) == wanted
    again = drawloom.compile(build.source, load_chip("tx81"))
    assert program_text(again.program) == wanted


def test_time_is_worked_out_once_for_each_profile(build: Build) -> None:
    lean = build.time()
    assert lean is build.time("lean") is build.timed()
    assert lean.profile == "lean"
    assert build.time("vendor").latency_ps > lean.latency_ps


def test_the_program_says_its_precision() -> None:
    made = drawloom.compile(model(), dims={"batch": 1}, precision="bf16")
    assert made.program.notes["precision"] == "bf16"
    assert {t.dtype.value for t in made.graph.types.values()} == {"f32", "bf16"}


def test_steps_are_told_in_order() -> None:
    told: list[str] = []
    drawloom.compile(model(), dims={"batch": 1}, step=told.append)
    assert tuple(told) == STEPS


def test_a_build_comes_back_from_its_file(build: Build, tmp_path: Path) -> None:
    build.save(tmp_path / "tiny.build")
    back = Build.load(tmp_path / "tiny.build")
    assert program_text(back.program) == program_text(build.program)
    assert graph_text(back.source) == graph_text(build.source)
    assert graph_text(back.graph) == graph_text(build.graph)
    assert back.options == build.options
    assert back.chip == build.chip
    np.testing.assert_array_equal(back.run(X)["y"], build.run(X)["y"])
    back.save(tmp_path / "again.build")
    assert (tmp_path / "again.build").read_bytes() == (tmp_path / "tiny.build").read_bytes()


def test_what_is_no_build_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.build"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError) as caught:
        Build.load(path)
    assert str(caught.value) == (
        "error[build.file]: this is no build\n"
        f"  {path}: File is not a zip file (a file that Build.save writes)"
    )


def test_reports_are_written_from_a_build(build: Build, tmp_path: Path) -> None:
    build.write_page(tmp_path / "page.html")
    assert "/fc/MatMul" in (tmp_path / "page.html").read_text()
    build.write_trace(tmp_path / "trace.json.gz")
    paths = build.report(tmp_path / "report")
    assert paths[0].read_bytes() == (tmp_path / "page.html").read_bytes()
    assert paths[1].read_bytes() == (tmp_path / "trace.json.gz").read_bytes()


def test_a_notebook_shows_a_build_before_and_after_it_is_timed() -> None:
    made = drawloom.compile(model(), dims={"batch": 2})
    assert "not timed yet" in made._repr_html_()
    made.time()
    assert "profile lean, precision fp16" in made._repr_html_()


def test_options_that_there_are_not_are_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        drawloom.compile(model(), precision="fp16")
    assert str(caught.value) == (
        "error[compile.options]: there are no such options\n"
        "  precision: 'fp16' (did you mean 'f16'?)"
    )
    with pytest.raises(InputError) as caught:
        drawloom.compile(model(), profile="leen")
    assert str(caught.value) == (
        "error[compile.options]: chip 'tx81' has no such profile\n"
        "  profile: 'leen' (did you mean 'lean'?)"
    )


def test_every_public_name_can_be_had() -> None:
    for name in drawloom.__all__:
        assert getattr(drawloom, name) is not None
    assert set(dir(drawloom)) >= set(drawloom.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = drawloom.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_the_version_is_that_of_the_package() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert f'\nversion = "{drawloom.__version__}"\n' in project
