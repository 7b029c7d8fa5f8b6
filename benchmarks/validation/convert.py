"""Convert measured tables to src/drawloom/validate/data/*.npz, value for value.

    python benchmarks/validation/convert.py FOLDER

FOLDER has gpu_kernels/, llm_serving/ and noc_wormhole/ as data/README.md of the package describes them.
Parquet needs pyarrow, which drawloom itself does not.
"""

from __future__ import annotations

import csv
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[2] / "src" / "drawloom" / "validate" / "data"
MLPERF_COLUMNS = (
    "submitter", "benchmark", "model", "gpu", "backend", "gpus_per_node", "gpus", "tokens_per_s",
    "samples_per_s",
)  # fmt: skip
MLPERF_TIMES = ("ttft", "tpot", "lat")
NOC_COLUMNS = (
    "trace", "device", "processor", "kind", "network", "tile_x", "tile_y", "other_x", "other_y",
    "size", "cycle",
)  # fmt: skip
VIDUR = "time_stats."
GPT3_PARTS = (
    "q_k_v", "q_mul_k", "a_mul_v", "wo", "w1", "w2", "softmax", "layernorm_mha", "layernorm_ffn",
    "gelu", "all_reduce_mha", "all_reduce_ffn",
)  # fmt: skip
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


def noc_events(folder: Path) -> dict[str, list[Any]]:
    """Return the events of all traces: commands and the begins and ends of kernels, in order.

    ``tile_x`` and ``tile_y`` are of the tile whose processor tells it, ``other_x`` and ``other_y`` of
    the other (-1 where there is none); ``cycle`` is since the first event of the device.
    """
    with tarfile.open(folder / "traces.tar.gz") as archive:
        names = {name: file for name in archive.getnames() if (file := archive.extractfile(name))}
        single = sorted(name for name in names if "/traces/" in name and name.endswith(".json"))
        gathers = sorted(name for name in names if name.endswith("all_gather_combined.json"))
        traces = [(Path(name).stem, json.load(names[name])) for name in single]
        traces += [(f"all_gather_{Path(n).parent.name}", json.load(names[n])) for n in gathers]
    columns: dict[str, list[Any]] = {name: [] for name in NOC_COLUMNS}
    for trace, events in traces:
        starts: dict[int, int] = {}
        for event in events:
            device = event.get("run_host_id", 0)
            starts[device] = min(starts.get(device, event["timestamp"]), event["timestamp"])
        of_host = {e["run_host_id"]: e["src_device_id"] for e in events if "src_device_id" in e}
        for event in events:
            host = event.get("run_host_id", 0)
            row = (trace, of_host.get(host, 0), *_event(event), event["timestamp"] - starts[host])
            for name, value in zip(NOC_COLUMNS, row, strict=True):
                columns[name].append(value)
    return columns


def _event(event: Mapping[str, Any]) -> tuple[Any, ...]:
    kind = event.get("type") or f"{event['zone']}_{event['zone_phase']}"
    to = (event.get("dx", -1), event.get("dy", -1))
    if "fabric_send" in event:  # what is sent to another chip goes to an Ethernet tile of this one
        way = event["fabric_send"]["path"][0]
        to = (way["segment_end_x"], way["segment_end_y"])
    network = int(event["noc"][-1]) if "noc" in event else -1
    size = event.get("num_bytes", 0)
    return (event["proc"], kind, network, event["sx"], event["sy"], *to, size)


def mlperf(columns: Mapping[str, list[Any]], scenarios: Sequence[str]) -> dict[str, list[Any]]:
    """Return the closed and valid results on H100 and H200 SXM, of models that are known.

    Where requests come one by one, with the mean seconds to the first token, between two, and of a request.
    """
    times = () if scenarios == ("Offline",) else MLPERF_TIMES
    names = (*MLPERF_COLUMNS, *(("scenario",) if times else ()), *times)
    kept: dict[str, list[Any]] = {name: [] for name in names}
    for row in zip(*columns.values(), strict=True):
        said = dict(zip(columns, row, strict=True))
        model = said["model"].replace("llama3_1", "llama3.1").removesuffix("-99.9")
        model = model.removesuffix("-99")
        gpu = said["accelerator"].removeprefix("NVIDIA ").split("-")
        is_asked = (said["division"], said["valid"]) == ("closed", "VALID")
        is_asked = is_asked and said["scenario"] in scenarios
        if not is_asked or gpu[0] not in ("H100", "H200") or gpu[1] != "SXM":
            continue
        if model not in ("llama2-70b", "llama3.1-8b", "llama3.1-405b"):
            continue
        backend = "vllm" if "vLLM" in said["framework"] else "trtllm"
        per_node, nodes = int(said["accel_per_node"]), int(said["nodes"])
        values = (
            said["submitter"], said["model"], model, gpu[0], backend, per_node, per_node * nodes,
            said["tokens_per_s"], said["samples_per_s"],
        )  # fmt: skip
        if times:
            if not all(said[f"{name}_mean_ns"] for name in times):
                continue
            seconds = (1e-9 * float(said[f"{name}_mean_ns"]) for name in times)
            values = (*values, said["scenario"], *seconds)
        for name, value in zip(names, values, strict=True):
            kept[name].append(value)
    return kept


def llmcompass_layer(kernels: Path) -> None:
    """Write activations alone, and the parts of a layer of GPT-3 in the order of their file."""
    write("llmcompass_a100_gelu", of_csv(kernels / "llmcompass_a100_gelu.csv", ("n", "throughput")))
    files = {"prefill": "transformer", "decode": "transformerAR"}
    columns = {
        phase: of_csv(kernels / f"llmcompass_a100_{name}.csv", (phase,))[phase]
        for phase, name in files.items()
    }
    write("llmcompass_a100_gpt3_layer", {"part": GPT3_PARTS, **columns})


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
    llmcompass_layer(kernels)
    write("measured_h100_h200", varying(of_csv(source / "llm_serving" / "measured_h100_h200.csv")))
    results = of_csv(source / "llm_serving" / "mlperf_v5.1_llm_runs.csv")
    write("mlperf_v5_1_offline", mlperf(results, ("Offline",)))
    write("mlperf_v5_1_served", mlperf(results, ("Server", "Interactive")))
    write("wormhole_noc", noc_events(source / "noc_wormhole"))
    with tarfile.open(source / "noc_wormhole" / "traces.tar.gz") as archive:
        licence = archive.extractfile("noc_wormhole/LICENSE.tt-npe")
        assert licence is not None
        (DATA / "LICENSE.tt-npe").write_bytes(licence.read())
    for path in sorted(source.glob("*/LICENSE.*")):
        (DATA / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
