"""What holds for every program that ends."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.timing.building import Item, chip, plain_python
from tests.timing.strategies import programs

from drawloom.program.commands import Engine, Join, Loop, Send
from drawloom.program.program import Program
from drawloom.program.roll import unroll
from drawloom.timing import Trace, time
from drawloom.timing.table import ENGINES
from drawloom.units import PS_PER_S

PROFILES = st.sampled_from(("lean", "vendor"))


def columns(trace: Trace) -> tuple[object, ...]:
    spans = (trace.tile, trace.engine, trace.start_ps, trace.end_ps, trace.bytes)
    return (*(each.tolist() for each in spans), trace.spent_ps.tolist(), trace.total_ps)


def apart(spans: list[tuple[int, int]]) -> bool:
    spans.sort()
    return all(before[1] <= after[0] for before, after in pairwise(spans))


@given(programs(), PROFILES)
def test_plain_python_gives_the_same_trace_as_compiled_code(program: Program, profile: str) -> None:
    compiled = time(program, chip(), profile)
    with plain_python():
        plain = time(program, chip(), profile)
    assert columns(plain) == columns(compiled)
    assert plain.command.tolist() == compiled.command.tolist()
    assert plain.events == compiled.events


@given(programs())
def test_a_loop_takes_the_time_of_its_commands_written_out(program: Program) -> None:
    flat = replace(program, streams=tuple(tuple(unroll(each)) for each in program.streams))
    assert columns(time(flat, chip())) == columns(time(program, chip()))


@given(programs(), PROFILES)
def test_an_engine_a_link_and_a_port_do_one_thing_at_a_time(program: Program, profile: str) -> None:
    trace = time(program, chip(), profile)
    users: defaultdict[tuple[str, int, int], list[tuple[int, int]]] = defaultdict(list)
    begun = trace.transfer_start_ps()
    for at, row in enumerate(trace.command):
        end = int(trace.end_ps[at])
        users["engine", int(trace.tile[at]), int(trace.engine[at])].append(
            (int(trace.start_ps[at]), end)
        )
        for resource in trace.table.routes[row].resources if row in trace.table.routes else ():
            users["resource", resource, 0].append((int(begun[at]), end))
    assert all(apart(spans) for spans in users.values())


@given(programs(), PROFILES)
def test_no_time_is_shorter_than_its_busiest_resource_allows(
    program: Program, profile: str
) -> None:
    trace = time(program, chip(), profile)
    assert trace.total_ps >= trace.busy_ps().max(initial=0)
    assert (trace.end_ps >= trace.start_ps).all()
    asked = [each for each in ENGINES if each in (Engine.READ, Engine.WRITE)]
    moved = {each: int(trace.bytes[trace.engine == ENGINES.index(each)].sum()) for each in asked}
    assert trace.total_ps >= moved[Engine.READ] * PS_PER_S / chip().dram.read
    assert trace.total_ps >= moved[Engine.WRITE] * PS_PER_S / chip().dram.write
    assert trace.total_ps >= sum(moved.values()) * PS_PER_S / chip().dram.combined


@given(programs(), PROFILES)
def test_a_processors_time_is_spent_on_something(program: Program, profile: str) -> None:
    trace = time(program, chip(), profile)
    for tile in range(len(program.streams)):
        mine = trace.tile == tile
        processor = mine & (trace.engine == ENGINES.index(Engine.CPU))
        spent = int(trace.spent_ps[tile].sum())
        assert spent >= trace.end_ps[processor].max(initial=0)
        assert spent <= trace.total_ps


@given(programs())
def test_bytes_on_links_are_bytes_times_hops(program: Program) -> None:
    trace = time(program, chip())
    hops = 0
    for at, row in enumerate(trace.command):
        command = trace.table.commands[row]
        if isinstance(command, Send):
            x, y = chip().xy(int(trace.tile[at]))
            paths = [chip().xy(target) for target in command.targets]
            columns = {to_x for to_x, _ in paths} | {x}
            across = max(columns) - min(columns)
            down = sum(
                max([y, *ys]) - min([y, *ys])
                for column in columns
                if (ys := [to_y for to_x, to_y in paths if to_x == column])
            )
            hops += command.inner * (across + down)
    assert trace.noc_byte_hops == sum(trace.link_bytes().values()) == hops


@given(programs(), PROFILES)
def test_energy_by_node_by_engine_and_by_span_is_the_total(program: Program, profile: str) -> None:
    trace = time(program, chip(), profile)
    for end in ("low", "default", "high"):
        total = getattr(trace.energy, end)
        idle = getattr(trace.idle_energy, end)
        by_engine = sum(getattr(each, end) for each in trace.energy_by_engine().values())
        by_node = sum(getattr(row.energy, end) for row in trace.by_node())
        np.testing.assert_allclose([by_engine + idle, by_node + idle], total, rtol=1e-12)
    np.testing.assert_allclose(
        trace.energy_pj.sum(axis=0, dtype=np.float64)[1], total_of(trace), rtol=1e-5, atol=1e-9
    )


def total_of(trace: Trace) -> float:
    return trace.energy.default - trace.idle_energy.default


@given(programs(), PROFILES)
def test_busy_time_by_node_is_busy_time_by_tile(program: Program, profile: str) -> None:
    trace = time(program, chip(), profile)
    for engine in ENGINES:
        assert sum(row.busy_ps.get(engine, 0) for row in trace.by_node()) == trace.busy(engine)


@settings(max_examples=25)
@given(programs(), st.integers(0, 2**32))
def test_one_more_join_never_stops_a_program(program: Program, seed: int) -> None:
    rng = np.random.default_rng(seed)
    join = Join(tuple(each for each in ENGINES if each is not Engine.CPU))

    def joined(stream: tuple[Item, ...]) -> tuple[Item, ...]:
        items: list[Item] = []
        for item in stream:
            items += [join] * int(rng.integers(0, 2))
            items.append(replace(item, body=joined(item.body)) if isinstance(item, Loop) else item)
        return tuple(items)

    more = replace(program, streams=tuple(joined(each) for each in program.streams))
    plain = time(program, chip())
    waiting = time(more, chip())
    kinds = [type(each) for each in waiting.table.commands]
    added = int(waiting.runs @ np.array([kind is Join for kind in kinds], np.int64))
    kept = int(plain.runs @ np.array([type(c) is Join for c in plain.table.commands], np.int64))
    assert len(waiting) - added == len(plain) - kept


@given(programs(alone=True), st.randoms(use_true_random=False))
def test_tiles_that_do_not_talk_may_change_places(program: Program, random: object) -> None:
    order = list(range(len(program.streams)))
    random.shuffle(order)  # pyright: ignore[reportAttributeAccessIssue]
    moved = replace(program, streams=tuple(program.streams[tile] for tile in order))
    here, there = time(program, chip()), time(moved, chip())
    assert there.total_ps == here.total_ps
    for place, tile in enumerate(order):
        mine, other = here.tile == tile, there.tile == place
        assert here.start_ps[mine].tolist() == there.start_ps[other].tolist()
        assert here.end_ps[mine].tolist() == there.end_ps[other].tolist()
