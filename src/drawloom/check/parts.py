"""What is left out, taken more often or written over on purpose: by the model itself, and by fills."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from drawloom.check.code import Flat
from drawloom.graph.ir import Graph, Node
from drawloom.graph.window import Window
from drawloom.program.commands import Barrier, Fill, Join, Write

# Operators that take a part of their first operand, or some of it more often: slices, picks, pads, windows.
_IN_PART = frozenset(
    {
        "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "Gather", "GatherElements", "GatherND", "LRN", "LpPool",
        "MaxPool", "Pad", "QLinearConv", "Resize", "ScatterElements", "ScatterND", "Slice", "TensorScatter", "Trilu",
    }
)  # fmt: skip
# Windows that may end before what they move over does.
_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})
# Operators that take all of what they are handed alike, whatever becomes of their results.
_WHOLE = frozenset(
    {
        "ArgMax", "ArgMin", "Attention", "LayerNormalization", "LogSoftmax", "MatMul", "MatMulInteger",
        "QLinearMatMul", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
        "ReduceSum", "ReduceSumSquare", "RMSNormalization", "Softmax",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parts:
    """What a model takes a part of, or some of it more often.

    Attributes:
        tensors: inputs and constants.
        nodes: those that take a part, or of whose results one is taken.
        short: those of whose results a window leaves out the last rows or columns.
    """

    tensors: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()


def parts(graph: Graph) -> Parts:
    """Return what reaches an operator that takes parts, through others that hand all on."""
    readers = graph.consumers()

    def reach(names: Iterator[str], ends: Callable[[Node, str], bool]) -> bool:
        return any(_reaches(name, readers, ends) for name in names)

    def is_short(node: Node, value: str) -> bool:
        return _ends_before(graph, node, value)

    return Parts(
        frozenset(
            one for one in (*graph.inputs, *graph.constants) if _reaches(one, readers, _takes_part)
        ),
        frozenset(
            node.name
            for node in graph.nodes
            if node.op in _IN_PART or reach(filter(None, node.outputs), _takes_part)
        ),
        frozenset(node.name for node in graph.nodes if reach(filter(None, node.outputs), is_short)),
    )


def _reaches(name: str, readers: dict[str, list[Node]], ends: Callable[[Node, str], bool]) -> bool:
    """Whether a value comes to a node that ``ends`` is true of, through others that hand all on."""
    left, seen = [name], {name}
    while left:
        value = left.pop()
        for node in readers[value]:
            if ends(node, value):
                return True
            new = [one for one in _handed_on(node) if one not in seen]
            seen.update(new)
            left += new
    return False


def _takes_part(node: Node, value: str) -> bool:
    return node.op in _IN_PART and node.inputs[0] == value


def _ends_before(graph: Graph, node: Node, value: str) -> bool:
    """Whether a node's window ends before the last row or column of what it moves over."""
    if node.inputs[0] != value or node.op not in {"Conv", *_POOLS}:
        return False
    sizes = graph.types[value].shape[2:]
    kernel = (
        graph.types[node.inputs[1]].shape[2:] if node.op == "Conv" else node.ints("kernel_shape")
    )
    return min(Window.of(node, sizes, kernel).reach, default=0) < 0


def _handed_on(node: Node) -> Iterator[str]:
    """Yield what a node makes, where not all of what it is handed need be read for a part of that."""
    if node.op not in _WHOLE:
        yield from filter(None, node.outputs)


def fill_writes(flat: Flat) -> list[int]:
    """Return the rows of writes to DRAM of what a fill just before them made."""
    found: list[int] = []
    filled: object = None
    for row, command in enumerate(flat.commands):
        if isinstance(command, Fill):
            filled = command.dst
        elif isinstance(command, Write):
            if command.spm == filled:
                found.append(row)
        elif command is not None and not isinstance(command, Join | Barrier):
            filled = None
    return found
