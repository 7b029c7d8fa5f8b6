"""How mixtures are cut: a slice of every expert for each chip, or whole experts.

    slices   an expert is cut as an MLP is, and so is what is picked of a stack of them
    whole    of n chips, chip c has experts c * E / n and on; what it picks for places whose expert is
             another chip's is of no use (``own``), and becomes nothing before it is added up

So a token goes to no chip but that which has it: all have all tokens, and each works on its own
experts' places. What chips give is a sum over them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drawloom.graph.ir import Node
from drawloom.plans.cut import Cutter
from drawloom.plans.lie import SUM, WHOLE, Lie
from drawloom.plans.own import own_place, put

LINEAR = ("Mul", "ReduceSum", "Reshape", "Transpose", "MatMul")


def is_stack(cutter: Cutter, value: str) -> bool:
    """Whether a value is a constant of one matrix for each expert."""
    return value in cutter.constants and len(cutter.shape(value)) == 3


def note_pick(cutter: Cutter, node: Node) -> bool:
    """Note what is picked of a stack of experts, and put off adding it; False for any other node."""
    if node.op != "Gather" or not is_stack(cutter, node.inputs[0]) or node.int("axis"):
        return False
    value = node.outputs[0]
    readers = [n for n in cutter.graph.nodes if value in n.inputs]
    if not all(n.op == "MatMul" and n.inputs[1] == value for n in readers):
        return False
    cutter.picks[value] = node
    cutter.types[value], cutter.lies[value] = cutter.graph.types[value], WHOLE
    cutter.levels[value] = 0
    return True


def product(cutter: Cutter, node: Node) -> bool:
    """Products with experts' matrices, all or those that are picked."""
    a, b = node.inputs[:2]
    rank = len(cutter.shape(b))
    if len(node.inputs) > 2 or node.int("trans_a") or node.int("trans_b"):
        return False
    if not (is_stack(cutter, b) or b in cutter.picks):
        return False
    lie, out = cutter.lie(a), len(cutter.shape(node.outputs[0])) - 1
    if cutter.whole_experts:
        return _of_whole(cutter, node, out)
    if lie.kind == "part" and lie.axis == len(cutter.shape(a)) - 1 and lie.ways == cutter.chips:
        _keep(cutter, node, a, cutter.part(rank - 2, lie.ways), SUM)
        return True
    ways = cutter.chips
    if cutter.shape(b)[-1] % ways or lie.kind == "part":
        return False
    _keep(cutter, node, cutter.need(a, WHOLE), cutter.part(rank - 1, ways), cutter.part(out, ways))
    return True


def _of_whole(cutter: Cutter, node: Node, out: int) -> bool:
    a, b = node.inputs[:2]
    experts = cutter.shape(b if is_stack(cutter, b) else cutter.picks[b].inputs[0])[0]
    if experts % cutter.chips:
        return False
    lie = cutter.lie(a)
    if b in cutter.picks:
        a = a if lie.kind == "own" else cutter.need(a, WHOLE)
        _keep(cutter, node, a, WHOLE, Lie("own"))
        cutter.owners[node.outputs[0]] = _places(cutter, cutter.picks[b])[1]
        return True
    each = cutter.part(0, cutter.chips)
    if lie.kind == "part" and (lie != each or len(cutter.shape(a)) != out + 1):
        return False
    _keep(cutter, node, a if lie == each else cutter.need(a, WHOLE), each, each)
    return True


def _keep(cutter: Cutter, node: Node, a: str, want: Lie, lie: Lie) -> None:
    b = node.inputs[1]
    held = cutter.need(b, want) if b not in cutter.picks else _picked(cutter, b, want)
    cutter.keep(node, (a, held), lie)


def _picked(cutter: Cutter, value: str, want: Lie) -> str:
    """Return the name of what is picked of parts of the experts, or of the chip's own ones."""
    node = cutter.picks[value]
    stack, index = node.inputs
    name = f"{value}.{want.kind}{want.axis}"
    if name in cutter.lies:
        return name
    if cutter.whole_experts:
        mine, places = cutter.need(stack, cutter.part(0, cutter.chips)), _places(cutter, node)[0]
    else:
        axis = want.axis - len(cutter.shape(index)) + 1
        mine, places = cutter.need(stack, cutter.part(axis, want.ways)), cutter.need(index, WHOLE)
    cutter.add(
        (replace(node, name=name, inputs=(mine, places), outputs=(name,)),) * cutter.held, want
    )
    return name


def _places(cutter: Cutter, node: Node) -> tuple[str, str]:
    """Return the places of picked experts among a chip's own, and which of them are its own."""
    stack, index = node.inputs
    return own_place(cutter, index, cutter.shape(stack)[0] // cutter.chips)


def settled(cutter: Cutter, value: str) -> str:
    """Return a value that is a chip's own in some places alone, with nothing in the others: a sum."""
    name = f"{value}.settled"
    if name not in cutter.lies:
        inside, kind = cutter.owners[value], cutter.types[value]
        shape = cutter.types[inside].shape
        wide = (*shape, *(1,) * (len(kind.shape) - len(shape)))
        spread, none = f"{name}.own", f"{name}.none"
        cutter.hold(none, [np.array(0, kind.dtype.numpy)] * cutter.held)
        put(cutter, "Reshape", (inside,), spread, shape=wide)
        put(cutter, "Where", (spread, value, none), name, lie=SUM)
    return name


def owned(cutter: Cutter, node: Node) -> bool:
    """Pointwise operators pass on what is a chip's own, where all operands are so or numbers."""
    names = {cutter.owners.get(v) for v in node.inputs if cutter.lie(v).kind == "own"}
    rest = [v for v in node.inputs if cutter.lie(v).kind != "own"]
    if len(names) != 1 or any(v and cutter.shape(v) not in ((), (1,)) for v in rest):
        return False
    cutter.keep(node, node.inputs, Lie("own"))
    cutter.owners[node.outputs[0]] = names.pop() or ""
    return True


def linear(cutter: Cutter, node: Node) -> bool:
    """What is still to be added up passes linear operators, if nothing else reads it."""
    sums = [v for v in node.inputs if v and cutter.lie(v) == SUM]
    if node.op not in LINEAR or len(sums) != 1 or (sums[0], WHOLE) in cutter.made:
        return False
    value = sums[0]
    readers = sum(value in n.inputs for n in cutter.graph.nodes)
    if readers > 1 or value in cutter.graph.outputs or not cutter.types[value].dtype.is_float:
        return False
    if node.op == "MatMul" and any(cutter.is_weight(v) for v in node.inputs):
        return False  # cut by its outputs each chip does a part of it
    if any(cutter.lie(v).kind not in ("whole", "free") for v in node.inputs if v and v != value):
        return False
    inputs = tuple(v if v == value else cutter.need(v, WHOLE) for v in node.inputs)
    cutter.keep(node, inputs, SUM)
    return True


def reduced(cutter: Cutter, node: Node) -> bool:
    """A sum along the axis of parts is still to be added up; along others, parts stay parts."""
    value, *rest = node.inputs
    lie, axes = cutter.lie(value), node.ints("axes")
    if lie.kind != "part" or not axes or lie.rows > 1 or rest:
        return False
    rank = len(cutter.shape(value))
    gone = {axis % rank for axis in axes}
    if lie.axis in gone:
        if lie.ways != cutter.chips:
            return False
        cutter.keep(node, node.inputs, SUM)
        return True
    before = sum(axis < lie.axis for axis in gone) if not node.int("keepdims", 1) else 0
    cutter.keep(node, node.inputs, lie.at(lie.axis - before))
    return True
