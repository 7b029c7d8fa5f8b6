"""A decoder's time on chips that share its layers, from graphs of few of them.

Layers repeat: after the first ones (dense, where the others are mixtures) the same kinds come again
and again. A graph of the first ones and one turn, and one of a turn more, tell what all take.
"""

from __future__ import annotations

from collections.abc import Callable

from drawloom.frontends.hf import Config, Request, model_graph
from drawloom.frontends.hf.figures import Decoder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.plans.shard import Shares, shard
from drawloom.routes.fuse import Kernel, fuse
from drawloom.routes.mixture import Experts, grouped, narrowed, rounded

Seconds = Callable[[Graph, tuple[Kernel, ...]], float]


def turn_of(figures: Decoder) -> tuple[int, int]:
    """Return how many layers come before the repeating ones, and after how many these repeat."""
    kinds = [
        (figures.mixture(layer), figures.window(layer))
        for layer in range(figures.num_hidden_layers)
    ]
    count = len(kinds)
    for turn in range(1, count + 1):
        for first in range(count - turn + 1):
            if all(kinds[at] == kinds[at - turn] for at in range(first + turn, count)):
                if first + 2 * turn > count:
                    break
                return first, turn
    return 0, count


def experts_of(config: Config) -> Experts | None:
    """Return the experts of a model's mixtures; None where it has none."""
    figures = config.figures
    if isinstance(figures, Decoder):
        for layer in range(figures.num_hidden_layers):
            if mixture := figures.mixture(layer):
                return Experts(mixture.n_experts, mixture.n_chosen)
    return None


def kernels_of(
    config: Config, graph: Graph, word: str = "", *, has_f32: bool = True
) -> tuple[Kernel, ...]:
    """Return a graph's kernels, experts grouped, products in a format of 8 bits where one is named.

    Where the chip has no products of 32-bit floats, those multiply 16 bits.
    """
    kernels = fuse(graph)
    experts = experts_of(config)
    made = grouped(kernels, experts) if experts else kernels
    made = made if has_f32 else rounded(made)
    return narrowed(made, word) if word else made


def layered_seconds(
    config: Config,
    tensor: int,
    request: Request,
    seconds: Seconds,
    word: str = "",
    *,
    has_f32: bool = True,
) -> float:
    """Return the seconds of a pass on one of ``tensor`` chips, sums between them left out.

    Args:
        config: of the whole model.
        tensor: chips that share each layer; of models that cannot be shared out 1.
        request: the pass.
        seconds: the time of a graph with its kernels.
        word: the format of 8 bits that products take; empty for 16 bits.
        has_f32: whether the chip has products of 32-bit floats.
    """
    figures = config.figures
    if not isinstance(figures, Decoder):
        assert tensor == 1, config.name
        graph = model_graph(config, request, None, DType.BF16)
        return seconds(graph, kernels_of(config, graph, word, has_f32=has_f32))
    layers = figures.num_hidden_layers
    first, turn = turn_of(figures)

    def timed(count: int) -> float:
        share = shard(config, Shares(tensor, 1), count, 1)
        graph = model_graph(share, request, None, DType.BF16)
        return seconds(graph, kernels_of(config, graph, word, has_f32=has_f32))

    if first + 2 * turn >= layers:
        return timed(layers)
    turns, rest = divmod(layers - first, turn)
    one, two = timed(first + turn + rest), timed(first + 2 * turn + rest)
    return one + (turns - 1) * (two - one)
