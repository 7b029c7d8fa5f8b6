"""Branches and loops whose course is known: the branch taken is read, every step is unrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import GraphProto

from drawloom.frontends.onnx.call import Call, Refused, Rule
from drawloom.frontends.onnx.rules.movement import cut, from_front

MOST_STEPS = 4096
"""Steps of a loop that are unrolled."""


def _if(call: Call) -> Sequence[str]:
    taken = "then_branch" if call.scalar(0, "condition") else "else_branch"
    return call.branch(call.need(taken), (), "")


def _loop(call: Call) -> Sequence[str]:
    """Steps until the count or the condition ends them; both must follow from constants."""
    body: GraphProto = call.need("body")
    carried = list(call.inputs[2:])
    count = call.whole(0, "number of steps") if call.has(0) else MOST_STEPS + 1
    goes_on = bool(call.scalar(1, "condition")) if call.has(1) else True
    _need_inputs(call, body, 2 + len(carried))
    rows = _Rows(call, len(body.output) - 1 - len(carried))
    step = 0
    while goes_on and step < count:
        need_few(step + 1)
        number = call.draft.constant("step", np.asarray(step, np.int64))
        condition = call.draft.constant("goes_on", np.asarray(True))
        made = call.branch(body, (number, condition, *carried), f"{step}/")
        goes_on = bool(_known(call, made[0], "condition"))
        carried = list(made[1 : 1 + len(carried)])
        rows.add(made[1 + len(carried) :])
        step += 1
    return [*carried, *rows.stacked((0,) * rows.count)]


def _scan(call: Call) -> Sequence[str]:
    """A step for each index of the scanned operands, from the front or from the back."""
    if call.opset < 9:
        raise Refused("Scan of opset 8", "Scan of opset 9 or later")
    body: GraphProto = call.need("body")
    n_scanned = call.need("num_scan_inputs")
    n_states = len(call.inputs) - n_scanned
    n_rows = len(body.output) - n_states
    _need_inputs(call, body, len(call.inputs))
    operands = [call.x(i) for i in range(n_states, len(call.inputs))]
    ranks = [len(call.draft.type(v).shape) for v in operands]
    axes = call.get("scan_input_axes") or (0,) * n_scanned
    axes = [from_front((a,), r)[0] for a, r in zip(axes, ranks, strict=True)]
    lengths = {call.draft.type(v).shape[a] for v, a in zip(operands, axes, strict=True)}
    if len(lengths) != 1:
        raise Refused(f"scanned axes of lengths {sorted(lengths)}", "one length", sound=False)
    (steps,) = lengths
    need_few(steps)
    back = call.get("scan_input_directions") or (0,) * n_scanned
    states = [call.x(i) for i in range(n_states)]
    rows = _Rows(call, n_rows)
    for step in range(steps):
        at = [steps - 1 - step if b else step for b in back]
        given = [_one(call, v, a, i) for v, a, i in zip(operands, axes, at, strict=True)]
        made = call.branch(body, (*states, *given), f"{step}/")
        states = list(made[:n_states])
        rows.add(made[n_states:])
    turned = call.get("scan_output_directions") or (0,) * n_rows
    places = call.get("scan_output_axes") or (0,) * n_rows
    return [*states, *rows.stacked(places, turned)]


@dataclass(slots=True)
class _Rows:
    """What every step gives, to be stacked along a new axis."""

    call: Call
    count: int
    steps: list[Sequence[str]] = field(default_factory=list[Sequence[str]])

    def add(self, values: Sequence[str]) -> None:
        """Keep what one step gives."""
        self.steps.append(values)

    def stacked(self, axes: Sequence[int], turned: Sequence[int] = ()) -> list[str]:
        """Return each result of all steps; ``turned`` says which go from the last step to the first."""
        if not self.steps:
            if not any(self.call.used[len(self.call.used) - self.count :]):
                return []
            raise Refused("no steps", "at least one, where the steps give results")
        made: list[str] = []
        for i, column in enumerate(zip(*self.steps, strict=True)):
            rank = len(self.call.draft.type(column[0]).shape) + 1
            (axis,) = from_front((axes[i],), rank)
            order = column[::-1] if turned and turned[i] else column
            made.append(_stack(self.call, order, axis))
        return made


def _stack(call: Call, values: Sequence[str], axis: int) -> str:
    parts: list[str] = []
    for value in values:
        shape = call.draft.type(value).shape
        parts.append(call.reshape(value, (*shape[:axis], 1, *shape[axis:])))
    return call.emit("Concat", parts, axis=axis) if len(parts) > 1 else parts[0]


def _one(call: Call, value: str, axis: int, at: int) -> str:
    """Return one index of an axis, without the axis."""
    shape = call.draft.type(value).shape
    return call.reshape(cut(call, value, axis, at, at + 1), (*shape[:axis], *shape[axis + 1 :]))


def need_few(steps: int) -> None:
    """Refuse to unroll a loop of very many steps."""
    if steps > MOST_STEPS:
        raise Refused(f"more than {MOST_STEPS} steps", f"at most {MOST_STEPS} to unroll")


def _need_inputs(call: Call, body: GraphProto, count: int) -> None:
    if len(body.input) != count or len(body.output) < len(call.used):
        found = f"a body of {len(body.input)} inputs and {len(body.output)} outputs"
        raise Refused(found, f"{count} inputs, and an output for each of the node's", sound=False)


def _known(call: Call, value: str, what: str) -> object:
    array = call.draft.array(value)
    if array is None or array.size != 1:
        found = f"{what} depends on the model's inputs"
        raise Refused(found, f"a constant {what}", unknown=value)
    return array.reshape(())[()]


RULES: dict[str, Rule] = {"If": _if, "Loop": _loop, "Scan": _scan}
