"""Graph → kernels: which nodes one kernel does together, and what it reads and writes.

    kernel ::= one node of the main kinds (product, attention, rows, move), or none,
               and the pointwise nodes that it does on its way

Nodes are taken in their order. A pointwise node joins the latest kernel among those that make its
operands, so that kernels stay in an order in which they can run:

- a product, and passes over rows, take functions of their own results, with constants, or with
  values of the same size from earlier kernels (a bias, an activation, a residual);
- a kernel of pointwise nodes takes more of them, slices, joins and writes to a cache among them;
- attention takes none.

Products of one operand with constants are one product (queries, keys and values; gate and up) where
``merges_products`` holds: their columns lie beside each other, they take biases, and what follows
is another kernel. Attention written as products and a softmax is one kernel too: its scores are
never stored. Reshapes are nothing. Transposes are nothing where a product or attention is on either
side, slices where it reads them: it reads and writes in any order, and takes weights that a router
picks where they lie. What only constants go into is worked out before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from drawloom.graph.build import live_nodes
from drawloom.graph.ir import Graph, Node
from drawloom.routes.flash import Flash
from drawloom.routes.walk import Fusion, Group, Walk, beyond_views, readers_of, results
from drawloom.routes.work import (
    Attended,
    Kind,
    Products,
    Work,
    functions_of,
    kind_of,
    operand_bytes,
    result_bytes,
    work_of,
)

_OPEN = ("product", "rows", "pointwise")  # kernels that pointwise nodes may join
_MOVED = ("Slice", "Concat", "Gather", "TensorScatter")  # joined by pointwise kernels alone
_DENSE = ("product", "attention")


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: its main work, what it does beside it, and its traffic.

    Attributes:
        name: of its first node.
        layer: name of that node in the user's model.
        kind: of its main work; ``pointwise`` where it has none.
        nodes: names of all nodes it does.
        work: sizes of the main work.
        elements: that pointwise nodes give, one a node.
        functions: elements among them that need a function which is looked up or iterated.
        constant_bytes: read of constants.
        reads: bytes read of each value that other kernels or the caller give.
        writes: bytes written of each value that others read.
        kept_bytes: of all constants that lie there for it, where it reads some of them alone.
    """

    name: str
    layer: str
    kind: Kind
    nodes: tuple[str, ...]
    work: Work
    elements: int
    functions: int
    constant_bytes: int
    reads: Mapping[str, int]
    writes: Mapping[str, int]
    kept_bytes: int | None = None

    @property
    def macs(self) -> int:
        """Multiply-adds of products and attention."""
        return self.work.macs if isinstance(self.work, (Products, Attended)) else 0

    @property
    def read_bytes(self) -> int:
        """Bytes read, constants included."""
        return self.constant_bytes + sum(self.reads.values())

    @property
    def written_bytes(self) -> int:
        """Bytes written."""
        return sum(self.writes.values())


def fuse(graph: Graph, fusion: Fusion | None = None) -> tuple[Kernel, ...]:
    """Return the kernels of a graph, in an order in which they can run."""
    nodes = live_nodes(graph.nodes, graph.outputs)
    walk = Walk(graph, fusion or Fusion(), readers=readers_of(nodes))
    walk.known.update(graph.constants)
    for node in nodes:
        _place(walk, node)
    flashed = Flash(walk).merged() if walk.fusion.has_flash else {}
    return _kernels(walk, flashed)


def _place(walk: Walk, node: Node) -> None:
    """Put a node into a kernel, or note that it is none."""
    if all(not value or walk.root_of(value) in walk.known for value in node.inputs):
        walk.known.update(value for value in node.outputs if value)
        return
    if _is_view(walk, node):
        walk.root[node.outputs[0]] = walk.root_of(node.inputs[0])
        return
    if _is_picked_in_place(walk, node):
        walk.picked.add(node.outputs[0])
        return
    kind = kind_of(node)
    host = _host(walk, node, kind)
    if host is not None:
        walk.join(node, host)
        return
    walk.begin(node, kind, _work(walk, node))


def _work(walk: Walk, node: Node) -> Work:
    work = work_of(node, walk.graph)
    if not isinstance(work, Products):
        return work
    left, right = walk.root_of(work.left), walk.root_of(work.right)
    return replace(
        work, left=left, right=right, has_weights=work.has_weights or right in walk.picked
    )


def _host(walk: Walk, node: Node, kind: Kind) -> Group | None:
    """Return the kernel that takes a node on; None where it begins one of its own."""
    if kind == "product":
        twin = _twin(walk, node) if walk.fusion.merges_products else None
        if twin is not None:
            assert isinstance(twin.work, Products)
            twin.work, twin.is_merged = _beside(twin.work, work_of(node, walk.graph)), True
        return twin
    if kind != "pointwise" and node.op != "TensorScatter":
        return None
    group = walk.latest(node)
    if group is not None and _may_join(walk, node, group):
        return group
    return _neighbour(walk, group)


def _is_view(walk: Walk, node: Node) -> bool:
    if kind_of(node) == "view":
        return True
    if node.op not in ("Transpose", "Slice"):
        return False
    source = walk.made_in.get(walk.root_of(node.inputs[0]))
    if node.op == "Transpose" and source is not None and walk.groups[source].kind in _DENSE:
        return True
    return _only_dense_read(walk, node.outputs[0])


def _only_dense_read(walk: Walk, value: str) -> bool:
    readers = beyond_views(walk, value)
    is_output = value in walk.graph.outputs
    return bool(readers) and not is_output and all(kind_of(each) in _DENSE for each in readers)


def _is_picked_in_place(walk: Walk, node: Node) -> bool:
    """Return whether a look-up picks whole matrices of constants for products."""
    if node.op != "Gather" or node.inputs[0] not in walk.known or node.int("axis"):
        return False
    return len(walk.graph.types[node.inputs[0]].shape) > 2 and _only_dense_read(
        walk, node.outputs[0]
    )


def _may_join(walk: Walk, node: Node, group: Group) -> bool:
    if group.kind == "pointwise":
        return True
    if group.kind not in _OPEN or not walk.fusion.epilogues or node.op in _MOVED:
        return False
    types, operands = walk.graph.types, walk.operands(node)
    size = types[node.outputs[0]].size
    if group.is_merged:
        return node.op == "Add" and len(operands) == 1 and types[operands[0]].size == size
    main = types[group.nodes[0].outputs[0]].size
    return size == main and all(types[value].size == size for value in operands)


def _twin(walk: Walk, node: Node) -> Group | None:
    """Return the kernel just begun where it is a product of the same operand with constants."""
    work = work_of(node, walk.graph)
    if node.op != "MatMul" or not isinstance(work, Products) or not work.has_weights:
        return None
    group = walk.groups[-1] if walk.groups else None
    if group is None or not isinstance(group.work, Products) or group.nodes[0].op != "MatMul":
        return None
    is_same = walk.root_of(group.nodes[0].inputs[0]) == walk.root_of(node.inputs[0])
    other = group.work
    alike = (other.batch, other.m, other.k, other.number_format, other.has_weights)
    if not is_same or alike != (1, work.m, work.k, work.number_format, True):
        return None
    return group if all(len(walk.operands(each)) == 1 for each in group.nodes) else None


def _beside(one: Products, other: Work) -> Products:
    assert isinstance(other, Products)
    return replace(
        one,
        n=one.n + other.n,
        right_bytes=one.right_bytes + other.right_bytes,
        out_bytes=one.out_bytes + other.out_bytes,
    )


def _neighbour(walk: Walk, group: Group | None) -> Group | None:
    """Return the kernel just begun where it is pointwise and reads of the same kernel."""
    if group is None or not walk.groups or walk.groups[-1].kind != "pointwise":
        return None
    last = walk.groups[-1]
    return last if walk.latest(last.nodes[0]) is group else None


def _kernels(
    walk: Walk, flashed: dict[int, tuple[Group, Group, Group, Attended]]
) -> tuple[Kernel, ...]:
    gone = {part.at for parts in flashed.values() for part in parts[:2]}
    kernels: list[Kernel] = []
    for group in walk.groups:
        if group.at in flashed:
            first, middle, last, work = flashed[group.at]
            nodes = [*first.nodes, *middle.nodes, *last.nodes]
            whole = Group(group.at, "attention", work, nodes)
            kernels.append(_kernel(walk, whole))
        elif group.at not in gone:
            kernels.append(_kernel(walk, group))
    return tuple(kernels)


def _kernel(walk: Walk, group: Group) -> Kernel:
    types, graph = walk.graph.types, walk.graph
    read = _read(walk, group)
    written: dict[str, int] = {}
    names = {node.name for node in group.nodes}
    for node in group.nodes:
        for at, value in enumerate(node.outputs):
            if value and _is_wanted(walk, value, names):
                written[value] = result_bytes(node, at, types)
    beside = [node for node in group.nodes if kind_of(node) == "pointwise"]
    constants = {value for value in read if value in walk.known or value in walk.picked}
    first = group.nodes[0]
    return Kernel(
        name=first.name,
        layer=first.layer or first.name,
        kind=group.kind,
        nodes=tuple(node.name for node in group.nodes),
        work=group.work,
        elements=sum(types[node.outputs[0]].size for node in beside),
        functions=sum(functions_of(node, graph) for node in beside),
        constant_bytes=sum(read[value] for value in constants),
        reads={value: size for value, size in read.items() if value not in constants},
        writes=written,
    )


def _read(walk: Walk, group: Group) -> dict[str, int]:
    """Return the bytes read of each value that the kernel does not make itself."""
    own = set(results(group))
    read: dict[str, dict[str, int]] = {}
    for node in group.nodes:
        for at, value in enumerate(node.inputs):
            root = walk.root_of(value)
            if value and root not in own:
                parts = read.setdefault(root, {})
                amount = operand_bytes(node, at, walk.graph.types)
                parts[value] = max(parts.get(value, 0), amount)
    # Slices of one value add up, reshapes of it are the same bytes.
    return {
        root: min(walk.graph.types[root].bytes, sum(parts.values())) for root, parts in read.items()
    }


def _is_wanted(walk: Walk, value: str, names: set[str]) -> bool:
    """Return whether a value, or what a reshape makes of it, is read elsewhere or an output."""
    if value in walk.graph.outputs:
        return True
    for node in walk.readers[value]:
        is_view = walk.root.get(node.outputs[0]) == walk.root_of(value)
        if is_view and _is_wanted(walk, node.outputs[0], names):
            return True
        if not is_view and node.name not in names:
            return True
    return False
