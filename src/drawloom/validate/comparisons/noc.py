"""Tenstorrent Wormhole's networks: 36 traces of one chip and two all-gathers, at their own issue times.

Commands are given when the trace says so; when their data have arrived, and with it how long each
barrier waits and when the last processor has done, is the model's. The measured time of a trace is
the longest of its processors', from its kernel's begin to the last event that it tells. A third of
the traces, by hash, is for fitting two latencies (``benchmarks/validation/fit_noc.py``).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.noc import TorusNoc, load_noc
from drawloom.timing.torus import Transfers, done_cycles
from drawloom.validate.comparison import Outcome
from drawloom.validate.tables import Columns, read_table, rows

TABLE = "wormhole_noc"
GATHER = "all_gather"
GOAL = {"mean": 0.032}
GATHER_GOAL = {"worst": 0.08}
FITTED_ON = 12  # of the 36
READS = ("READ",)
WRITES = ("WRITE_", "FABRIC_UNICAST_WRITE", "FABRIC_UNICAST_ATOMIC_INC", "SEMAPHORE_INC")
WAITED = 1.5  # barriers that take this often a poll had something to wait for


@dataclass(frozen=True, slots=True)
class Ran:
    """One device in one trace: cycles predicted and measured, and so those of each barrier's wait."""

    name: str
    predicted: float
    measured: float
    waits_predicted: NDArray[np.float64]
    waits_measured: NDArray[np.float64]


def run_traces(noc: TorusNoc, begins: str = "") -> list[Ran]:
    """Return every device of every trace whose name begins so, in the table's order."""
    table = read_table(TABLE)
    keys = np.char.add(np.char.add(table["trace"], "/"), table["device"].astype(str))
    names = [name for name in dict.fromkeys(keys.tolist()) if name.startswith(begins)]
    return [_run(noc, name, rows(table, keys == name)) for name in names]


def is_fitted_on(names: list[str]) -> NDArray[np.bool_]:
    """Return which traces are for fitting: the third whose names have the least CRC-32."""
    hashes = np.array([zlib.crc32(f"{name.split('/')[0]}.json".encode()) for name in names])
    return hashes <= np.sort(hashes)[FITTED_ON - 1]


def _run(noc: TorusNoc, name: str, events: Columns) -> Ran:
    is_transfer = np.isin(events["kind"], (*READS, *WRITES)) & (events["other_x"] >= 0)
    done = np.zeros(len(is_transfer))
    done[is_transfer] = done_cycles(noc, _transfers(rows(events, is_transfer)))
    predicted, measured = 0.0, float(events["cycle"].max())
    waits: list[tuple[float, float]] = []
    processors = np.stack([events["tile_x"], events["tile_y"], events["processor"] == "BRISC"])
    for of in np.unique(processors, axis=1).T:
        at = np.flatnonzero((processors == of[:, None]).all(axis=0))
        last, found = _walk(noc, events, at, done)
        predicted = max(predicted, last)
        waits += found
    both = np.array(waits, np.float64).reshape(-1, 2).T
    return Ran(name, predicted, measured, both[0], both[1])


def _transfers(events: Columns) -> Transfers:
    def tiles(word: str) -> NDArray[np.int64]:
        columns = (events[f"{word}_x"], events[f"{word}_y"])
        return np.stack(columns, axis=1).astype(np.int64)

    return Transfers(
        is_read=np.isin(events["kind"], READS),
        network=events["network"].astype(np.int64),
        tile=tiles("tile"),
        other=tiles("other"),
        size=np.maximum(events["size"], 1).astype(np.int64),
        issued=events["cycle"].astype(np.int64),
    )


def _walk(
    noc: TorusNoc, events: Columns, at: NDArray[Any], done: NDArray[np.float64]
) -> tuple[float, list[tuple[float, float]]]:
    """Return when a processor's last command is done, and the waits of its barriers."""
    arrived = {"READ": 0.0, "WRITE": 0.0}
    last, started = 0.0, 0.0
    waits: list[tuple[float, float]] = []
    for row in at:
        kind, cycle = str(events["kind"][row]), float(events["cycle"][row])
        group = "READ" if kind.startswith("READ") else "WRITE"
        if kind in READS or kind in WRITES:
            arrived[group] = max(arrived[group], float(done[row]))
            last = max(last, arrived[group])
        elif kind.endswith("BARRIER_START"):
            started = cycle
            last = max(last, started + noc.poll, arrived[group])
        elif kind.endswith("BARRIER_END") and cycle - started > WAITED * noc.poll:
            over = max(started + noc.poll, arrived[group])
            waits.append((over - started, cycle - started))
    return last, waits


def compare() -> Iterator[Outcome]:
    """Yield the errors of the traces not fitted on, of all 36, of their waits, of the all-gathers."""
    ran = run_traces(load_noc("wormhole"))
    single = [each for each in ran if not each.name.startswith(GATHER)]
    gathered = [each for each in ran if each.name.startswith(GATHER)]
    is_fitted = is_fitted_on([each.name for each in single])
    rest = [each for each, fitted in zip(single, is_fitted, strict=True) if not fitted]
    for word, chosen, goal in (
        ("not_fitted_on", rest, GOAL),
        ("all_36_traces", single, GOAL),
        ("all_gather_devices", gathered, GATHER_GOAL),
    ):
        predicted, measured = (
            np.array([getattr(each, name) for each in chosen]) for name in ("predicted", "measured")
        )
        name = f"noc.wormhole.{word}"
        yield Outcome(name, predicted, measured, calibrated=True, goal=goal)
    predicted, measured = (
        np.concatenate([getattr(each, f"waits_{name}") for each in rest])
        for name in ("predicted", "measured")
    )
    yield Outcome("noc.wormhole.waits_of_barriers", predicted, measured, calibrated=True)
