"""``drawloom asm`` and what follows: a program written by hand is checked, run and timed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drawloom import cli
from drawloom.program.files import read_program
from drawloom.program.text import text

TWICE = """\
drawloom program 1
program name=twice chip=tx81
let n=8
region name=x kind=input fmt=f16 shape=n
region name=y kind=output fmt=f16 shape=n
buffer name=xs fmt=f16 shape=n
tile 0:
  read dram=x spm=xs inner=x.bytes #load
  vector op=add a=xs b=xs dst=xs count=n fmt=f16 #double
  write spm=xs dram=y inner=y.bytes #store
"""
X = np.arange(8, dtype=np.float16)

Ran = tuple[int, str, str]
Line = Callable[..., Ran]


@pytest.fixture
def line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Line:
    monkeypatch.chdir(tmp_path)
    Path("twice.prog.txt").write_text(TWICE)
    np.save("x.npy", X)

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["drawloom", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


def test_a_text_is_assembled_beside_itself(line: Line) -> None:
    code, out, err = line("asm", "twice.prog.txt")
    assert (code, err) == (0, "")
    assert "wrote      twice.prog" in out
    assert text(read_program("twice.prog")) == text(read_program("twice.prog.txt"))


def test_a_text_is_worked_out(line: Line) -> None:
    code, out, _ = line("asm", "twice.prog.txt", "-o", "plain.prog.txt", "--json")
    assert code == 0
    assert json.loads(out)["file"] == "plain.prog.txt"
    assert Path("plain.prog.txt").read_text() == text(read_program("twice.prog.txt"))
    assert "xs" not in Path("plain.prog.txt").read_text()


def test_a_text_is_not_written_over_itself(line: Line) -> None:
    assert line("asm", "twice.prog.txt", "-o", "./twice.prog.txt") == (
        1,
        "",
        "error[cli.file]: a text is not written over itself\n"
        "  --output: twice.prog.txt (another file than the text)\n",
    )
    assert Path("twice.prog.txt").read_text() == TWICE


def test_faults_are_named_with_their_lines(line: Line) -> None:
    Path("bad.prog.txt").write_text(TWICE.replace("spm=xs", "smp=xz").replace("vector", "vectr"))
    assert line("asm", "bad.prog.txt") == (
        1,
        "",
        "error[program.text]: 5 faults in bad.prog.txt\n"
        "  line 8, read: smp (did you mean 'spm'?)\n"
        "  line 8, read (needs spm)\n"
        "  line 9: vectr (did you mean 'vector'?)\n"
        "  line 10, write: smp (did you mean 'spm'?)\n"
        "  line 10, write (needs spm)\n",
    )
    assert not Path("bad.prog").exists()


@pytest.mark.parametrize("name", ["twice.prog.txt", "twice.prog"])
def test_it_is_checked_run_and_timed_in_either_form(line: Line, name: str) -> None:
    line("asm", "twice.prog.txt")
    assert line("check", name) == (0, "nothing found in 'twice'\n", "")
    code, out, err = line("run", name, "--inputs", "x.npy", "-o", "y.npy")
    assert (code, err) == (0, "")
    assert out.startswith("twice on tx81\n")
    np.testing.assert_array_equal(np.load("y.npy"), 2 * X)
    code, out, err = line("time", name, "--json")
    assert (code, err) == (0, "")
    assert {row["layer"] for row in json.loads(out)["layers"]} == {"load", "double", "store"}


def test_inputs_are_named_where_there_are_several(line: Line) -> None:
    more = "region name=w kind=input fmt=f16 shape=n\nregion name=y"
    Path("two.prog.txt").write_text(TWICE.replace("region name=y", more))
    assert line("run", "two.prog.txt", "--inputs", "x.npy") == (
        1,
        "",
        "error[run.inputs]: which input a .npy file is, is not said\n"
        "  --inputs: x.npy (NAME=x.npy, NAME out of x, w)\n",
    )
    assert line("run", "two.prog.txt", "--inputs", "x=x.npy", "--inputs", "x=x.npy") == (
        1,
        "",
        "error[run.inputs]: an input is given twice\n  --inputs: x (each once)\n",
    )
    np.savez("w.npz", w=X)
    given = ("--inputs", "x=x.npy", "--inputs", "w.npz")
    assert line("run", "two.prog.txt", *given, "-o", "y.npz")[0] == 0
    np.testing.assert_array_equal(np.load("y.npz")["y"], 2 * X)


def test_several_outputs_go_into_an_npz(line: Line) -> None:
    more = "region name=z kind=output fmt=f16 shape=n\ntile 0:\n  write spm=0 dram=z inner=16"
    Path("two.prog.txt").write_text(TWICE.replace("tile 0:", more))
    assert line("run", "two.prog.txt", "--inputs", "x.npy", "-o", "y.npy") == (
        1,
        "",
        "error[run.output]: a .npy file holds one array\n  --output: y.npy (.npz, for y, z)\n",
    )
