"""Arrays in ``.npz`` files, and made-up inputs."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError
from drawloom.files import BROKEN, write_whole
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.program.program import Program, Region

Arrays = dict[str, NDArray[Any]]
BF16 = np.dtype(ml_dtypes.bfloat16)
# Operands that number the rows of another: what an index may be depends on its shape.
_INDEXING = {"Gather": (1, 0), "GatherElements": (1, 0)}


def read_inputs(words: Sequence[str], names: Sequence[str]) -> Arrays:
    """Return the arrays that ``--inputs`` gives.

    Args:
        words: each a ``.npz`` file, or a ``.npy`` file with the input's name before it:
            ``x=x.npy``; a program's one input needs no name.
        names: the program's inputs.

    Raises:
        InputError: a file cannot be read, or is no such file; a ``.npy`` file does not say which
            input it is; an input is given twice (``run.inputs``).
    """
    arrays: Arrays = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or Path(word).exists():
            name, file = "", word
        path = Path(file)
        found = read_arrays(path) if path.suffix != ".npy" else {name: _read_array(path)}
        if path.suffix == ".npy" and not name:
            if len(names) != 1:
                fault = Fault("--inputs", word, f"NAME={word}, NAME out of {', '.join(names)}")
                raise InputError("run.inputs", "which input a .npy file is, is not said", [fault])
            found = {names[0]: found[""]}
        if twice := sorted(found.keys() & arrays.keys()):
            fault = Fault("--inputs", ", ".join(twice), "each once")
            raise InputError("run.inputs", "an input is given twice", [fault])
        arrays |= found
    return arrays


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of a ``.npz`` file by name.

    Raises:
        InputError: the file cannot be read, or is no such file (``run.inputs``).
    """
    with _said(path, "a .npz file, as numpy.savez writes it, is needed"):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single array without a name")
        with archive:
            arrays: Arrays = dict(cast("Any", archive).items())
    return {name: _with_format(array) for name, array in arrays.items()}


def _read_array(path: Path) -> NDArray[Any]:
    with _said(path, "a .npy file, as numpy.save writes it, is needed"):
        array: Any = np.load(path, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("not a single array")
    return _with_format(cast("NDArray[Any]", array))


@contextlib.contextmanager
def _said(path: Path, hint: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError("run.inputs", f"cannot read '{path}': {reason}") from None
    except BROKEN as error:
        raise InputError("run.inputs", f"cannot read '{path}': {error}; {hint}") from None


def _with_format(array: NDArray[Any]) -> NDArray[Any]:
    """NumPy stores bfloat16 as two bytes without a meaning: give it back."""
    return array.view(BF16) if array.dtype == np.dtype("V2") else array


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to a ``.npz`` file, or one to a ``.npy`` file; equal arrays give equal bytes.

    Raises:
        InputError: ``.npy`` for several arrays (``run.output``), or the file cannot be written.
    """
    out = io.BytesIO()
    if path.suffix == ".npy":
        if len(arrays) != 1:
            fault = Fault("--output", str(path), f".npz, for {', '.join(arrays) or 'no outputs'}")
            raise InputError("run.output", "a .npy file holds one array", [fault])
        (array,) = arrays.values()
        np.lib.format.write_array(out, np.ascontiguousarray(array), allow_pickle=False)
        write_whole(path, out.getvalue())
        return
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
    dtype = DType("f32" if region.fmt == "tf32" else region.fmt)
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
