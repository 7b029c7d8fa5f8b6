"""Matrix products: Gemm and Einsum become MatMul."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile

from drawloom.frontends.onnx.call import Call, Rule
from drawloom.frontends.onnx.rules.elementwise import same


def _gemm(call: Call) -> Sequence[str]:
    """alpha * A' * B' + beta * C."""
    a, b = call.x(0), call.x(1)
    turned = {k: 1 for k, old in (("trans_a", "transA"), ("trans_b", "transB")) if call.get(old)}
    y = call.emit("MatMul", (a, b), **turned)
    y = _scaled(call, y, call.get("alpha", 1.0))
    if call.has(2) and call.get("beta", 1.0):
        y = call.emit("Add", (y, _scaled(call, call.x(2), call.get("beta", 1.0))))
    return [y]


def _scaled(call: Call, value: str, factor: float) -> str:
    if factor == 1.0:
        return value
    return call.emit("Mul", (value, call.number(factor, value)))


def _einsum(call: Call) -> Sequence[str]:
    """Each operand's own sums first, then products of two at a time."""
    equation = call.need("equation").replace(" ", "").lower()
    left, arrow, output = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(call.inputs) or any(t.count("...") > 1 for t in terms):
        call.refuse("equation", f"{len(call.inputs)} terms", sound=False)
    terms = _spelled(call, terms)
    letters = "".join(terms)
    ellipsis = "".join(c for c in sorted(set(letters)) if not c.isalpha())
    if not arrow:
        output = "..." + "".join(
            sorted(c for c in set(letters) if letters.count(c) == 1 and c.isalpha())
        )
    output = output.replace("...", ellipsis)
    if any(len(set(t)) != len(t) for t in (*terms, output)):
        call.refuse("equation", "each letter once in a term")
    if not set(output) <= set(letters):
        call.refuse("equation", "letters of the output among the operands'", sound=False)
    values = [call.x(i) for i in range(len(terms))]
    value, term = values[0], terms[0]
    for i in range(1, len(terms)):
        keep = set(output).union(*terms[i + 1 :])
        value, term = _product(call, (value, term), (values[i], terms[i]), keep)
    return [_arranged(call, *_summed(call, value, term, set(output)), output)]


def _spelled(call: Call, terms: Sequence[str]) -> list[str]:
    """Return the terms with a digit for each axis of an ellipsis, counted from the right."""
    spelled: list[str] = []
    for i, term in enumerate(terms):
        rank = len(call.shape(i))
        hidden = rank - len(term.replace("...", ""))
        if hidden < 0 or (hidden and "..." not in term) or hidden > 10:
            call.refuse("equation", f"{rank} letters for operand {i}", sound=False)
        spelled.append(term.replace("...", "9876543210"[10 - hidden :]))
    return spelled


def _summed(call: Call, value: str, term: str, keep: set[str]) -> tuple[str, str]:
    """Sum over the letters that nothing else needs."""
    gone = tuple(i for i, letter in enumerate(term) if letter not in keep)
    if not gone:
        return value, term
    return (
        call.emit("ReduceSum", (value,), axes=gone, keepdims=0),
        "".join(c for c in term if c in keep),
    )


def _arranged(call: Call, value: str, term: str, order: str) -> str:
    """Return the value with its axes in another order."""
    if term == order:
        return value
    return call.emit("Transpose", (value,), perm=tuple(term.index(c) for c in order))


def _product(call: Call, a: tuple[str, str], b: tuple[str, str], keep: set[str]) -> tuple[str, str]:
    """Return a product of two operands: batch letters, then a's, then b's."""
    left, left_term = _summed(call, *a, keep | set(b[1]))
    right, right_term = _summed(call, *b, keep | set(left_term))
    left_dims = dict(zip(left_term, call.draft.type(left).shape, strict=True))
    right_dims = dict(zip(right_term, call.draft.type(right).shape, strict=True))
    both = [c for c in left_term if c in right_dims]
    # a dim of 1 may stand against any other: no product of matrices then
    if any(left_dims[c] != right_dims[c] for c in both):
        return _broadcast(call, (left, left_term), (right, right_term), keep)
    inner = "".join(c for c in both if c not in keep)
    if not inner:
        return _broadcast(call, (left, left_term), (right, right_term), keep)
    batch = "".join(c for c in both if c in keep)
    rows = "".join(c for c in left_term if c not in both)
    cols = "".join(c for c in right_term if c not in both)
    dims = left_dims | right_dims
    lead = [dims[c] for c in batch]
    m, n, k = (math.prod(dims[c] for c in word) for word in (rows, cols, inner))
    x = call.reshape(_arranged(call, left, left_term, batch + rows + inner), (*lead, m, k))
    y = call.reshape(_arranged(call, right, right_term, batch + inner + cols), (*lead, k, n))
    result = call.emit("MatMul", (x, y))
    term = batch + rows + cols
    return call.reshape(result, [dims[c] for c in term]), term


def _broadcast(
    call: Call, a: tuple[str, str], b: tuple[str, str], keep: set[str]
) -> tuple[str, str]:
    """Multiply element by element over all letters, then sum those not kept."""
    letters = "".join(dict.fromkeys(a[1] + b[1]))
    parts: list[str] = []
    for value, term in (a, b):
        order = "".join(c for c in letters if c in term)
        placed = _arranged(call, value, term, order)
        dims = dict(zip(order, call.draft.type(placed).shape, strict=True))
        lead = len(list(takewhile(lambda c, dims=dims: c not in dims, letters)))
        parts.append(call.reshape(placed, [dims.get(c, 1) for c in letters[lead:]]))
    return _summed(call, call.emit("Mul", parts), letters, keep)


RULES: dict[str, Rule] = {
    "Einsum": _einsum,
    "Gemm": _gemm,
    "MatMul": same,
    "MatMulInteger": same,
    "QLinearMatMul": same,
}
