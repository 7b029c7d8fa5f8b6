"""Whole files, or none: what is written appears complete under its name, or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Generator, Iterable
from pathlib import Path

from drawloom.errors import InputError


def write_whole(path: str | Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file so that its name never holds half of it, not even after a crash.

    The bytes go into a temporary file beside it, onto the disk, then under the name in one
    step. Where that fails (full disk, no permission) the temporary file is removed and the
    old file, if any, stays as it was. A link is followed; a device or pipe is written to.

    Raises:
        InputError: ``files.write``, saying which file and why.
    """
    target = Path(os.path.realpath(path))
    pieces = (content,) if isinstance(content, bytes) else content
    with _said("files.write", "write", path):
        if target.exists() and not target.is_file() and not target.is_dir():
            _fill(target, pieces, "wb")
            return
        temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            _fill(temporary, pieces, "xb")
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _settle(target.parent)


def read_whole(path: str | Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        InputError: ``files.read``, saying which file and why.
    """
    with _said("files.read", "read", path):
        return Path(path).read_bytes()


def _fill(path: Path, pieces: Iterable[bytes], mode: str) -> None:
    with path.open(mode) as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        if path.is_file():
            os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Bring the new name onto the disk too, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _said(kind: str, verb: str, path: str | Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(kind, f"cannot {verb} '{path}': {why}") from error
