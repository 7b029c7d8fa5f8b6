from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.execute.building import NUMPY, as_float, get_blocked, numbers, one_tile, put_blocked

from drawloom.execute.faults import IllegalCommand
from drawloom.program.commands import Pool, Reduce

SRC, DST = 0, 1 << 17
AXIS = {"h": 0, "w": 1, "c": 2, "hw": (0, 1)}


@pytest.mark.parametrize("op", ["sum", "max", "min"])
@pytest.mark.parametrize("axis", AXIS)
@pytest.mark.parametrize(
    ("fmt", "out_fmt"),
    [("f16", "f16"), ("bf16", "f32"), ("f32", "f32"), ("i8", "i32"), ("i8", "i8"), ("u8", "f16")],
)
@pytest.mark.parametrize("channels", [5, 64, 200])
def test_reduce_ignores_padding(op: str, axis: str, fmt: str, out_fmt: str, channels: int) -> None:
    h, w = 3, 5
    x = numbers(np.random.default_rng(channels), fmt, h, w, channels)
    machine = one_tile(Reduce(op, SRC, DST, h, w, channels, axis, fmt, out_fmt))
    put_blocked(machine.spm[0], SRC, x.reshape(-1, channels), fmt)
    machine.run()
    wide = x.astype(np.int64) if x.dtype.kind in "iu" else as_float(x)
    reduced = {"sum": np.sum, "max": np.max, "min": np.min}[op](wide, axis=AXIS[axis])
    expected = reduced.astype(NUMPY[out_fmt])
    rows = expected.size if axis == "c" else expected.size // channels
    found = get_blocked(machine.spm[0], DST, rows, expected.size // rows, out_fmt)
    assert np.allclose(as_float(found), as_float(expected.reshape(found.shape)), rtol=2.0**-11)
    if NUMPY[out_fmt].kind in "iu" or out_fmt == "f16":
        assert np.array_equal(found, expected.reshape(found.shape))


def plain_pool(x: np.ndarray, command: Pool) -> np.ndarray:
    """Pool h x w x c window by window, meeting only what lies in the image."""
    oh, ow = command.out_hw
    out = np.empty((oh, ow, command.c))
    for y, z in itertools.product(range(oh), range(ow)):
        top = y * command.strides[0] - command.pads[0]
        left = z * command.strides[1] - command.pads[2]
        rows = (top + k * command.dilations[0] for k in range(command.kh))
        columns = (left + k * command.dilations[1] for k in range(command.kw))
        window = [
            x[row, column]
            for row, column in itertools.product(rows, columns)
            if 0 <= row < command.h and 0 <= column < command.w
        ]
        if command.op == "avg":
            n = command.kh * command.kw if command.count_pad else len(window)
            out[y, z] = np.sum(window, axis=0) / n
        else:
            out[y, z] = (np.max if command.op == "max" else np.min)(window, axis=0)
    return out


@pytest.mark.parametrize("op", ["max", "min", "avg", "avg with padding"])
@pytest.mark.parametrize("fmt", ["f16", "bf16", "f32", "i8", "u8"])
@pytest.mark.parametrize(
    "window",
    [
        ((2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
        ((3, 2), (2, 1), (1, 0, 0, 1), (1, 2)),
        ((3, 3), (1, 2), (1, 1, 1, 1), (2, 1)),
    ],
)
def test_pool_against_windows(op: str, fmt: str, window: tuple) -> None:
    (kh, kw), strides, pads, dilations = window
    word, _, more = op.partition(" ")
    command = Pool(
        *(word, SRC, DST, 6, 7, 70, kh, kw, strides, pads, dilations, fmt), count_pad=bool(more)
    )
    x = numbers(np.random.default_rng(21), fmt, 6, 7, 70)
    machine = one_tile(command)
    put_blocked(machine.spm[0], SRC, x.reshape(-1, 70), fmt)
    machine.run()
    expected = plain_pool(as_float(x), command)
    if NUMPY[fmt].kind in "iu":
        expected = np.rint(expected)
    oh, ow = command.out_hw
    found = as_float(get_blocked(machine.spm[0], DST, oh * ow, 70, fmt))
    rounded = as_float(expected.astype(NUMPY[fmt]).reshape(found.shape))
    assert np.allclose(found, rounded, rtol=2.0**-8 if fmt == "bf16" else 1e-7, atol=0)


def test_nan_wins_a_max() -> None:
    x = np.ones((4, 3))
    x[1, 2] = np.nan
    machine = one_tile(
        Pool("max", SRC, DST, 2, 2, 3, 2, 2, (1, 1), (0, 0, 0, 0), (1, 1), "f16"),
        Reduce("min", SRC, DST + 256, 2, 2, 3, "hw", "f16", "f16"),
    )
    put_blocked(machine.spm[0], SRC, x, "f16")
    machine.run()
    for address in (DST, DST + 256):
        found = get_blocked(machine.spm[0], address, 1, 3, "f16")[0]
        assert np.isnan(found).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Reduce("mean", 0, 0, 1, 1, 1, "c", "f16", "f16"), "no reduction 'mean' along 'c'"),
        (Reduce("sum", 0, 0, 1, 1, 1, "n", "f16", "f16"), "no reduction 'sum' along 'n'"),
        (
            Pool("mx", 0, 0, 2, 2, 1, 1, 1, (1, 1), (0, 0, 0, 0), (1, 1), "f16"),
            "no pool 'mx': did you mean 'max'",
        ),
        (
            Pool("max", 0, 0, 2, 2, 1, 3, 1, (1, 1), (0, 0, 0, 0), (1, 1), "f16"),
            "the window is larger than the padded image",
        ),
    ],
)
def test_an_illegal_command_says_why(command: Pool | Reduce, reason: str) -> None:
    with pytest.raises(IllegalCommand, match=reason):
        one_tile(command).run()
