"""How each operator passes a cut on: one function a kind of operator, one line in ``RULES``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import gcd, prod

from drawloom.graph.ir import Node
from drawloom.graph.ops import FAMILIES
from drawloom.plans.coded import can_part, note
from drawloom.plans.cut import Cutter, leading
from drawloom.plans.cut_context import attended, scattered
from drawloom.plans.cut_experts import linear, note_pick, owned, product, reduced, settled
from drawloom.plans.lie import SUM, WHOLE, Lie

FEWEST = 16  # outputs of a product for each chip
Rule = Callable[[Cutter, Node], bool]  # False: not so; all operands must be whole


def apply(cutter: Cutter, node: Node) -> None:
    """Add a node to the cut, by its operator's rule or with whole operands."""
    if note(cutter, node) or note_pick(cutter, node):
        return
    if any(v and cutter.lie(v).kind == "own" for v in node.inputs):
        if node.op in _POINTWISE and owned(cutter, node):
            return
        if node.op != "MatMul" or not product(cutter, node):
            node = replace(node, inputs=tuple(_settled(cutter, v) for v in node.inputs))
        else:
            return
    rule = RULES.get(node.op)
    if linear(cutter, node):
        return
    if rule is None or not rule(cutter, node):
        inputs = tuple(cutter.need(value, WHOLE) for value in node.inputs)
        cutter.keep(node, inputs, *(WHOLE for _ in node.outputs))


def _settled(cutter: Cutter, value: str) -> str:
    return settled(cutter, value) if value and cutter.lie(value).kind == "own" else value


def _parts(cutter: Cutter, node: Node) -> list[tuple[int, Lie]]:
    """Return which operands lie in parts."""
    lies = ((i, cutter.lie(value)) for i, value in enumerate(node.inputs))
    return [(i, lie) for i, lie in lies if lie.kind == "part"]


def _pointwise(cutter: Cutter, node: Node) -> bool:
    """Broadcast operands: what has the axis is cut along it, what repeats along it is whole."""
    if node.op == "Add" and _added(cutter, node):
        return True
    parts = _parts(cutter, node)
    if not parts:
        return False
    rank = len(cutter.shape(node.outputs[0]))
    first, lie = parts[0]
    axis = lie.axis + rank - len(cutter.shape(node.inputs[first]))
    inputs: list[str] = []
    for value in node.inputs:
        shape = cutter.shape(value) if value else ()
        inputs.append(cutter.need(value, _seen(lie.at(axis), rank, shape)))
    out = lie.at(axis)
    cutter.keep(node, tuple(inputs), *(out for _ in node.outputs))
    return True


def _added(cutter: Cutter, node: Node) -> bool:
    """What is added to a sum is added where the sum is made, while it waits for the links."""
    value = node.outputs[0]
    sums = [v for v in node.inputs if cutter.lie(v) == SUM and (v, WHOLE) not in cutter.made]
    if len(sums) != 1 or cutter.types[sums[0]] != cutter.graph.types[value]:
        return False
    (other,) = (v for v in node.inputs if v != sums[0])
    ends = (*cutter.graph.inputs, *cutter.graph.constants)
    shape, lie = cutter.shape(value), cutter.lie(other)
    if other in ends or cutter.shape(other) != shape:
        return False
    is_sliced = cutter.sliced and shape[0] % cutter.chips == 0 and cutter.chips > 1
    if is_sliced and lie in (WHOLE, cutter.rows):
        cutter.scatter(sums[0], value, cutter.need(other, cutter.rows))
        return True
    if lie.kind == "part":
        return False
    cutter.sum(sums[0], value, cutter.need(other, WHOLE))
    return True


def _seen(lie: Lie, rank: int, shape: tuple[int, ...]) -> Lie:
    """Return how an operand that is broadcast to ``rank`` axes lies where the result lies so."""
    own = lie.axis - rank + len(shape)
    has = own >= 0 and shape[own] > 1
    rows = lie.rows if len(shape) == rank and shape[0] > 1 else 1
    if not has and rows == 1:
        return WHOLE
    return Lie("part", own if has else 0, lie.ways if has else 1, rows)


def _product(cutter: Cutter, node: Node) -> bool:
    """Cut by outputs where the operand is whole, by inputs where it lies in parts of them."""
    a, b, *zeros = node.inputs
    if product(cutter, node):
        return True
    if node.int("trans_a") or any(z and cutter.shape(z) for z in zeros):
        return False
    if not cutter.is_weight(b) or len(cutter.shape(b)) != 2:
        return _batched(cutter, node)
    lie, last = cutter.lie(a), len(cutter.shape(a)) - 1
    if cutter.sliced and lie == cutter.rows:
        lie = WHOLE  # rows alone would need all of the weights
    out = len(cutter.shape(node.outputs[0])) - 1
    inner, outer = (1, 0) if node.int("trans_b") else (0, 1)
    if lie.kind == "part" and lie.axis == last:
        if lie.rows > 1:
            lie = cutter.part(last, cutter.chips)
            a = cutter.need(a, lie)
        if lie.ways != cutter.chips or not can_part(cutter, b, cutter.part(inner, lie.ways)):
            return False
        inputs = (a, cutter.need(b, cutter.part(inner, lie.ways)), *zeros)
        cutter.keep(node, inputs, SUM)
        return True
    if lie.kind == "part":
        cutter.keep(node, (a, b, *zeros), lie)
        return True
    ways = _useful(cutter, node.outputs[0])
    # A few outputs a chip, as of what chooses experts, are not worth an exchange.
    few = cutter.shape(b)[outer] < FEWEST * ways and cutter.apart == 1
    if (
        ways == 1
        or few
        or (cutter.context and ways != cutter.chips)
        or cutter.shape(b)[outer] % ways
        or not can_part(cutter, b, cutter.part(outer, ways))
    ):
        return False
    inputs = (cutter.need(a, WHOLE), cutter.need(b, cutter.part(outer, ways)), *zeros)
    cutter.keep(node, inputs, cutter.part(out, ways))
    return True


def _integer_product(cutter: Cutter, node: Node) -> bool:
    """Integers scaled and rounded behind the product: cut by outputs alone, so bits stay the same."""
    a, a_scale, a_zero, b, b_scale, b_zero, *rest = node.inputs
    if b not in cutter.constants or len(cutter.shape(b)) != 2:
        return False
    ways = _useful(cutter, node.outputs[0])
    if ways == 1 or any(cutter.shape(v) not in ((), (1,)) for v in (a_scale, a_zero, *rest)):
        return False
    columns = cutter.part(0, ways)
    beside = [
        v if cutter.shape(v) in ((), (1,)) else cutter.need(v, columns) for v in (b_scale, b_zero)
    ]
    weight = cutter.need(b, cutter.part(1, ways))
    inputs = (cutter.need(a, WHOLE), a_scale, a_zero, weight, *beside, *rest)
    cutter.keep(node, inputs, cutter.part(len(cutter.shape(node.outputs[0])) - 1, ways))
    return True


def _scaled(cutter: Cutter, node: Node) -> bool:
    """Numbers to codes and back, by one scale for all."""
    plain = all(not v or cutter.shape(v) in ((), (1,)) for v in node.inputs[1:])
    return plain and not node.int("block_size") and _pointwise(cutter, node)


def _useful(cutter: Cutter, value: str) -> int:
    """Return into how many parts a product's outputs may be cut: whole heads where it feeds heads."""
    *ahead, size = cutter.shape(value)
    ways = gcd(size, cutter.chips)
    for node in cutter.graph.nodes:
        if value not in node.inputs:
            continue
        if node.op == "Reshape":
            after = cutter.shape(node.outputs[0])
            heads = [n for at, n in enumerate(after) if prod(after[:at]) == prod(ahead) and n > 1]
            ways = gcd(ways, heads[0] * cutter.apart) if heads else 1
        elif node.op == "Add" and cutter.shape(node.outputs[0]) == cutter.shape(value):
            ways = gcd(ways, _useful(cutter, node.outputs[0]))
    return ways


def _batched(cutter: Cutter, node: Node) -> bool:
    """Products of two values: cut along an axis of the batch that both have."""
    a, b = node.inputs[:2]
    if len(node.inputs) > 2 or len(cutter.shape(a)) != len(cutter.shape(b)):
        return False
    parts = _parts(cutter, node)
    batch = len(cutter.shape(a)) - 2
    if not parts or any(lie.axis >= batch for _, lie in parts):
        return False
    lie = parts[0][1]
    if cutter.shape(a)[lie.axis] != cutter.shape(b)[lie.axis]:
        return False
    cutter.keep(node, (cutter.need(a, lie), cutter.need(b, lie)), lie)
    return True


def _reshape(cutter: Cutter, node: Node) -> bool:
    value = node.inputs[0]
    lie = cutter.lie(value)
    if lie.kind != "part":
        return False
    before, after = cutter.shape(value), cutter.shape(node.outputs[0])
    own = lie.rows == 1 and lie.ways == cutter.chips
    if cutter.apart > 1 and own and _has_heads(before, lie.axis, after):
        lie = Lie("part", lie.axis, cutter.chips // cutter.apart, cutter.apart)
    axis = leading(before, lie.axis, after, lie.ways)
    if axis < 0 or (lie.rows > 1 and before[0] != after[0]):
        return False
    inputs, made = (cutter.need(value, lie),), lie.at(axis)
    shape = cutter.share(cutter.graph.types[node.outputs[0]], made).shape
    cutter.keep(node, inputs, made, shape=shape)
    return True


def _has_heads(before: tuple[int, ...], axis: int, after: tuple[int, ...]) -> bool:
    """Whether a reshape tells the heads of a step's queries, keys or values apart."""
    return axis == len(before) - 1 and len(after) == len(before) + 1 and after[-1] != before[-1]


def _transpose(cutter: Cutter, node: Node) -> bool:
    lie = cutter.lie(node.inputs[0])
    if lie.kind != "part":
        return False
    rank = len(cutter.shape(node.inputs[0]))
    perm = node.ints("perm") or tuple(range(rank))[::-1]
    if lie.rows > 1 and perm[0] != 0:
        return False
    cutter.keep(node, node.inputs, lie.at(perm.index(lie.axis)))
    return True


def _beside(mixed: Callable[[Node, int], range | tuple[int, ...]]) -> Rule:
    """Return the rule of operators that mix some axes of their first operands and leave the others alone."""

    def rule(cutter: Cutter, node: Node) -> bool:
        parts = _parts(cutter, node)
        rank = len(cutter.shape(node.inputs[0]))
        axes = {axis % rank for axis in mixed(node, rank)}
        if not parts or parts[0][1].axis in axes or (parts[0][1].rows > 1 and 0 in axes):
            return False
        lie = parts[0][1]
        same = [len(cutter.shape(v)) == rank for v in node.inputs]
        inputs = tuple(
            cutter.need(v, lie if like else WHOLE)
            for v, like in zip(node.inputs, same, strict=True)
        )
        cutter.keep(node, inputs, *(lie for _ in node.outputs))
        return True

    return rule


def _normal_axes(node: Node, rank: int) -> range:
    return range(node.int("axis", -1) % rank, rank)


def _padded(node: Node, rank: int) -> tuple[int, ...]:
    pads = node.ints("pads")
    return tuple(i for i in range(rank) if pads[i] or pads[rank + i])


def _scatter(cutter: Cutter, node: Node) -> bool:
    """A cache lies as what is written into it, but along the axis that is written."""
    if cutter.context:
        return scattered(cutter, node)
    past, new, *rest = node.inputs
    lie = cutter.lie(new)
    rank = len(cutter.shape(past))
    if lie.kind != "part" or lie.axis in (0, node.int("axis", -2) % rank):
        return False
    # A place for each sequence, or one for all.
    each = [lie.rows > 1 and v and cutter.shape(v)[0] > 1 for v in rest]
    places = [
        cutter.need(v, Lie("part", 0, 1, lie.rows) if own else WHOLE)
        for v, own in zip(rest, each, strict=True)
    ]
    cutter.keep(node, (cutter.need(past, lie), new, *places), lie)
    return True


def _attention(cutter: Cutter, node: Node) -> bool:
    """Heads apart: each chip has some of the query heads, and the key heads that they look at."""
    if cutter.context and attended(cutter, node):
        return True
    q, k, v, *rest = node.inputs
    lie = cutter.lie(q)
    if lie.kind != "part" or lie.axis != 1 or lie.ways * lie.rows != cutter.chips:
        return False
    heads = cutter.shape(k)[1]
    ways = gcd(heads, lie.ways)
    if ways != lie.ways and heads != ways:
        return False
    held = Lie("part", 1, ways, lie.rows)
    masks = [cutter.need(m, _seen(lie, 4, cutter.shape(m)) if m else WHOLE) for m in rest]
    cutter.keep(node, (q, cutter.need(k, held), cutter.need(v, held), *masks), lie)
    return True


_POINTWISE = [*FAMILIES["elementwise"], *FAMILIES["unary"]]
RULES: dict[str, Rule] = {
    **dict.fromkeys(_POINTWISE, _pointwise),
    "MatMul": _product,
    "MatMulInteger": _product,
    "QLinearMatMul": _integer_product,
    "QuantizeLinear": _scaled,
    "DequantizeLinear": _scaled,
    "ReduceSum": reduced,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Softmax": _beside(lambda node, rank: (node.int("axis", -1),)),
    "RMSNormalization": _beside(_normal_axes),
    "LayerNormalization": _beside(_normal_axes),
    "Slice": _beside(lambda node, rank: node.ints("axes") or tuple(range(rank))),
    "Concat": _beside(lambda node, rank: (node.int("axis"),)),
    "Pad": _beside(_padded),
    "TensorScatter": _scatter,
    "Attention": _attention,
}
