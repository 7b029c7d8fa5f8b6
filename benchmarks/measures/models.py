"""How quickly models come in, in a process of their own: what a person waits for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measures.table import Figure, at_most

ROOT = Path(__file__).parents[2]
DECODE_GOAL_S, DECODE_GOAL_BYTES, IMPORT_GOAL_S = 5, 1_000_000_000, 1
RUNS = 3
MODELS = {
    "llama-3-8b": "Request('decode', batch=8, context=4096)",
    "llama-3-8b-prefill": "Request('prefill', batch=1, tokens=2048)",
    "llama-3.1-405b-graph": "Request('decode', batch=8, context=4096)",
}

_COMPILED = """
import resource, time
wall, cpu = time.perf_counter(), time.process_time()
from drawloom.flow import compile
from drawloom.frontends.hf.request import Request
build = compile('{model}', request={request})
trace = build.time()
took = time.perf_counter() - wall, time.process_time() - cpu
print(*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, trace.latency_ps)
"""
_READ = """
import time
wall, cpu = time.perf_counter(), time.process_time()
from drawloom.frontends.hf import Request, model_graph, read_config
graph = model_graph(read_config('{model}'), {request})
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
_RESNET = """
import time
from examples.models.resnet import resnet50
raw = resnet50().SerializeToString()
import drawloom.frontends.onnx
wall, cpu = time.perf_counter(), time.process_time()
drawloom.frontends.onnx.read_onnx(raw)
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def _best(script: str) -> list[float]:
    """Run a script some times, each in a new process; return the numbers of the quickest."""
    places = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    runs: list[list[float]] = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env=environment,
        )  # fmt: skip
        runs.append([float(word) for word in done.stdout.split()])
    return min(runs)


def decode_figures() -> Iterator[Figure]:
    """Llama-3-8B's decode step from its configuration: read, compiled and timed."""
    request = MODELS["llama-3-8b"]
    wall, cpu, peak, latency = _best(_COMPILED.format(model="llama-3-8b", request=request))
    note = "import, read, compile, time; batch 8, context 4096; best of 3"
    yield at_most("llama-3-8b.decode", wall, "s", DECODE_GOAL_S, note)
    yield Figure("llama-3-8b.decode_cpu", cpu, "s", note="processor time of the same run")
    yield at_most("llama-3-8b.decode_peak", peak, "B", DECODE_GOAL_BYTES, "resident set")
    yield Figure("llama-3-8b.decode_latency", latency / 1e9, "ms", note="of the step on a TX81")


def prefill_figures() -> Iterator[Figure]:
    """Llama-3-8B's prefill of 2048 tokens from its configuration."""
    request = MODELS["llama-3-8b-prefill"]
    wall, cpu, peak, latency = _best(_COMPILED.format(model="llama-3-8b", request=request))
    yield Figure("llama-3-8b-prefill.all", wall, "s", note="as above; 1 prompt of 2048 tokens")
    yield Figure("llama-3-8b-prefill.cpu", cpu, "s", note="processor time of the same run")
    yield Figure("llama-3-8b-prefill.peak", peak, "B", note="resident set")
    yield Figure("llama-3-8b-prefill.latency", latency / 1e9, "ms", note="on a TX81")


def graph_figures() -> Iterator[Figure]:
    """The largest model of the catalog as a graph."""
    request = MODELS["llama-3.1-405b-graph"]
    wall, cpu = _best(_READ.format(model="llama-3.1-405b", request=request))
    yield Figure("llama-3.1-405b-graph.read", wall, "s", note="126 layers; import included")
    yield Figure("llama-3.1-405b-graph.read_cpu", cpu, "s", note="processor time of the same run")


def resnet_figures() -> Iterator[Figure]:
    """ResNet-50 from the bytes of an ONNX file to a graph."""
    wall, cpu = _best(_RESNET)
    yield at_most("resnet50.import", wall, "s", IMPORT_GOAL_S, "ONNX bytes of 98 MB to a graph")
    yield Figure("resnet50.import_cpu", cpu, "s", note="processor time of the same run")
