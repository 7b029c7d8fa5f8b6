"""Arrays in ``.npz`` files, and made-up inputs."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from drawloom.errors import InputError
from drawloom.files import write_whole
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.program.program import Program, Region

Arrays = dict[str, NDArray[Any]]
BF16 = np.dtype(ml_dtypes.bfloat16)
# Operands that number the rows of another: what an index may be depends on its shape.
_INDEXING = {"Gather": (1, 0), "GatherElements": (1, 0)}


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of a ``.npz`` file by name.

    Raises:
        InputError: the file cannot be read, or is no such file (``run.inputs``).
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array without a name")
            arrays: Arrays = dict(cast("Any", archive).items())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError("run.inputs", f"cannot read '{path}': {reason}") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        hint = "a .npz file, as numpy.savez writes it, is needed"
        raise InputError("run.inputs", f"cannot read '{path}': {error}; {hint}") from None
    return {name: _with_format(array) for name, array in arrays.items()}


def _with_format(array: NDArray[Any]) -> NDArray[Any]:
    """NumPy stores bfloat16 as two bytes without a meaning: give it back."""
    return array.view(BF16) if array.dtype == np.dtype("V2") else array


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to a ``.npz`` file; equal arrays give equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
    write_whole(path, out.getvalue())


def random_inputs(program: Program, graph: Graph | None, seed: int) -> Arrays:
    """Return made-up inputs: standard normal floats, integers that are legal indices, even bits.

    Where a graph looks rows up by an integer input, the input stays below the number of rows;
    other integers are 0 or 1.
    """
    return random_of(program.named("input"), seed, graph)


def random_of(regions: Mapping[str, Region], seed: int, graph: Graph | None = None) -> Arrays:
    """Return made-up arrays for regions, as ``random_inputs`` does."""
    rng = np.random.default_rng(seed)
    return {name: _random(rng, region, _rows(graph, name)) for name, region in regions.items()}


def _random(rng: np.random.Generator, region: Region, rows: int) -> NDArray[Any]:
    dtype = DType(region.fmt)
    if dtype.is_float:
        return rng.standard_normal(region.shape).astype(dtype.numpy)
    return rng.integers(0, 2 if dtype is DType.BOOL else rows, region.shape).astype(dtype.numpy)


def _rows(graph: Graph | None, name: str) -> int:
    """Return below what an integer input must stay, as far as the graph tells."""
    least = 2
    for node in graph.consumers()[name] if graph is not None else ():
        if node.op in ("Cast", "Reshape", "Identity", "Squeeze", "Unsqueeze"):
            assert graph is not None
            return _rows(graph, node.outputs[0])
        index, table = _INDEXING.get(node.op, (-1, 0))
        if index >= 0 and node.inputs[index] == name:
            assert graph is not None
            least = max(least, graph.types[node.inputs[table]].shape[node.int("axis")])
    return least


def described(arrays: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, object]]:
    """Return, for each array, its type, range, mean and the hash of its bytes."""
    return {name: _described(array) for name, array in arrays.items()}


def _described(array: NDArray[Any]) -> dict[str, object]:
    values = array.astype(np.float64)
    record: dict[str, object] = {
        "dtype": DType.of(array.dtype).value,
        "shape": list(array.shape),
        "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
    }
    if values.size:
        record |= {
            "min": float(values.min()),
            "max": float(values.max()),
            "mean": float(values.mean()),
        }
    return record
