"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import BinaryIO, NoReturn

import numpy as np
import pytest

from drawloom.errors import InputError
from drawloom.files import read_whole, write_whole
from drawloom.graph.build import GraphBuilder
from drawloom.graph.files import graph_of, write_graph


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"old and longer")
    write_whole(tmp_path / "a", (piece for piece in (b"n", b"ew")))
    assert read_whole(tmp_path / "a") == b"new"
    assert names(tmp_path) == ["a"]


def test_content_may_write_itself(tmp_path: Path) -> None:
    def put(file: BinaryIO) -> None:
        file.write(b"__w")
        file.seek(0)
        file.write(b"ne")

    write_whole(tmp_path / "a", put)
    assert read_whole(tmp_path / "a") == b"new"
    with pytest.raises(InputError, match="no space left on device"):
        write_whole(tmp_path / "a", fail)
    assert read_whole(tmp_path / "a") == b"new"
    assert names(tmp_path) == ["a"]


def test_a_graph_goes_through_a_pipe(tmp_path: Path) -> None:
    builder = GraphBuilder("g")
    graph = builder.finish([builder.constant("w", np.arange(5.0))])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=write_graph, args=(graph, pipe))
    writer.start()
    raw = pipe.read_bytes()
    writer.join()
    assert graph_of(raw, "g.graph").text() == graph.text()


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_whole(tmp_path / "a", b"")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a")}
    assert len(modes) == 1


def fail(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full() -> Iterator[bytes]:
    yield b"half"
    yield fail()


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.prog"
    target.write_bytes(b"old")
    with pytest.raises(InputError) as caught:
        write_whole(target, full())
    assert caught.value.text() == (
        f"error[files.write]: cannot write '{target}': no space left on device"
    )
    assert read_whole(target) == b"old"
    assert names(tmp_path) == ["a.prog"]


def test_a_disk_that_fills_on_the_way_to_it_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match="no space left on device"):
        write_whole(tmp_path / "a", b"all")
    assert names(tmp_path) == []


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a", pieces())
    assert names(tmp_path) == []


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    target = tmp_path / "no" / "a"
    with pytest.raises(InputError) as caught:
        write_whole(target, b"")
    assert caught.value.text() == (
        f"error[files.write]: cannot write '{target}': no such file or directory"
    )


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match=r"cannot write '.*d': is a directory"):
        write_whole(tmp_path / "d", b"")
    assert names(tmp_path) == ["d"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert read_whole(tmp_path / "real") == b"new"


def test_a_device_is_written_to() -> None:
    write_whole("/dev/null", b"gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_whole(tmp_path / "a")
    assert caught.value.text() == (
        f"error[files.read]: cannot read '{tmp_path / 'a'}': no such file or directory"
    )
