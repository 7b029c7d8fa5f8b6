"""The floor of a graph or program on a chip: the time that one resource alone would take, and why.

    floor = max(matrix time, DRAM time)
    matrix time = multiply-adds / peak rate of their format, all tiles, no overhead
    DRAM time   = bytes read once / read rate + bytes written once / write rate

Rates of DRAM are those that the chip reaches, not the interface's peak. The bytes of a graph
are its inputs, constants and outputs; what lies between need not leave the chip. Reads and
writes are taken in turn. A chip that moves both at once faster than either (``dram.combined``)
can go below that, at most to ``overlapped_ps``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph, Node, TensorType
from drawloom.program.commands import Command, Conv, Loop, MatMul, Stream
from drawloom.program.program import Program
from drawloom.timing.costs import macs as command_macs
from drawloom.timing.costs import matrix_format
from drawloom.units import PS_PER_S, ceil_div

Types = Mapping[str, TensorType]

# Operators that read single rows of their first operand: at most the bytes that they give.
_LOOKUPS = ("Gather", "GatherElements", "GatherND")
# Where the operands of a product stand among a node's inputs.
_PRODUCTS = {"MatMul": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3)}
_CONVOLUTIONS = {"Conv": (0, 1), "ConvInteger": (0, 1), "QLinearConv": (0, 3)}


@dataclass(frozen=True, slots=True)
class Floor:
    """The time of some work if nothing but one resource held it up, with the parts."""

    macs: Mapping[str, int]  # multiply-adds by format word of the matrix engine
    read_bytes: int
    write_bytes: int
    matrix_ps: int
    read_ps: int
    write_ps: int
    overlapped_dram_ps: int  # DRAM time if reads and writes overlap at the combined rate

    @property
    def dram_ps(self) -> int:
        """DRAM time: reads, then writes."""
        return self.read_ps + self.write_ps

    @property
    def ps(self) -> int:
        """The floor: the larger of matrix time and DRAM time."""
        return max(self.matrix_ps, self.dram_ps)

    @property
    def overlapped_ps(self) -> int:
        """The floor if reads and writes of DRAM overlap at the combined rate."""
        return max(self.matrix_ps, self.overlapped_dram_ps)

    @property
    def limit(self) -> str:
        """What sets the floor: ``matrix`` or ``dram``."""
        return "matrix" if self.matrix_ps >= self.dram_ps else "dram"

    @property
    def operations(self) -> int:
        """Arithmetic operations: two for each multiply-add."""
        return 2 * sum(self.macs.values())

    @property
    def bytes(self) -> int:
        """Bytes that must cross the DRAM interface."""
        return self.read_bytes + self.write_bytes


def floor(graph: Graph, chip: Chip) -> Floor:
    """Return the floor of a graph on a chip."""
    macs: Counter[str] = Counter()
    for node in graph.nodes:
        fmt, count = node_macs(node, graph.types)
        macs[fmt] += count
    return _floor(chip, macs, _read_once(graph), _written_once(graph))


def program_floor(program: Program, chip: Chip) -> Floor:
    """Return the floor of a program: the multiply-adds it does, its inputs, constants and outputs.

    A program may compute some values more than once, so this may lie above the graph's floor.
    """
    macs: Counter[str] = Counter()
    for stream in program.streams:
        for command, times in _counted(stream, 1):
            if isinstance(command, (MatMul, Conv)):
                macs[matrix_format(command.fmt)] += times * command_macs(command)
    reads = sum(region.bytes for region in program.named("input").values())
    reads += sum(raw.size for _, raw in program.data)
    brought = {region.address for region in program.named("input").values()}
    writes = sum(
        # What is written over an input is a part of it: how much of it, the regions do not say.
        region.bytes
        for region in program.named("output").values()
        if region.address not in brought
    )
    return _floor(chip, macs, reads, writes)


def node_macs(node: Node, types: Types) -> tuple[str, int]:
    """Return a node's format word and multiply-adds on the matrix engine (0 for other work)."""
    if not node.inputs or not node.inputs[0]:
        return "", 0
    first, out = types[node.inputs[0]], types[node.outputs[0]]
    fmt = matrix_format(first.dtype.value)
    if node.op in _PRODUCTS:
        inner = first.shape[-2] if node.int("trans_a") else first.shape[-1]
        return fmt, out.size * inner
    if node.op in _CONVOLUTIONS:
        weights = types[node.inputs[_CONVOLUTIONS[node.op][1]]]
        return fmt, out.size * prod(weights.shape[1:])
    if node.op == "ConvTranspose":
        return fmt, first.size * prod(types[node.inputs[1]].shape[1:])
    if node.op == "Attention":
        return fmt, _attention_macs(node, types)
    return fmt, 0


def _attention_macs(node: Node, types: Types) -> int:
    """Count both products over the pairs of query and key that the node's own rule lets meet."""
    q, k, v = (types[value].shape for value in node.inputs[:3])
    at = np.arange(q[2], dtype=np.int64) + node.int("offset")
    first, last = np.zeros_like(at), np.full_like(at, k[2] - 1)
    if node.int("is_causal"):
        last = np.minimum(last, at)
    if (left := node.int("left_window", -1)) >= 0:
        first = np.maximum(first, at - left)
    if (right := node.int("right_window", -1)) >= 0:
        last = np.minimum(last, at + right)
    pairs = int(np.maximum(last - first + 1, 0).sum())
    return q[0] * q[1] * pairs * (q[3] + v[3])


def _read_once(graph: Graph) -> int:
    """Count the bytes of inputs and constants that some node reads, each once."""
    total = 0
    readers = graph.consumers()
    for value in (*graph.inputs, *graph.constants):
        size = graph.types[value].bytes
        found = readers[value]
        if found and all(_only_looks_up(node, value) for node in found):
            size = min(size, sum(graph.types[node.outputs[0]].bytes for node in found))
        total += size if found else 0
    return total


def _written_once(graph: Graph) -> int:
    """Count the bytes of the outputs; of a cache that an input brings, those written into it."""
    made = graph.producers()
    total = 0
    for value in dict.fromkeys(graph.outputs):
        node = made.get(value)
        grown = node is not None and node.op == "TensorScatter" and node.inputs[0] in graph.inputs
        total += graph.types[node.inputs[1] if node and grown else value].bytes
    return total


def _only_looks_up(node: Node, value: str) -> bool:
    return node.op in _LOOKUPS and node.inputs[0] == value and value not in node.inputs[1:]


def _counted(stream: Stream, times: int) -> Iterable[tuple[Command, int]]:
    for item in stream:
        if isinstance(item, Loop):
            yield from _counted(item.body, times * item.count)
        else:
            yield item, times


def _floor(chip: Chip, macs: Counter[str], reads: int, writes: int) -> Floor:
    rates = chip.matrix.macs_per_cycle
    # A format without a rate cannot run on the matrix engine, so it sets no bound there.
    known = {fmt: n for fmt, n in sorted(macs.items()) if n and fmt in rates}
    cycles = sum(ceil_div(n, rates[fmt] * chip.n_tiles) for fmt, n in known.items())
    read_ps = ceil_div(reads * PS_PER_S, chip.dram.read)
    write_ps = ceil_div(writes * PS_PER_S, chip.dram.write)
    both_ps = ceil_div((reads + writes) * PS_PER_S, chip.dram.combined)
    return Floor(
        macs=known,
        read_bytes=reads,
        write_bytes=writes,
        matrix_ps=cycles * chip.period,
        read_ps=read_ps,
        write_ps=write_ps,
        overlapped_dram_ps=max(read_ps, write_ps, both_ps),
    )
