"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence

from drawloom.frontends.torch.call import Call, Rule


def _linear(call: Call) -> Sequence[str]:
    """x times the weight turned over, plus a bias."""
    weight = call.x("weight")
    if len(call.draft.type(weight).shape) == 1:
        y = call.emit("MatMul", (call.x("input"), weight))
    else:
        y = call.emit("MatMul", (call.x("input"), weight), trans_b=1)
    bias = call.maybe("bias")
    return [call.emit("Add", (y, bias)) if bias else y]


def product(a: str, b: str) -> Rule:
    """NumPy's rules for whatever stands before the last two axes."""

    def rule(call: Call) -> Sequence[str]:
        return [call.emit("MatMul", (call.x(a), call.x(b)))]

    return rule


def _scaled(call: Call, value: str, key: str) -> str:
    factor = call.get(key, 1)
    return value if factor == 1 else call.emit("Mul", (value, call.number(factor, value)))


def added(a: str, b: str) -> Rule:
    """beta * self + alpha * (a times b)."""

    def rule(call: Call) -> Sequence[str]:
        y = _scaled(call, call.emit("MatMul", (call.x(a), call.x(b))), "alpha")
        if call.get("beta", 1) == 0:
            return [y]
        return [call.emit("Add", (y, _scaled(call, call.x(), "beta")))]

    return rule


RULES: dict[str, Rule] = {
    "aten.linear": _linear,
    "drawloom.linear": _linear,
    "aten.mm": product("self", "mat2"),
    "aten.bmm": product("self", "mat2"),
    "aten.mv": product("self", "vec"),
    "aten.dot": product("self", "tensor"),
    "aten.matmul": product("self", "other"),
    "aten.addmm": added("mat1", "mat2"),
    "aten.addmv": added("mat", "vec"),
    "aten.baddbmm": added("batch1", "batch2"),
}
