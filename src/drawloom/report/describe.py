"""An artefact in a few lines: what it is, how large, what goes in and out."""

from __future__ import annotations

from collections import Counter

from drawloom.bound.work import node_macs
from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph
from drawloom.mapping.mapping import Mapping
from drawloom.program.program import Program
from drawloom.report.figures import stated
from drawloom.report.quantities import bytes_text, count_text, rate_text

Facts = dict[str, str]
_MOST = 8  # operators named before the rest is only counted


def graph_facts(graph: Graph) -> Facts:
    """Return what a graph takes, gives and needs."""
    operators = Counter(node.op for node in graph.nodes)
    weights = sum(graph.types[name].bytes for name in graph.constants)
    macs = sum(node_macs(node, graph.types)[1] for node in graph.nodes)
    return {
        "inputs": ", ".join(f"{name} {graph.types[name].text()}" for name in graph.inputs),
        "outputs": ", ".join(f"{name} {graph.types[name].text()}" for name in graph.outputs),
        "nodes": f"{len(graph.nodes):,}: {counted(operators)}" if graph.nodes else "0",
        "constants": f"{len(graph.constants):,}, {bytes_text(weights)}",
        "multiply-adds": count_text(macs),
    }


def chip_facts(chip: Chip) -> Facts:
    """Return the sizes and rates of a chip."""
    memory = chip.dram
    return {
        "title": chip.title,
        "tiles": f"{chip.n_tiles} ({chip.cols} × {chip.rows}) at {rate_text(chip.clock, 'Hz')}",
        "matrix peak": rate_text(chip.peak_flops, "FLOP/s") + " in fp16",
        "scratchpad": f"{bytes_text(chip.scratchpad.bytes)} a tile",
        "DRAM": f"{bytes_text(memory.bytes)}, {rate_text(memory.read, 'B/s')} read, "
        f"{rate_text(memory.write, 'B/s')} written, {rate_text(memory.peak, 'B/s')} peak",
        "profiles": ", ".join(chip.profiles),
    }


def program_facts(program: Program) -> Facts:
    """Return what a program takes, gives and holds."""
    commands = Counter(
        type(command).__name__
        for tile in range(len(program.streams))
        for command in program.commands(tile)
    )
    facts = {
        "chip": program.chip,
        "tiles": str(len(program.streams)),
        "inputs": _regions(program, "input"),
        "outputs": _regions(program, "output"),
        "commands": f"{commands.total():,} written: {counted(commands)}",
        "constants": bytes_text(sum(raw.size for _, raw in program.data)),
        "DRAM": bytes_text(program.dram_bytes),
    }
    return facts | stated(program)


def mapping_facts(mapping: Mapping) -> Facts:
    """Return what a mapping lays out."""
    kinds = Counter(type(piece).__name__.removesuffix("Piece").lower() for piece in mapping.pieces)
    return {
        "graph": mapping.graph.name,
        "chip": mapping.chip.name,
        "pieces": f"{len(mapping.pieces):,}: {counted(kinds)}",
        "DRAM": bytes_text(mapping.dram_bytes),
    }


def counted(counter: Counter[str]) -> str:
    """Return the most common words with their counts."""
    ordered = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{n:,} {word}" for word, n in ordered[:_MOST])
    rest = sum(n for _, n in ordered[_MOST:])
    return f"{shown}, {rest:,} others" if rest else shown


def _regions(program: Program, kind: str) -> str:
    return ", ".join(
        f"{name} {region.fmt}[{','.join(map(str, region.shape))}]"
        for name, region in program.named(kind).items()
    )
