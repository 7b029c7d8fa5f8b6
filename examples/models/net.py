"""Writes ONNX models node by node, with random weights: no training framework needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]


class Net:
    """A model in the making; values are referred to by name."""

    def __init__(self, name: str, seed: int, opset: int = 17) -> None:
        """Start an empty model whose weights come from ``seed``."""
        self.name = name
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.weights: list[TensorProto] = []

    def input(self, name: str, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> str:
        """Add an input; returns its name."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add a weight; returns its name."""
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def number(self, name: str, value: float) -> str:
        """Add a float32 scalar; returns its name."""
        return self.constant(name, np.array(value, np.float32))

    def normal(self, name: str, shape: Sequence[int], deviation: float) -> str:
        """Add normally distributed weights; returns their name."""
        values = self.rng.standard_normal(tuple(shape), np.float32) * np.float32(deviation)
        return self.constant(name, values)

    def uniform(self, name: str, size: int, low: float, high: float) -> str:
        """Add a vector of uniformly distributed weights; returns its name."""
        return self.constant(name, self.rng.uniform(low, high, size).astype(np.float32))

    def add(self, op: str, inputs: Sequence[str], name: str, **attrs: Any) -> str:
        """Add a node with one output of its name; returns the name."""
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attrs))
        return name

    def linear(self, x: str, name: str, n_in: int, n_out: int) -> str:
        """Add ``x @ weight + bias``; returns its name."""
        weight = self.normal(f"{name}.weight", (n_in, n_out), n_in**-0.5)
        bias = self.uniform(f"{name}.bias", n_out, -0.1, 0.1)
        return self.add("Add", (self.add("MatMul", (x, weight), f"{name}.matmul"), bias), name)

    def shaped(self, x: str, name: str, shape: Sequence[int]) -> str:
        """Add a Reshape; returns its name."""
        wanted = self.constant(f"{name}.shape", np.array(shape, np.int64))
        return self.add("Reshape", (x, wanted), name)

    def layer_norm(self, x: str, name: str, width: int) -> str:
        """Add a LayerNormalization, spelled out before operator set 17; returns its name."""
        scale = self.uniform(f"{name}.scale", width, 0.8, 1.2)
        bias = self.uniform(f"{name}.bias", width, -0.1, 0.1)
        if self.opset >= 17:
            return self.add("LayerNormalization", (x, scale, bias), name, axis=-1, epsilon=1e-6)
        mean = self.add("ReduceMean", (x,), f"{name}.mean", axes=[-1])
        middle = self.add("Sub", (x, mean), f"{name}.middle")
        square = self.add("Pow", (middle, self.number(f"{name}.two", 2.0)), f"{name}.square")
        variance = self.add("ReduceMean", (square,), f"{name}.variance", axes=[-1])
        safe = self.add("Add", (variance, self.number(f"{name}.epsilon", 1e-6)), f"{name}.safe")
        root = self.add("Sqrt", (safe,), f"{name}.root")
        normal = self.add("Div", (middle, root), f"{name}.normal")
        return self.add("Add", (self.add("Mul", (normal, scale), f"{name}.scaled"), bias), name)

    def gelu(self, x: str, name: str) -> str:
        """Add Gelu, spelled with Erf before operator set 20; returns its name."""
        if self.opset >= 20:
            return self.add("Gelu", (x,), name)
        part = self.add("Div", (x, self.number(f"{name}.root2", 2.0**0.5)), f"{name}.part")
        mass = self.add("Erf", (part,), f"{name}.erf")
        above = self.add("Add", (mass, self.number(f"{name}.one", 1.0)), f"{name}.above")
        product = self.add("Mul", (x, above), f"{name}.product")
        return self.add("Mul", (product, self.number(f"{name}.half", 0.5)), name)

    def model(self, outputs: Sequence[str]) -> ModelProto:
        """Return the model; its outputs' shapes are left to the reader."""
        infos = [helper.make_tensor_value_info(v, TensorProto.FLOAT, None) for v in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, infos, self.weights)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)
