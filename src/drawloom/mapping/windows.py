"""The window of a convolution or pool, as its piece holds it."""

from __future__ import annotations

from collections.abc import Mapping

from drawloom.graph.ir import Node, TensorType
from drawloom.graph.window import Window as GraphWindow
from drawloom.mapping.pieces import Window


def window_of(node: Node, types: Mapping[str, TensorType]) -> Window:
    """Return the window of a 2-D convolution or pool."""
    h, w = types[node.inputs[0]].shape[2:]
    kernel = types[node.inputs[1]].shape[2:] if node.op == "Conv" else node.ints("kernel_shape")
    found = GraphWindow.of(node, (h, w), kernel)
    oh, ow = types[node.outputs[0]].shape[2:]
    return Window(
        h=h,
        w=w,
        kernel=(kernel[0], kernel[1]),
        strides=(found.strides[0], found.strides[1]),
        pads=(
            found.pads_before[0],
            found.pads_after[0],
            found.pads_before[1],
            found.pads_after[1],
        ),
        dilations=(found.dilations[0], found.dilations[1]),
        oh=oh,
        ow=ow,
    )
