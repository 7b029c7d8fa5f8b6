"""The kernels by hand do what their page says."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawloom import cli
from drawloom.check import check
from drawloom.chip.files import load_chip
from drawloom.execute.machine import execute
from drawloom.program.binary import program_hash
from drawloom.program.files import read_program
from drawloom.program.program import Program
from drawloom.program.text import text

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "kernels"
PAGE = ROOT / "docs" / "kernels.md"


def by_hand() -> Program:
    return read_program(FOLDER / "rmsnorm.prog.txt")


def test_text_and_python_give_one_program() -> None:
    built = runpy.run_path(str(FOLDER / "rmsnorm.py"))["rmsnorm"]()
    assert text(built) == text(by_hand())


@pytest.mark.parametrize("scale", [1.0, 100.0, 0.0])
def test_the_kernel_computes_a_norm_to_half_a_unit_in_the_last_place(scale: float) -> None:
    check_norm(by_hand(), 64, scale)


def check_norm(program: Program, rows: int, scale: float) -> None:
    rng = np.random.default_rng(7)
    x = (scale * rng.standard_normal((rows, 1024))).astype(np.float16)
    w = rng.standard_normal(1024).astype(np.float16)
    made = execute(program, {"x": x, "w": w})["y"].astype(np.float64)
    wide = x.astype(np.float64)
    wanted = wide * w.astype(np.float64) / np.sqrt((wide**2).mean(1, keepdims=True) + 1e-5)
    half = np.spacing(np.abs(wanted).astype(np.float16)).astype(np.float64) / 2
    assert np.all(np.abs(made - wanted) <= half * 1.01)  # what f32 inside may add


# --- docs/kernels.md ---------------------------------------------------------


def shown(page: str) -> list[str]:
    """Return the page's blocks that show a command, with what it prints."""
    return re.findall(r"^```\n(\$ .*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the kernels, where the page's commands run."""
    for path in FOLDER.glob("*.prog.txt"):
        shutil.copy(path, tmp_path)
    for name, made in edited(PAGE.read_text()).items():
        (tmp_path / name).write_text(made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def edited(page: str) -> dict[str, str]:
    """Return the texts that the page makes of others: lines put where lines like them stand."""
    made: dict[str, str] = {}
    found = re.findall(r"^```(mend|edit) (\S+) ?(\S*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for word, source, target, lines in found:
        text_of = (FOLDER / source).read_text()
        for line in lines.splitlines():
            text_of = put(text_of, line)
        made[target or f"{word}ed_{source}"] = text_of
    return made


def put(source: str, line: str) -> str:
    """Put a line over the one that says the same name, or before the square."""
    key = " ".join(line.split()[:2]).partition("=")[0]
    lines = source.splitlines()
    if key.startswith("let "):
        at = next(i for i, each in enumerate(lines) if each.startswith(f"{key}="))
        lines[at] = line
    elif line not in lines:
        at = next(i for i, each in enumerate(lines) if "op=square" in each)
        lines.insert(at, line)
    return "\n".join(lines) + "\n"


def printed(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit):
            cli.main()
    out, err = capsys.readouterr()
    return "\n".join(line.rstrip() for line in (out + err).splitlines()).strip("\n") + "\n"


def test_the_page_shows_what_is_printed(
    here: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """``--update-golden`` writes what the commands print into the page anew."""
    page = made = PAGE.read_text()
    assert len(shown(page)) > 8
    for block in shown(page):
        command = block.removeprefix("$ ").partition("\n")[0]
        made = made.replace(block, f"$ {command}\n{printed(command, capsys)}")
    if request.config.getoption("--update-golden"):
        PAGE.write_text(made)
    assert made == PAGE.read_text()


def test_the_page_shows_the_kernel_that_lies_in_the_examples() -> None:
    (source,) = re.findall(r"```prog\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert source == (FOLDER / "rmsnorm.prog.txt").read_text()


FINDINGS = {
    "rmsnorm": set[str](),
    "no_wait": {"race"},
    "no_join": {"race"},
    "reuse": {"race"},
    "no_barrier": {"unarmed"},
    "past_the_end": {"unwritten"},
}


def test_every_kernel_is_on_the_page() -> None:
    assert {path.name.removesuffix(".prog.txt") for path in FOLDER.glob("*.prog.txt")} == set(
        FINDINGS
    )


@pytest.mark.parametrize("name", FINDINGS)
def test_a_kernel_has_the_findings_that_the_page_says(name: str) -> None:
    program = read_program(FOLDER / f"{name}.prog.txt")
    found = {finding.rule for finding in check(program, load_chip("tx81"))}
    assert FINDINGS[name] <= found
    assert bool(found) == bool(FINDINGS[name])


@pytest.mark.parametrize("name", ["mended_reuse", "mended_past_the_end"])
def test_what_the_page_mends_is_mended(here: Path, name: str) -> None:
    program = read_program(here / f"{name}.prog.txt")
    assert check(program, load_chip("tx81")) == ()
    rows = program.named("input")["x"].shape[0]
    check_norm(program, rows, 1.0)


def test_the_page_s_python_works() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(source, scope)
    np.testing.assert_array_equal(scope["outputs"]["y"], 2 * scope["ones"])


def test_the_python_kernel_writes_its_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["rmsnorm.py", "made.prog"])
    runpy.run_path(str(FOLDER / "rmsnorm.py"), run_name="__main__")
    assert program_hash(read_program("made.prog")) == program_hash(by_hand())
