"""ResNet (He et al. 2015; stride in the 3x3, as torchvision has it) with random weights."""

from __future__ import annotations

from collections.abc import Sequence

from examples.models.net import Net
from onnx import ModelProto


def resnet50(seed: int = 0, image: int = 224, width: int = 64, batch: int = 1) -> ModelProto:
    """Bottleneck blocks 3, 4, 6, 3."""
    return resnet("resnet50", seed, (3, 4, 6, 3), 4, image, width, batch)


def resnet18(seed: int = 0, image: int = 224, width: int = 64, batch: int = 1) -> ModelProto:
    """Basic blocks 2, 2, 2, 2."""
    return resnet("resnet18", seed, (2, 2, 2, 2), 1, image, width, batch)


def resnet(
    name: str,
    seed: int,
    blocks: Sequence[int],
    expansion: int,
    image: int,
    width: int,
    batch: int,
    classes: int = 1000,
) -> ModelProto:
    """Return a ResNet; ``expansion`` 1 has basic blocks, 4 bottlenecks."""
    net = Net(name, seed)
    x = net.input("image", (batch, 3, image, image))
    x = _unit(net, x, "stem", 3, width, 7, 2)
    x = net.add("MaxPool", (x,), "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = width
    for stage, count in enumerate(blocks):
        inner = width << stage
        for i in range(count):
            stride = 2 if stage and not i else 1
            block = f"layer{stage + 1}.{i}"
            x = _block(net, x, block, channels, inner, expansion, stride)
            channels = inner * expansion
    x = net.add("GlobalAveragePool", (x,), "average")
    x = net.add("Flatten", (x,), "flatten")
    return net.model([net.linear(x, "logits", channels, classes)])


def _block(
    net: Net, x: str, name: str, channels: int, inner: int, expansion: int, stride: int
) -> str:
    out = inner * expansion
    if expansion == 1:
        y = _unit(net, x, f"{name}.1", channels, inner, 3, stride)
        y = _unit(net, y, f"{name}.2", inner, out, 3, 1, active=False)
    else:
        y = _unit(net, x, f"{name}.1", channels, inner, 1, 1)
        y = _unit(net, y, f"{name}.2", inner, inner, 3, stride)
        y = _unit(net, y, f"{name}.3", inner, out, 1, 1, active=False)
    if stride != 1 or channels != out:
        x = _unit(net, x, f"{name}.shortcut", channels, out, 1, stride, active=False)
    return net.add("Relu", (net.add("Add", (y, x), f"{name}.sum"),), f"{name}.relu")


def _unit(
    net: Net,
    x: str,
    name: str,
    n_in: int,
    n_out: int,
    kernel: int,
    stride: int,
    *,
    active: bool = True,
) -> str:
    """Convolution, batch normalization, and Relu unless a sum follows."""
    deviation = (2.0 / (n_in * kernel * kernel)) ** 0.5
    weight = net.normal(f"{name}.weight", (n_out, n_in, kernel, kernel), deviation)
    x = net.add(
        "Conv",
        (x, weight),
        f"{name}.conv",
        kernel_shape=[kernel] * 2,
        strides=[stride] * 2,
        pads=[kernel // 2] * 4,
    )
    affine = (
        net.uniform(f"{name}.scale", n_out, 0.5, 1.0),
        net.uniform(f"{name}.bias", n_out, -0.1, 0.1),
        net.uniform(f"{name}.mean", n_out, -0.1, 0.1),
        net.uniform(f"{name}.var", n_out, 0.5, 1.5),
    )
    x = net.add("BatchNormalization", (x, *affine), f"{name}.norm", epsilon=1e-5)
    return net.add("Relu", (x,), f"{name}.relu") if active else x
