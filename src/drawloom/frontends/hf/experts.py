"""Mixtures of experts: a router chooses, for each token, a few of many networks.

Where the chosen experts of all tokens are no more than there are experts, their weights are picked
by index and only these are read: a product for each token and expert. With more tokens every expert
runs on every token, weighted by gates that are 0 but for the chosen: exact, and dearer than a product
grouped by expert, by the number of experts over the number chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from drawloom.frontends.hf.net import Net
from drawloom.graph.dtypes import DType


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a layer's mixture is made of.

    Attributes:
        module: the name of the mixture in its layer.
        parts: the names of an expert's gate, up and down products.
        n_experts: experts there are.
        n_chosen: experts a token goes to.
        width: features inside an expert.
        scoring: how logits become scores; ``sigmoid`` scores are chosen by score plus a bias.
        is_normal: whether a token's gates are made to sum to 1.
        scale: what the gates are multiplied by.
        n_groups: groups the experts fall into; 1 is none.
        n_chosen_groups: groups a token may choose from.
        shared: the name of the expert every token goes to; "" is none.
        shared_width: features inside it.
        has_shared_gate: whether its result is weighted by a gate of its own.
        is_precise: whether the router's product is in f32.
    """

    module: str
    parts: tuple[str, str, str]
    n_experts: int
    n_chosen: int
    width: int
    scoring: Literal["softmax", "sigmoid"] = "softmax"
    is_normal: bool = False
    scale: float = 1.0
    n_groups: int = 1
    n_chosen_groups: int = 1
    shared: str = ""
    shared_width: int = 0
    has_shared_gate: bool = False
    is_precise: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Experts and gates [tokens, chosen]: indices i64, and weights in the graph's format."""

    experts: str
    gates: str


def experts(net: Net, mixture: Mixture, x: str, activation: str, module: str) -> str:
    """Return the mixture of x [batch, tokens, hidden], the shared expert left out."""
    batch, tokens, hidden = net.shape(x)
    rows = net.reshape(x, (batch * tokens, hidden), module, "tokens")
    choice = route(net, mixture, rows, f"{module}.gate")
    inner = f"{module}.experts"
    if batch * tokens * mixture.n_chosen <= mixture.n_experts:
        mixed = _picked(net, mixture, rows, choice, activation, inner)
    else:
        mixed = _all(net, mixture, rows, choice, activation, inner)
    return net.reshape(mixed, (batch, tokens, hidden), module, "mixed")


def route(net: Net, mixture: Mixture, rows: str, module: str) -> Choice:
    """Return which experts each of ``rows`` [tokens, hidden] goes to, and with what weight."""
    n_tokens, hidden = net.shape(rows)
    shape = (mixture.n_experts, hidden)
    if mixture.is_precise:
        rows = net.cast(rows, DType.F32, module, "in")
    weight = net.weights.turned(f"{module}.weight", shape, dtype=net.builder.types[rows].dtype)
    logits = net.cast(net.add("MatMul", (rows, weight), module), DType.F32, module, "logits")
    if mixture.scoring == "softmax":
        scores = net.add("Softmax", (logits,), module, "scores", axis=-1)
        eligible = scores
    else:
        scores = net.add("Sigmoid", (logits,), module, "scores")
        name = f"{module}.e_score_correction_bias"
        bias = net.weights.plain(name, (mixture.n_experts,), dtype=DType.F32)
        eligible = net.add("Add", (scores, bias), module, "bias")
    if mixture.n_groups > 1:
        eligible = _in_groups(net, mixture, eligible, n_tokens, module)
    gates, chosen = net.many("TopK", (eligible,), module, ("top", "experts"), k=mixture.n_chosen)
    if mixture.scoring == "sigmoid":
        gates = net.add("GatherElements", (scores, chosen), module, "chosen", axis=1)
    if mixture.is_normal:
        total = net.add("ReduceSum", (gates,), module, "total", axes=(1,), keepdims=1)
        if mixture.scoring == "sigmoid":
            least = net.number("moe.least", 1e-20, DType.F32)
            total = net.add("Add", (total, least), module, "positive")
        gates = net.add("Div", (gates, total), module, "normal")
    if mixture.scale != 1.0:
        scale = net.number("moe.scale", mixture.scale, DType.F32)
        gates = net.add("Mul", (gates, scale), module, "scaled")
    return Choice(chosen, net.cast(gates, net.dtype, module, "gates"))


def _in_groups(net: Net, mixture: Mixture, scores: str, n_tokens: int, module: str) -> str:
    """Return scores with those outside a token's best groups out of the running.

    A group is as good as its best expert, or its two best where scores are sigmoids.
    """
    is_sigmoid = mixture.scoring == "sigmoid"
    shape = (n_tokens, mixture.n_groups, mixture.n_experts // mixture.n_groups)
    split = net.reshape(scores, shape, module, "grouped")
    if is_sigmoid:
        best, _ = net.many("TopK", (split,), module, ("group.best", "group.two"), k=2)
        group = net.add("ReduceSum", (best,), module, "group.scores", axes=(2,), keepdims=0)
    else:
        group = net.add("ReduceMax", (split,), module, "group.scores", axes=(2,), keepdims=0)
    names = ("group.top", "groups")
    _, chosen = net.many("TopK", (group,), module, names, k=mixture.n_chosen_groups)
    none = net.number("moe.none", np.zeros(shape[:2]), DType.BOOL)
    yes = net.number("moe.yes", np.ones((n_tokens, mixture.n_chosen_groups)), DType.BOOL)
    mask = net.add("ScatterElements", (none, chosen, yes), module, "group.mask", axis=1)
    mask = net.reshape(mask, (*shape[:2], 1), module, "group.each")
    out = net.number("moe.out", -np.inf if is_sigmoid else 0.0, DType.F32)
    kept = net.add("Where", (mask, split, out), module, "kept")
    return net.reshape(kept, (n_tokens, mixture.n_experts), module, "eligible")


def _stacks(net: Net, mixture: Mixture, hidden: int, module: str) -> list[str]:
    """Return gate and up [experts, hidden, width], and down [experts, width, hidden]."""
    gate, up, down = mixture.parts
    shapes = {
        gate: (mixture.width, hidden),
        up: (mixture.width, hidden),
        down: (hidden, mixture.width),
    }
    return [
        net.weights.stacked(
            f"{module}.{part}.weight",
            [f"{module}.{e}.{part}.weight" for e in range(mixture.n_experts)],
            shape,
        )
        for part, shape in shapes.items()
    ]


def _picked(
    net: Net, mixture: Mixture, rows: str, choice: Choice, activation: str, module: str
) -> str:
    """Run the chosen experts' weights [tokens, chosen, in, out], picked by index."""
    n_tokens, hidden = net.shape(rows)
    stacks = _stacks(net, mixture, hidden, module)
    own = [
        net.add("Gather", (stack, choice.experts), module, f"{part}.chosen", axis=0)
        for stack, part in zip(stacks, mixture.parts, strict=True)
    ]
    x = net.reshape(rows, (n_tokens, 1, 1, hidden), module, "each")
    y = _network(net, mixture, x, own, activation, module)
    y = net.reshape(y, (n_tokens, mixture.n_chosen, hidden), module, "results")
    gates = net.reshape(choice.gates, (n_tokens, 1, mixture.n_chosen), module, "gates")
    mixed = net.add("MatMul", (gates, y), module, "sum")
    return net.reshape(mixed, (n_tokens, hidden), module, "tokens")


def _all(
    net: Net, mixture: Mixture, rows: str, choice: Choice, activation: str, module: str
) -> str:
    """Run every expert on every token, and weigh the results [experts, tokens, hidden]."""
    n_tokens, hidden = net.shape(rows)
    stacks = _stacks(net, mixture, hidden, module)
    y = _network(net, mixture, rows, stacks, activation, module)
    zeros = net.number("moe.zeros", np.zeros((n_tokens, mixture.n_experts)))
    dense = (zeros, choice.experts, choice.gates)
    gates = net.add("ScatterElements", dense, module, "gates", axis=1)
    gates = net.add("Transpose", (gates,), module, "gates.turn", perm=(1, 0))
    gates = net.reshape(gates, (mixture.n_experts, n_tokens, 1), module, "gates.each")
    weighed = net.add("Mul", (y, gates), module, "weighed")
    return net.add("ReduceSum", (weighed,), module, "sum", axes=(0,), keepdims=0)


def _network(
    net: Net, mixture: Mixture, x: str, weights: list[str], activation: str, module: str
) -> str:
    """Return down(act(gate(x)) * up(x)) for stacks of weights that x broadcasts to."""
    gate, up, down = mixture.parts
    opened = net.add("MatMul", (x, weights[0]), module, gate)
    raised = net.add("MatMul", (x, weights[1]), module, up)
    opened = net.activation(opened, activation, f"{module}.act_fn")
    inner = net.add("Mul", (opened, raised), module, "gated")
    return net.add("MatMul", (inner, weights[2]), module, down)
