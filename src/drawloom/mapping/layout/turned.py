"""Products whose results the host gets head by head: written so, and not turned by a copy behind."""

from __future__ import annotations

from collections import Counter

from drawloom.chip.model import Blocking
from drawloom.graph.ir import Graph
from drawloom.mapping.fuse.groups import Group, Plan
from drawloom.mapping.layout.residency import Residency

ELEMENT = 2  # bytes: of such are heads read by others as they lie
TO_HEADS = (0, 2, 1, 3)


def turned(plan: Plan, graph: Graph, residency: Residency, blocking: Blocking) -> dict[str, str]:
    """Return the results of products that a move alone reads, with the output that it makes of each.

    The move puts heads of whole blocks of channels, which stand side by side, one behind the other.
    """
    made = {value: group for group in plan.groups for value in group.made}
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    out: dict[str, str] = {}
    for group in plan.groups:
        value, result = group.nodes[0].inputs[:1], group.nodes[-1].outputs[0]
        if not _turns(group, graph, blocking) or result not in graph.outputs:
            continue
        maker = made.get(value[0])
        alone = readers[value[0]] == 1 and value[0] not in graph.outputs
        stays = {value[0], result} & residency.address.keys()
        if maker and alone and not stays and _is_product(maker, group):
            out[value[0]] = result
    return out


def _is_product(maker: Group, group: Group) -> bool:
    plain = maker.kind == "matrix" and maker.layout == "rows" and maker.segment == group.segment
    return plain and maker.nodes[0].op == "MatMul"


def _turns(group: Group, graph: Graph, blocking: Blocking) -> bool:
    """Whether a move takes (entry, row, heads and features) to (entry, head, row, feature)."""
    if group.kind != "move" or [node.op for node in group.nodes] != ["Reshape", "Transpose"]:
        return False
    reshape, transpose = group.nodes
    kind, given = graph.types[reshape.outputs[0]], graph.types[reshape.inputs[0]]
    if len(kind.shape) != 4 or tuple(transpose.ints("perm")) != TO_HEADS:
        return False
    entries, rows, heads, features = kind.shape
    side_by_side = (entries, rows, heads * features)
    whole = features % blocking.of(ELEMENT) == 0 and kind.dtype.bytes == ELEMENT
    return whole and (1,) * (3 - len(given.shape)) + given.shape == side_by_side
