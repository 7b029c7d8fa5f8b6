"""Whole files, or none: what is written appears complete under its name, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import tokenize
import uuid
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import IO, BinaryIO, Literal

from drawloom.errors import Fault, InputError
from drawloom.host import available_bytes

# The bytes, a few at a time, or what writes them into a file itself.
Content = bytes | Iterable[bytes] | Callable[[BinaryIO], None]
# What zipfile, zlib, NumPy's headers and JSON raise on files that are cut short, altered or
# something else.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    SyntaxError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
)
MOST_MEMBERS = 1 << 20
_ENCRYPTED = 1


def write_whole(path: str | Path, content: Content) -> None:
    """Write a file so that its name never holds half of it, not even after a crash.

    The bytes go into a temporary file beside it, onto the disk, then under the name in one
    step. Where that fails (full disk, no permission) the temporary file is removed and the
    old file, if any, stays as it was. A link is followed; a device or pipe is written to.

    Raises:
        InputError: ``files.write``, saying which file and why.
    """
    write_together({path: content})


def write_together(contents: Mapping[str | Path, Content]) -> None:
    """Write files that belong together: all of them as ``write_whole`` does, or none.

    Raises:
        InputError: ``files.write``, saying which file and why.
    """
    ready: list[tuple[str | Path, Path, Path]] = []
    try:
        for path, content in contents.items():
            with _said("files.write", "write", path):
                _prepare(path, content, ready)
        for path, temporary, target in ready:
            with _said("files.write", "write", path):
                temporary.replace(target)
    except BaseException:
        for _, temporary, _ in ready:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise
    for folder in dict.fromkeys(target.parent for _, _, target in ready):
        _settle(folder)


def _prepare(
    path: str | Path, content: Content, ready: list[tuple[str | Path, Path, Path]]
) -> None:
    """Put the bytes beside where they shall be, or into a device."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.exists() and not target.is_file():
        _fill(target, content, "wb")
        return
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    ready.append((path, temporary, target))
    _fill(temporary, content, "xb")


def read_whole(path: str | Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        InputError: ``files.read``, saying which file and why.
    """
    with _said("files.read", "read", path):
        return Path(path).read_bytes()


@contextlib.contextmanager
def locked(folder: str | Path) -> Generator[None]:
    """Within this, no other process is within it for the same folder.

    The lock is the system's, so that it goes with the process, however that ends. Where the
    system or the folder knows no locks, there is none.
    """
    handle = -1
    try:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def open_archive(file: IO[bytes], *, packed: bool = False) -> zipfile.ZipFile:
    """Return a zip whose members are no larger, all together, than the file or the host can hold.

    Args:
        file: the zip.
        packed: whether members may be compressed; else they are as long as the file says.

    Raises:
        BadZipFile: it is none, or claims what cannot be; nothing was unpacked.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    archive = zipfile.ZipFile(file)
    listed = archive.infolist()
    claimed = sum(info.file_size for info in listed)
    how = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if packed else (zipfile.ZIP_STORED,)
    if any(info.compress_type not in how or info.flag_bits & _ENCRYPTED for info in listed):
        raise zipfile.BadZipFile("a member is packed as drawloom packs none")
    if len({info.filename for info in listed}) < len(listed) or len(listed) > MOST_MEMBERS:
        raise zipfile.BadZipFile("its members are not each once")
    if claimed > (available_bytes() // 2 if packed else size):
        raise zipfile.BadZipFile(f"its members claim {claimed:,} bytes")
    return archive


def refuse_head(kind: str, what: str, file: str, found: str, wanted: str) -> InputError:
    """Return what to say of a text whose first line is not the one that this drawloom reads.

    Args:
        kind: kind of the error.
        what: what it should be, such as ``a graph``.
        file: how messages call the text.
        found: its first line.
        wanted: the line that this drawloom writes, which ends in the format's version.
    """
    name, _, version = wanted.rpartition(" ")
    if found.startswith(f"{name} ") and found[len(name) + 1 :].isdecimal():
        allowed = f"'{wanted}': version {version} is what this drawloom reads; make it anew"
        summary = f"{file} has another version of the format"
        return InputError(kind, summary, [Fault("line 1", found[:60], allowed)])
    fault = Fault("line 1", found[:60], f"'{wanted}'")
    return InputError(kind, f"{file} is not the text of {what}", [fault])


def _fill(path: Path, content: Content, mode: Literal["wb", "xb"]) -> None:
    with path.open(mode) as file:
        if callable(content):
            content(file)
        else:
            file.writelines((content,) if isinstance(content, bytes) else content)
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
