"""Pools: automatic padding becomes pads; global pools become reductions."""

from __future__ import annotations

from collections.abc import Sequence

from drawloom.frontends.onnx.call import Call, Refused, Rule
from drawloom.frontends.onnx.rules.convolution import geometry

_OPTIONS = ("ceil_mode", "count_include_pad", "p")


def _pool(call: Call) -> Sequence[str]:
    sizes = call.shape()[2:]
    # before version 2 LpPool's p was a float
    kernel = call.need("kernel_shape")
    attrs = geometry(call, sizes, kernel)
    if call.get("auto_pad", "NOTSET") == "NOTSET":
        attrs |= {key: int(call.get(key)) for key in _OPTIONS if call.get(key)}
    else:
        attrs |= {key: int(call.get(key)) for key in _OPTIONS[1:] if call.get(key)}
    return [call.emit(call.op, (call.x(0),), **attrs)]


def _max(call: Call) -> Sequence[str]:
    attrs = geometry(call, call.shape()[2:], call.need("kernel_shape"))
    if call.get("auto_pad", "NOTSET") == "NOTSET" and call.get("ceil_mode", 0):
        attrs["ceil_mode"] = 1
    if len(call.used) == 1 or not call.used[1]:
        return [call.emit("MaxPool", (call.x(0),), **attrs)]
    if call.get("storage_order", 0):
        call.refuse("storage_order", "0: positions counted row by row")
    return call.emit_many("MaxPool", (call.x(0),), 2, **attrs)


def _global(op: str) -> Rule:
    def rule(call: Call) -> Sequence[str]:
        rank = len(call.shape())
        if rank < 2:
            raise Refused(f"rank {rank}", "batch and channels at least", sound=False)
        return [call.emit(op, (call.x(0),), axes=tuple(range(2, rank)), keepdims=1)]

    return rule


def _global_lp(call: Call) -> Sequence[str]:
    p = int(call.get("p", 2))
    if p not in (1, 2):
        call.refuse("p", "1 or 2")
    return _global("ReduceL1" if p == 1 else "ReduceL2")(call)


RULES: dict[str, Rule] = {
    "AveragePool": _pool,
    "GlobalAveragePool": _global("ReduceMean"),
    "GlobalLpPool": _global_lp,
    "GlobalMaxPool": _global("ReduceMax"),
    "LpPool": _pool,
    "MaxPool": _max,
}
