"""A collective's schedule on values: what each chip's buffer holds in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.mapping.collectives.schedule import Schedule, Stage

Array = NDArray[Any]


def run_collective(schedule: Schedule, buffers: Array) -> Array:
    """Return the buffers of all places of a system after a collective.

    Args:
        schedule: who sends what to whom.
        buffers: (places, elements); each chain works on an equal share of the elements, in order,
            and its units must divide that share.
    """
    held = buffers.copy()
    for chain, share in zip(
        schedule.chains, np.split(held, len(schedule.chains), axis=1), strict=True
    ):
        units = share.reshape(len(held), chain.units, -1)
        for stage in chain.stages:
            for step in range(stage.steps):
                _step(stage, step, units)
        share[...] = units.reshape(share.shape)
    return held


def _step(stage: Stage, step: int, units: Array) -> None:
    """Do all transfers of one step at once."""
    span = np.arange(stage.count)
    sent = units[stage.source[:, None], stage.first(step)[:, None] + span]
    where = stage.target[:, None], stage.landing(step)[:, None] + span
    if stage.adds:
        np.add.at(units, where, sent)
    else:
        units[where] = sent
