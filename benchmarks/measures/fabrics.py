"""Collectives: against the alpha-beta forms, against ASTRA-sim, with holes; and the tool's speed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from tempfile import TemporaryDirectory

from benchmarks.measures.table import Figure, at_most
from tests.reference.fabrics import ASTRA_SIM, PARTS

from drawloom.chip.noc import load_noc
from drawloom.chip.system import System
from drawloom.chip.system_files import load_system
from drawloom.chip.topology import topology
from drawloom.mapping.collectives import ALGORITHMS
from drawloom.timing.fabric import FabricClock, least_time
from drawloom.units import MIB
from drawloom.validate.comparison import figures_of
from drawloom.validate.comparisons import all_reduce, noc

SIZES = {"1MiB": MIB, "16MiB": 16 * MIB, "256MiB": 256 * MIB}
# CPU seconds that ASTRA-sim takes for one all-reduce on a torus of 32 x 32.
# Source: ASTRA-sim 2 (analytical), run on a machine like this one.
ASTRA_CPU_S = 1.47
STARTS = 9  # of each process; the first, which compiles, is not counted
BARE = "pass"
RUN = """
from tests.reference.fabrics import ASTRA_SIM
from drawloom.timing.lines import LineClock
one = next(p for p in ASTRA_SIM if p.system.name == "torus2d_32x32")
LineClock(one.system).price("all_reduce", "dimensions", 2**26, 4)
"""
RUN_ALL = """
from tests.reference.fabrics import ASTRA_SIM
from drawloom.chip.topology import topology
from drawloom.mapping.collectives import ALGORITHMS
from drawloom.timing.fabric import FabricClock
one = next(p for p in ASTRA_SIM if p.system.name == "torus2d_32x32")
made = topology(one.system)
FabricClock(made).price(ALGORITHMS["all_reduce"]["dimensions"](made), 2**26, 4)
"""


def closed_form(system: System, name: str, size: int) -> float:
    """Return an all-reduce's microseconds by its alpha-beta form, on links alike and neighbours.

    A ring of n takes 2 (n - 1) steps of alpha + size / n / rate; both ways round halves the bytes;
    by dimensions each takes the steps of a ring of its size on what the one before left.
    """
    level = system.levels[0]
    alpha, rate = (system.overhead + level.latency) / 1e6, level.rate / 1e6
    n = system.n_places
    if name in ("ring", "rings"):
        share = size / n / (2 if name == "rings" else 1)
        return 2 * (n - 1) * (alpha + share / rate)
    total, left = 0.0, float(size)
    for side in reversed(level.sizes):
        left /= side
        total += 2 * (side - 1) * (alpha + left / rate)
    return total


def closed_form_figures() -> Iterator[Figure]:
    """All-reduce on 32 TX81: each algorithm against its form, and what is chosen against the best."""
    for place in ("rex1032", "rex1032_torus"):
        made = topology(load_system(place))
        clock = FabricClock(made)
        for label, size in SIZES.items():
            forms: list[float] = []
            for name in ("ring", "rings", "dimensions"):
                schedule = ALGORITHMS["all_reduce"][name](made)
                assert schedule
                us = clock.price(schedule, size, 1).ps / 1e6
                forms.append(closed_form(made.system, name, size))
                off = us / forms[-1] - 1
                note = f"{us:,.1f} us, its form says {forms[-1]:,.1f}"
                yield at_most(f"all-reduce.{place}.{label}.{name}", abs(off) * 100, "%", 10, note)
            best = clock.best("all_reduce", size)
            bound = least_time(made, "all_reduce", size)
            note = f"{best.name}, {best.ps / 1e6:,.1f} us, {best.ps / bound:.2f} of the bound"
            ratio = best.ps / 1e6 / min(forms)
            yield at_most(f"all-reduce.{place}.{label}.chosen", ratio, "x", 1.0, note)


def hole_figures() -> Iterator[Figure]:
    """All-reduce of 16 MiB with a dead chip and a dead link, against the whole mesh."""
    whole = load_system("rex1032")
    before = FabricClock(topology(whole)).best("all_reduce", 16 * MIB)
    for label, changed in (
        ("chip", replace(whole, dead_chips=frozenset({5}))),
        ("link", replace(whole, dead_links=frozenset({(3, 4)}))),
        ("row", replace(whole, dead_chips=frozenset(range(24, 32)))),
    ):
        after = FabricClock(topology(changed)).best("all_reduce", 16 * MIB)
        yield Figure(
            f"holes.{label}", after.ps / before.ps, "x",
            note=f"{after.name}, {after.ps / 1e6:,.1f} us; whole: {before.ps / 1e6:,.1f}",
        )  # fmt: skip


def astra_figures() -> Iterator[Figure]:
    """All-reduce on the systems of ASTRA-sim: the largest difference over their three sizes."""
    for published in ASTRA_SIM:
        made = topology(published.system)
        clock, schedule = FabricClock(made), ALGORITHMS["all_reduce"][published.schedule](made)
        assert schedule
        off = {
            size: clock.price(schedule, size, PARTS).ps / (ns * 1000) - 1
            for size, ns in published.ns.items()
        }
        note = ", ".join(f"{size // MIB} MiB {each:+.2%}" for size, each in off.items())
        worst = max(abs(each) for each in off.values()) * 100
        yield at_most(f"astra-sim.{published.system.name}", worst, "%", 5, note)


def measured_figures() -> Iterator[Figure]:
    """All-reduce within DGX nodes, and two all-gathers on meshes of 4 chips, against measurements.

    Of a node's tables the rows that nothing was fitted on; of an all-gather each device's time.
    """
    for outcome in all_reduce.compare():
        found = figures_of(outcome)
        note = f"{found.count:,} rows; mean {found.mean:.1%}, 90 of 100 within {found.p90:.1%}"
        name = f"measured.dgx_{outcome.name.removeprefix('all_reduce.')}"
        yield at_most(name, found.median * 100, "% median", 15, note)
    for ran in noc.run_traces(load_noc("wormhole"), noc.GATHER):
        off = abs(ran.predicted / ran.measured - 1) * 100
        note = f"{ran.predicted:,.0f} cycles, measured {ran.measured:,.0f}"
        yield at_most(f"measured.{ran.name.replace('/', '.device')}", off, "%", 8, note)


def speed_figures() -> Iterator[Figure]:
    """CPU time of a process that prices one all-reduce on 1,024 chips, and of Python alone.

    By one line of each side, and by every message. The processes are started in turns, so that all
    meet the same load; compiled code is kept between them.
    """
    with TemporaryDirectory() as folder:
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        kept["PYTHONPYCACHEPREFIX"] = folder
        codes = (RUN, RUN_ALL, BARE)
        took = [[_cpu_s(code, kept) for code in codes] for _ in range(STARTS + 1)][1:]
    ours, every, bare = (min(each) for each in zip(*took, strict=True))
    limit = max(ASTRA_CPU_S / 20, bare)
    note = (
        f"20 times less than ASTRA-sim's {ASTRA_CPU_S}, or what Python takes to start: {bare:.3f}"
    )
    yield at_most("speed.all_reduce_1024", ours, "CPU s", limit, note)
    note = f"every message, with NumPy; {ASTRA_CPU_S / every:.1f} times quicker than ASTRA-sim"
    yield Figure("speed.all_reduce_1024_every_message", every, "CPU s", note=note)


def _cpu_s(code: str, environment: dict[str, str]) -> float:
    """Return the CPU seconds of a new Python that runs ``code``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
