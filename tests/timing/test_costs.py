"""Cycles and bytes of single commands, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.timing.building import chip

from drawloom.program.commands import (
    Command,
    Conv,
    Cpu,
    Fill,
    MatMul,
    Move,
    Operand,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Vector,
)
from drawloom.timing import costs
from drawloom.timing.energy import command_energy, idle_energy


def matmul(
    m: int, k: int, n: int, fmt: str = "f16", batch: int = 1, psum: int | None = None
) -> MatMul:
    return MatMul(0, 0, 0, m, k, n, fmt, "f16", psum=psum, batch=batch)


def conv(**more: object) -> Conv:
    plain = Conv(0, 0, 0, 8, 8, 100, 70, 3, 3, (1, 1), (1, 1, 1, 1), (1, 1), "f16", "f16")
    return replace(plain, **more)


@pytest.mark.parametrize(
    ("command", "cycles"),
    [
        (matmul(1, 1, 1), 64 + 18 + 1),  # everything rounds up to one block
        (matmul(65, 64, 64), 2 * 64 + 18 + 2),
        (matmul(64, 100, 64), 2 * 64 + 18 + 2),
        (matmul(64, 100, 64, "i8"), 64 + 18 + 1),  # K blocks of 128 at twice the rate
        (matmul(64, 64, 64, "u8"), 64 + 18 + 1),
        (matmul(64, 64, 64, "tf32"), 385 + 18 + 6),  # 64 ** 3 / 682, rounded up
        (matmul(64, 64, 64, batch=3), 192 + 18 + 3),
        (matmul(1024, 1024, 64), 16 * 16 * 64 + 150),  # the overhead stops growing
        (matmul(64, 64, 64, psum=0), 64 + 18 + 1 + 366),
        # 64 rows, 100 channels in two blocks, 70 outputs in two blocks, nine taps
        (conv(), 1 * 2 * 2 * 9 * 64 + 18 + 36),
        (conv(depthwise=True, oc=100), 64 * 9 * 128 // 64 + 18 + 18),
        (conv(strides=(2, 2), pads=(0, 0, 0, 0)), 1 * 2 * 2 * 9 * 64 + 18 + 36),
    ],
)
def test_matrix_cycles(command: MatMul | Conv, cycles: int) -> None:
    assert costs.matrix_cycles(command, chip()) == cycles


def vector(op: str, n: int, fmt: str = "f16", out: str = "f16") -> Vector:
    return Vector(op, 0, 0, n, fmt, out)


@pytest.mark.parametrize(
    ("command", "cycles"),
    [
        (vector("add", 65), 46 + 2),
        (vector("add", 64, "i8", "i8"), 46 + 1),  # 8-bit data use the 16-bit lanes
        (vector("convert", 64, "f16", "f32"), 46 + 2),  # the wider format counts
        (vector("add", 64, "i64", "i64"), 46 + 4),
        (vector("exp", 65), 46 + 4 * 2),
        (Reduce("max", 0, 0, 4, 4, 64, "hw", "f16", "f16"), 46 + 16),
        (
            Pool("max", 0, 0, 4, 4, 64, 2, 2, (2, 2), (0, 0, 0, 0), (1, 1), "f32"),
            46 + 2 * 2 * 2 * 4,
        ),
    ],
)
def test_vector_cycles(command: Vector | Reduce | Pool, cycles: int) -> None:
    assert costs.vector_cycles(command, chip()) == cycles


@pytest.mark.parametrize(
    ("command", "cycles"),
    [
        (Move(0, 0, 4), 70 + 1),  # one run goes by bytes
        (Move(0, 0, 4, ((64, 4, 10),)), 70 + 20),  # small runs go by runs
        (Move(0, 0, 512, ((1024, 512, 10),)), 70 + 40),  # large ones by bytes
        (Fill(0, "f32", 100, 0.0), 70 + 4),
        (Select(0, 0, 0, 2, 100), 70 + 2),
    ],
)
def test_move_cycles(command: Move | Fill | Select, cycles: int) -> None:
    assert costs.move_cycles(command, chip()) == cycles


def test_a_dram_transfer_pays_latency_and_each_run() -> None:
    assert costs.dram_lead_ps(Read(0, 0, 64, ((128, 5), (1024, 4))), chip()) == 320_000 + 20 * 1000


def test_a_send_pays_its_hops_and_bytes() -> None:
    assert costs.send_cycles(Send(0, 0, 8192, (5,), 0), 3, chip()) == 3 + 71  # 8192 / 116.48


def test_a_processor_command_pays_elements_and_dram() -> None:
    plain = Operand("spm", 0, "f32", (10, 10))
    far = Operand("dram", 0, "f32", (10, 10))
    assert costs.cpu_ps(Cpu("TopK", (plain, None), (plain,)), chip()) == (200 + 400) * 1000
    # 800 bytes at 128 GB/s
    assert costs.cpu_ps(Cpu("TopK", (far,), (far,)), chip()) == 600_000 + 6_250


@pytest.mark.parametrize(
    ("command", "picojoules"),
    [
        (matmul(10, 20, 30), 6000 * 0.52 + 1.1 * 2 * (10 * 32 + 20 * 32 + 10 * 32)),
        (vector("add", 100), 100 * 4.1 + 1.1 * 400),
        (Read(0, 0, 1000), 1000 * (84 + 1.1)),
        (Move(0, 0, 4, ((64, 4, 10),)), 1.1 * 80),
        (Cpu("TopK", (), ()), 200 * 20),
    ],
)
def test_energy(command: Command, picojoules: float) -> None:
    low, default, high = command_energy(command, chip())
    assert default == pytest.approx(picojoules * 1000)
    assert low < default < high


def test_a_send_pays_for_links_and_for_every_target() -> None:
    _, default, _ = command_energy(Send(0, 0, 100, (1, 2), 0), chip(), n_links=3)
    assert default == pytest.approx(1000 * (300 * 3.2 + 300 * 1.1))


def test_idle_power_is_watts_times_time() -> None:
    assert idle_energy(chip(), 10**6) == (30 * 10**9, 46 * 10**9, 62 * 10**9)
