"""A Trace as a file, ``.trace``: a zip of what it was made from and its columns.

``about.json`` holds the format's version, the program's hash, the profile, the total and the
number of events; ``chip.yaml`` the chip; ``program.prog`` the program without its data;
``command``, ``lasted`` (end less start) and ``gap`` (end less the end before) the spans, and
``spent`` the processors' time, as arrays in NumPy's own form. Equal traces give equal bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.files import parse_chip
from drawloom.chip.text import chip_text
from drawloom.errors import Fault, InputError
from drawloom.files import BROKEN, open_archive, read_whole, write_whole
from drawloom.program.binary import encode, program_hash
from drawloom.program.decode import decode
from drawloom.program.program import Program
from drawloom.timing.table import command_table, profile_of
from drawloom.timing.trace import SPENT, Trace

VERSION = 1
ABOUT, CHIP, PROGRAM = "about.json", "chip.yaml", "program.prog"
COLUMNS = ("command", "lasted", "gap", "spent")
MEMBERS = (ABOUT, CHIP, PROGRAM, *(f"{name}.npy" for name in COLUMNS))
_DAY_ONE = (1980, 1, 1, 0, 0, 0)  # a zip holds a date; always the same one


def write_trace(trace: Trace, path: str | Path) -> None:
    """Write a trace to a file, whole or not at all.

    Raises:
        InputError: ``files.write`` if it cannot be written.
    """
    about = {
        "version": VERSION,
        "program": program_hash(trace.program),
        "profile": trace.profile,
        "total_ps": trace.total_ps,
        "events": trace.events,
    }
    columns = {
        "command": trace.command,
        "lasted": trace.end_ps - trace.start_ps,
        "gap": np.diff(trace.end_ps, prepend=0),
        "spent": trace.spent_ps,
    }
    members = {
        ABOUT: (json.dumps(about, indent=1) + "\n").encode(),
        CHIP: chip_text(trace.chip).encode(),
        PROGRAM: b"".join(encode(replace(trace.program, data=()))),
        **{f"{name}.npy": _array_bytes(column) for name, column in columns.items()},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, raw in members.items():
            info = zipfile.ZipInfo(name, _DAY_ONE)
            file.writestr(info, raw, zipfile.ZIP_DEFLATED, compresslevel=1)
    write_whole(path, out.getvalue())


def read_trace(path: str | Path, program: Program | None = None) -> Trace:
    """Return the trace in a file.

    Args:
        path: the file.
        program: the program it is of; without it, the trace's program has no data.

    Raises:
        InputError: ``files.read`` if it cannot be read; ``timing.file`` if it is no trace, or
            one of another program.
    """
    raw = read_whole(path)
    try:
        return _trace(raw, program)
    except (*BROKEN, AssertionError) as error:
        raise _no_trace(path, Fault("content", str(error), "what drawloom wrote")) from error
    except _OtherProgram as error:
        raise _no_trace(
            path, Fault("program", str(error), "the program it was made from")
        ) from None


class _OtherProgram(Exception):
    """The trace was made from another program."""


def _no_trace(path: str | Path, fault: Fault) -> InputError:
    return InputError("timing.file", f"'{path}' is not a trace that can be read", [fault])


def _trace(raw: bytes, program: Program | None) -> Trace:
    with open_archive(io.BytesIO(raw), packed=True) as file:
        members = {name: file.read(name) for name in MEMBERS}
    about = json.loads(members[ABOUT])
    if about["version"] != VERSION:
        raise ValueError(f"version {about['version']}, this drawloom reads version {VERSION}")
    if program is not None and program_hash(program) != about["program"]:
        raise _OtherProgram(f"'{program.name}'")
    chip = parse_chip(members[CHIP].decode(), CHIP, alone=True)
    program = program or decode(members[PROGRAM], PROGRAM)
    table = command_table(program, chip, profile_of(chip, about["profile"]))
    command, lasted, gap, spent = (_array(members[f"{name}.npy"]) for name in COLUMNS)
    end = np.cumsum(gap)
    if spent.shape != (len(program.streams), len(SPENT)) or not len(command) == len(lasted):
        raise ValueError("columns of different lengths")
    if len(command) and not 0 <= command.min() <= command.max() < len(table.commands):
        raise ValueError("a span of a command that the program has not")
    return Trace(
        program=program,
        chip=chip,
        profile=about["profile"],
        table=table,
        command=command.astype(np.int32),
        start_ps=end - lasted,
        end_ps=end,
        spent_ps=spent,
        total_ps=int(about["total_ps"]),
        events=int(about["events"]),
    )


def _array_bytes(column: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, column, allow_pickle=False)
    return out.getvalue()


def _array(raw: bytes) -> NDArray[np.int64]:
    """Return a column, whose shape must be that of the bytes that are there."""
    file = io.BytesIO(raw)
    np.lib.format.read_magic(file)
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "iu" or by_columns:
        raise ValueError(f"a column of {dtype}")
    return np.frombuffer(file.read(), dtype).reshape(shape).astype(np.int64)
