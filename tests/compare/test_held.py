"""Every figure that a command prints says how far it is held to silicon, or that it is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from drawloom import cli
from drawloom.compare.errors import BOARDS, bound_words, class_errors, held_words

ERROR = class_errors()["tx81.commands"]


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["drawloom", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code
    return capsys.readouterr().out


def test_a_board_that_is_known_has_the_error_of_its_class_and_others_say_there_is_none() -> None:
    for chip, (name, _, rest) in BOARDS.items():
        assert class_errors()[name].text() in held_words(chip)
        assert rest in held_words(chip)
    assert ERROR.text() in held_words("tx81")
    assert held_words("mine") == "Not validated: no measurement of 'mine' ships with drawloom."
    assert ERROR.text() in bound_words("tx81")
    assert "no program is quicker" in bound_words("mine")


@pytest.mark.parametrize("chip", ["tx81", "mine.chip.yaml"])
def test_a_bound_says_what_its_rates_are_held_to(
    chip: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.chip.yaml").write_text("extends: tx81\n")
    words = ("bound", "gpt2", "--tokens", "1", "--layers", "0", "--chip", chip)
    said = bound_words(chip.partition(".")[0])
    assert json.loads(run(monkeypatch, capsys, *words, "--json"))["held_to"] == said
    assert said.split()[-1] in run(monkeypatch, capsys, *words)


def test_a_collective_says_that_links_were_not_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fabric", "collective", "rex1032")
    assert "Not validated" in json.loads(run(monkeypatch, capsys, *words, "--json"))["held_to"]
    assert "Not validated" in run(monkeypatch, capsys, *words)
