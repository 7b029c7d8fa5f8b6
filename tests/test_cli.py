"""The command line: what it prints, writes and refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.test_flow import WEIGHTS, X, model

from drawloom import cli
from drawloom.mapping.options import MapOptions

Ran = tuple[int, str, str]
Line = Callable[..., Ran]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """Run a command line in this process; return exit code, stdout and stderr."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["drawloom", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model and inputs for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.onnx").write_bytes(model().SerializeToString())
    np.savez(tmp_path / "x.npz", **X)  # pyright: ignore[reportArgumentType]
    return tmp_path


def compiled(line: Line, *names: str) -> None:
    outs = [word for name in names for word in ("-o", name)]
    code, _, err = line("compile", "tiny.onnx", "--dim", "batch=3", *outs)
    assert (code, err) == (0, "")


def as_json(ran: Ran) -> Any:
    code, out, err = ran
    assert (code, err) == (0, "")
    return json.loads(out)


# --- run


def test_run_writes_the_outputs(line: Line) -> None:
    code, out, err = line(
        "run", "tiny.onnx", "--dim", "batch=3", "--inputs", "x.npz", "--output", "y.npz"
    )
    assert (code, err) == (0, "")
    assert out.startswith("tiny on tx81, precision fp16\ny      f32[3,10]  min ")
    found = np.load("y.npz")["y"]
    np.testing.assert_allclose(found, np.maximum(X["x"] @ WEIGHTS, 0), rtol=2e-2, atol=2e-2)


def test_every_stage_runs_to_the_same_values(line: Line) -> None:
    stages = ["a.graph", "a.map", "a.prog", "a.prog.txt", "a.build"]
    compiled(line, *stages)
    made = {
        stage: as_json(line("run", stage, "--inputs", "x.npz", "--json"))["outputs"]
        for stage in stages
    }
    assert len({each["y"]["sha256"] for each in made.values()}) == 1


def test_random_inputs_depend_on_the_seed_alone(line: Line) -> None:
    compiled(line, "a.prog")
    hashes = [
        as_json(line("run", "a.prog", "--random-inputs", seed, "--json"))["outputs"]["y"]["sha256"]
        for seed in (1, 1, 2)
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_random_indices_stay_below_the_rows_of_the_table() -> None:
    from drawloom.cli.arrays import random_inputs
    from drawloom.flow import compile
    from drawloom.graph.build import GraphBuilder
    from drawloom.graph.dtypes import DType
    from drawloom.graph.ir import TensorType

    builder = GraphBuilder("lookup")
    index = builder.input("index", TensorType(DType.I64, (64,)))
    other = builder.input("other", TensorType(DType.I64, (64,)))
    table = builder.constant("table", np.zeros((50, 8), np.float16))
    rows = builder.add("Gather", [table, builder.add("Reshape", [index], {"shape": (8, 8)})])
    build = compile(builder.finish([rows, builder.add("Neg", [other])]))
    made = random_inputs(build.program, build.source, 0)
    assert (made["index"].min() >= 0, made["index"].max() < 50) == (True, True)
    assert made["index"].max() > 30
    assert set(made["other"].tolist()) == {0, 1}


def test_inputs_must_be_given(line: Line) -> None:
    code, out, err = line("run", "tiny.onnx", "--dim", "batch=3")
    assert (code, out) == (2, "")
    assert "give --inputs FILE.npz or" in err


def test_missing_and_wrong_inputs_are_all_named(line: Line) -> None:
    np.savez("bad.npz", z=np.zeros(2))
    code, out, err = line("run", "tiny.onnx", "--dim", "batch=3", "--inputs", "bad.npz")
    assert (code, out) == (1, "")
    assert err == (
        "error[run.inputs]: the inputs are not what program 'tiny' takes\n"
        "  inputs.x: absent (must be given: f32[3,24])\n"
        "  inputs.z: is not an input (one of x)\n"
    )
    np.savez("bad.npz", x=X["x"].astype(np.float64))
    code, _, err = line("run", "tiny.onnx", "--dim", "batch=3", "--inputs", "bad.npz")
    assert (code, err) == (
        1,
        "error[run.inputs]: the inputs are not what program 'tiny' takes\n"
        "  inputs.x.dtype: float64 (must be float32)\n",
    )


def test_what_is_no_npz_file_is_refused(line: Line) -> None:
    Path("not.npz").write_text("hello")
    code, _, err = line("run", "tiny.onnx", "--dim", "batch=3", "--inputs", "not.npz")
    assert code == 1
    assert err.startswith("error[run.inputs]: cannot read 'not.npz': ")
    code, _, err = line("run", "tiny.onnx", "--dim", "batch=3", "--inputs", "no.npz")
    assert (code, err) == (
        1,
        "error[run.inputs]: cannot read 'no.npz': no such file or directory\n",
    )


def test_bfloat16_arrays_survive_the_file(line: Line, here: Path) -> None:
    from ml_dtypes import bfloat16

    from drawloom.cli.arrays import read_arrays, write_arrays

    made = {"a": np.arange(6, dtype=np.float32).astype(bfloat16).reshape(2, 3)}
    write_arrays(here / "a.npz", made)
    back = read_arrays(here / "a.npz")
    assert back["a"].dtype == bfloat16
    np.testing.assert_array_equal(back["a"], made["a"])


# --- compile


def test_compile_says_what_it_wrote(line: Line) -> None:
    code, out, err = line("compile", "tiny.onnx", "--dim", "batch=3", "-o", "a.prog")
    assert (code, err) == (0, "")
    assert out.startswith("tiny on tx81\n")
    assert "precision  fp16" in out
    assert "wrote      a.prog" in out
    assert Path("a.prog").stat().st_size > 0


def test_compile_refuses_an_ending_before_it_works(line: Line) -> None:
    code, out, err = line("compile", "missing.onnx", "-o", "a.elf", "-o", "b.prog")
    assert (code, out) == (1, "")
    assert err == (
        "error[cli.file]: the extension does not say which stage to write\n"
        "  a.elf: '.elf' (.prog .prog.txt .map .graph .build)\n"
    )


def test_an_earlier_stage_is_not_made_from_a_later_one(line: Line) -> None:
    compiled(line, "a.prog")
    code, _, err = line("compile", "a.prog", "-o", "b.graph")
    assert (code, err) == (
        1,
        "error[cli.file]: an earlier stage cannot be made from a later one\n"
        "  b.graph (a later stage than the file that was given)\n",
    )


def test_equal_compilations_give_equal_bytes(line: Line) -> None:
    stages = ("graph", "map", "prog", "prog.txt", "build")
    compiled(line, *(f"a.{stage}" for stage in stages))
    compiled(line, *(f"b.{stage}" for stage in stages))
    for stage in stages:
        assert Path(f"a.{stage}").read_bytes() == Path(f"b.{stage}").read_bytes(), stage


# --- time


def test_time_shows_each_headline_with_its_bound(line: Line) -> None:
    code, out, err = line("time", "tiny.onnx", "--dim", "batch=3", "--layers", "2")
    assert (code, err) == (0, "")
    for word in ("latency", "bound", "precision fp16", "profile lean", "energy", "(2 of "):
        assert word in out
    assert "/fc/MatMul" in line("time", "tiny.onnx", "--dim", "batch=3", "--layers", "9")[1]


def test_time_writes_page_and_trace(line: Line) -> None:
    made = as_json(
        line("time", "tiny.onnx", "--dim", "batch=3", "--profile", "vendor", "--page", "p.html",
             "--trace", "t.json.gz", "--json")
    )  # fmt: skip
    assert made["profile"] == "vendor"
    assert made["bound"]["of"] == "model"
    assert "<h1>tiny</h1>" in Path("p.html").read_text()
    assert Path("t.json.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_a_trace_file_shows_what_time_showed(line: Line) -> None:
    compiled(line, "a.prog")
    made = as_json(line("time", "a.prog", "--trace", "a.trace", "--json"))
    back = as_json(line("show", "a.trace", "--json"))
    # A trace does not hold the program's constants, so it knows no bound.
    assert (back.pop("bound"), back.pop("over_bound_ratio")) == (None, None)
    assert back == {name: value for name, value in made.items() if "bound" not in name}
    code, out, _ = line("show", "a.trace")
    assert code == 0
    assert "latency" in out
    assert "bound" not in out


def test_an_unknown_profile_is_refused_with_the_nearest(line: Line) -> None:
    compiled(line, "a.prog")
    code, _, err = line("time", "a.prog", "--profile", "vendr")
    assert (code, err) == (
        1,
        "error[cli.option]: chip 'tx81' has no such profile\n"
        "  --profile: 'vendr' (did you mean 'vendor'?)\n",
    )


def test_choices_that_come_too_late_are_refused(line: Line) -> None:
    compiled(line, "a.prog", "a.map")
    code, _, err = line("time", "a.prog", "--dim", "batch=2", "--precision", "bf16", "--no-fuse")
    assert (code, err) == (
        1,
        "error[cli.option]: 'a.prog' is compiled already\n"
        "  --dim (only for a model)\n"
        "  --precision (only for a model)\n"
        "  options of the mapper (only for a model)\n",
    )
    code, _, err = line("time", "a.map", "--chip", "tx81")
    assert (code, err) == (
        1,
        "error[cli.option]: 'a.map' is compiled already\n  --chip (only for a model)\n",
    )


# --- show, chips


@pytest.mark.parametrize("stage", ["graph", "map", "prog", "prog.txt", "build"])
def test_show_knows_every_stage(line: Line, stage: str) -> None:
    compiled(line, f"a.{stage}")
    code, out, err = line("show", f"a.{stage}")
    assert (code, err) == (0, "")
    assert out.startswith("tiny\n")
    assert as_json(line("show", f"a.{stage}", "--json"))


def test_show_takes_a_model_with_its_dims(line: Line) -> None:
    made = as_json(line("show", "tiny.onnx", "--dim", "batch=5", "--json"))
    assert made["inputs"] == {"x": "f32[5,24]"}
    assert [node["layer"] for node in made["nodes"]] == ["/fc/MatMul", "/act/Relu"]


def test_show_takes_a_chip_file(line: Line) -> None:
    Path("slow.chip.yaml").write_text("extends: tx81\nclock: 500 MHz\n")
    made = as_json(line("show", "slow.chip.yaml", "--json"))
    assert (made["chip"], made["clock_hz"]) == ("slow", 500_000_000)
    code, out, _ = line("chips", "show", "slow.chip.yaml")
    assert code == 0
    assert "500 MHz" in out


def test_show_refuses_what_is_no_stage(line: Line) -> None:
    code, out, err = line("show", "x.npz")
    assert (code, out) == (1, "")
    assert err == (
        "error[cli.file]: the extension names no stage\n"
        "  x.npz: '.npz' (.onnx .graph .map .prog .prog.txt .build .trace .chip.yaml .chip.yml)\n"
    )


def test_chips_are_listed(line: Line) -> None:
    made = as_json(line("chips", "--json"))
    tx81 = next(chip for chip in made if chip["chip"] == "tx81")
    assert tx81["tiles"] == 16
    code, out, _ = line("chips")
    assert code == 0
    assert "16 (4 × 4) at 1.00 GHz" in out


def test_every_number_of_a_chip_has_a_source(line: Line) -> None:
    made = as_json(line("chips", "show", "tx81", "--json"))
    assert all(row["source"] and row["grade"] in "ABCDEF" for row in made["numbers"])
    code, out, _ = line("chips", "show", "tx81")
    assert code == 0
    assert "dram.read" in out


def test_the_schema_of_chip_files_is_json(line: Line) -> None:
    assert "properties" in as_json(line("chips", "schema"))


def test_an_unknown_chip_is_refused_with_the_nearest(line: Line) -> None:
    code, _, err = line("chips", "show", "tx82")
    assert (code, err) == (
        1,
        "error[chip.file]: there is no chip 'tx82'\n"
        "  tx82 (did you mean 'tx81'?; or the path of a chip file)\n",
    )


# --- dims, options, errors


def test_dims_are_name_equals_number(line: Line) -> None:
    code, _, err = line("time", "tiny.onnx", "--dim", "batch", "--dim", "=3", "--dim", "n=-1")
    assert (code, err) == (
        1,
        "error[cli.dim]: a dimension is not given as name=number\n"
        "  --dim: 'batch' (name=number, such as batch=1)\n"
        "  --dim: '=3' (name=number, such as batch=1)\n"
        "  --dim: 'n=-1' (name=number, such as batch=1)\n",
    )


def test_a_dim_without_a_number_is_asked_for(line: Line) -> None:
    code, _, err = line("time", "tiny.onnx")
    assert code == 1
    assert "'batch' has no number (give it one: --dim batch=1)" in err


def test_every_option_of_the_mapper_is_a_flag(line: Line) -> None:
    for command in ("run", "compile", "time"):
        _, out, _ = line(command, "--help")
        for each in fields(MapOptions):
            no = "no-" if each.type == "bool" else ""
            assert f"--{no}{each.name.replace('_', '-')}" in out, (command, each.name)


def test_usage_errors_exit_with_2(line: Line) -> None:
    code, _, err = line("time")
    assert code == 2
    assert "Missing argument" in err
    code, _, err = line("tim")
    assert code == 2


def test_an_error_is_its_text_alone_unless_frames_are_asked_for(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = line("show", "no.graph")
    assert (code, out) == (1, "")
    assert err.startswith("error[")
    assert "Traceback" not in err
    monkeypatch.setenv("DRAWLOOM_TRACEBACK", "1")
    with pytest.raises(Exception, match="no\\.graph"):
        line("show", "no.graph")


def test_the_version_is_printed(line: Line) -> None:
    assert line("--version") == (0, "drawloom 0.1.0\n", "")


# --- the process


def drawloom(*words: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "drawloom", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['drawloom', '--help']\n"
        "from drawloom.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*[m for m in ('numpy', 'onnx', 'numba', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_a_reader_that_leaves_early_is_no_error() -> None:
    process = drawloom("chips", "show", "tx81")
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    assert process.wait() in (0, 1)


@pytest.mark.slow
def test_an_interrupt_ends_quietly() -> None:
    np.savez("big.npz", x=np.zeros((2_000_000, 24), np.float32))
    process = drawloom("run", "tiny.onnx", "--dim", "batch=2000000", "--inputs", "big.npz")
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
