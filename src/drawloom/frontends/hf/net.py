"""The pieces that every family's layers are made of, each as few nodes as there are operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from drawloom.frontends.hf.weights import Weights
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Attr, TensorType
from drawloom.graph.lazy import Array, LazyTensor
from drawloom.graph.rounding import narrow, wide

ACTIVATIONS: dict[str, tuple[str, Mapping[str, Attr]]] = {
    "silu": ("Silu", {}),
    "swish": ("Silu", {}),
    "gelu": ("Gelu", {}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "gelu-approximate": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}
"""The activations a configuration may name, as nodes."""


@dataclass(slots=True)
class Net:
    """A model's graph in the making.

    ``root`` is the part of a module's path that node names leave out: a node of module
    ``model.layers.3.self_attn.q_proj`` is called ``layers.3.self_attn.q_proj``.
    """

    builder: GraphBuilder
    weights: Weights
    dtype: DType
    root: str = ""
    outputs: list[str] = field(default_factory=list[str])

    @property
    def trunk(self) -> str:
        """The module that all others but the head are a part of."""
        return self.root.rstrip(".")

    def _name(self, module: str, part: str) -> str:
        path = "" if module == self.trunk else module.removeprefix(self.root)
        return ".".join(filter(None, (path, part)))

    def shape(self, value: str) -> tuple[int, ...]:
        """Return a value's shape."""
        return self.builder.types[value].shape

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        module: str,
        part: str = "",
        output: str = "",
        **attrs: Attr,
    ) -> str:
        """Add a node of a module; ``part`` tells the nodes of one module apart.

        Its value is called as the node, or ``output``.
        """
        name = self._name(module, part)
        return self.builder.add(op, inputs, attrs, name=name, layer=module, output=output)

    def many(
        self, op: str, inputs: Sequence[str], module: str, parts: Sequence[str], **attrs: Attr
    ) -> tuple[str, ...]:
        """Add a node with several outputs, named after ``parts``; the first names the node."""
        names = [self._name(module, part) for part in parts]
        return self.builder.add_many(op, inputs, attrs, name=names[0], layer=module, outputs=names)

    def cast(self, x: str, to: DType, module: str, part: str) -> str:
        """Return x in another format; x itself where it has it."""
        if self.builder.types[x].dtype is to:
            return x
        return self.add("Cast", (x,), module, f"{part}.{to.value}", to=to.value)

    def input(self, name: str, dtype: DType, *shape: int) -> str:
        """Add a graph input."""
        return self.builder.input(name, TensorType(dtype, shape))

    def out(
        self, op: str, inputs: Sequence[str], module: str, part: str, output: str, **attrs: Attr
    ) -> str:
        """Add a node whose value is the graph's output ``output``."""
        return self.give(self.add(op, inputs, module, part, output, **attrs), output)

    def give(self, value: str, output: str) -> str:
        """Make a value an output of the graph; it must be called ``output``."""
        assert value == output, (value, output)
        self.outputs.append(value)
        return value

    def number(self, name: str, value: float | Array, dtype: DType | None = None) -> str:
        """Return a constant that the configuration gives, in the graph's format; once a name."""
        if name not in self.builder.constants:
            self.builder.constant(name, _in_format(np.asarray(value), dtype or self.dtype))
        return name

    def table(
        self,
        name: str,
        shape: tuple[int, ...],
        make: Callable[[], Array],
        dtype: DType | None = None,
    ) -> str:
        """Return a constant that the configuration gives, in the graph's format; made when first read."""
        kind = TensorType(dtype or self.dtype, shape)

        @cache  # every layer's rules look at it
        def made() -> Array:
            return _in_format(make(), kind.dtype)

        held = LazyTensor(kind, name, made)
        return self.builder.constant(name, held)

    def linear(self, x: str, module: str, width: int, *, bias: bool = False) -> str:
        """Return x [..., in] times a module's weight [width, in], and its bias."""
        inner = self.shape(x)[-1]
        weight = self.weights.turned(f"{module}.weight", (width, inner))
        y = self.add("MatMul", (x, weight), module)
        return self.biased(y, module) if bias else y

    def biased(self, x: str, module: str) -> str:
        """Return x and a module's bias, one for each feature."""
        bias = self.weights.plain(f"{module}.bias", self.shape(x)[-1:])
        return self.add("Add", (x, bias), module, "bias")

    def rms_norm(self, x: str, module: str, epsilon: float) -> str:
        """Return x over the root mean square of its last axis, times the module's weight."""
        scale = self.weights.plain(f"{module}.weight", self.shape(x)[-1:])
        return self.add("RMSNormalization", (x, scale), module, axis=-1, epsilon=epsilon)

    def layer_norm(self, x: str, module: str, epsilon: float) -> str:
        """Return x standardised over its last axis, times the module's weight, and its bias."""
        width = self.shape(x)[-1:]
        scale = self.weights.plain(f"{module}.weight", width)
        bias = self.weights.plain(f"{module}.bias", width)
        return self.add("LayerNormalization", (x, scale, bias), module, axis=-1, epsilon=epsilon)

    def group_norm(self, x: str, module: str, groups: int, epsilon: float) -> str:
        """Return an image whose groups of channels are standardised, times weight, plus bias."""
        width = self.shape(x)[1:2]
        operands = (x, *(self.weights.plain(f"{module}.{p}", width) for p in ("weight", "bias")))
        return self.add(
            "GroupNormalization", operands, module, "", num_groups=groups, epsilon=epsilon
        )

    def conv(
        self,
        x: str,
        module: str,
        channels: int,
        kernel: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, ...] = (0, 0, 0, 0),
    ) -> str:
        """Return the convolution of an image with a module's weight and bias.

        ``pads`` are rows above, columns before, rows below, columns behind.
        """
        shape = (channels, self.shape(x)[1], *kernel)
        weight = self.weights.plain(f"{module}.weight", shape)
        bias = self.weights.plain(f"{module}.bias", (channels,))
        return self.add("Conv", (x, weight, bias), module, strides=strides, pads=pads)

    def activation(self, x: str, word: str, module: str) -> str:
        """Return the activation a configuration names, of x."""
        op, attrs = ACTIVATIONS[word]
        return self.add(op, (x,), module, "", "", **attrs)

    def reshape(
        self, x: str, shape: Sequence[int], module: str, part: str, output: str = ""
    ) -> str:
        """Return x in another shape."""
        return self.add("Reshape", (x,), module, part, output, shape=tuple(shape))

    def heads(self, x: str, n_heads: int, module: str, output: str = "") -> str:
        """Return x [batch, tokens, heads * width] as [batch, heads, tokens, width]."""
        batch, tokens, features = self.shape(x)
        width = features // n_heads
        if tokens == 1:
            return self.reshape(x, (batch, n_heads, 1, width), module, "heads", output)
        split = self.reshape(x, (batch, tokens, n_heads, width), module, "split")
        return self.add("Transpose", (split,), module, "heads", output, perm=(0, 2, 1, 3))

    def joined(self, x: str, module: str) -> str:
        """Return x [batch, heads, tokens, width] as [batch, tokens, heads * width]."""
        batch, n_heads, tokens, width = self.shape(x)
        if tokens != 1:
            x = self.add("Transpose", (x,), module, "turn", perm=(0, 2, 1, 3))
        return self.reshape(x, (batch, tokens, n_heads * width), module, "join")

    def rotary(self, x: str, cos: str, sin: str, module: str, part: str, output: str = "") -> str:
        """Return x [batch, heads, tokens, width], turned by its positions' angles.

        ``cos`` and ``sin`` broadcast to x; the first half of ``sin`` has the other sign, so that
        x cos + (second half, first half) sin is the rotation of each pair (i, i + width / 2).
        """
        width = self.shape(x)[-1]
        ends: dict[str, tuple[int, int]] = {"low": (0, width // 2), "high": (width // 2, width)}
        low, high = (
            self.add("Slice", (x,), module, f"{part}.{end}", starts=(a,), ends=(b,), axes=(3,))
            for end, (a, b) in ends.items()
        )
        swapped = self.add("Concat", (high, low), module, f"{part}.swap", axis=3)
        straight = self.add("Mul", (x, cos), module, f"{part}.cos")
        crossed = self.add("Mul", (swapped, sin), module, f"{part}.sin")
        return self.add("Add", (straight, crossed), module, part, output)


def _in_format(array: Array, dtype: DType) -> Array:
    return narrow(wide(array), dtype.numpy) if dtype.is_float else array.astype(dtype.numpy)
