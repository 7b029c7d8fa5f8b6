"""Hypothesis strategies for systems: levels side by side, whole or with holes."""

from __future__ import annotations

from hypothesis import strategies as st

from drawloom.chip.system import Level, System
from drawloom.chip.topology import topology
from drawloom.errors import InputError
from drawloom.units import Picoseconds

RATES = st.sampled_from((10**9, 25 * 10**9, 450 * 10**9))
DELAYS = st.sampled_from((0, 7_000, 553_000)).map(Picoseconds)


@st.composite
def levels(draw: st.DrawFn, most: int) -> Level:
    """A level of at most ``most`` chips."""
    shape = draw(st.sampled_from(("mesh", "torus", "full", "switch")))
    sizes: list[int] = []
    for _ in range(draw(st.integers(1, 3)) if shape in ("mesh", "torus") else 1):
        sizes.append(draw(st.integers(1, max(1, min(6, most)))))
        most //= sizes[-1]
    leaf = draw(st.sampled_from((0, 2, 3))) if shape == "switch" else 0
    blocks = tuple(2 for _ in sizes) if shape == "mesh" and draw(st.booleans()) else ()
    return Level(
        shape, tuple(sizes), draw(RATES), draw(DELAYS), blocks, Picoseconds(1_417_000), leaf,
        draw(RATES) if leaf else 0,
    )  # fmt: skip


@st.composite
def systems(draw: st.DrawFn, holes: bool = True) -> System:
    """A system of 1 to 24 chips; with holes, all living chips still reach each other."""
    inner = draw(levels(24))
    outer = [draw(levels(24 // inner.chips))] if draw(st.booleans()) else []
    whole = System(
        "made", "made up", "tx81", (inner, *outer), Picoseconds(draw(st.sampled_from((0, 1500)))),
        draw(st.booleans()),
    )  # fmt: skip
    if not holes or whole.n_places < 3 or draw(st.booleans()):
        return whole
    broken = System(
        whole.name, whole.title, whole.chip, whole.levels, whole.overhead, whole.cut_through,
        frozenset(draw(st.sets(st.integers(0, whole.n_places - 1), max_size=2))),
    )  # fmt: skip
    return broken if _connected(broken) else whole


def _connected(system: System) -> bool:
    import numpy as np

    chips = np.array(system.chips, np.int64)
    try:
        topology(system).routes(np.full(len(chips), chips[0]), chips)
    except InputError:
        return False
    return True
