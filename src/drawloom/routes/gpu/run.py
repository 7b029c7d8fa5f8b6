"""A graph on one GPU, kernel by kernel: what ``fuse`` gives, each timed by its mechanism.

    products   cuBLAS's quickest tile and split for the shape, a whole batch in one kernel; of a
               convolution the implicit product, its windows read from the image
    attention  flash attention over a prompt, or of one token a sequence
    rows       passes of thread blocks over rows
    others     the bytes that pass through DRAM

Each begins with a launch: that of a replayed graph, or, eagerly, with what the host needs for one
operator where that is longer than the kernel before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from drawloom.chip.gpu import Gpu
from drawloom.graph.ir import Graph
from drawloom.routes.fuse import Kernel, fuse
from drawloom.routes.gpu.attention import WIDE, Attention, decode_seconds, prefill_seconds
from drawloom.routes.gpu.fitted import behaviour, numbers
from drawloom.routes.gpu.kernel import Floats, Shapes
from drawloom.routes.gpu.libraries import cublas
from drawloom.routes.gpu.pointwise import HALF, LAYER_NORM, RMS_NORM, SOFTMAX, passing
from drawloom.routes.spans import RouteTrace, Span, span
from drawloom.routes.walk import Fusion
from drawloom.routes.work import Attended, Products, Rows

OPERAND_BYTES = {"i8": 1.0, "f8": 1.0, "tf32": 4.0}  # two of any other
HEAD_DIMS = (64, 128, 256, WIDE)  # that attention kernels are made for; others are padded
_NORMS = {
    "RMSNormalization": RMS_NORM,
    "LayerNormalization": LAYER_NORM,
    "Softmax": SOFTMAX,
    "LogSoftmax": SOFTMAX,
}


def run_gpu(
    graph: Graph,
    gpu: Gpu,
    fusion: Fusion | None = None,
    *,
    is_replayed: bool = True,
    kernels: tuple[Kernel, ...] | None = None,
) -> RouteTrace:
    """Return when each kernel of a graph runs on one GPU.

    Args:
        graph: in a format that the GPU multiplies; see ``quantize.precision``.
        gpu: where.
        fusion: what kernels take on; by default all.
        is_replayed: whether kernels come from a captured graph; else one by one from Python.
        kernels: of the graph, where they are others than ``fuse`` gives.

    Raises:
        InputError: ``chip.gpu``, for a format that the GPU does not multiply.
    """
    kernels = kernels or fuse(graph, fusion)
    ops = {node.name: node.op for node in graph.nodes}
    seconds = np.zeros(len(kernels))
    _time_products(gpu, kernels, seconds)
    _time_attention(gpu, kernels, seconds)
    for at, kernel in enumerate(kernels):
        if not isinstance(kernel.work, (Products, Attended)):
            seconds[at] = _others(gpu, kernel, ops[kernel.nodes[0]])
    if not is_replayed:
        seconds = np.maximum(seconds, numbers("fp8_block_host")["operator"])
    spans = [_span(gpu, kernel, float(each)) for kernel, each in zip(kernels, seconds, strict=True)]
    return RouteTrace(graph.name, gpu.name, 1, tuple(spans))


def _dram(gpu: Gpu) -> float:
    return gpu.dram_rate * behaviour("cublas").dram_share


def _time_products(gpu: Gpu, kernels: Sequence[Kernel], seconds: Floats) -> None:
    """Time all products of one format together: they come in many equal shapes."""
    by_format: dict[str, list[int]] = {}
    for at, kernel in enumerate(kernels):
        if isinstance(kernel.work, Products):
            by_format.setdefault(kernel.work.number_format, []).append(at)
    for word, places in by_format.items():
        works = [work for at in places if isinstance(work := kernels[at].work, Products)]
        width = OPERAND_BYTES.get(word, 2.0)
        copies = [work.batch * work.m * work.k * width / work.left_bytes for work in works]
        sizes = np.array([(w.m, w.n, w.k, w.batch) for w in works], np.float64)
        keys = np.column_stack([sizes, np.maximum(1, copies)])
        distinct, which = np.unique(keys, axis=0, return_inverse=True)
        m, n, k, batch, windows = distinct.T
        shapes = Shapes(m, n, k, batch, windows)
        found = cublas(gpu, behaviour("cublas"), word, width, shapes)[which.reshape(-1)]
        for at, work, each in zip(places, works, found, strict=True):
            kernel = kernels[at]
            operands = min(work.left_bytes + work.right_bytes, kernel.read_bytes)
            beside = kernel.read_bytes - operands + max(0, kernel.written_bytes - work.out_bytes)
            seconds[at] = each + beside / _dram(gpu)


def _time_attention(gpu: Gpu, kernels: Sequence[Kernel], seconds: Floats) -> None:
    for at, kernel in enumerate(kernels):
        work = kernel.work
        if isinstance(work, Attended):
            gpu.macs(work.number_format)
            one = decode_seconds if work.queries == 1 else prefill_seconds
            seconds[at] = float(one(gpu, _cases(work))[0])


def _cases(work: Attended) -> Attention:
    size = max(work.head_dim, work.value_dim)
    padded = next((each for each in HEAD_DIMS if each >= size), size)
    return Attention.of(
        work.batch,
        work.keys,
        work.heads,
        work.kv_heads,
        padded,
        work.window,
        work.number_bytes,
        work.queries,
        float(work.is_causal),
    )


def _others(gpu: Gpu, kernel: Kernel, op: str) -> float:
    moved = kernel.read_bytes + kernel.written_bytes
    work = kernel.work
    if not isinstance(work, Rows):
        return behaviour("cublas").launch + moved / _dram(gpu)
    elements = max(1, work.rows * work.width)
    base = _NORMS.get(op, passing(work.passes))
    used = replace(
        base,
        read=kernel.read_bytes / HALF / elements,
        written=kernel.written_bytes / HALF / elements,
    )
    return float(used.seconds(gpu, work.rows, work.width))


def _span(gpu: Gpu, kernel: Kernel, seconds: float) -> Span:
    """Return a kernel's span; what no other part explains are tiles, waves and their latencies."""
    parts = {
        "launch": behaviour("cublas").launch,
        "DRAM": (kernel.read_bytes + kernel.written_bytes) / _dram(gpu),
    }
    if isinstance(kernel.work, (Products, Attended)):
        rate = gpu.rated_peak(kernel.work.number_format) * gpu.sustained
        parts["tensor cores"] = kernel.macs / rate
    parts["tiles"] = max(0.0, seconds - parts["launch"] - max(parts.values()))
    return span(kernel, seconds, parts)
