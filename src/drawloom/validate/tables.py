"""Measured tables under ``data/``: columns of numbers or words, by name."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS = ".words"

Columns = Mapping[str, NDArray[Any]]


def read_table(name: str) -> dict[str, NDArray[Any]]:
    """Return the columns of ``data/<name>.npz``, all of one length; words are expanded."""
    with (
        resources.as_file(resources.files("drawloom.validate") / "data" / f"{name}.npz") as path,
        np.load(path, allow_pickle=False) as stored,
    ):
        columns = {key: stored[key] for key in stored.files if not key.endswith(WORDS)}
        for key in stored.files:
            if key.endswith(WORDS):
                column = key.removesuffix(WORDS)
                columns[column] = stored[key][columns[column]]
    return columns


def rows(columns: Columns, chosen: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Return the chosen rows of every column."""
    return {name: values[chosen] for name, values in columns.items()}


def is_tenth(columns: Columns, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which rows are of the tenth that may be fitted on, by hash of the named columns.

    The hash is CRC-32 of the row's values as decimal text, joined by spaces; the tenth is where
    it divides by ten. It depends on nothing but the row.
    """
    parts = zip(*(columns[name].tolist() for name in names), strict=True)
    texts = (" ".join(map(str, row)).encode() for row in parts)
    return np.fromiter((zlib.crc32(text) % 10 == 0 for text in texts), dtype=np.bool_)
