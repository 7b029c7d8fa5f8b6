"""Convert measured tables to src/drawloom/validate/data/*.npz, value for value.

    python benchmarks/validation/convert.py FOLDER

FOLDER has gpu_kernels/ and llm_serving/ as data/README.md of the package describes them.
Parquet needs pyarrow, which drawloom itself does not.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[2] / "src" / "drawloom" / "validate" / "data"
VIDUR = "time_stats."
SHAPE = ("n_head", "n_kv_head", "n_embd", "n_expanded_embd", "num_tokens")
VIDUR_MLP = (*SHAPE, "num_tensor_parallel_workers")


def of_parquet(path: Path) -> dict[str, list[Any]]:
    import pyarrow.parquet as parquet

    return parquet.read_table(path).to_pydict()


def of_csv(path: Path, names: Sequence[str] = ()) -> dict[str, list[Any]]:
    with path.open(newline="") as file:
        found = [row for row in csv.reader(file, skipinitialspace=True) if row]
    header = list(names) or found.pop(0)
    return {name: [row[i] for row in found] for i, name in enumerate(header)}


def varying(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Drop columns that say the same in every row: README.md of the data names them."""
    return {name: values for name, values in columns.items() if len(set(values)) > 1}


def number(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)


def array(values: Sequence[Any]) -> np.ndarray[Any, Any] | None:
    """Return numbers as the narrowest whole type that holds them, or float64; None for words."""
    try:
        numbers = [number(each) for each in values]
    except ValueError:
        return None
    if any(isinstance(each, float) for each in numbers):
        return np.array(numbers, np.float64)
    low, high = min(numbers), max(numbers)
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.array(numbers, kind)
    return np.array(numbers, np.int64)


def write(name: str, columns: Mapping[str, Sequence[Any]]) -> None:
    stored: dict[str, np.ndarray[Any, Any]] = {}
    for column, values in columns.items():
        numbers = array(values)
        if numbers is None:
            words = sorted(set(values))
            at = {word: i for i, word in enumerate(words)}
            stored[f"{column}.words"] = np.array(words)
            numbers = np.array([at[each] for each in values], np.int16)
        stored[column] = numbers
    np.savez_compressed(DATA / f"{name}.npz", **stored)  # pyright: ignore[reportArgumentType]
    print(f"{name}: {len(next(iter(columns.values())))} rows, {', '.join(columns)}")


def vidur(columns: Mapping[str, list[Any]], kept: Sequence[str]) -> dict[str, list[Any]]:
    """Keep the medians of each operator, called after it, and the columns that say of what."""
    medians = {
        name.removeprefix(VIDUR).removesuffix(".median"): values
        for name, values in columns.items()
        if name.endswith(".median")
    }
    return medians | {name: columns[name] for name in kept}


def convert(source: Path) -> None:
    kernels = source / "gpu_kernels"
    for name in ("h200_vllm_gemm", "h200_vllm_context_attention", "h200_vllm_generation_attention"):
        write(name, varying(of_parquet(kernels / f"{name}.parquet")))
    write("nccl_perf", varying(of_parquet(kernels / "nccl_perf.parquet")))
    for path in sorted(kernels.glob("vidur_*_mlp.csv")):
        write(path.stem.replace("-", "_").lower(), vidur(of_csv(path), VIDUR_MLP))
    for path in sorted(kernels.glob("vidur_*_all_reduce.csv")):
        write(path.stem, vidur(of_csv(path), ("num_workers", "size", "devices_per_node")))
    matmul = of_csv(kernels / "llmcompass_a100_matmul.csv", ("m", "n", "k", "latency", "rate"))
    matmul["latency"] = [each.removesuffix("ms") for each in matmul["latency"]]
    write("llmcompass_a100_matmul", {n: v for n, v in matmul.items() if n != "rate"})
    for name in ("softmax", "layernorm"):
        path = kernels / f"llmcompass_a100_{name}.csv"
        write(path.stem, of_csv(path, ("m", "n", "throughput")))
    write("measured_h100_h200", varying(of_csv(source / "llm_serving" / "measured_h100_h200.csv")))
    for path in sorted(source.glob("*/LICENSE.*")):
        (DATA / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
