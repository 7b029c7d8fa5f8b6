"""Operators that ONNX Runtime's optimiser writes into models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drawloom.frontends.onnx.call import Call, Refused, Rule
from drawloom.frontends.onnx.rules.convolution import windowed


def _gelu(approximate: str) -> Rule:
    """Gelu of x, or of x plus a bias."""

    def rule(call: Call) -> Sequence[str]:
        x = call.emit("Add", (call.x(0), call.x(1))) if call.has(1) else call.x(0)
        return [call.emit("Gelu", (x,), **({"approximate": "tanh"} if approximate else {}))]

    return rule


def _quick_gelu(call: Call) -> Sequence[str]:
    return [call.emit("Silu", (call.x(0),), alpha=call.get("alpha", 1.702))]


def _fused_matmul(call: Call) -> Sequence[str]:
    for key in ("transBatchA", "transBatchB"):
        if call.get(key, 0):
            call.refuse(key, "0")
    turned = {k: 1 for k, old in (("trans_a", "transA"), ("trans_b", "transB")) if call.get(old)}
    y = call.emit("MatMul", (call.x(0), call.x(1)), **turned)
    alpha = call.get("alpha", 1.0)
    return [y if alpha == 1.0 else call.emit("Mul", (y, call.number(alpha, y)))]


def _fused_conv(call: Call) -> Sequence[str]:
    if call.has(3):
        raise Refused("operand 3, a sum", "x, w and a bias")
    word = call.get("activation", "")
    if word not in ("", "Relu", "Sigmoid", "Tanh"):
        call.refuse("activation", "Relu, Sigmoid, Tanh or none")
    (y,) = windowed(1)(replace(call, op="Conv"))
    return [call.emit(word, (y,)) if word else y]


def _simplified(call: Call) -> Sequence[str]:
    if any(call.used[1:]):
        raise Refused("the deviation as a result", "the first output only")
    attrs = {"axis": call.get("axis", -1), "epsilon": call.get("epsilon", 1e-5)}
    return [call.emit("RMSNormalization", (call.x(0), call.x(1)), **attrs)]


def _skip(op: str) -> Rule:
    """Normalize a sum; the last output is the sum itself."""

    def rule(call: Call) -> Sequence[str]:
        if any(call.used[1:3]):
            raise Refused("mean or deviation as results", "the normalized value and the sum")
        total = call.emit("Add", (call.x(0), call.x(1)))
        extra = 4 if op == "LayerNormalization" else 3
        if call.has(extra):
            total = call.emit("Add", (total, call.x(extra)))
        affine = call.inputs[2:4] if op == "LayerNormalization" else call.inputs[2:3]
        operands = (total, *(v for v in affine if v))
        made = call.emit(op, operands, axis=-1, epsilon=call.get("epsilon", 1e-12))
        return [made, "", "", total]

    return rule


RULES: dict[str, Rule] = {
    "com.microsoft.BiasGelu": _gelu(""),
    "com.microsoft.FastGelu": _gelu("tanh"),
    "com.microsoft.FusedConv": _fused_conv,
    "com.microsoft.FusedMatMul": _fused_matmul,
    "com.microsoft.Gelu": _gelu(""),
    "com.microsoft.QuickGelu": _quick_gelu,
    "com.microsoft.SkipLayerNormalization": _skip("LayerNormalization"),
    "com.microsoft.SkipSimplifiedLayerNormalization": _skip("RMSNormalization"),
    "SimplifiedLayerNormalization": _simplified,
}
