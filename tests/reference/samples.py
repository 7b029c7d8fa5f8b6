"""Real models with real or random inputs, as graphs ready to be compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from examples.byte_llama import export
from examples.digits import data
from examples.models.resnet import resnet18, resnet50
from examples.models.vit import vit_b16
from numpy.typing import NDArray
from onnx import ModelProto

from drawloom.frontends.onnx import read_onnx
from drawloom.graph.ir import Graph

Inputs = dict[str, NDArray[Any]]

DIGITS = Path(data.__file__).with_name("digits.onnx")
LLAMA = Path(export.__file__).with_name("reference.npz")


def digits(count: int) -> tuple[Graph, Inputs]:
    """The trained digit classifier with its first held-out images."""
    images, _ = data.held_out()
    return read_onnx(DIGITS, {"batch": count}), {"image": images[:count]}


def llama(length: int) -> tuple[Graph, Inputs]:
    """The trained byte-level Llama with the start of its stored prompt."""
    ids = np.load(LLAMA)["ids"][:, :length]
    return read_onnx(export.prefill(length)), {"input_ids": ids}


def with_noise(model: ModelProto, seed: int = 1) -> tuple[Graph, Inputs]:
    """A model with standard normal numbers for its input."""
    graph = read_onnx(model)
    (name,) = graph.inputs
    noise = np.random.default_rng(seed).standard_normal(graph.types[name].shape)
    return graph, {name: noise.astype(np.float32)}


def small_vit() -> ModelProto:
    """Two blocks of a narrow ViT; 17 tokens, so that nothing divides evenly."""
    return vit_b16(image=64, depth=2, width=128, heads=4, classes=50)


def small_resnet18() -> ModelProto:
    return resnet18(image=64, width=16)


def resnet50_of_64() -> ModelProto:
    return resnet50(image=64)
