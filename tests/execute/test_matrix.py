from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.execute.building import (
    NUMPY,
    as_float,
    get_blocked,
    lies,
    numbers,
    one_tile,
    put_blocked,
)

from drawloom.execute.faults import IllegalCommand
from drawloom.execute.machine import Machine
from drawloom.execute.numbers import round_tf32
from drawloom.program.commands import Conv, MatMul

A, B, PSUM, DST = 0, 1 << 16, 2 << 16, 3 << 16


def once_more(sums: np.ndarray, psum_fmt: str, out_fmt: str) -> np.ndarray:
    """Round float64 sums to the psum format, then to the result's."""
    return (
        sums.astype(np.int64).astype(np.int32)
        if psum_fmt == "i32"
        else sums.astype(np.float32).astype(NUMPY[out_fmt])
    )


@pytest.mark.parametrize(
    ("fmt", "out_fmt"), [("f16", "f16"), ("bf16", "bf16"), ("f16", "f32"), ("bf16", "f16")]
)
@pytest.mark.parametrize(("trans_a", "trans_b"), list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize(("m", "k", "n"), [(5, 7, 3), (3, 70, 130), (1, 64, 128), (9, 100, 33)])
def test_matmul_rounds_the_wide_sum_to_f32_then_to_the_result(
    fmt: str, out_fmt: str, trans_a: bool, trans_b: bool, m: int, k: int, n: int
) -> None:
    rng = np.random.default_rng(m * k + n)
    a, b, psum = numbers(rng, fmt, m, k), numbers(rng, fmt, k, n), numbers(rng, "f32", m, n)
    machine = one_tile(
        MatMul(A, B, DST, m, k, n, fmt, out_fmt, PSUM, trans_a=trans_a, trans_b=trans_b)
    )
    spm = machine.spm[0]
    put_blocked(spm, A, a.T if trans_a else a, fmt)
    put_blocked(spm, B, b.T if trans_b else b, fmt)
    put_blocked(spm, PSUM, psum, "f32")
    machine.run()
    sums = as_float(a) @ as_float(b) + psum
    found = get_blocked(spm, DST, m, n, out_fmt)
    # A float64 sum in another order may fall on the other side of a rounding: allow one.
    expected = as_float(once_more(sums, "f32", out_fmt))
    assert np.allclose(as_float(found), expected, rtol=2.0**-22, atol=0) or (
        np.mean(as_float(found) != expected) < 0.01
    )


@pytest.mark.parametrize("fmt", ["i8", "u8"])
def test_matmul_of_8_bit_integers_is_exact_and_wraps(fmt: str) -> None:
    rng = np.random.default_rng(1)
    m, k, n = 5, 300, 131
    a, b = numbers(rng, fmt, m, k), numbers(rng, fmt, k, n)
    psum = np.full((m, n), 2**31 - 1, np.int32)
    machine = one_tile(MatMul(A, B, DST, m, k, n, fmt, "i32", PSUM))
    put_blocked(machine.spm[0], A, a, fmt)
    put_blocked(machine.spm[0], B, b, fmt)
    put_blocked(machine.spm[0], PSUM, psum, "i32")
    machine.run()
    exact = a.astype(np.int64) @ b.astype(np.int64) + psum
    assert (exact >= 2**31).any(), "the sample does not wrap"
    found = get_blocked(machine.spm[0], DST, m, n, "i32")
    assert np.array_equal(found, exact.astype(np.int32))


def test_matmul_rounds_tf32_sources_first() -> None:
    rng = np.random.default_rng(2)
    a, b = numbers(rng, "f32", 3, 66), numbers(rng, "f32", 66, 5)
    machine = one_tile(MatMul(A, B, DST, 3, 66, 5, "tf32", "f32"))
    put_blocked(machine.spm[0], A, a, "f32")
    put_blocked(machine.spm[0], B, b, "f32")
    machine.run()
    expected = (as_float(round_tf32(a)) @ as_float(round_tf32(b))).astype(np.float32)
    assert np.array_equal(get_blocked(machine.spm[0], DST, 3, 5, "f32"), expected)
    assert not np.array_equal((as_float(a) @ as_float(b)).astype(np.float32), expected)


@pytest.mark.parametrize("shared", ["neither", "a", "b", "both"])
def test_matmul_of_a_batch_steps_through_its_operands(shared: str) -> None:
    rng = np.random.default_rng(4)
    batch, m, k, n = 3, 5, 70, 9
    a = numbers(rng, "f16", 1 if shared in ("a", "both") else batch, m, k)
    b = numbers(rng, "f16", 1 if shared in ("b", "both") else batch, k, n)
    psum = numbers(rng, "f32", batch, m, n)
    command = MatMul(
        *(A, B, DST, m, k, n, "f16", "f32", PSUM),
        batch=batch,
        a_step=lies(m, k, "f16").step if len(a) > 1 else 0,
        b_step=lies(k, n, "f16").step if len(b) > 1 else 0,
        dst_step=lies(m, n, "f32").step,
        psum_step=lies(m, n, "f32").step,
    )
    machine = one_tile(command)
    put_blocked(machine.spm[0], A, a, "f16")
    put_blocked(machine.spm[0], B, b, "f16")
    put_blocked(machine.spm[0], PSUM, psum, "f32")
    machine.run()
    expected = (np.matmul(as_float(a), as_float(b)) + psum).astype(np.float32)
    found = get_blocked(machine.spm[0], DST, m, n, "f32", batch)
    assert np.allclose(found, expected, rtol=2.0**-23, atol=0)


def test_matmul_may_accumulate_in_place() -> None:
    machine = one_tile(*[MatMul(A, B, DST, 2, 4, 3, "f16", "f32", DST)] * 3)
    put_blocked(machine.spm[0], A, np.ones((2, 4)), "f16")
    put_blocked(machine.spm[0], B, np.ones((4, 3)), "f16")
    put_blocked(machine.spm[0], DST, np.ones((2, 3)), "f32")
    machine.run()
    assert get_blocked(machine.spm[0], DST, 2, 3, "f32").tolist() == [[13.0] * 3] * 2


def test_padding_of_a_result_is_poisoned_and_the_bytes_behind_are_not_touched() -> None:
    machine = one_tile(MatMul(A, B, DST, 2, 4, 5, "f16", "f16"))
    put_blocked(machine.spm[0], A, np.ones((2, 4)), "f16")
    put_blocked(machine.spm[0], B, np.ones((4, 5)), "f16")
    machine.spm[0][DST : DST + 100] = 0
    machine.run()
    rows = machine.spm[0][DST : DST + 32].view(np.float16).reshape(2, 8)
    assert rows[:, :5].tolist() == [[4.0] * 5] * 2
    assert np.isnan(rows[:, 5:]).all()
    assert not machine.spm[0][DST + 32 : DST + 100].any()


def test_f32_is_no_source_of_the_matrix_engine() -> None:
    with pytest.raises(IllegalCommand) as caught:
        one_tile(MatMul(0, 256, 512, 2, 2, 2, "f32", "f32")).run()
    assert str(caught.value) == (
        "error[run.command]: tile 0 cannot run a command\n"
        "  command  MatMul(a=0, b=256, dst=512, m=2, k=2, n=2, fmt='f32', out_fmt='f32')\n"
        "  because  the matrix engine multiplies f16, bf16, tf32, i8, u8, not 'f32'"
    )


def plain_conv(x: np.ndarray, w: np.ndarray, command: Conv) -> np.ndarray:
    """Convolve h x w x c with kh x kw x oc x c, one multiplication at a time in loops."""
    top, bottom, left, right = command.pads
    padded = np.pad(x, ((top, bottom), (left, right), (0, 0)))
    oh, ow = command.out_hw
    out = np.zeros((oh, ow, command.oc), x.dtype)
    for y, z, ky, kx in itertools.product(
        range(oh), range(ow), range(command.kh), range(command.kw)
    ):
        pixel = padded[
            y * command.strides[0] + ky * command.dilations[0],
            z * command.strides[1] + kx * command.dilations[1],
        ]
        if command.depthwise:
            out[y, z] += pixel * w[ky, kx]
        else:
            out[y, z] += (w[ky, kx] * pixel).sum(axis=-1)
    return out


CONVS = [
    # h, w, c, oc, kh, kw, strides, pads, dilations
    (5, 6, 3, 5, 3, 3, (1, 1), (1, 1, 1, 1), (1, 1)),
    (7, 5, 70, 66, 3, 2, (2, 1), (0, 1, 2, 0), (1, 2)),
    (4, 4, 64, 64, 1, 1, (1, 1), (0, 0, 0, 0), (1, 1)),
    (6, 6, 130, 4, 1, 1, (2, 2), (0, 0, 0, 0), (1, 1)),
    (9, 9, 3, 70, 7, 7, (2, 2), (3, 3, 3, 3), (1, 1)),
]


def conv_of(case: tuple, fmt: str, out_fmt: str, **more: object) -> Conv:
    h, w, c, oc, kh, kw, strides, pads, dilations = case
    return Conv(
        *(A, B, DST, h, w, c, oc, kh, kw, strides, pads, dilations, fmt, out_fmt),
        **more,  # type: ignore[arg-type]
    )


def placed(command: Conv, x: np.ndarray, w: np.ndarray) -> Machine:
    machine = one_tile(command)
    put_blocked(machine.spm[0], A, x.reshape(-1, command.c), command.fmt)
    put_blocked(machine.spm[0], B, w.reshape(-1, command.c), command.fmt)
    return machine


@pytest.mark.parametrize("case", CONVS)
def test_conv_against_loops(case: tuple) -> None:
    command = conv_of(case, "f16", "f16", psum=PSUM)
    rng = np.random.default_rng(5)
    x = numbers(rng, "f16", command.h, command.w, command.c)
    w = numbers(rng, "f16", command.kh, command.kw, command.oc, command.c)
    oh, ow = command.out_hw
    psum = numbers(rng, "f32", oh * ow, command.oc)
    machine = placed(command, x, w)
    put_blocked(machine.spm[0], PSUM, psum, "f32")
    machine.run()
    sums = plain_conv(as_float(x), as_float(w), command).reshape(psum.shape) + psum
    found = get_blocked(machine.spm[0], DST, oh * ow, command.oc, "f16")
    expected = sums.astype(np.float32).astype(np.float16)
    assert np.mean(found != expected) < 0.01
    assert np.allclose(as_float(found), as_float(expected), rtol=2.0**-10, atol=1e-7)


@pytest.mark.parametrize("case", CONVS)
def test_conv_of_8_bit_integers_is_exact(case: tuple) -> None:
    command = conv_of(case, "i8", "i32")
    rng = np.random.default_rng(6)
    x = numbers(rng, "i8", command.h, command.w, command.c)
    w = numbers(rng, "i8", command.kh, command.kw, command.oc, command.c)
    machine = placed(command, x, w)
    machine.run()
    expected = plain_conv(x.astype(np.int64), w.astype(np.int64), command)
    oh, ow = command.out_hw
    found = get_blocked(machine.spm[0], DST, oh * ow, command.oc, "i32")
    assert np.array_equal(found, expected.reshape(found.shape))


@pytest.mark.parametrize("channels", [5, 70, 128])
def test_depthwise_conv_against_loops(channels: int) -> None:
    case = (6, 7, channels, channels, 3, 2, (2, 1), (1, 0, 0, 1), (1, 2))
    command = conv_of(case, "bf16", "f32", depthwise=True)
    rng = np.random.default_rng(7)
    x = numbers(rng, "bf16", 6, 7, channels)
    w = numbers(rng, "bf16", 3, 2, channels)
    machine = placed(command, x, w)
    machine.run()
    oh, ow = command.out_hw
    expected = plain_conv(as_float(x), as_float(w), command).reshape(oh * ow, channels)
    found = get_blocked(machine.spm[0], DST, oh * ow, channels, "f32")
    assert np.array_equal(found, expected.astype(np.float32))


def test_a_large_image_is_unrolled_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    command = conv_of(CONVS[1], "i8", "i32")
    rng = np.random.default_rng(8)
    x, w = numbers(rng, "i8", 7, 5, 70), numbers(rng, "i8", 3, 2, 66, 70)
    whole, strips = placed(command, x, w), placed(command, x, w)
    whole.run()
    monkeypatch.setattr("drawloom.execute.matrix.COLUMNS_BYTES", 1)
    strips.run()
    assert np.array_equal(whole.spm[0], strips.spm[0])


def test_conv_refuses_what_it_cannot_be() -> None:
    for case, depthwise, reason in (
        ((3, 3, 4, 8, 1, 1, (1, 1), (0, 0, 0, 0), (1, 1)), True, "has oc = c, not 8 and 4"),
        ((2, 3, 4, 4, 3, 3, (1, 1), (0, 0, 0, 0), (1, 1)), False, "larger than the padded image"),
    ):
        with pytest.raises(IllegalCommand, match=reason):
            one_tile(conv_of(case, "f16", "f16", depthwise=depthwise)).run()
