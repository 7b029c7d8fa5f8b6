"""Groups of chips behind each other: which has which stretch of a cut graph.

Each gets about as many bytes of weights. Where a bound falls inside a stretch, it is moved to the
node near it across which the fewest bytes go on.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from drawloom.graph.ir import Graph, Node
from drawloom.graph.lazy import Constants
from drawloom.plans.cut import Cut, Stage

_NEAR = 0.25  # how far a bound may be moved, as a share of a group's bytes


def staged(cut: Cut, stages: int) -> tuple[Cut, list[int]]:
    """Return the cut with stretches apart at the bounds of groups, and the group of each stretch."""
    if stages == 1:
        return cut, [0] * len(cut.stages)
    bounds = _bounds(cut, stages)
    made: list[Stage] = []
    groups: list[int] = []
    done = 0
    for stage in cut.stages:
        n = len(stage.graphs[0].nodes)
        inside = [bound - done for bound in bounds if done < bound < done + n]
        edges = [0, *inside, n]
        for low, high in pairwise(edges):
            last = high == n
            graphs = tuple(_stretch(graph, low, high) for graph in stage.graphs)
            made.append(Stage(graphs, stage.exchanges if last else ()))
            groups.append(sum(bound <= done + low for bound in bounds))
        done += n
    return replace(cut, stages=tuple(made)), groups


def _bounds(cut: Cut, stages: int) -> list[int]:
    """Return before which nodes, counted over all stretches, the groups after the first begin."""
    nodes: list[Node] = []
    sizes: list[int] = []
    seen: set[str] = set()
    for stage in cut.stages:
        graph = stage.graphs[0]
        for node in graph.nodes:
            new = [v for v in node.inputs if v in graph.constants and v not in seen]
            seen.update(new)
            nodes.append(node)
            sizes.append(sum(graph.types[v].bytes for v in new))
    across = _across(cut)
    total, bounds = sum(sizes), list[int]()
    for stage in range(1, stages):
        best, at = None, 0
        for index in range(1, len(nodes)):
            at += sizes[index - 1]
            off = abs(at * stages - stage * total) / max(1, total)
            if index > (bounds[-1] if bounds else 0) and off <= _NEAR:
                key = across[index], off
                best = min(best or (key, index), (key, index))
        if best is None:
            break  # fewer weights than groups: the last ones have none
        bounds.append(best[1])
    return bounds


def _across(cut: Cut) -> list[int]:
    """Return, before each node, the bytes of values that are made before it and needed from it on."""
    last: dict[str, int] = {}
    first: dict[str, tuple[int, int]] = {}
    at = 0
    for stage in cut.stages:
        graph = stage.graphs[0]
        for node in graph.nodes:
            for value in node.inputs:
                last[value] = at
            for value in node.outputs:
                if value:
                    first[value] = at, graph.types[value].bytes
            at += 1
        for exchange in stage.exchanges:
            last |= dict.fromkeys(exchange.reads, at - 1)
            first[exchange.target] = at - 1, graph.types[exchange.source].bytes
    found = [0] * (at + 1)
    for value, (made, size) in first.items():
        for index in range(made + 1, last.get(value, made) + 1):
            found[index] += size
    return found


def _stretch(graph: Graph, low: int, high: int) -> Graph:
    """Return some of a graph's nodes as a graph of their own."""
    if (low, high) == (0, len(graph.nodes)):
        return graph
    nodes = graph.nodes[low:high]
    made = [v for node in nodes for v in node.outputs if v]
    read = dict.fromkeys(v for node in nodes for v in node.inputs if v)
    later = {v for node in graph.nodes[high:] for v in node.inputs} | set(graph.outputs)
    constants = {v: graph.constants.held[v] for v in read if v in graph.constants}
    inputs = tuple(v for v in read if v not in constants and v not in made)
    outputs = tuple(v for v in made if v in later)
    types = {v: graph.types[v] for v in (*made, *read)}
    return Graph(f"{graph.name}.{low}", inputs, outputs, nodes, types, Constants(constants))
