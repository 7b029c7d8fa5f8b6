"""LSTM, GRU and RNN, unrolled: the number of steps is known.

The products with the inputs are one MatMul over all steps; each step adds the
product with the state before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drawloom.frontends.onnx.call import Call, Refused, Rule
from drawloom.frontends.onnx.rules.control import need_few
from drawloom.frontends.onnx.rules.movement import cut

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_FUNCTIONS = ("HardSigmoid", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")

State = tuple[str, ...]
Step = Callable[["_Cell", str, State], State]


@dataclass(frozen=True, slots=True)
class _Cell:
    """One direction's weights, as values of the draft."""

    call: Call
    size: int
    turned: str
    """The recurrent weights, (hidden, gates * hidden)."""
    bias: str
    """The recurrent bias, "" where it went into the inputs' product."""
    peepholes: tuple[str, ...]
    functions: tuple[str, ...]

    def gates(self, value: str, count: int) -> tuple[str, ...]:
        """Return the parts of a value along its last axis, one a gate."""
        last = len(self.call.draft.type(value).shape) - 1
        return tuple(
            cut(self.call, value, last, i * self.size, (i + 1) * self.size) for i in range(count)
        )

    def shifted(self, h: str) -> str:
        """Return the product of a state and the recurrent weights, and its bias."""
        y = self.call.emit("MatMul", (h, self.turned))
        return self.call.emit("Add", (y, self.bias)) if self.bias else y

    def active(self, i: int, value: str) -> str:
        """Return a value bounded by the clip attribute, then through function ``i``."""
        clip = self.call.get("clip", 0.0)
        if clip:
            value = self.call.emit("Clip", (value,), min=-clip, max=clip)
        return self.call.emit(self.functions[i], (value,))

    def peeped(self, value: str, i: int, c: str) -> str:
        """Return a gate plus what it sees of the cell."""
        if not self.peepholes:
            return value
        seen = self.call.emit("Mul", (self.peepholes[i], c))
        return self.call.emit("Add", (value, seen))


def _lstm(cell: _Cell, x: str, state: State) -> State:
    h, c = state
    emit = cell.call.emit
    i, o, f, g = cell.gates(emit("Add", (x, cell.shifted(h))), 4)
    i = cell.active(0, cell.peeped(i, 0, c))
    if cell.call.get("input_forget", 0):
        f = emit("Sub", (cell.call.number(1.0, i), i))
    else:
        f = cell.active(0, cell.peeped(f, 2, c))
    c = emit("Add", (emit("Mul", (f, c)), emit("Mul", (i, cell.active(1, g)))))
    o = cell.active(0, cell.peeped(o, 1, c))
    return emit("Mul", (o, emit(cell.functions[2], (c,)))), c


def _gru(cell: _Cell, x: str, state: State) -> State:
    (h,) = state
    emit = cell.call.emit
    xz, xr, xn = cell.gates(x, 3)
    if cell.call.get("linear_before_reset", 0):
        hz, hr, hn = cell.gates(cell.shifted(h), 3)
        r = cell.active(0, emit("Add", (xr, hr)))
        inner = emit("Mul", (r, hn))
    else:
        rz, rr, rn = cell.gates(cell.turned, 3)
        biases = cell.gates(cell.bias, 3) if cell.bias else ("",) * 3
        hz, hr = (_affine(cell, h, w, b) for w, b in zip((rz, rr), biases, strict=False))
        r = cell.active(0, emit("Add", (xr, hr)))
        inner = _affine(cell, emit("Mul", (r, h)), rn, biases[2])
    z = cell.active(0, emit("Add", (xz, hz)))
    n = cell.active(1, emit("Add", (xn, inner)))
    kept = emit("Mul", (z, h))
    new = emit("Mul", (emit("Sub", (cell.call.number(1.0, z), z)), n))
    return (emit("Add", (new, kept)),)


def _affine(cell: _Cell, value: str, weights: str, bias: str) -> str:
    y = cell.call.emit("MatMul", (value, weights))
    return cell.call.emit("Add", (y, bias)) if bias else y


def _rnn(cell: _Cell, x: str, state: State) -> State:
    return (cell.active(0, cell.call.emit("Add", (x, cell.shifted(state[0])))),)


_STEPS: dict[str, Step] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}


def _recurrent(call: Call) -> Sequence[str]:
    """Operands: x, w, r, bias, lengths, state, and of LSTM the cell's state and peepholes."""
    x = call.x(0)
    _check_shapes(call)
    batch_first = bool(call.get("layout", 0))
    if batch_first:
        x = call.emit("Transpose", (x,), perm=(1, 0, 2))
    steps, batch, _ = call.draft.type(x).shape
    _check(call, steps)
    directions = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    turns = directions.get(call.get("direction", "forward"))
    if turns is None:
        call.refuse("direction", ", ".join(directions), sound=False)
    runs = [_run(call, x, d, back, (steps, batch)) for d, back in enumerate(turns)]
    hidden = call.draft.type(runs[0][0][0]).shape[-1]
    rows = [
        _joined(call, [r[0][t] for r in runs], (1, len(turns), batch, hidden)) for t in range(steps)
    ]
    y = call.emit("Concat", rows, axis=0) if len(rows) > 1 else rows[0]
    ends = [
        _joined(call, [r[1][k] for r in runs], (len(turns), batch, hidden))
        for k in range(len(runs[0][1]))
    ]
    if batch_first:
        y = call.emit("Transpose", (y,), perm=(2, 0, 1, 3))
        ends = [call.emit("Transpose", (e,), perm=(1, 0, 2)) for e in ends]
    return [y, *ends]


def _check_shapes(call: Call) -> None:
    """Refuse operands whose shapes do not go together."""
    ranks = {0: 3, 1: 3, 2: 3, 3: 2, 5: 3, 6: 3, 7: 2}
    for i, rank in ranks.items():
        if call.has(i) and len(call.shape(i)) != rank:
            raise Refused(
                f"operand {i} of shape {list(call.shape(i))}", f"rank {rank}", sound=False
            )
    first, second, last = call.shape(0)
    batch = first if call.get("layout", 0) else second
    n = 2 if call.get("direction", "forward") == "bidirectional" else 1
    size = call.shape(2)[2]
    width = _GATES[call.op] * size
    state = (batch, n, size) if call.get("layout", 0) else (n, batch, size)
    wanted = {1: (n, width, last), 2: (n, width, size), 3: (n, 2 * width), 7: (n, 3 * size)}
    for i, shape in (wanted | {5: state, 6: state}).items():
        if call.has(i) and call.shape(i) != shape:
            raise Refused(
                f"operand {i} of shape {list(call.shape(i))}", f"{list(shape)}", sound=False
            )


def _check(call: Call, steps: int) -> None:
    need_few(steps)
    if call.has(4) and any(n != steps for n in call.listed(4, "lengths")):
        raise Refused("sequences of several lengths", f"all of length {steps}")


def _joined(call: Call, values: Sequence[str], shape: tuple[int, ...]) -> str:
    """Return one value a direction as one value."""
    axis = len(shape) - 3
    lone = (*shape[:axis], 1, *shape[axis + 1 :])
    parts = [call.reshape(v, lone) for v in values]
    return call.emit("Concat", parts, axis=axis) if len(parts) > 1 else parts[0]


def _run(
    call: Call, x: str, direction: int, backwards: bool, size: tuple[int, int]
) -> tuple[list[str], State]:
    """Return each step's state, and the last."""
    steps, batch = size
    cell, inputs = _cell(call, x, direction)
    state = tuple(
        _part(call, i, direction) if call.has(i) else _zeros(call, x, (batch, cell.size))
        for i in ((5, 6) if call.op == "LSTM" else (5,))
    )
    rows = [""] * steps
    width = _GATES[call.op] * cell.size
    for t in reversed(range(steps)) if backwards else range(steps):
        row = call.reshape(cut(call, inputs, 0, t, t + 1), (batch, width))
        state = _STEPS[call.op](cell, row, state)
        rows[t] = state[0]
    return rows, state


def _zeros(call: Call, x: str, shape: tuple[int, int]) -> str:
    return call.emit("Expand", (call.number(0.0, x),), shape=shape)


def _cell(call: Call, x: str, direction: int) -> tuple[_Cell, str]:
    """Return a direction's cell, and the inputs' products with its weights."""
    weights, turned = (_part(call, i, direction) for i in (1, 2))
    weights, turned = (call.emit("Transpose", (v,), perm=(1, 0)) for v in (weights, turned))
    size = call.draft.type(turned).shape[0]
    inputs = call.emit("MatMul", (x, weights))
    bias = ""
    if call.has(3):
        both = _part(call, 3, direction)
        half = _GATES[call.op] * size
        inputs = call.emit("Add", (inputs, cut(call, both, 0, 0, half)))
        bias = cut(call, both, 0, half, 2 * half)
    peepholes: tuple[str, ...] = ()
    if call.has(7):
        flat = _part(call, 7, direction)
        peepholes = tuple(cut(call, flat, 0, i * size, (i + 1) * size) for i in range(3))
    functions = _functions(call, direction)
    return _Cell(call, size, turned, bias, peepholes, functions), inputs


def _functions(call: Call, direction: int) -> tuple[str, ...]:
    defaults = _DEFAULTS[call.op]
    words = call.get("activations") or defaults * (direction + 1)
    own = words[direction * len(defaults) : (direction + 1) * len(defaults)]
    known = len(own) == len(defaults) and all(w in _FUNCTIONS for w in own)
    if not known or "activation_alpha" in call.attributes or "activation_beta" in call.attributes:
        call.refuse(
            "activations", f"{len(defaults)} of {', '.join(_FUNCTIONS)}, without parameters"
        )
    return tuple(own)


def _part(call: Call, i: int, direction: int) -> str:
    """Return a direction's part of an operand, without the axis of directions."""
    value = call.x(i)
    if call.get("layout", 0) and i in (5, 6):
        value = call.emit("Transpose", (value,), perm=(1, 0, 2))
    shape = call.draft.type(value).shape
    return call.reshape(cut(call, value, 0, direction, direction + 1), shape[1:])


RULES: dict[str, Rule] = dict.fromkeys(_STEPS, _recurrent)
