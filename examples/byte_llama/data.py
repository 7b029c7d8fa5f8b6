"""What the byte-level Llama reads: the source of Python's own standard library, byte by byte."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HELD_OUT_EVERY = 10
"""Every tenth file, in order of name, is held out whole."""

PROMPT = b'''\
def mean(values):
    """Return the mean of values."""
    if not values:
        raise ValueError("no values")
    return sum(v'''
"""128 bytes of Python that stand in no library: what the stored reference logits answer."""


def training() -> NDArray[np.uint8]:
    """The bytes to train on: nine modules of ten, end to end."""
    files = _modules()
    return _bytes([file for i, file in enumerate(files) if i % HELD_OUT_EVERY != 0])


def held_out() -> NDArray[np.uint8]:
    """The bytes training never saw. They change a little from one release of Python to the next."""
    return _bytes(_modules()[::HELD_OUT_EVERY])


def _modules() -> list[Path]:
    # The top folder alone: packages below it hold generated tables that teach nothing.
    return sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))


def _bytes(files: list[Path]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(file.read_bytes() for file in files), dtype=np.uint8)
