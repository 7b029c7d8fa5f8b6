"""The questions that peers were asked on this kind of machine, asked of drawloom; and both answers.

Each question runs in a process of its own, imports and reading of the model included, as the peers'
figures have it; the CPU time is the user time of the process.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measures.questions import (
    CLOCK,
    LAYER_MS,
    RATIOS,
    WIDE,
    ZIGZAG_LAYERS,
    Question,
)
from benchmarks.measures.table import Figure, at_least, at_most

if TYPE_CHECKING:
    from drawloom.routes.spans import RouteTrace

ROOT = Path(__file__).parents[2]
COUNTED = ROOT / "tests" / "reference" / "scale_sim_cycles.csv"
MORE = "-parts"  # of a question: what explains its answer, asked apart and not timed
FACTOR = 100  # less CPU time than the peer, at the least
Answer = dict[str, float]


def figures(question: Question) -> Iterator[Figure]:
    """Yield how much less CPU time a question takes than the peer took, and the answer."""
    with tempfile.TemporaryDirectory() as folder:
        path = _model(question.model, Path(folder)) if question.model else ""
        ask(question.name, path)  # compiled files of imports are on disk from here on
        tries = [ask(question.name, path) for _ in range(2)]
        more = f"{question.name}{MORE}"
        parts = ask(more, path)[1] if more in ASKED else {}
    seconds, answer = min(tries, key=lambda pair: pair[0])
    answer |= parts
    said = (
        "" if question.beside else f"; no answer of {question.peer} to this was published or kept"
    )
    note = f"{question.peer} {question.peer_cpu_s:g} CPU s, drawloom {seconds:.2f}: {question.note}{said}"
    yield at_least(f"{question.name}.less_cpu", question.peer_cpu_s / seconds, "x", FACTOR, note)
    for name, value in answer.items():
        held = at_most if name.endswith("_off") else None
        full = f"{question.name}.{name}"
        yield held(full, value, "cycles", 0) if held else Figure(full, value, _unit(name))
    for each in question.beside:
        full = f"{question.name}.{each.key}"
        theirs = f"{full}.{each.who or question.peer}"
        ratio = answer[each.key] / each.value
        yield Figure(theirs, each.value, _unit(each.key), note=each.source)
        over = f"over_{each.who}" if each.who else "over_theirs"
        yield Figure(f"{full}.ours_{over}", ratio, "x")


def _unit(name: str) -> str:
    return {"cycles": "cycles", "ms": "ms", "percent": "%"}[name.rpartition("_")[2]]


def ask(name: str, path: str) -> tuple[float, Answer]:
    """Return the CPU seconds of a question in a process of its own, and its answer."""
    before = _children()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measures.peers", name, path],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return _children() - before, json.loads(done.stdout)


def _children() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def _model(name: str, folder: Path) -> str:
    from examples.models import resnet

    path = folder / f"{name}.onnx"
    path.write_bytes(getattr(resnet, name)().SerializeToString())
    return str(path)


def gpt3_layer(_: str) -> Answer:
    """Return the time of a layer of GPT-3 on four A100."""
    import numpy as np

    from drawloom.chip.gpu import load_gpu
    from drawloom.routes.gpu.attention import Attention, prefill_seconds
    from drawloom.routes.gpu.collective import all_reduce_seconds
    from drawloom.routes.gpu.gemm import gemm_seconds
    from drawloom.routes.gpu.pointwise import LAYER_NORM, RowKernel

    gpu, width, heads, gpus, batch, tokens = load_gpu("a100_sxm"), 12288, 96, 4, 8, 2048
    rows = float(batch * tokens)
    # Queries, keys and values; the product behind the attention; up; down.
    n = np.array([3 * width / gpus, width, 4 * width / gpus, width])
    k = np.array([width, width / gpus, width, 4 * width / gpus])
    seconds = gemm_seconds(gpu, "bfloat16", np.full(4, rows), n, k).sum()
    each = heads / gpus
    seconds += prefill_seconds(gpu, Attention.of(batch, tokens, each, each, 128, 0, 2))[0]
    gelu = RowKernel(read=1, written=1)
    seconds += 2 * LAYER_NORM.seconds(gpu, rows, width) + gelu.seconds(gpu, rows, 4 * width / gpus)
    seconds += 2 * all_reduce_seconds(gpu, np.array([2 * rows * width]), np.array([gpus]))[0]
    return {"layer_ms": 1e3 * float(seconds)}


def gpt3_products(_: str) -> Answer:
    """Return a layer part by part, and products of 12288 x 12288, beside what an A100 took."""
    import numpy as np

    from drawloom.chip.gpu import load_gpu
    from drawloom.routes.gpu.fitted import behaviour
    from drawloom.routes.gpu.gemm import gemm_seconds
    from drawloom.validate.comparisons.gpt3 import PASSES, parts
    from drawloom.validate.comparisons.layers import CALLS
    from drawloom.validate.tables import read_table

    apart = 1e3 * sum(parts(load_gpu("a100_sxm"), PASSES["prefill"]).values())
    table = read_table("llmcompass_a100_matmul")
    rows = (table["n"] == WIDE) & (table["m"] <= max(RATIOS))
    m, width = table["m"][rows], np.full(rows.sum(), WIDE)
    call = CALLS["matmul"] - behaviour("cublas").launch  # of PyTorch, in what was measured
    made = call + gemm_seconds(load_gpu("a100_sxm"), "bfloat16", m, width, width)
    off = np.abs(made / (1e-3 * table["latency"][rows]) - 1)
    return {
        "apart_ms": apart,
        "apart_off_percent": 100 * abs(apart / LAYER_MS - 1),
        "product_ms": 1e3 * float(made[-1]),
        "products_off_percent": 100 * float(off.mean()),
    }


def resnet50_cycles(path: str) -> Answer:
    """Return the cycles of all layers, and how far shapes that SCALE-Sim stepped through are off."""
    from drawloom.routes.systolic.array import Array, Product

    array = Array(32, 32)
    total = sum(
        array.cycles(Product(m, n, k), "weight") * batch for batch, m, n, k in _products(path)
    )
    off = 0
    with COUNTED.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            made = Array(int(row["rows"]), int(row["columns"]))
            product = Product(int(row["m"]), int(row["n"]), int(row["k"]))
            off += abs(made.cycles(product, "weight") - int(row["weight"]))
    return {"total_cycles": total, "from_scale_sim_off": off}


def _products(path: str) -> Iterator[tuple[int, int, int, int]]:
    from drawloom.frontends.onnx import read_onnx
    from drawloom.routes.fuse import fuse
    from drawloom.routes.work import Products

    for kernel in fuse(read_onnx(path, {})):
        if isinstance(kernel.work, Products):
            yield kernel.work.batch, kernel.work.m, kernel.work.n, kernel.work.k


def resnet50_latency(path: str) -> Answer:
    """Return the time of ResNet-50 on one array of 32 x 32 beside an SRAM and a DRAM."""
    return _run_onnx(path, arrays=1)


def resnet50_parts(path: str) -> Answer:
    """Return the cycles of the first convolution, of 41 others, and of the array alone in those."""
    trace = _trace(path, arrays=1)
    first, *others = (span for span in trace.spans if span.parts["arrays"])
    others = others[:ZIGZAG_LAYERS]
    return {
        "first_layer_cycles": first.seconds * CLOCK,
        "convolutions_cycles": sum(span.seconds for span in others) * CLOCK,
        "convolutions_array_cycles": sum(span.parts["arrays"] for span in others) * CLOCK,
    }


def resnet18_four_cores(path: str) -> Answer:
    """Return the time of ResNet-18 on four arrays of 32 x 32."""
    return _run_onnx(path, arrays=4)


def _run_onnx(path: str, arrays: int) -> Answer:
    return {"latency_cycles": _trace(path, arrays).seconds * CLOCK}


def _trace(path: str, arrays: int) -> RouteTrace:
    from dataclasses import replace

    from drawloom.chip.systolic import load_systolic
    from drawloom.frontends.onnx import read_onnx
    from drawloom.routes.systolic.run import run_systolic

    # The chip that ZigZag ships as TPU-like: 32 x 32 cells of 8 bits, 2 MiB of SRAM, 8 bytes of DRAM a
    # cycle. Numbers of the file have 32 bits, so memories are four times as large and quick.
    chip = replace(
        load_systolic("tpu_v4"), name="array_32", cell_macs={"tf32": 1}, rows=32, columns=32,
        arrays=arrays, clock=CLOCK, sram=arrays << 23, dram_rate=32e9, vector_lanes=32 * arrays,
    )  # fmt: skip
    return run_systolic(read_onnx(path, {}), chip)


def two_convolutions(_: str) -> Answer:
    """Return the cycles of two convolutions on four arrays beside a DRAM of 8 bytes a cycle."""
    from dataclasses import replace

    from drawloom.chip.systolic import load_systolic
    from drawloom.graph.build import GraphBuilder
    from drawloom.graph.dtypes import DType
    from drawloom.graph.ir import TensorType
    from drawloom.routes.systolic.run import run_systolic

    chip = replace(
        load_systolic("tpu_v4"), name="tpu_like_quad_core", cell_macs={"bf16": 1}, rows=32, columns=32,
        arrays=4, clock=CLOCK, sram=4 << 21, dram_rate=8e9, vector_lanes=128,
    )  # fmt: skip
    builder = GraphBuilder("two-convolutions")
    value = builder.input("x", TensorType(DType.BF16, (1, 8, 32, 32)))
    for name, shape in (("y", (16, 8, 3, 3)), ("z", (32, 16, 3, 3))):
        weights = builder.input(f"weights_{name}", TensorType(DType.BF16, shape))
        value = builder.add("Conv", (value, weights), {"pads": (1, 1, 1, 1)}, output=name)
    trace = run_systolic(builder.finish([value]), chip)
    return {"two_convolutions_cycles": trace.seconds * CLOCK}


def large_product(_: str) -> Answer:
    """Return the time of 16384 x 16384 x 16384 on four arrays of 128 x 128 at 1 GHz."""
    from dataclasses import replace

    from drawloom.chip.systolic import load_systolic
    from drawloom.graph.build import GraphBuilder
    from drawloom.graph.dtypes import DType
    from drawloom.graph.ir import TensorType
    from drawloom.routes.systolic.run import run_systolic

    chip = replace(
        load_systolic("tpu_v4"),
        name="tpu_like",
        arrays=4,
        clock=CLOCK,
        sram=128 << 20,
        dram_rate=614e9,
    )
    builder = GraphBuilder("product")
    kind = TensorType(DType.BF16, (16384, 16384))
    operands = builder.input("a", kind), builder.input("b", kind)
    trace = run_systolic(builder.finish([builder.add("MatMul", operands, output="c")]), chip)
    return {"product_ms": 1e3 * trace.seconds}


def gpt3_block(_: str) -> Answer:
    """Return the time of a block of GPT-3 6.7B on a chip like a TPU v4i."""
    from dataclasses import replace

    from drawloom.chip.systolic import load_systolic
    from drawloom.frontends.hf import Request, model_graph, read_config
    from drawloom.routes.systolic.run import run_systolic

    # TPU v4i: 4 arrays of 128 x 128 at 1.05 GHz, 128 MiB, 614 GB/s. Source: Jouppi et al., ISCA 2021.
    chip = replace(
        load_systolic("tpu_v4"), name="tpu_v4i", arrays=4, sram=128 << 20, dram_rate=614e9
    )
    config = read_config("opt-6.7b")  # the sizes of GPT-3 6.7B
    times: list[float] = []
    for layers in (1, 2):
        figures = config.figures.model_copy(update={"num_hidden_layers": layers})
        graph = model_graph(replace(config, figures=figures), Request("prefill", tokens=2048))
        times.append(run_systolic(graph, chip).seconds)
    return {"block_ms": 1e3 * (times[1] - times[0])}


ASKED: dict[str, Callable[[str], Answer]] = {
    "gpt3-layer": gpt3_layer,
    "gpt3-layer-parts": gpt3_products,
    "resnet50-cycles": resnet50_cycles,
    "resnet50-latency": resnet50_latency,
    "resnet50-latency-parts": resnet50_parts,
    "resnet18-four-cores": resnet18_four_cores,
    "resnet18-four-cores-parts": two_convolutions,
    "gpt3-6.7b-block": gpt3_block,
    "gpt3-6.7b-block-parts": large_product,
}

if __name__ == "__main__":
    print(json.dumps(ASKED[sys.argv[1]](sys.argv[2])))
