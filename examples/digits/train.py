"""Trains the digit classifier from a fixed seed; writes digits.onnx beside this file.

    python examples/digits/train.py

Needs torch (the extra ``torch``). Whoever uses digits.onnx does not.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from data import held_out, training
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

MODEL = Path(__file__).with_name("digits.onnx")
OPSET = 18
SEED = 0
EPOCHS = 40
BATCH = 64
PEAK_RATE = 5e-3
WEIGHT_DECAY = 1e-2


def network() -> nn.Sequential:
    """The classifier. A layer here and its node in digits.onnx have one name."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 32, 3, padding=1),
            relu2=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv3=nn.Conv2d(32, 64, 3),
            relu3=nn.ReLU(),
            flatten=nn.Flatten(),
            fc1=nn.Linear(256, 10),
        )
    )


def train() -> nn.Sequential:
    """The trained network: the same weights each time on one machine and version of torch."""
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    images, labels = (torch.from_numpy(array) for array in training())
    net = network()
    steps = EPOCHS * (len(labels) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        # The last, smaller batch is left out; another shuffle deals its images in again.
        for chosen in torch.randperm(len(labels)).split(BATCH)[: len(labels) // BATCH]:
            loss = nn.functional.cross_entropy(net(images[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def onnx_model(weights: dict[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """The network as nine ONNX nodes around these weights; the batch is left open."""
    nodes = [
        _node("Conv", "conv1", "image", weighted=True, pads=[1, 1, 1, 1]),
        _node("Relu", "relu1", "conv1"),
        _node("Conv", "conv2", "relu1", weighted=True, pads=[1, 1, 1, 1]),
        _node("Relu", "relu2", "conv2"),
        _node("MaxPool", "pool1", "relu2", kernel_shape=[2, 2], strides=[2, 2]),
        _node("Conv", "conv3", "pool1", weighted=True),
        _node("Relu", "relu3", "conv3"),
        _node("Flatten", "flatten", "relu3", axis=1),
        _node("Gemm", "fc1", "flatten", weighted=True, output="logits", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
        doc_string="Handwritten digits; pixels from 0 to 1.",
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], producer_name="drawloom", ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def _node(
    op: str,
    name: str,
    source: str,
    *,
    weighted: bool = False,
    output: str = "",
    **attributes: Any,
) -> onnx.NodeProto:
    """A node whose output is named like it unless `output` says otherwise."""
    parameters = [f"{name}.weight", f"{name}.bias"] if weighted else []
    return helper.make_node(op, [source, *parameters], [output or name], name=name, **attributes)


def accuracy(net: nn.Sequential) -> float:
    """The share of held-out images the network names rightly."""
    images, labels = (torch.from_numpy(array) for array in held_out())
    with torch.inference_mode():
        guesses: Tensor = net(images).argmax(dim=1)
    return (guesses == labels).double().mean().item()


def main() -> None:
    net = train()
    onnx.save(onnx_model({name: w.numpy() for name, w in net.state_dict().items()}), MODEL)
    parameters = sum(weight.numel() for weight in net.parameters())
    print(f"{parameters:,} parameters, held-out accuracy {accuracy(net):.4f}")
    print(f"wrote {MODEL.name}, {MODEL.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
