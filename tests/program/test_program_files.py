"""Programs in files."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.program.sample import sample

from drawloom.errors import InputError
from drawloom.program.binary import program_hash
from drawloom.program.files import read_program, write_program
from drawloom.program.program import Program
from drawloom.program.text import text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["a.prog", "a.prog.txt"])
def test_a_program_comes_back_from_its_file(tmp_path: Path, name: str) -> None:
    write_program(sample(), tmp_path / name)
    assert program_hash(read_program(tmp_path / name)) == program_hash(sample())


def test_equal_programs_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.prog", "b.prog"):
        write_program(sample(), tmp_path / name)
    assert (tmp_path / "a.prog").read_bytes() == (tmp_path / "b.prog").read_bytes()


def test_the_data_of_a_text_lie_beside_it(tmp_path: Path) -> None:
    write_program(sample(), tmp_path / "a.prog.txt")
    data, written = (tmp_path / name for name in names(tmp_path))
    assert written.name == "a.prog.txt"
    assert re.fullmatch(r"a\.prog\.[0-9a-f]{12}\.data", data.name)
    assert written.read_text() == text(sample())
    data.write_bytes(b"x")
    with pytest.raises(InputError, match="its bytes have another hash"):
        read_program(written)
    data.unlink()
    with pytest.raises(InputError) as caught:
        read_program(written)
    assert caught.value.text() == (
        f"error[files.read]: cannot read '{data}': no such file or directory"
    )


def other() -> Program:
    return replace(sample(), data=((0x2000, np.ones(200, np.uint8)),))


def test_the_data_of_an_old_text_go_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.prog.txt"
    write_program(sample(), path)
    (before,) = (name for name in names(tmp_path) if name.endswith(".data"))
    write_program(other(), path)
    (after,) = (name for name in names(tmp_path) if name.endswith(".data"))
    assert before != after
    assert text(read_program(path)) == text(other())
    write_program(replace(sample(), data=()), path)
    assert names(tmp_path) == ["a.prog.txt"]


@pytest.mark.parametrize("stop", range(1, 4))
def test_a_writer_that_is_stopped_leaves_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Stopped before the data, before the text, and before what is old is removed."""
    path = tmp_path / "a.prog.txt"
    write_program(sample(), path)
    steps: list[str] = []

    def step(call: Callable[..., Any]) -> Callable[..., Any]:
        def stopped(*given: Any, **named: Any) -> Any:
            steps.append(call.__name__)
            if len(steps) == stop:
                raise KeyboardInterrupt
            return call(*given, **named)

        return stopped

    monkeypatch.setattr(Path, "replace", step(Path.replace))
    monkeypatch.setattr(Path, "unlink", step(Path.unlink))
    with pytest.raises(KeyboardInterrupt):
        write_program(other(), path)
    monkeypatch.undo()
    assert text(read_program(path)) in (text(sample()), text(other()))


def test_the_form_is_known_by_the_content(tmp_path: Path) -> None:
    write_program(sample(), tmp_path / "a.prog")
    (tmp_path / "a.prog").rename(tmp_path / "b.bin")
    assert text(read_program(tmp_path / "b.bin")) == text(sample())


def test_a_name_that_says_no_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write_program(sample(), tmp_path / "a.txt")
    assert caught.value.text() == (
        f"error[program.file]: '{tmp_path / 'a.txt'}' does not say in which form\n"
        "  a.txt (a name that ends in .prog or .prog.txt)"
    )
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("a.prog", b"", "binary]: a.prog is not a whole program\n  it does not begin as one"),
        ("a.prog.txt", b"\xff", "text]: a.prog.txt is not text\n  byte 0 (UTF-8)"),
        (
            "a.prog.txt",
            b"",
            "text]: a.prog.txt is not the text of a program\n  line 1 ('drawloom program 1')",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, raw: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError) as caught:
        read_program(tmp_path / name)
    assert caught.value.text() == f"error[program.{said}"


def test_a_full_disk_leaves_the_old_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "a.prog"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError) as caught:
        write_program(sample(), target)
    assert caught.value.text() == (
        f"error[files.write]: cannot write '{target}': no space left on device"
    )
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.prog"]
