"""Rolling a flat list of commands into loops."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from drawloom.program.commands import (
    Affine,
    Arm,
    Command,
    Cpu,
    Fill,
    Loop,
    MatMul,
    Operand,
    Read,
    Stream,
    Wait,
    Write,
)
from drawloom.program.roll import roll, unroll

small = st.integers(0, 3)


@st.composite
def runs(draw: st.DrawFn) -> list[Command]:
    """Repetitions of a few commands, whose addresses advance evenly, or nearly."""
    kinds = draw(st.lists(st.tuples(small, small, small, small), min_size=1, max_size=4))
    count = draw(st.integers(1, 6))
    made: list[Command] = [
        Read(base + a * turn, 8 * b * turn, 1 + kind) if kind < 3 else Wait(a % 2)
        for turn in range(count)
        for base, a, b, kind in kinds
    ]
    if draw(st.booleans()):
        made.insert(draw(st.integers(0, len(made))), Read(draw(small), draw(small), 1))
    return made


flat = st.lists(runs(), max_size=6).map(lambda parts: [c for part in parts for c in part])
nested = st.tuples(flat, st.integers(1, 4)).map(lambda p: p[0] * p[1])


def size(stream: Stream) -> int:
    return sum(1 + size(item.body) if isinstance(item, Loop) else 1 for item in stream)


@given(nested)
def test_unrolling_gives_the_same_commands_and_rolling_never_grows(commands: list[Command]) -> None:
    stream = roll(commands)
    assert list(unroll(stream)) == commands
    assert size(stream) <= len(commands)


@given(nested)
def test_the_same_commands_roll_into_the_same_stream(
    commands: list[Command],
) -> None:
    assert roll(commands) == roll(list(commands))


def test_evenly_advancing_commands_become_one_loop() -> None:
    commands: list[Command] = [Read(1000 + 128 * i, 0, 64) for i in range(10)]
    assert roll(commands) == (Loop(10, (Read(Affine(1000, (128,)), 0, 64),)),)


def test_double_buffered_code_with_prologue_and_epilogue_nests() -> None:
    commands: list[Command] = [Read(0, 0, 64)]
    for i in range(8):
        commands.append(Read(64 * i + 64, 4096 * ((i + 1) % 2), 64))
        commands.append(Write(4096 * (i % 2), 9000 + 64 * i, 64))
    commands.append(Write(0, 9512, 64))
    assert roll(commands) == (
        Read(0, 0, 64),
        Loop(
            4,
            (
                Loop(
                    2,
                    (
                        Read(Affine(64, (128, 64)), Affine(4096, (0, -4096)), 64),
                        Write(Affine(0, (0, 4096)), Affine(9000, (128, 64)), 64),
                    ),
                ),
            ),
        ),
        Write(0, 9512, 64),
    )


def test_a_loop_is_made_only_where_it_saves_something() -> None:
    pair: list[Command] = [Arm(3), Arm(3)]
    assert roll(pair) == tuple(pair)
    assert roll([*pair, Arm(3)]) == (Loop(3, (Arm(3),)),)


def test_a_repetition_longer_than_any_period_is_found_once_its_inner_loops_are_made() -> None:
    commands = [
        command
        for outer in range(5)
        for command in [*(Read(64 * i, 10**6 * outer, 64) for i in range(1000)), Wait(0)]
    ]
    assert roll(commands) == (
        Loop(5, (Loop(1000, (Read(Affine(0, (0, 64)), Affine(0, (10**6,)), 64),)), Wait(0))),
    )


def test_a_loop_in_an_outer_loop_whose_strides_differ_from_turn_to_turn_stays_flat() -> None:
    commands: list[Command] = []
    for outer in range(6):
        commands += [Read(100 * outer + i * outer, 0, 8) for i in range(3)]
        commands.append(Wait(1))
    stream = roll(commands)
    assert list(unroll(stream)) == commands
    assert size(stream) == 5


def test_the_address_of_a_cpu_operand_moves_too() -> None:
    commands: list[Command] = [
        Cpu("TopK", (None, Operand("dram", 64 * i, "f32", (4,))), (Operand("spm", 8, "i64", (4,)),))
        for i in range(4)
    ]
    operand = Operand("dram", Affine(0, (64,)), "f32", (4,))
    assert roll(commands) == (
        Loop(4, (Cpu("TopK", (None, operand), (Operand("spm", 8, "i64", (4,)),)),)),
    )


def test_zero_and_minus_zero_are_not_the_same_value() -> None:
    commands: list[Command] = [Fill(0, "f32", 4, value) for value in (0.0, -0.0, 0.0, -0.0, 0.0)]
    assert [str(c) for c in unroll(roll(commands))] == [str(c) for c in commands]


def test_an_absent_operand_is_not_address_zero() -> None:
    matrices: list[Command] = [
        MatMul(0, 0, 0, 1, 1, 1, "f16", "f16", psum=psum) for psum in (None, 0, None, 0, 0, None)
    ]
    assert list(unroll(roll(matrices))) == matrices


def matrices(rows: int) -> list[Command]:
    """Return 100 commands a row."""
    commands: list[Command] = []
    for row in range(rows):
        for k in range(50):
            commands.append(Read(1000 * k + 50 * row, 4096 * (k % 2), 128))
            commands.append(MatMul(4096 * (k % 2), 8192, 0, 16, 16, 16, "f16", "f16"))
    return commands


def seconds(commands: list[Command]) -> float:
    start = time.process_time()
    assert size(roll(commands)) < 10
    return time.process_time() - start


def test_rolling_takes_about_as_long_as_there_are_commands() -> None:
    few, many = matrices(100), matrices(1000)
    seconds(few)  # what is done once is done
    assert seconds(many) < 40 * min(seconds(few) for _ in range(3))
