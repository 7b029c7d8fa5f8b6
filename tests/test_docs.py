"""The documentation's commands and programs do what the pages say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.test_flow import X, model

from drawloom import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
READMES = ("README.md", "README.zh-CN.md")
PAGES = (*READMES, "docs/README.md", "docs/cli.md", "docs/kernels.md", "docs/report.md")


def blocks(page: str, language: str = "") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for word, block in found if word == language]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(model().SerializeToString())
    np.savez(tmp_path / "x.npz", **X)  # pyright: ignore[reportArgumentType]
    return tmp_path


@pytest.mark.slow
def test_every_command_of_the_page_works(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for block in blocks("docs/cli.md") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("drawloom ")]
    assert len(commands) > 20
    for command in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        assert (left.value.code or 0, err) == (0, ""), command
        assert out, command


@pytest.mark.parametrize(("page", "count"), [("docs/cli.md", 2), *((page, 1) for page in READMES)])
def test_every_error_of_a_page_is_what_is_printed(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    page: str,
    count: int,
) -> None:
    shown = [block for block in blocks(page) if block.startswith("$ ")]
    assert len(shown) == count
    for block in shown:
        command, _, wanted = block.removeprefix("$ ").partition("\n")
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        assert (left.value.code, out, err) == (1, "", wanted)


def test_the_program_of_the_report_page_works(here: Path) -> None:
    (program,) = blocks("docs/report.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=here
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (here / "report" / "figures.json").exists()


@pytest.mark.parametrize("page", READMES)
def test_what_a_readme_says_to_type_works(
    here: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    first = X["x"][:1]
    np.savez(here / "x.npz", x=first)
    lines = [line for block in blocks(page) for line in block.splitlines()]
    commands = [line for line in lines if line.startswith(".venv/bin/drawloom ")]
    assert len(commands) == 3
    for command in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert not left.value.code, command
    (program,) = blocks(page, "python")
    scope: dict[str, Any] = {"x": first}
    exec(program, scope)
    np.testing.assert_array_equal(scope["outputs"]["y"], np.load("y.npz")["y"])


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#][^)]*?)(?:#[^)]*)?\)", text)
    targets += re.findall(r'(?:src|href)="([^"#]+)"', text)
    local = [target for target in targets if "://" not in target]
    missing = [t for t in local if not (ROOT / page).parent.joinpath(t).exists()]
    assert missing == []
    assert all(os.path.commonpath([ROOT, (ROOT / page).parent / t]) == str(ROOT) for t in local)


@pytest.mark.slow
def test_the_readmes_show_what_the_demo_prints(request: pytest.FixtureRequest) -> None:
    """``--update-golden`` writes the output of the demo into them anew."""
    done = subprocess.run(
        [sys.executable, "examples/digits/demo.py"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
    )
    until_engines = done.stdout.split("\n engine ")[0].splitlines()
    shown = "\n".join(line.rstrip() for line in until_engines).strip("\n") + "\n"
    for page in READMES:
        text = (ROOT / page).read_text(encoding="utf-8")
        before, mark, rest = text.partition("```text\n")
        _, end, after = rest.partition("```\n")
        if request.config.getoption("--update-golden"):
            (ROOT / page).write_text(before + mark + shown + end + after, encoding="utf-8")
        else:
            assert text == before + mark + shown + end + after, page
