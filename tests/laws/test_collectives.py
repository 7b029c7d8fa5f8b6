"""Collectives do what they say on any fabric, and none beats what its links allow."""

from __future__ import annotations

from math import lcm
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.laws.systems import systems

from drawloom.chip.system import System
from drawloom.chip.topology import topology
from drawloom.execute.collective import run_collective
from drawloom.mapping.collectives import ALGORITHMS, schedules
from drawloom.mapping.collectives.schedule import Schedule
from drawloom.mapping.collectives.sliced import sliced
from drawloom.program.even import even_runs
from drawloom.timing.fabric import FabricClock, least_time

Values = NDArray[np.int64]


def numbers(system: System, schedule: Schedule) -> Values:
    """Whole numbers, different on every chip, as many as the schedule can share out."""
    units = lcm(*(chain.units for chain in schedule.chains)) * len(schedule.chains)
    return np.random.default_rng(7).integers(0, 10**6, (system.n_places, 2 * units))


def parts(buffers: Values, system: System) -> Values:
    """The living chips' buffers as (chip, part, elements)."""
    living = buffers[list(system.chips)]
    return living.reshape(len(living), len(living), -1)


def check_all_reduce(system: System, schedule: Schedule) -> None:
    given = numbers(system, schedule)
    made = run_collective(schedule, given)[list(system.chips)]
    assert (made == given[list(system.chips)].sum(0)).all()


def check_reduce_scatter(system: System, schedule: Schedule) -> None:
    given = numbers(system, schedule)
    total = parts(np.tile(given[list(system.chips)].sum(0), (system.n_places, 1)), system)
    owns = (parts(run_collective(schedule, given), system) == total).all(2)
    # Each chip holds the sum of a part that is its own.
    n = len(system.chips)
    assert len({tuple(np.flatnonzero(row)) for row in owns if row.any()}) == n or n == 1


def check_all_gather(system: System, schedule: Schedule) -> None:
    given = numbers(system, schedule)
    wanted = np.einsum("iie->ie", parts(given, system)).copy()
    assert (parts(run_collective(schedule, given), system) == wanted).all()


def check_broadcast(system: System, schedule: Schedule) -> None:
    given = numbers(system, schedule)
    made = run_collective(schedule, given)[list(system.chips)]
    assert (made == given[system.chips[0]]).all()


def check_all_to_all(system: System, schedule: Schedule) -> None:
    given = numbers(system, schedule)
    n = len(system.chips)
    gives, gets = (
        x[list(system.chips)].reshape(n, 2, n, -1) for x in (given, run_collective(schedule, given))
    )
    away = ~np.eye(n, dtype=bool)
    assert (gets[:, 1][away] == np.swapaxes(gives[:, 0], 0, 1)[away]).all()


@given(system=systems())
def test_a_sum_in_two_leaves_each_chip_its_own_slice_and_then_gives_all(system: System) -> None:
    pairs = sliced(topology(system))
    assert pairs or len(system.chips) == 1
    for scatter, gather in pairs:
        given = numbers(system, scatter)
        total = given[list(system.chips)].sum(0)
        half = run_collective(scatter, given)
        own = np.zeros_like(half)
        for at, chain in enumerate(scatter.chains):
            span = half.shape[1] // len(scatter.chains)
            size = span // chain.units
            assert sorted(chain.homes[chip] for chip in system.chips) == list(range(chain.units))
            for chip in system.chips:
                first = at * span + chain.homes[chip] * size
                assert (half[chip, first : first + size] == total[first : first + size]).all()
                own[chip, first : first + size] = half[chip, first : first + size]
        made = run_collective(gather, own)[list(system.chips)]
        assert (made == total).all()


@given(st.permutations(range(12)))
def test_even_runs_stand_for_the_order_that_they_were_made_of(order: list[int]) -> None:
    told: list[int] = []
    for run in even_runs(order):
        assert run.unit == len(told)
        assert len(run.levels) <= 3
        chips = np.array([run.chip])
        for by, count in run.levels:
            chips = (chips[:, None] + np.arange(count) * by).ravel()
        told += chips.tolist()
    assert told == order


def test_what_lies_evenly_is_one_run() -> None:
    assert [run.levels for run in even_runs([0, 4, 2, 6, 1, 5, 3, 7])] == [((1, 2), (2, 2), (4, 2))]


CHECKS: dict[str, Any] = {
    "all_reduce": check_all_reduce,
    "reduce_scatter": check_reduce_scatter,
    "all_gather": check_all_gather,
    "broadcast": check_broadcast,
    "all_to_all": check_all_to_all,
}


@pytest.mark.parametrize("kind", ALGORITHMS)
@given(system=systems())
def test_every_schedule_does_what_its_kind_says(kind: str, system: System) -> None:
    made = schedules(kind, topology(system))
    assert made
    for schedule in made:
        CHECKS[kind](system, schedule)


@pytest.mark.parametrize("kind", ALGORITHMS)
@given(system=systems(), size=st.sampled_from((1, 4096, 2**20, 2**28)))
def test_no_schedule_is_quicker_than_its_links_allow(kind: str, system: System, size: int) -> None:
    made = topology(system)
    clock, least = FabricClock(made), least_time(made, kind, size)
    for schedule in schedules(kind, made):
        for splits in (1, 3):
            assert clock.price(schedule, size, splits).ps >= least * (1 - 1e-9)


@given(system=systems(), size=st.sampled_from((4096, 2**20)))
def test_no_link_carries_more_than_its_rate(system: System, size: int) -> None:
    made = topology(system)
    clock = FabricClock(made)
    for schedule in schedules("all_reduce", made):
        cost = clock.price(schedule, size)
        assert (cost.link_bytes <= made.links.rate * (cost.ps / 1e12) * (1 + 1e-6) + 1).all()
