"""What one kernel has to do, whatever chip it runs on: products, attention, passes over rows, moves.

A node of a graph is one of

    view      nothing: the same bytes under another shape
    product   a batch of matrix products; a convolution as the product of its windows
    attention softmax(q kT) v, scores never stored
    rows      passes over rows: norms, softmax, reductions
    pointwise a function of elements that stand at the same place, and moves that such a kernel does
              on its way: slices, joins, look-ups
    move      bytes to other places
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from drawloom.bound.work import attention_pairs, format_word, node_functions
from drawloom.graph.ir import Graph, Node, TensorType

Kind = Literal["view", "product", "attention", "rows", "pointwise", "move"]
Types = Mapping[str, TensorType]

VIEWS = frozenset({"Reshape", "Identity"})
_OPERANDS = {
    "MatMul": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3), "Conv": (0, 1),
    "ConvInteger": (0, 1), "QLinearConv": (0, 3), "ConvTranspose": (0, 1),
}  # fmt: skip
# Passes over a row by operator: a maximum or a sum first, then the result from both.
PASSES = {
    "Softmax": 3, "LogSoftmax": 3, "Hardmax": 2, "LpNormalization": 2, "LayerNormalization": 2,
    "RMSNormalization": 2, "InstanceNormalization": 2, "GroupNormalization": 2, "LRN": 1,
    "ReduceSum": 1, "ReduceMean": 1, "ReduceMax": 1, "ReduceMin": 1, "ReduceProd": 1,
    "ReduceL1": 1, "ReduceL2": 1, "ReduceLogSum": 1, "ReduceLogSumExp": 2, "ReduceSumSquare": 1,
    "ArgMax": 1, "ArgMin": 1, "CumSum": 1, "TopK": 2, "DynamicQuantizeLinear": 2,
    "MaxPool": 1, "AveragePool": 1, "LpPool": 1,
}  # fmt: skip
_MOVES = frozenset(
    {
        "Transpose", "Tile", "DepthToSpace", "SpaceToDepth", "GatherElements", "GatherND",
        "ScatterElements", "ScatterND", "TensorScatter", "OneHot", "Trilu", "ReverseSequence",
        "Pad", "Resize", "Expand", "Range", "EyeLike",
    }
)  # fmt: skip
# Of these only a part of the first operand is touched: as much as the output, or the updates.
_PICKED = frozenset({"Gather", "GatherElements", "GatherND", "Slice"})
_UPDATED = {"TensorScatter": 1, "ScatterElements": 2, "ScatterND": 2}


@dataclass(frozen=True, slots=True)
class Products:
    """A batch of products [m, k] x [k, n], and how often the left operand is taken anew.

    Attributes:
        batch: how many.
        m: rows of each.
        n: columns of each.
        k: the inner size.
        number_format: of the operands, a word of ``macs_per_cycle``.
        left_bytes: of all left operands as they lie in memory: of a convolution the image.
        right_bytes: of all right operands.
        out_bytes: of the results.
        has_weights: whether the right operands are constants.
        left: name of the left operand.
        right: name of the right operand.
    """

    batch: int
    m: int
    n: int
    k: int
    number_format: str
    left_bytes: int
    right_bytes: int
    out_bytes: int
    has_weights: bool
    left: str = ""
    right: str = ""

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Attended:
    """Attention of queries to keys and values.

    Attributes:
        batch: sequences.
        queries: of each.
        keys: that stand there for each.
        heads: of queries.
        kv_heads: of keys and values.
        head_dim: size of a query and a key.
        value_dim: size of a value.
        pairs: of query and key that meet, all heads and sequences.
        window: how far back a query sees, 0 for all the way.
        is_causal: whether later keys are hidden.
        number_format: of the operands.
        number_bytes: of one number.
    """

    batch: int
    queries: int
    keys: int
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    pairs: int
    window: int
    is_causal: bool
    number_format: str
    number_bytes: int

    @property
    def macs(self) -> int:
        """Multiply-adds of the pairs that meet."""
        return self.pairs * (self.head_dim + self.value_dim)


@dataclass(frozen=True, slots=True)
class Rows:
    """Passes over rows of elements."""

    rows: int
    width: int
    passes: int


Work = Products | Attended | Rows | None


def kind_of(node: Node) -> Kind:
    """Return what kind of work a node is."""
    if node.op in VIEWS:
        return "view"
    if node.op in _OPERANDS:
        return "product"
    if node.op == "Attention":
        return "attention"
    if node.op in PASSES:
        return "rows"
    return "move" if node.op in _MOVES else "pointwise"


def work_of(node: Node, graph: Graph) -> Work:
    """Return the sizes of a node's work; None where only bytes and elements count."""
    kind = kind_of(node)
    if kind == "product":
        return _products(node, graph)
    if kind == "attention":
        return _attended(node, graph.types)
    return _rows(node, graph.types) if kind == "rows" else None


def functions_of(node: Node, graph: Graph) -> int:
    """Return of how many elements a node needs a function that is looked up or iterated."""
    return node_functions(node, graph.types)


def operand_bytes(node: Node, at: int, types: Types) -> int:
    """Return the bytes that a node reads of an operand."""
    name = node.inputs[at]
    if at == 0 and node.op in _PICKED:
        return min(types[name].bytes, types[node.outputs[0]].bytes)
    if at == 0 and node.op in _UPDATED:
        return 0  # the rest stays where it is
    return types[name].bytes


def result_bytes(node: Node, at: int, types: Types) -> int:
    """Return the bytes that a node writes of an output."""
    if at == 0 and node.op in _UPDATED:
        return types[node.inputs[_UPDATED[node.op]]].bytes
    return types[node.outputs[at]].bytes


def _products(node: Node, graph: Graph) -> Products:
    types, (left_at, right_at) = graph.types, _OPERANDS[node.op]
    left, right = types[node.inputs[left_at]], types[node.inputs[right_at]]
    out = types[node.outputs[0]]
    if "MatMul" in node.op:
        batch, m, n, k = _matmul_sizes(node, left.shape, right.shape, out.shape)
    else:
        batch, m, n, k = _convolved_sizes(node, left.shape, right.shape, out.shape)
    return Products(
        batch, m, n, k, format_word(left.dtype.value), left.bytes, right.bytes, out.bytes,
        node.inputs[right_at] in graph.constants, node.inputs[left_at], node.inputs[right_at],
    )  # fmt: skip


def _matmul_sizes(
    node: Node, left: tuple[int, ...], right: tuple[int, ...], out: tuple[int, ...]
) -> tuple[int, int, int, int]:
    k = left[-2] if node.int("trans_a") else left[-1]
    n = 1 if len(right) == 1 else right[-2] if node.int("trans_b") else right[-1]
    rows = prod(out) // n
    batch = prod(right[:-2])
    # Leading sizes that the right operand does not have are rows of one product.
    return batch, max(1, rows // max(1, batch)), n, k


def _convolved_sizes(
    node: Node, left: tuple[int, ...], right: tuple[int, ...], out: tuple[int, ...]
) -> tuple[int, int, int, int]:
    group = node.int("group", 1)
    if node.op == "ConvTranspose":  # each input element times all taps, then added up
        return group, left[0] * prod(left[2:]), prod(right[1:]), left[1] // group
    return group, out[0] * prod(out[2:]), right[0] // group, prod(right[1:])


def _attended(node: Node, types: Types) -> Attended:
    q, k, v = (types[node.inputs[at]] for at in range(3))
    left = node.int("left_window", -1)
    return Attended(
        batch=q.shape[0],
        queries=q.shape[2],
        keys=k.shape[2],
        heads=q.shape[1],
        kv_heads=k.shape[1],
        head_dim=q.shape[3],
        value_dim=v.shape[3],
        pairs=attention_pairs(node, types),
        window=max(0, left),
        is_causal=bool(node.int("is_causal")),
        number_format=format_word(q.dtype.value),
        number_bytes=q.dtype.bytes,
    )


def _rows(node: Node, types: Types) -> Rows:
    shape, out = types[node.inputs[0]].shape, types[node.outputs[0]].shape
    size = prod(shape)
    if node.op in ("MaxPool", "AveragePool", "LpPool"):
        return Rows(prod(out), max(1, size // max(1, prod(out))), PASSES[node.op])
    axis = node.int("axis", -1) % max(1, len(shape))
    if node.op in ("LayerNormalization", "RMSNormalization"):
        width = prod(shape[axis:])
    elif node.op in ("InstanceNormalization", "GroupNormalization"):
        parts = shape[0] * (node.int("num_groups") or shape[1])
        width = size // max(1, parts)
    elif node.op.startswith("Reduce"):
        width = size // max(1, prod(out))
    else:
        width = shape[axis] if shape else 1
    return Rows(max(1, size // max(1, width)), width, PASSES[node.op])
