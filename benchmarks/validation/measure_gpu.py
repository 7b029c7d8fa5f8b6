"""Time kernels and one whole block on the GPU at hand, beside what the model says before any fitting.

    python benchmarks/validation/measure_gpu.py h200_sxm [--json FILE] [--device cpu --quick]

Needs PyTorch. Products, attention, norms, and a block of the shape of Llama 3 8B with random
weights, in bfloat16, each replayed from a captured graph and timed by events; the table begins with
its conditions. ``--device cpu --quick`` only shows that the script runs where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from drawloom.chip.gpu import Gpu, load_gpu
from drawloom.routes.gpu.attention import Attention, decode_seconds, prefill_seconds
from drawloom.routes.gpu.gemm import gemm_seconds
from drawloom.routes.gpu.pointwise import GATED_ACTIVATION, RMS_NORM, ROTATION, SUM

WIDTH, INNER, HEADS, KV_HEADS, HEAD_DIM = 4096, 14336, 32, 8, 128  # Llama 3 8B
REPEATS, REPLAYS = 7, 20


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement beside its prediction, both in microseconds."""

    name: str
    measured_us: float
    predicted_us: float


class Clock:
    """Times a function on a device: the median of repeats, each the mean of several replays."""

    def __init__(self, device: str, *, is_quick: bool) -> None:
        self.device = device
        self.repeats, self.replays = (1, 1) if is_quick else (REPEATS, REPLAYS)

    def seconds(self, work: Callable[[], Any]) -> float:
        """Return the seconds of one call, launched from a graph where there is a GPU."""
        for _ in range(2):
            work()
        if self.device == "cpu":
            begin = time.perf_counter()
            for _ in range(self.replays):
                work()
            return (time.perf_counter() - begin) / self.replays
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(self.replays):
                work()
        return statistics.median(self._replay(graph) for _ in range(self.repeats))

    def _replay(self, graph: Any) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) * 1e-3 / self.replays


def numbers(device: str, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=device, dtype=torch.bfloat16)


def product_us(gpu: Gpu, m: int, n: int, k: int) -> float:
    one = (np.array([each]) for each in (m, n, k))
    return 1e6 * float(gemm_seconds(gpu, "bfloat16", *one)[0])


def attention_us(gpu: Gpu, batch: int, tokens: int, *, is_prompt: bool) -> float:
    cases = Attention.of(batch, tokens, HEADS, KV_HEADS, HEAD_DIM, 0, 2)
    return 1e6 * float((prefill_seconds if is_prompt else decode_seconds)(gpu, cases)[0])


def products(gpu: Gpu, clock: Clock, scale: int) -> Iterator[Row]:
    for m in (1, 16, 100, 513, 2048, 8192):
        for n, k in ((4096, 4096), (28672, 4096), (4096, 14336)):
            sizes = (m, n // scale, k // scale)
            a, b = numbers(clock.device, m, sizes[2]), numbers(clock.device, sizes[1], sizes[2])
            seconds = clock.seconds(lambda a=a, b=b: functional.linear(a, b))
            name = "product {}x{}x{}".format(*sizes)
            yield Row(name, 1e6 * seconds, product_us(gpu, *sizes))


def attentions(gpu: Gpu, clock: Clock, scale: int) -> Iterator[Row]:
    for batch, tokens, is_prompt in (
        (1, 2048, True), (4, 4096, True), (1, 8192, False), (64, 2048, False)
    ):  # fmt: skip
        length = tokens // scale
        queries = length if is_prompt else 1
        q = numbers(clock.device, batch, HEADS, queries, HEAD_DIM)
        k, v = (numbers(clock.device, batch, KV_HEADS, length, HEAD_DIM) for _ in range(2))

        def work(q: Any = q, k: Any = k, v: Any = v, is_causal: bool = is_prompt) -> Any:
            return functional.scaled_dot_product_attention(
                q, k, v, is_causal=is_causal, enable_gqa=True
            )

        name = f"attention {'prompt' if is_prompt else 'token'} {batch}x{length}"
        predicted = attention_us(gpu, batch, length, is_prompt=is_prompt)
        yield Row(name, 1e6 * clock.seconds(work), predicted)


def norms(gpu: Gpu, clock: Clock, scale: int) -> Iterator[Row]:
    for rows in (1, 128, 4096):
        x, weight = (
            numbers(clock.device, rows, WIDTH // scale),
            numbers(clock.device, WIDTH // scale),
        )
        seconds = clock.seconds(lambda x=x, w=weight: functional.rms_norm(x, (x.shape[-1],), w))
        predicted = 1e6 * float(RMS_NORM.seconds(gpu, rows, WIDTH // scale))
        yield Row(f"rms norm {rows}x{WIDTH // scale}", 1e6 * seconds, predicted)


class Block(torch.nn.Module):
    """One layer of a decoder of the shape of Llama 3 8B over one sequence, random weights."""

    def __init__(self, device: str, scale: int) -> None:
        super().__init__()
        self.heads, self.kv_heads = HEADS // scale, max(KV_HEADS // scale, 1)
        self.width, self.inner = WIDTH // scale, INNER // scale
        wide = (self.heads + 2 * self.kv_heads) * HEAD_DIM
        self.qkv = numbers(device, wide, self.width) / 64
        self.out = numbers(device, self.width, self.heads * HEAD_DIM) / 64
        self.up = numbers(device, 2 * self.inner, self.width) / 64
        self.down = numbers(device, self.width, self.inner) / 64
        self.norm = numbers(device, self.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the hidden state [tokens, width] after the layer."""
        tokens = x.shape[0]
        normed = functional.rms_norm(x, (self.width,), self.norm)
        split = functional.linear(normed, self.qkv).view(tokens, -1, HEAD_DIM).transpose(0, 1)
        q, k, v = split.split([self.heads, self.kv_heads, self.kv_heads])
        # A rotation's traffic and work, without its angles: halves exchanged and scaled.
        q, k = ((t + torch.cat([-t[..., 64:], t[..., :64]], -1)) for t in (q, k))
        seen = functional.scaled_dot_product_attention(
            q[None], k[None], v[None], is_causal=True, enable_gqa=True
        )
        x = x + functional.linear(seen[0].transpose(0, 1).reshape(tokens, -1), self.out)
        normed = functional.rms_norm(x, (self.width,), self.norm)
        gate, up = functional.linear(normed, self.up).chunk(2, -1)
        return x + functional.linear(functional.silu(gate) * up, self.down)


def block_us(gpu: Gpu, tokens: int) -> float:
    heads = HEADS + 2 * KV_HEADS
    rows = 2 * RMS_NORM.seconds(gpu, tokens, WIDTH) + 2 * SUM.seconds(gpu, tokens, WIDTH)
    rows += ROTATION.seconds(gpu, tokens, (HEADS + KV_HEADS) * HEAD_DIM)
    rows += GATED_ACTIVATION.seconds(gpu, tokens, INNER)
    sizes = ((heads * HEAD_DIM, WIDTH), (WIDTH, WIDTH), (2 * INNER, WIDTH), (WIDTH, INNER))
    matrices = sum(product_us(gpu, tokens, n, k) for n, k in sizes)
    return 1e6 * float(rows) + matrices + attention_us(gpu, 1, tokens, is_prompt=True)


def blocks(gpu: Gpu, clock: Clock, scale: int) -> Iterator[Row]:
    block = Block(clock.device, scale)
    for tokens in (128, 2048, 4096):
        x = numbers(clock.device, tokens // scale, WIDTH // scale)
        seconds = clock.seconds(lambda x=x: block(x))
        yield Row(
            f"block of {tokens // scale} tokens", 1e6 * seconds, block_us(gpu, tokens // scale)
        )


def conditions(device: str) -> dict[str, str]:
    if device == "cpu":
        return {"device": "CPU: times mean nothing here", "torch": torch.__version__}
    name = torch.cuda.get_device_name()
    return {"device": name, "torch": torch.__version__, "cuda": str(torch.version.cuda)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time kernels on a GPU beside the model's times.")
    parser.add_argument("gpu", help="which of drawloom's GPUs it is: h100_sxm, h200_sxm, a100_sxm")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="sizes of a sixteenth, timed once")
    parser.add_argument("--json", help="write the table to a file")
    asked = parser.parse_args()
    gpu, clock = load_gpu(asked.gpu), Clock(asked.device, is_quick=asked.quick)
    found: list[Row] = []
    print(conditions(asked.device))
    with torch.inference_mode():
        for measure in (products, attentions, norms, blocks):
            for row in measure(gpu, clock, 16 if asked.quick else 1):
                share = row.predicted_us / row.measured_us - 1
                print(
                    f"{row.name:32} {row.measured_us:10.1f} us {row.predicted_us:10.1f} us {share:+7.1%}"
                )
                found.append(row)
    errors = [abs(row.predicted_us / row.measured_us - 1) for row in found]
    print(f"median error {statistics.median(errors):.1%} of {len(errors)}, nothing fitted")
    if asked.json:
        table = {"conditions": conditions(asked.device), "rows": [asdict(row) for row in found]}
        with open(asked.json, "w") as file:
            json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
