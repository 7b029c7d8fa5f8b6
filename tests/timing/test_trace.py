"""What is read off a trace, in text and in files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.timing.building import add, chip, gemm, program, read, write
from tests.timing.strategies import programs
from tests.timing.test_laws import columns

from drawloom.errors import InputError
from drawloom.program.commands import Arm, Barrier, Engine, Loop, MatMul, Send, Signal, Wait
from drawloom.program.program import Program
from drawloom.timing import Trace, time
from drawloom.timing import machine as loop
from drawloom.timing.files import read_trace, write_trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    """Two tiles: one loads, computes and sends; the other receives and stores."""
    give = (
        Loop(3, (replace(read(0, 0), origin=0), add(0, 8192, origin=0))),
        gemm(8192, 16384, 32768, origin=1),
        Send(32768, 0, 2048, (1,), 0, origin=1),
    )
    take = (Arm(0), Wait(0), write(0, 1 << 20, 2048))
    return time(program(give, take), chip())


def test_a_span_leads_home(trace: Trace) -> None:
    assert trace.table.commands[trace.command[0]] == Arm(0)
    assert trace.origin(0) is None
    first_read = trace.engine.tolist().index(2)
    origin = trace.origin(first_read)
    assert origin is not None
    assert (origin.piece, origin.node, origin.layer) == ("p0", "first", "layer.0")


def test_views_count_every_run(trace: Trace) -> None:
    assert trace.runs.tolist() == [3, 3, 1, 1, 1, 1, 1]
    assert trace.dram_bytes == (3 * 4096, 2048)
    assert trace.link_bytes() == {"0->1": 2048}
    assert trace.n_sends == 1
    assert trace.busy(Engine.VECTOR) == 3 * 78_000
    assert trace.busy(Engine.CPU) == (9 * 50 + 2 * 20) * 1000  # eight to issue, and the write
    assert trace.utilisation()[0, 1] == 3 * 78_000 / trace.total_ps
    assert trace.total_ps == trace.end_ps.max()


def test_by_node_says_when_and_how_much(trace: Trace) -> None:
    rows = {row.node: row for row in trace.by_node()}
    assert list(rows) == ["(no node)", "first", "second"]
    assert rows["first"].layer == "layer.0"
    assert rows["first"].start_ps == 50_000
    assert rows["first"].dram_read == 3 * 4096
    assert rows["first"].busy_ps[Engine.VECTOR] == 3 * 78_000
    assert rows["first"].busy_ps[Engine.CPU] == 6 * 50_000
    assert rows["second"].noc_byte_hops == 2048
    assert rows["(no node)"].dram_written == 2048


def test_text(trace: Trace, golden: Callable[[str, str], None]) -> None:
    golden("small.trace.txt", trace.text() + "\n")


def test_a_file_holds_the_whole_trace(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    write_trace(trace, path)
    for back in (read_trace(path), read_trace(path, trace.program)):
        assert columns(back) == columns(trace)
        assert back.text() == trace.text()
        assert (back.chip, back.profile, back.events) == (trace.chip, "lean", trace.events)
    assert read_trace(path, trace.program).program is trace.program
    first = path.read_bytes()
    write_trace(read_trace(path), path)
    assert path.read_bytes() == first


@settings(max_examples=8)
@given(programs())
def test_reading_is_the_inverse_of_writing(
    tmp_path_factory: pytest.TempPathFactory, made: Program
) -> None:
    path = tmp_path_factory.mktemp("traces") / "a.trace"
    trace = time(made, chip())
    write_trace(trace, path)
    assert columns(read_trace(path)) == columns(trace)


def test_a_trace_of_another_program_is_refused(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    write_trace(trace, path)
    with pytest.raises(InputError) as caught:
        read_trace(path, program((add(0, 0),)))
    assert str(caught.value) == (
        f"error[timing.file]: '{path}' is not a trace that can be read\n"
        "  program: 'small' (the program it was made from)"
    )


@pytest.mark.parametrize("cut", [0, 1, 100, 2000, -1])
def test_a_broken_file_is_an_input_error(trace: Trace, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.trace"
    write_trace(trace, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="is not a trace that can be read"):
        read_trace(path)


def test_an_unknown_profile_gets_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        time(program(()), chip(), "vendr")
    assert str(caught.value) == (
        "error[timing.profile]: chip 'tx81' has no such profile\n"
        "  profile: 'vendr' (did you mean 'vendor'?)"
    )


def test_what_the_chip_cannot_run_is_said_all_at_once() -> None:
    bad = (
        Send(0, 0, 64, (1, 7), 0),
        Send(0, 0, 64, (), 0),
        Signal(-1, 0),
        MatMul(0, 0, 0, 1, 1, 1, "f61", "f16"),
    )
    with pytest.raises(InputError) as caught:
        time(program(bad, (Barrier((0, 2)),)), chip())
    assert str(caught.value) == (
        "error[timing.program]: program 'small' cannot be timed on chip 'tx81'\n"
        "  tile 0, command 0 (Send): tile 7 (0 to 1)\n"
        "  tile 0, command 1 (Send): no targets (at least one)\n"
        "  tile 0, command 2 (Signal): tile -1 (0 to 1)\n"
        "  tile 0, command 3 (MatMul): format f61 (did you mean 'f16'?)\n"
        "  tile 1, command 0 (Barrier): tile 2 (0 to 1)\n"
        "  tile 1, command 0 (Barrier): tiles [0, 2] (a list with tile 1 itself)"
    )
    with pytest.raises(InputError, match=r"streams: 17 \(at most 16 tiles\)"):
        time(program(*[()] * 17), chip())


def test_long_runs_come_in_pieces_and_tell_their_progress() -> None:
    seen: list[tuple[int, int]] = []
    made = program(*[(Loop(50_000, (add(0, 0, 64),)),)] * 2)
    trace = time(made, chip(), progress=lambda events, ps: seen.append((events, ps)))
    assert len(trace) == 100_000
    assert seen
    assert seen == sorted(seen)
    assert seen[-1][0] < trace.events
    assert (trace.end_ps[1:] >= trace.end_ps[:-1]).all()


def test_many_signals_under_way_make_room_for_themselves() -> None:
    slow = replace(chip(), noc=replace(chip().noc, hop=10_000))
    made = program((Loop(500, (Signal(1, 0),)),), (Wait(0, 500),))
    assert time(made, slow).total_ps == (500 * 50 + 10_000 + 20) * 1000


def test_importing_timing_does_not_import_numba() -> None:
    import subprocess

    code = "import drawloom.timing, sys; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_file_of_the_event_loop_is_known_to_its_cache() -> None:
    folder = Path(loop.__file__).parent
    compiled = {path.stem for path in folder.glob("*.py") if "@part" in path.read_text()}
    assert {*compiled, "state"} == set(loop.LOOP_FILES)


def test_where_nothing_can_be_kept_the_loop_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def njit(*, cache: bool = False, error_model: str) -> Callable[[object], object]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(loop, "njit", njit)
    assert callable(loop._compiled(0))
