"""Collectives on the systems of others take the times that they say."""

from __future__ import annotations

import pytest
from tests.reference.fabrics import ASTRA_SIM, PARTS, Published

from drawloom.chip.topology import topology
from drawloom.mapping.collectives import ALGORITHMS
from drawloom.timing.fabric import FabricClock


@pytest.mark.parametrize("published", ASTRA_SIM, ids=lambda p: p.system.name)
def test_all_reduce_takes_what_astra_sim_says(published: Published) -> None:
    made = topology(published.system)
    schedule = ALGORITHMS["all_reduce"][published.schedule](made)
    assert schedule
    for size, ns in published.ns.items():
        ps = FabricClock(made).price(schedule, size, PARTS).ps
        assert ps == pytest.approx(ns * 1000, rel=published.within)
