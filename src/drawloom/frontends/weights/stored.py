"""Files that are read in places, late, and never outside their bounds.

Data are read at their place (seek and read), not through a memory map. Both take one tensor's
memory at a time, since a map's pages count for the process too; but a view on a map of a file
that someone cuts short kills the process with SIGBUS, which nothing in Python can catch. A read
at a place gives an error instead, for the price of one copy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError

KIND = "weights.file"
# Messages list so many faults and then how many more there are.
MOST_FAULTS = 200


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A regular file as it was when it was opened; no handle is kept.

    Attributes:
        path: its absolute path.
        size: its bytes.
        written: when it was last written, nanoseconds.
    """

    path: Path
    size: int
    written: int

    @staticmethod
    def at(path: str | Path) -> StoredFile:
        """Return the file at a path.

        Raises:
            InputError: there is no regular file, or it may not be read (``weights.file``).
        """
        place = Path(path).absolute()
        with _said(place):
            found = place.stat()
            if not stat.S_ISREG(found.st_mode):
                code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
                raise OSError(code, "not a regular file")
        return StoredFile(place, found.st_size, found.st_mtime_ns)

    @contextlib.contextmanager
    def open(self) -> Generator[BinaryIO]:
        """Open the file, once it is sure that it is still the same.

        Raises:
            InputError: it cannot be read, or has changed (``weights.file``).
        """
        with _said(self.path), self.path.open("rb") as file:
            now = os.fstat(file.fileno())
            if (now.st_size, now.st_mtime_ns) != (self.size, self.written):
                raise self._changed(now.st_size)
            yield file

    def read(self, start: int, count: int) -> NDArray[np.uint8]:
        """Return ``count`` bytes from byte ``start`` on, in memory of their own.

        Raises:
            InputError: they cannot be read, or the file has changed (``weights.file``).
        """
        assert 0 <= start <= start + count <= self.size, (self.path, start, count, self.size)
        out = np.empty(count, np.uint8)
        left = out.data
        with self.open() as file:
            file.seek(start)
            while left:
                done = file.readinto(left)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
                if not done:
                    raise self._changed(start + count - len(left))
                left = left[done:]
        return out

    def _changed(self, size: int) -> InputError:
        fault = Fault(self.path.name, f"{size:,} bytes", f"{self.size:,}, as when it was opened")
        if size == self.size:
            fault = Fault(self.path.name, "written anew", "the file as it was when it was opened")
        return InputError(KIND, f"'{self.path}' has changed since it was opened", [fault])


@contextlib.contextmanager
def _said(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(KIND, f"cannot read '{path}': {why}") from None


def not_sound(path: Path, faults: list[Fault]) -> InputError:
    """Return the error that lists a file's faults."""
    count = "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"
    shown = faults[:MOST_FAULTS]
    if len(faults) > MOST_FAULTS:
        shown.append(Fault("and", f"{len(faults) - MOST_FAULTS:,} more", ""))
    return InputError(KIND, f"{count} in '{path}'", shown)
