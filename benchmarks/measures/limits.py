"""Time over bound of products, attention, language models and networks of images on one TX81.

``ratio`` is the simulated time of the program over the bound of its graph, ``compile`` the CPU time
from the model to the program, ``matches`` the distance of a small kin's result, executed command by
command, from its reference.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
from benchmarks.measures.table import Figure, at_least, at_most
from examples.models.resnet import resnet50
from numpy.typing import NDArray
from tests.frontends.hf.tiny import checkpoint

from drawloom.bound import bound
from drawloom.chip.files import load_chip
from drawloom.flow import Build, compile
from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.frontends.hf.config import catalog_entry
from drawloom.frontends.onnx import read_onnx
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph, TensorType
from drawloom.units import PS_PER_S

COMPILE_GOAL_S = 30
DRAM_GOAL = 0.9  # share of the rate that the chip is known to reach
NEAR = 0.03  # relative distance of a result in 16 bits, root of squares over all elements
Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """One line of the table.

    Attributes:
        name: the group of its figures.
        goal: what time over bound is held to.
        graph: the work itself, without values where there are many.
        small: the same at a size that is executed in seconds, with values.
        weights: form of the weights.
        is_stream: whether DRAM is held to its rate as well.
        is_exact: whether the small kin gives what its graph gives, bit for bit.
    """

    name: str
    goal: float
    graph: Callable[[], Graph]
    small: Callable[[], Graph]
    weights: str = "float"
    is_stream: bool = False
    is_exact: bool = False


def product(m: int, k: int, n: int, dtype: DType = DType.F16) -> Graph:
    """Return a product of two inputs; of bytes with sums of 32 bits."""
    builder = GraphBuilder(f"product-{m}x{k}x{n}")
    a = builder.input("a", TensorType(dtype, (m, k)))
    b = builder.input("b", TensorType(dtype, (k, n)))
    op = "MatMulInteger" if dtype is DType.I8 else "MatMul"
    return builder.finish([builder.add(op, (a, b), output="c")])


def attention(heads: int, groups: int, length: int, size: int = 128) -> Graph:
    """Return causal attention of one sequence in BF16."""
    builder = GraphBuilder("attention")
    shapes = {"q": heads, "k": groups, "v": groups}
    given = [
        builder.input(v, TensorType(DType.BF16, (1, n, length, size))) for v, n in shapes.items()
    ]
    return builder.finish([builder.add("Attention", given, {"is_causal": 1}, output="y")])


def configured(name: str, request: Request, **changed: object) -> Graph:
    """Return a model of the catalog, some of its figures changed, without weights."""
    return model_graph(read_config({**catalog_entry(name).config, **changed}), request)


def filled(config: Mapping[str, Any], request: Request) -> Graph:
    """Return a small model with random weights."""
    made = read_config(config)
    tensors = checkpoint(made)
    # Small enough that no sum of the deeper ones overflows 16 bits.
    calm = {name: t * np.float32(0.1) if t.ndim > 1 else t for name, t in tensors.items()}
    return model_graph(made, request, calm)


def block(tokens: int) -> Graph:
    """Return one block of Llama-2-7B on a prompt, with hardly a vocabulary."""
    request = Request("prefill", tokens=tokens)
    return configured("llama-2-7b", request, num_hidden_layers=1, vocab_size=64)


LLAMA: Config = {
    "model_type": "llama", "vocab_size": 64, "hidden_size": 128, "intermediate_size": 192,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "torch_dtype": "float16",
}  # fmt: skip
MIXTRAL = LLAMA | {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
VIT: Config = {
    "model_type": "vit", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
    "intermediate_size": 96, "image_size": 32, "patch_size": 8, "torch_dtype": "float16",
}  # fmt: skip
DIT: Config = {
    "_class_name": "DiTTransformer2DModel", "num_attention_heads": 2, "attention_head_dim": 16,
    "num_layers": 1, "sample_size": 8, "num_embeds_ada_norm": 10, "torch_dtype": "float16",
}  # fmt: skip
UNET: Config = {
    "_class_name": "UNet2DModel", "sample_size": 64, "block_out_channels": [64, 128, 256],
    "down_block_types": ["DownBlock2D"] * 3, "up_block_types": ["UpBlock2D"] * 3,
    "torch_dtype": "float16",
}  # fmt: skip
SMALL_UNET = UNET | {
    "sample_size": 16,
    "block_out_channels": [32, 64],
    "down_block_types": ["DownBlock2D"] * 2,
    "up_block_types": ["UpBlock2D"] * 2,
}
FORWARD, STEP, PROMPT = (
    Request("forward"),
    Request("decode", context=20),
    Request("prefill", tokens=24),
)


def _resnet(batch: int, image: int = 224) -> Graph:
    return read_onnx(resnet50(image=image, batch=batch).SerializeToString())


def _coded_resnet(batch: int) -> Graph:
    from examples.models.quantized import quantized_resnet50

    return read_onnx(quantized_resnet50(batch=batch).SerializeToString())


def _codes() -> Graph:
    from examples.models.quantized import codes_of_resnet50

    return read_onnx(codes_of_resnet50().SerializeToString())


def _llama_works() -> Iterator[Work]:
    for tokens in (16, 2048):
        yield Work(
            f"llama-2-7b-block-{tokens}",
            1.15,
            lambda t=tokens: block(t),
            lambda: filled(LLAMA, PROMPT),
        )
    for context in (1023, 4096):
        for batch in (1, 16):
            request = Request("decode", batch=batch, context=context)
            yield Work(
                f"llama-2-7b-decode-{context}-b{batch}",
                1.15,
                lambda r=request: configured("llama-2-7b", r),
                lambda: filled(LLAMA, STEP),
            )
    step = Request("decode", context=1023)
    for weights in ("float", "int8"):
        name = {"float": "fp16"}.get(weights, weights)
        yield Work(
            f"llama-3-8b-decode-{name}",
            1.10,
            lambda: configured("llama-3-8b", step),
            lambda: filled(LLAMA, STEP),
            weights,
            is_stream=True,
        )
    eight = Request("decode", batch=8, context=1023)
    yield Work(
        "mixtral-8x7b-decode-b8-int4",
        1.25,
        lambda: configured("mixtral-8x7b", eight),
        lambda: filled(MIXTRAL, STEP),
        "int4",
    )


WORKS = (
    *(
        Work(
            f"gemm-{m}x{k}x{n}", goal, lambda s=(m, k, n): product(*s), lambda: product(96, 160, 80)
        )
        for m, k, n, goal in (
            (2048, 2048, 2048, 1.10),
            (4096, 1024, 4096, 1.10),
            (4096, 4096, 4096, 1.10),
            (1024, 8192, 1024, 1.10),
            (512, 512, 512, 1.6),
            (1024, 1024, 1024, 1.6),
        )
    ),
    Work(
        "gemm-int8-4096x4096x4096",
        1.10,
        lambda: product(4096, 4096, 4096, DType.I8),
        lambda: product(96, 160, 80, DType.I8),
    ),
    Work(
        "attention-28x2048", 1.25, lambda: attention(28, 28, 2048), lambda: attention(3, 3, 70, 32)
    ),
    Work(
        "attention-28x8192", 1.25, lambda: attention(28, 28, 8192), lambda: attention(3, 3, 70, 32)
    ),
    Work(
        "attention-32x8-2048", 1.25, lambda: attention(32, 8, 2048), lambda: attention(8, 2, 70, 32)
    ),
    *_llama_works(),
    *(
        Work(f"resnet50-fp16-b{batch}", 1.4, lambda b=batch: _resnet(b), lambda: _resnet(1, 32))
        for batch in (1, 16)
    ),
    *(
        Work(
            f"resnet50-int8-b{batch}",
            1.4,
            lambda b=batch: _coded_resnet(b),
            _codes,
            is_exact=True,
        )
        for batch in (1, 16)
    ),
    Work(
        "vit-b16-b8",
        1.4,
        lambda: configured("vit-b-16", Request("forward", batch=8)),
        lambda: filled(VIT, FORWARD),
    ),
    Work(
        "unet-small",
        1.4,
        lambda: model_graph(read_config(UNET), FORWARD),
        lambda: filled(SMALL_UNET, FORWARD),
    ),
    Work(
        "dit-block",
        1.4,
        lambda: configured("dit-xl-2", FORWARD, num_layers=1),
        lambda: filled(DIT, FORWARD),
    ),
)
ODD = [
    (m, k, n) for m in (1, 3, 17, 100, 777) for k, n in ((1000, 1000), (1500, 3001), (4097, 2049))
]


def figures(work: Work) -> Iterator[Figure]:
    """Yield time over bound, the time to compile, and the distance of a small kin."""
    graph = work.graph()
    begun = process_time()
    build = compile(graph, weights=work.weights)
    took = process_time() - begun
    trace = build.time()
    least = bound(build.graph, build.chip)
    note = f"{trace.total_ps / 1e6:,.1f} us, bound {least.ps / 1e6:,.1f} us, set by {least.limit}"
    yield at_most(f"{work.name}.ratio", trace.total_ps / least.ps, "x", work.goal, note)
    yield at_most(f"{work.name}.compile", took, "CPU s", COMPILE_GOAL_S)
    if work.is_stream:
        share = sum(trace.dram_bytes) * PS_PER_S / trace.total_ps / build.chip.dram.read
        yield at_least(f"{work.name}.dram", share, "of read rate", DRAM_GOAL)
    far = distance(work.small(), work.weights, is_exact=work.is_exact)
    near = 0.0 if work.is_exact else NEAR
    yield at_most(f"{work.name}.matches", far, "relative", near)


def odd_figures() -> Iterator[Figure]:
    """Yield the median over products whose sizes divide by nothing."""
    chip = load_chip("tx81")
    ratios: dict[str, float] = {}
    for m, k, n in ODD:
        graph = product(m, k, n)
        ratios[f"{m}x{k}x{n}"] = compile(graph, chip).time().total_ps / bound(graph, chip).ps
    worst = max(ratios, key=lambda name: ratios[name])
    note = f"{len(ratios)} products; worst {worst}: {ratios[worst]:.2f}"
    yield at_most("gemm-odd.ratio", statistics.median(ratios.values()), "x", 1.5, note)
    small = [distance(product(m, 70, 33)) for m in (1, 17, 100)]
    yield at_most("gemm-odd.matches", max(small), "relative", NEAR)


def distance(
    graph: Graph, weights: str = "float", *, is_exact: bool = False, chip: str = "tx81"
) -> float:
    """Return how far a program's outputs are from the graph's, over all their elements.

    The graph is evaluated in float64, or where they are to be equal, in its own formats.
    """
    build = compile(graph, chip, weights=weights)
    given = _inputs(build)
    wanted = evaluate(build.graph, given, wide=not is_exact)
    made = build.run(given)
    off, size = 0.0, 0.0
    for name, value in made.items():
        exact = np.asarray(wanted[name], np.float64)
        off += float(((value.astype(np.float64) - exact) ** 2).sum())
        size += float((exact**2).sum())
    return (off / size) ** 0.5 if size else 0.0


def _inputs(build: Build) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(1)
    given: dict[str, NDArray[Any]] = {}
    for name in build.graph.inputs:
        kind = build.graph.types[name]
        if kind.dtype.is_float:
            given[name] = rng.standard_normal(kind.shape).astype(kind.dtype.numpy)
        else:
            low, high = (-9, 9) if kind.dtype is DType.I8 else (3, 4)
            given[name] = rng.integers(low, high, kind.shape).astype(kind.dtype.numpy)
    return given
