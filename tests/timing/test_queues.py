"""Handing over, queues, and the order that byte ranges force on a tile's engines."""

from __future__ import annotations

import pytest
from tests.timing.building import Item, add, chip, gemm, move, program, read, write

from drawloom.program.commands import Affine, Arm, Cpu, Engine, Join, Loop, Operand, Read, Send
from drawloom.timing import Trace, time
from drawloom.timing.table import ENGINES

NS = 1000
FAR = 1 << 20


def run(*stream: Item, profile: str = "lean") -> Trace:
    return time(program(stream), chip(), profile)


def span(trace: Trace, command: int, nth: int = 0) -> tuple[int, int]:
    """Start and end of a command in nanoseconds."""
    at = [i for i, row in enumerate(trace.command) if row == command][nth]
    return int(trace.start_ps[at]) // NS, int(trace.end_ps[at]) // NS


def test_a_command_starts_when_it_has_been_handed_over() -> None:
    assert span(run(add(0, 0)), 0) == (50, 50 + 78)


def test_an_engine_works_in_order_and_one_at_a_time() -> None:
    trace = run(add(0, 0), add(FAR, FAR), add(2 * FAR, 2 * FAR))
    assert [span(trace, row) for row in range(3)] == [(50, 128), (128, 206), (206, 284)]


def test_a_full_queue_holds_the_processor() -> None:
    # Room for the one that runs and six more: the eighth gets in when the first ends.
    long = add(0, 0, 64 * 1000)
    trace = run(*[long] * 8, gemm(FAR, FAR + 8192, FAR + 16384))
    assert span(trace, 0) == (50, 1096)
    assert span(trace, 8)[0] == 1096 + 50
    assert trace.spent_ps[0].tolist()[:2] == [9 * 50 * NS, (1096 - 8 * 50) * NS]


@pytest.mark.parametrize(
    "later",
    [
        move(4096, FAR),  # reads what the first writes
        move(FAR, 0, 16),  # writes what the first reads
        move(FAR, 8191, 1),  # writes the last byte that the first writes
        read(0, 4096, 64),
        write(8000, 0, 64),
    ],
)
def test_a_conflict_makes_another_engine_wait(later: Item) -> None:
    assert span(run(add(0, 4096), later), 1)[0] == 128


@pytest.mark.parametrize(
    "later", [move(0, FAR), write(0, FAR), move(FAR, 8192), read(0, FAR), read(4096, FAR)]
)
def test_what_does_not_conflict_overlaps(later: Item) -> None:
    assert span(run(add(0, 4096), later), 1)[0] == 100


def test_dram_ranges_conflict_too() -> None:
    trace = run(write(0, 4096, 64), read(4096 + 63, FAR, 1), read(8192, FAR, 1))
    assert span(trace, 1)[0] == span(trace, 0)[1]
    apart = run(write(0, 4096, 64), read(4096 + 64, FAR, 1))
    assert span(apart, 1)[0] == 100


def test_scratchpad_and_dram_do_not_conflict() -> None:
    assert span(run(add(0, 4096), write(FAR, 0, 64)), 1)[0] == 100


def test_the_span_of_a_strided_access_counts_whole() -> None:
    strided = Read(0, FAR, 16, ((1024, 4),))
    assert span(run(write(0, 2048, 16), strided), 1)[0] > 100
    assert span(run(write(0, 4096, 16), strided), 1)[0] == 100


def test_addresses_move_with_loops() -> None:
    body = (read(0, 0, 64), add(0, FAR, 32))
    moving = (Read(0, Affine(0, (64,)), 64), add(0, FAR, 32))
    still = run(Loop(2, body))
    # The second add reads bytes 0 to 63, which only the first read writes when reads move on.
    assert span(still, 1, 1)[0] >= span(still, 0, 1)[1]
    assert span(run(Loop(2, moving)), 1, 1)[0] < span(run(Loop(2, moving)), 0, 1)[1]


def test_a_strided_address_uses_every_loop_outermost_first() -> None:
    far = Affine(0, (1 << 16, 1 << 12))
    inner = Loop(2, (Read(0, far, 4096),))
    trace = run(Loop(2, (inner,)), add((1 << 16) + (1 << 12), FAR))
    assert span(trace, 1)[0] == span(trace, 0, 3)[1]
    trace = run(Loop(2, (inner,)), add(3 << 12, FAR))
    assert span(trace, 1)[0] < span(trace, 0, 3)[1]


def test_sends_are_outside_the_checks() -> None:
    send = Send(4096, FAR, 64, (0,), 0)
    assert span(run(Arm(0), add(0, 4096), send), 2)[0] == 20 + 100
    assert span(run(Arm(0), send, add(FAR, 4096)), 2)[0] == 20 + 100


def test_a_processor_command_holds_the_stream_but_heeds_no_range() -> None:
    operand = Operand("spm", 4096, "f32", (10,))
    trace = run(add(0, 4096, 64 * 1000), Cpu("TopK", (operand,), ()), add(FAR, FAR))
    assert span(trace, 1) == (50, 50 + 240)
    assert span(trace, 2)[0] == 50 + 1046
    assert trace.spent_ps[0].tolist() == [100 * NS, 0, 0, 0, 0, 0, 240 * NS]


def test_join_holds_until_so_many_are_left() -> None:
    adds = [add(0, 0), add(0, 0), add(0, 0)]
    assert span(run(*adds, Join((Engine.VECTOR,))), 3) == (150, 284 + 20)
    assert span(run(*adds, Join((Engine.VECTOR,), keep=2)), 3) == (150, 150 + 20)
    assert span(run(*adds, Join((Engine.VECTOR,), keep=1)), 3) == (150, 206 + 20)
    assert span(run(*adds, Join((Engine.MATRIX,))), 3) == (150, 150 + 20)
    both = run(gemm(0, 8192, FAR), *adds, Join((Engine.MATRIX, Engine.VECTOR)))
    assert span(both, 4)[1] == span(both, 3)[1] + 20


def test_a_loop_that_never_runs_takes_no_time() -> None:
    trace = run(Loop(0, (add(0, 0), Loop(3, (add(0, 0),)))), Loop(4, ()), add(0, 0))
    assert span(trace, 2) == (50, 128)
    assert len(trace) == 1


def test_all_ten_pairs_of_local_engines_overlap() -> None:
    commands = {
        Engine.MATRIX: gemm(0, 8192, 16384),
        Engine.VECTOR: add(1 << 16, 1 << 16),
        Engine.READ: read(0, 2 << 16),
        Engine.WRITE: write(3 << 16, 1 << 20),
        Engine.MOVE: move(4 << 16, 5 << 16),
    }
    for one in commands:
        for two in commands:
            if ENGINES.index(one) < ENGINES.index(two):
                both = run(commands[one], commands[two]).total_ps
                alone = run(commands[one]).total_ps + run(commands[two]).total_ps
                assert both < alone, (one, two)


def test_an_empty_program_takes_no_time() -> None:
    trace = time(program((), ()), chip())
    assert (trace.total_ps, len(trace)) == (0, 0)
    assert trace.latency_ps == chip().profiles["lean"].launch
    assert time(program(), chip()).total_ps == 0
