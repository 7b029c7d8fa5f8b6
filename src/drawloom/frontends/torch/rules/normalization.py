"""Values scaled by their neighbours' statistics: inference forms only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drawloom.frontends.draft import Refused
from drawloom.frontends.torch.call import Call, Rule
from drawloom.graph.dtypes import DType

_STATISTICS = "export the model for inference, where nothing reads them"


def softmax(op: str) -> Rule:
    """Exponents over their sum along one axis; of a scalar, over itself."""

    def rule(call: Call) -> Sequence[str]:
        x = call.cast(call.x(), call.out())
        if not call.shape():
            return [call.reshape(call.emit(op, (call.reshape(x, (1,)),), axis=0), ())]
        return [call.emit(op, (x,), axis=call.axis())]

    return rule


def _safe_softmax(call: Call) -> Sequence[str]:
    """A row that is -inf throughout gives zeros."""
    (y,) = softmax("Softmax")(call)
    x = call.cast(call.x(), call.out())
    peak = call.emit("ReduceMax", (x,), axes=(call.axis(),), keepdims=1)
    hidden = call.emit("Equal", (peak, call.number(-np.inf, x)))
    return [call.emit("Where", (hidden, call.number(0.0, x), y))]


def _need_unused(call: Call) -> None:
    if any(call.used[1:]):
        raise Refused("its statistics are read", _STATISTICS)


def _scale(call: Call, key: str, count: tuple[int, ...], fill: float) -> str:
    """Return a scale or bias, or one that changes nothing."""
    value = call.maybe(key)
    dtype = call.out()
    if value:
        return call.cast(value, dtype)
    return call.constant(np.broadcast_to(np.asarray(fill).astype(dtype.numpy), count), key)


def _layer(call: Call) -> Sequence[str]:
    """The last axes, as many as ``normalized_shape`` has."""
    _need_unused(call)
    shape = call.ints("normalized_shape")
    operands = [call.x("input"), _scale(call, "weight", shape, 1.0)]
    if bias := call.maybe("bias"):
        operands.append(call.cast(bias, call.out()))
    epsilon = float(call.get("eps", 1e-5))
    return [call.emit("LayerNormalization", operands, axis=-len(shape), epsilon=epsilon), "", ""]


def _rms(call: Call) -> Sequence[str]:
    """Without an epsilon it is the format's own unit."""
    _need_unused(call)
    shape = call.ints("normalized_shape")
    units = {DType.F16: 2.0**-10, DType.BF16: 2.0**-7, DType.F32: 2.0**-23, DType.F64: 2.0**-52}
    epsilon = float(call.get("eps", units[call.out()]))
    operands = (call.x("input"), _scale(call, "weight", shape, 1.0))
    return [call.emit("RMSNormalization", operands, axis=-len(shape), epsilon=epsilon), ""]


def _group(call: Call) -> Sequence[str]:
    _need_unused(call)
    channels = call.shape("input")[1:2]
    groups = int(call.get("num_groups", call.get("group")))
    operands = (
        call.x("input"),
        _scale(call, "weight", channels, 1.0),
        _scale(call, "bias", channels, 0.0),
    )
    epsilon = float(call.get("eps", 1e-5))
    return [call.emit("GroupNormalization", operands, num_groups=groups, epsilon=epsilon), "", ""]


def _batch(call: Call) -> Sequence[str]:
    """Stored statistics; those of the batch itself only where the batch is one."""
    _need_unused(call)
    x, channels = call.x("input"), call.shape("input")[1:2]
    epsilon = float(call.get("eps", 1e-5))
    scale = _scale(call, "weight", channels, 1.0)
    bias = _scale(call, "bias", channels, 0.0)
    if call.get("training") or not call.maybe("running_mean"):
        if (
            call.maybe("running_mean")
            or call.shape("input")[0] != 1
            or len(call.shape("input")) < 3
        ):
            raise Refused("statistics of the batch", "model.eval() before export")
        return [call.emit("InstanceNormalization", (x, scale, bias), epsilon=epsilon), "", ""]
    statistics = [call.cast(call.x(key), call.out()) for key in ("running_mean", "running_var")]
    operands = (x, scale, bias, *statistics)
    return [call.emit("BatchNormalization", operands, epsilon=epsilon), "", ""]


def _instance(call: Call) -> Sequence[str]:
    """Each image's own statistics, or stored ones."""
    x, channels = call.x("input"), call.shape("input")[1:2]
    operands = (x, _scale(call, "weight", channels, 1.0), _scale(call, "bias", channels, 0.0))
    epsilon = float(call.get("eps", 1e-5))
    if call.get("use_input_stats", True):
        return [call.emit("InstanceNormalization", operands, epsilon=epsilon)]
    stored = [call.cast(call.x(key), call.out()) for key in ("running_mean", "running_var")]
    return [call.emit("BatchNormalization", (*operands, *stored), epsilon=epsilon)]


RULES: dict[str, Rule] = {
    "aten.softmax": softmax("Softmax"),
    "aten._softmax": softmax("Softmax"),
    "aten._safe_softmax": _safe_softmax,
    "aten.log_softmax": softmax("LogSoftmax"),
    "aten._log_softmax": softmax("LogSoftmax"),
    "aten.layer_norm": _layer,
    "aten.native_layer_norm": _layer,
    "aten.rms_norm": _rms,
    "aten._fused_rms_norm": _rms,
    "aten.group_norm": _group,
    "aten.native_group_norm": _group,
    "aten.batch_norm": _batch,
    "aten._native_batch_norm_legit": _batch,
    "aten._native_batch_norm_legit_no_training": _batch,
    "aten.instance_norm": _instance,
}
