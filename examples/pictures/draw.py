"""Draw the pictures of docs/how-it-maps.md: a product, attention and a ResNet block on a TX81 over time.

.venv/bin/python examples/pictures/draw.py docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from examples.models.net import Net  # noqa: E402

from drawloom.flow import Build, compile  # noqa: E402
from drawloom.frontends.onnx import read_onnx  # noqa: E402
from drawloom.graph.build import GraphBuilder  # noqa: E402
from drawloom.graph.dtypes import DType  # noqa: E402
from drawloom.graph.ir import Graph, TensorType  # noqa: E402
from drawloom.report import write_picture  # noqa: E402


def product(size: int = 1024) -> Graph:
    """Return a square product in FP16."""
    builder = GraphBuilder("gemm")
    a, b = (builder.input(name, TensorType(DType.F16, (size, size))) for name in "ab")
    return builder.finish([builder.add("MatMul", (a, b), name="gemm", output="c")])


def attention(heads: int = 8, length: int = 1024) -> Graph:
    """Return causal attention over heads of 128 in BF16."""
    builder = GraphBuilder("attention")
    kind = TensorType(DType.BF16, (1, heads, length, 128))
    given = [builder.input(name, kind) for name in "qkv"]
    made = builder.add("Attention", given, {"is_causal": 1}, name="attention", output="y")
    return builder.finish([made])


def blocks() -> Graph:
    """Return three bottleneck blocks of ResNet-50 at 56 x 56 with 256 channels."""
    net = Net("blocks", 0)
    x = net.input("x", (1, 256, 56, 56))
    for block in "abc":
        y = x
        for name, n_in, n_out, kernel in (("1", 256, 64, 1), ("2", 64, 64, 3), ("3", 64, 256, 1)):
            name = f"{block}.conv{name}"
            weight = net.normal(f"{name}.weight", (n_out, n_in, kernel, kernel), 0.05)
            sides = {"kernel_shape": [kernel] * 2, "pads": [kernel // 2] * 4}
            y = net.add("Conv", (y, weight), name, **sides)
            if not name.endswith("3"):
                y = net.add("Relu", (y,), f"{name}.relu")
        x = net.add("Relu", (net.add("Add", (y, x), f"{block}.sum"),), f"{block}.relu")
    return read_onnx(net.model([x]).SerializeToString())


WORKS = {"gemm": product, "attention": attention, "block": blocks}
# Of the blocks the one between others is shown: at the ends the host's layout is changed.
SHOWN = {"block": ("b.conv1", "b.conv2", "b.conv3")}
TITLES = {
    "gemm": "FP16 product 1024 x 1024 x 1024",
    "attention": "causal attention, 8 heads x 1024 x 128, BF16",
    "block": "bottleneck block of ResNet-50 at 56 x 56, FP16, between two others",
}


def draw(folder: Path) -> dict[str, Build]:
    """Write the pictures into a folder; return what they were drawn from."""
    builds = {name: compile(work(), "tx81") for name, work in WORKS.items()}
    for name, build in builds.items():
        write_picture(build.time(), folder / f"maps-{name}.svg", TITLES[name], SHOWN.get(name, ()))
    return builds


if __name__ == "__main__":
    for name, build in draw(Path(sys.argv[1])).items():
        pieces = ", ".join(piece.name for piece in build.mapping.pieces)
        print(f"{name}: {build.time().total_ps / 1e6:.1f} us; pieces {pieces}")
