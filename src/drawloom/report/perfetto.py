"""A trace as a file for Perfetto (https://ui.perfetto.dev): Chrome's JSON trace format.

A process per tile, a thread per engine, a complete event per span whose arguments lead home to
node and layer; counters for the DRAM rate and the number of matrix engines at work. Written
piece by piece, so that a long trace never stands in memory as text. Timestamps are microseconds
with six decimals: whole picoseconds.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drawloom.files import write_whole
from drawloom.program.commands import Engine
from drawloom.program.text import command_text
from drawloom.report.captions import caption
from drawloom.timing import Trace
from drawloom.timing.table import ENGINES
from drawloom.units import PS_PER_S

PIECE = 4096  # events handed on at a time
N_SAMPLES = 1000  # of each counter
Ints = NDArray[np.int64]


def write_perfetto(trace: Trace, path: str | Path) -> None:
    """Write a trace for Perfetto; gzipped if the file's name ends in ``.gz``.

    Raises:
        InputError: the file cannot be written (``files.write``).
    """
    pieces = (piece.encode() for piece in trace_json(trace))
    write_whole(path, _gzipped(pieces) if str(path).endswith(".gz") else pieces)


def trace_json(trace: Trace) -> Iterator[str]:
    """Yield the text of the trace file, piece by piece."""
    program = trace.program
    facts = {
        "program": program.name,
        "chip": trace.chip.name,
        "profile": trace.profile,
        **program.notes,
    }
    yield f'{{"displayTimeUnit":"ns","otherData":{json.dumps(facts)},"traceEvents":[\n'
    yield ",\n".join(_names(trace))
    yield from _spans(trace)
    yield from _counters(trace)
    yield "\n]}\n"


def _names(trace: Trace) -> Iterator[str]:
    """Yield the names of processes and threads, and the order in which to show them."""
    for tile in range(len(trace.program.streams)):
        yield _meta("process_name", tile, 0, {"name": f"tile {tile:02}"})
        yield _meta("process_sort_index", tile, 0, {"sort_index": tile + 1})
        for at, engine in enumerate(ENGINES):
            yield _meta("thread_name", tile, at, {"name": engine.value})
            yield _meta("thread_sort_index", tile, at, {"sort_index": at})
    chip = _chip_pid(trace)
    yield _meta("process_name", chip, 0, {"name": f"chip {trace.chip.name}"})
    yield _meta("process_sort_index", chip, 0, {"sort_index": 0})


def _chip_pid(trace: Trace) -> int:
    return len(trace.program.streams)


def _meta(name: str, pid: int, tid: int, args: dict[str, object]) -> str:
    return json.dumps({"ph": "M", "name": name, "pid": pid, "tid": tid, "args": args})


def _spans(trace: Trace) -> Iterator[str]:
    heads = _heads(trace)
    rows, starts, lengths = trace.command, trace.start_ps, trace.end_ps - trace.start_ps
    for at in range(0, len(rows), PIECE):
        part = slice(at, at + PIECE)
        columns = (rows[part].tolist(), starts[part].tolist(), lengths[part].tolist())
        yield "".join(
            f',\n{heads[row]},"ts":{_us(start)},"dur":{_us(length)}}}'
            for row, start, length in zip(*columns, strict=True)
        )


def _heads(trace: Trace) -> list[str]:
    """Return, for each command as written, the part of its events that is always the same."""
    table = trace.table
    heads: list[str] = []
    for row, command in enumerate(table.commands):
        at = int(table.origin[row])
        origin = trace.program.origins[at] if 0 <= at < len(trace.program.origins) else None
        args: dict[str, object] = {"text": command_text(command), "bytes": int(table.bytes[row])}
        args["energy_pj"] = int(table.energy_fj[row, 1]) / 1000
        if origin is not None:
            args |= {"layer": origin.layer, "node": origin.node, "piece": origin.piece}
        event = {
            "ph": "X",
            "name": caption(command),
            "cat": ENGINES[int(table.engine[row])].value,
            "pid": int(table.tile[row]),
            "tid": int(table.engine[row]),
            "args": args,
        }
        heads.append(json.dumps(event)[:-1])
    return heads


def _us(ps: int) -> str:
    """Return picoseconds as microseconds, without rounding."""
    return f"{ps // 1_000_000}.{ps % 1_000_000:06}"


def _counters(trace: Trace) -> Iterator[str]:
    step = max(1, trace.total_ps // N_SAMPLES)
    table = trace.table
    per_s = PS_PER_S / step / 1e9
    tracks = {
        "DRAM read GB/s": _sampled(trace, step, table.dram_read[trace.command]) * per_s,
        "DRAM write GB/s": _sampled(trace, step, table.dram_written[trace.command]) * per_s,
    }
    is_matrix = table.engine[trace.command] == ENGINES.index(Engine.MATRIX)
    busy = np.where(is_matrix, trace.end_ps - trace.start_ps, 0)
    tracks["matrix engines at work"] = _sampled(trace, step, busy) / step
    pid = _chip_pid(trace)
    for name, values in tracks.items():
        yield "".join(
            f',\n{{"ph":"C","name":{json.dumps(name)},"pid":{pid},"ts":{_us(at * step)},'
            f'"args":{{"value":{value:.3f}}}}}'
            for at, value in enumerate(values.tolist())
        )


def _sampled(trace: Trace, step: int, amounts: Ints) -> NDArray[np.float64]:
    """Spread each span's amount evenly over its time; return the amount in each step."""
    some = amounts > 0
    start, end = trace.start_ps[some], trace.end_ps[some]
    rate = amounts[some] / np.maximum(end - start, 1)
    marks = np.unique(np.concatenate([start, end]))
    change = np.zeros(len(marks))
    np.add.at(change, np.searchsorted(marks, start), rate)
    np.add.at(change, np.searchsorted(marks, end), -rate)
    done = np.concatenate([[0.0], np.cumsum(np.cumsum(change)[:-1] * np.diff(marks))])
    edges = np.arange(0, trace.total_ps + step, step)
    if not len(marks):
        return np.zeros(len(edges) - 1)
    return np.maximum(np.diff(np.interp(edges, marks, done)), 0.0)


def _gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Compress piece by piece; no name and no date, so that equal traces give equal bytes."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=out, mode="wb", mtime=0, compresslevel=6) as file:
        for piece in pieces:
            file.write(piece)
            if out.tell():
                yield out.getvalue()
                out.seek(0)
                out.truncate()
    yield out.getvalue()
