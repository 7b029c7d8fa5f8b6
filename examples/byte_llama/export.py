"""The byte-level Llama as an ONNX graph, straight from its weights: no torch needed.

    python examples/byte_llama/export.py prefill.onnx --length 128

One prefill: ``input_ids`` int64 [1, length] to ``logits`` float32 [1, length, 256]. Nodes carry the
layers' own names (``layers.0.self_attn.q_proj``), a node's output is named like the node.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

FOLDER = Path(__file__).parent
OPSET = 18
LENGTH = 128

FORBIDDEN = -1e4
"""What hides a later position: e**-10000 is nought, and half precision still holds the number."""

Array = NDArray[Any]


def prefill(length: int = LENGTH, folder: Path = FOLDER) -> onnx.ModelProto:
    """The graph that reads `length` bytes at once; folder holds config.json, model.safetensors."""
    config = json.loads((folder / "config.json").read_text())
    if not 1 <= length <= config["max_position_embeddings"]:
        raise ValueError(f"length {length} is not in 1..{config['max_position_embeddings']}")
    stored = load_file(folder / "model.safetensors")
    weights = {name.removeprefix("model."): w.astype(np.float32) for name, w in stored.items()}
    return _Export(config, weights, length).model()


@dataclass
class _Export:
    """One export under way: what is known, and the nodes and constants made so far."""

    config: dict[str, Any]
    weights: dict[str, Array]
    length: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def model(self) -> onnx.ModelProto:
        self._positions()
        x = self._add("Gather", "embed_tokens", self._weight("embed_tokens"), "input_ids", axis=0)
        for i in range(self.config["num_hidden_layers"]):
            x = self._layer(f"layers.{i}", x)
        x = self._norm("norm", x)
        # The head is the embedding, transposed here once rather than at every run.
        head = self._constant("lm_head.weight", self.weights["embed_tokens.weight"].T)
        self._add("MatMul", "lm_head", x, head, output="logits")
        ids, logits = [1, self.length], [1, self.length, self.config["vocab_size"]]
        graph = helper.make_graph(
            self.nodes,
            "byte_llama_prefill",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ids)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits)],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opset = helper.make_opsetid("", OPSET)
        made = helper.make_model(
            graph, opset_imports=[opset], producer_name="drawloom", ir_version=8
        )
        onnx.checker.check_model(made, full_check=True)
        return made

    def _layer(self, name: str, x: str) -> str:
        attended = self._attention(f"{name}.self_attn", self._norm(f"{name}.input_layernorm", x))
        x = self._add("Add", f"{name}.self_attn.residual", x, attended)
        fed = self._feed_forward(f"{name}.mlp", self._norm(f"{name}.post_attention_layernorm", x))
        return self._add("Add", f"{name}.mlp.residual", x, fed)

    def _norm(self, name: str, x: str) -> str:
        squares = self._add("Mul", f"{name}.square", x, x)
        last = self._constant("rms_norm.axes", np.array([-1]))
        mean = self._add("ReduceMean", f"{name}.mean", squares, last, keepdims=1)
        eps = self._constant("rms_norm.eps", np.array(self.config["rms_norm_eps"], np.float32))
        safe = self._add("Add", f"{name}.eps", mean, eps)
        root = self._add("Sqrt", f"{name}.root", safe)
        scaled = self._add("Div", f"{name}.divide", x, root)
        return self._add("Mul", name, scaled, self._weight(name))

    def _feed_forward(self, name: str, x: str) -> str:
        gate = self._linear(f"{name}.gate_proj", x)
        up = self._linear(f"{name}.up_proj", x)
        sigmoid = self._add("Sigmoid", f"{name}.sigmoid", gate)
        silu = self._add("Mul", f"{name}.silu", gate, sigmoid)
        return self._linear(f"{name}.down_proj", self._add("Mul", f"{name}.gated", silu, up))

    def _attention(self, name: str, x: str) -> str:
        """Grouped-query attention with no copy of a key or value.

        The query heads that share a key are stacked into one taller matrix (a reshape that moves
        nothing), so that one product per key head serves the whole group.
        """
        heads, kv_heads = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        width, rows = self.config["head_dim"], self.length * heads // kv_heads
        q = self._rotated(f"{name}.q", self._heads(f"{name}.q", x, heads))
        k = self._rotated(f"{name}.k", self._heads(f"{name}.k", x, kv_heads))
        v = self._heads(f"{name}.v", x, kv_heads)
        q = self._reshape(f"{name}.q_grouped", q, [1, kv_heads, rows, width])
        k = self._add("Transpose", f"{name}.k_transposed", k, perm=[0, 1, 3, 2])
        scores = self._add("MatMul", f"{name}.scores", q, k)
        scale = self._constant("attention.scale", np.array(width**-0.5, np.float32))
        scaled = self._add("Mul", f"{name}.scale", scores, scale)
        masked = self._add("Add", f"{name}.mask", scaled, "attention.mask")
        shares = self._add("Softmax", f"{name}.softmax", masked, axis=-1)
        mixed = self._add("MatMul", f"{name}.mix", shares, v)
        apart = self._reshape(f"{name}.ungrouped", mixed, [1, heads, self.length, width])
        rowwise = self._add("Transpose", f"{name}.by_position", apart, perm=[0, 2, 1, 3])
        joined = self._reshape(f"{name}.joined", rowwise, [1, self.length, heads * width])
        return self._linear(f"{name}.o_proj", joined)

    def _heads(self, name: str, x: str, heads: int) -> str:
        """Project, then bring the heads to the front: [1, heads, length, width]."""
        projected = self._linear(f"{name}_proj", x)
        shape = [1, self.length, heads, self.config["head_dim"]]
        apart = self._reshape(f"{name}_heads", projected, shape)
        return self._add("Transpose", f"{name}_by_head", apart, perm=[0, 2, 1, 3])

    def _rotated(self, name: str, x: str) -> str:
        """Rotary positions: x cos + (halves swapped) sin, the sine signed so no Neg is needed."""
        half, width = self.config["head_dim"] // 2, self.config["head_dim"]
        left = self._slice(f"{name}_left", x, 0, half)
        right = self._slice(f"{name}_right", x, half, width)
        swapped = self._add("Concat", f"{name}_swapped", right, left, axis=-1)
        level = self._add("Mul", f"{name}_cos", x, "rope.cos")
        turned = self._add("Mul", f"{name}_sin", swapped, "rope.sin")
        return self._add("Add", f"{name}_rope", level, turned)

    def _positions(self) -> None:
        """The constants that know about positions: rotary angles and the causal mask."""
        width, theta = self.config["head_dim"], self.config["rope_theta"]
        rates = theta ** (-np.arange(0, width, 2) / width)
        angles = np.outer(np.arange(self.length), rates)
        cos, sin = np.cos(angles), np.sin(angles)
        self._constant("rope.cos", np.hstack([cos, cos]).astype(np.float32))
        self._constant("rope.sin", np.hstack([-sin, sin]).astype(np.float32))
        mask = np.triu(np.full((self.length, self.length), FORBIDDEN, np.float32), k=1)
        group = self.config["num_attention_heads"] // self.config["num_key_value_heads"]
        self._constant("attention.mask", np.tile(mask, (group, 1)))

    def _linear(self, name: str, x: str) -> str:
        # Hugging Face stores [out, in]; MatMul wants [in, out].
        weight = self._constant(f"{name}.weight", self.weights[f"{name}.weight"].T)
        return self._add("MatMul", name, x, weight)

    def _reshape(self, name: str, x: str, shape: Sequence[int]) -> str:
        return self._add("Reshape", name, x, self._constant(f"{name}.shape", np.array(shape)))

    def _slice(self, name: str, x: str, start: int, end: int) -> str:
        """The part start..end of the last axis."""
        bounds = {"starts": start, "ends": end, "axes": -1}
        sources = [self._constant(f"{name}.{k}", np.array([v])) for k, v in bounds.items()]
        return self._add("Slice", name, x, *sources)

    def _weight(self, name: str) -> str:
        return self._constant(f"{name}.weight", self.weights[f"{name}.weight"])

    def _constant(self, name: str, array: Array) -> str:
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def _add(self, op: str, name: str, *sources: str, output: str = "", **attributes: Any) -> str:
        """Append a node; its output is named like it unless `output` says otherwise."""
        made = output or name
        self.nodes.append(helper.make_node(op, sources, [made], name=name, **attributes))
        return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the byte-level Llama's prefill as ONNX.")
    parser.add_argument("path", type=Path, help="where to write the graph")
    parser.add_argument("--length", type=int, default=LENGTH, help="bytes read at once")
    arguments = parser.parse_args()
    onnx.save(prefill(arguments.length), arguments.path)
    print(f"wrote {arguments.path}, {arguments.path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
