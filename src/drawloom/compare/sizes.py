"""What a pass of a language model over tokens must do, whatever chip it runs on.

Counted on the graph of one token: multiply-adds of products, of each pair of tokens that meet in an
attention, weights, experts, numbers in the cache. Experts of a mixture: of E experts, T tokens with
K choices each touch E (1 - (1 - K / E)^T) where choices are even, and only these are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from drawloom.bound.work import node_macs
from drawloom.errors import Fault, InputError
from drawloom.frontends.hf import Config, Request, model_graph
from drawloom.frontends.hf.families import FAMILIES
from drawloom.frontends.hf.figures import Decoder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph

EXPERTS, HEAD = ".experts.", "lm_head"


@dataclass(frozen=True, slots=True)
class Sizes:
    """A model's counts; multiply-adds and numbers, of all layers.

    Attributes:
        name: of the model.
        layers: how many.
        width: of the hidden state.
        macs: of a token, the head and attention left out.
        head_macs: of the head, for one token.
        pairs: multiply-adds of a pair of a token and an earlier one, by window (0: none).
        weights: numbers, all of them.
        table: of them, those of which a pass reads some rows alone: embeddings.
        experts: of them, those of all experts.
        n_experts: experts of a mixture, 0 for none.
        chosen: experts a token goes to.
        cached: numbers that a token leaves in the cache, by window (0: none).
    """

    name: str
    layers: int
    width: int
    macs: float
    head_macs: float
    pairs: tuple[tuple[int, float], ...]
    weights: float
    table: float
    experts: float
    n_experts: int
    chosen: int
    cached: tuple[tuple[int, float], ...]

    @property
    def active(self) -> float:
        """Weights that one token needs."""
        share = self.chosen / self.n_experts if self.n_experts else 1.0
        return self.weights - self.table - self.experts * (1 - share)

    def cache_numbers(self, tokens: float) -> float:
        """Return the numbers in the cache of one sequence of so many tokens."""
        return tokens * sum(count for _, count in self.cached)

    def read_weights(self, tokens: float) -> float:
        """Return the weights that a pass over so many tokens must read."""
        touched = 1.0
        if self.n_experts:
            touched = 1 - (1 - self.chosen / self.n_experts) ** tokens
        return self.weights - self.table - self.experts * (1 - touched)


@dataclass(frozen=True, slots=True)
class Need:
    """What one pass must do on a whole copy of the model."""

    macs: float
    weights: float  # numbers read
    cache: float  # numbers of the cache read and written
    tokens: float

    @property
    def operations(self) -> float:
        """Two for each multiply-add."""
        return 2 * self.macs


def token_need(sizes: Sizes, batch: float, context: float) -> Need:
    """Return the need of one token for each of ``batch`` sequences of ``context`` earlier ones."""
    pairs = sum(_seen(context + 1, window) * macs for window, macs in sizes.pairs)
    read = sum(_seen(context, window) * count for window, count in sizes.cached)
    macs = batch * (sizes.macs + sizes.head_macs + pairs)
    cache = batch * (read + sizes.cache_numbers(1))
    return Need(macs, sizes.read_weights(batch), cache, batch)


def prompt_need(sizes: Sizes, tokens: int) -> Need:
    """Return the need of reading one prompt; each token sees those before it."""
    pairs = 0.0
    for window, macs in sizes.pairs:
        short = min(tokens, window or tokens)
        pairs += macs * (short * (short + 1) / 2 + (tokens - short) * short)
    macs = tokens * sizes.macs + sizes.head_macs + pairs
    return Need(macs, sizes.read_weights(tokens), sizes.cache_numbers(tokens), tokens)


def _seen(tokens: float, window: int) -> float:
    return min(tokens, window) if window else tokens


def sizes_of(config: Config) -> Sizes:
    """Return the counts of a language model.

    Raises:
        InputError: ``compare.model``, for a model that makes no tokens.
    """
    if not FAMILIES[config.figures.model_type].has_cache:
        fault = Fault("model", f"'{config.figures.model_type}'", "a language model")
        raise InputError("compare.model", f"'{config.name}' makes no tokens", [fault])
    graph = model_graph(config, Request("decode", batch=1, context=1), None, DType.BF16)
    macs, head, pairs = _products(graph)
    constants = {name: graph.types[name].size for name in graph.constants}
    table = sum(constants[name] for name in _tables(graph))
    mixtures = [_mixture(config, layer) for layer in range(_layers(config))]
    mixed = next((each for each in mixtures if each), (0, 0))
    cached = _by_window(graph)
    return Sizes(
        config.name, _layers(config), _width(config), macs, head, pairs,
        float(sum(constants.values())), float(table),
        float(sum(size for name, size in constants.items() if EXPERTS in name)), *mixed, cached,
    )  # fmt: skip


def _products(graph: Graph) -> tuple[float, float, tuple[tuple[int, float], ...]]:
    """Return multiply-adds of products, of the head, and of pairs in attention by window."""
    macs = head = 0
    pairs: dict[int, float] = {}
    for node in graph.nodes:
        if node.op == "Attention":
            q, v = (graph.types[node.inputs[at]].shape for at in (0, 2))
            window = max(0, node.int("left_window", -1) + 1)
            pairs[window] = pairs.get(window, 0) + q[1] * (q[3] + v[3])
            continue
        count = node_macs(node, graph.types)[1]
        if HEAD in (node.name, node.layer):
            head += count
        else:
            macs += count
    return float(macs), float(head), tuple(sorted(pairs.items()))


def _tables(graph: Graph) -> set[str]:
    """Return the constants of which only rows are looked up."""
    looked: set[str] = set()
    others: set[str] = set()
    for node in graph.nodes:
        for at, name in enumerate(node.inputs):
            if name in graph.constants:
                is_look_up = node.op == "Gather" and at == 0 and EXPERTS not in name
                (looked if is_look_up else others).add(name)
    return looked - others


def _by_window(graph: Graph) -> tuple[tuple[int, float], ...]:
    """Return the numbers that a token leaves in the cache, by how far back layers see."""
    windows = [max(0, n.int("left_window", -1) + 1) for n in graph.nodes if n.op == "Attention"]
    caches: dict[str, float] = {}
    for name in graph.inputs:
        if name.startswith("past."):
            layer = name.split(".")[1]
            caches[layer] = caches.get(layer, 0) + prod(graph.types[name].shape) / 2
    found: dict[int, float] = {}
    for window, layer in zip(windows, caches, strict=True):
        found[window] = found.get(window, 0) + caches[layer]
    return tuple(sorted(found.items()))


def _mixture(config: Config, layer: int) -> tuple[int, int] | None:
    figures = config.figures
    mixture = figures.mixture(layer) if isinstance(figures, Decoder) else None
    return (mixture.n_experts, mixture.n_chosen) if mixture else None


def _layers(config: Config) -> int:
    figures = config.figures
    return int(getattr(figures, "num_hidden_layers", 0) or getattr(figures, "n_layer", 0))


def _width(config: Config) -> int:
    return int(getattr(config.figures, "hidden_size", 0) or getattr(config.figures, "n_embd", 0))
