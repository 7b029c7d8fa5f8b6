"""What trials gave, on disk, so that none is made twice.

A file a piece of work, named by the hash of everything that a trial depends on: the nodes, the work,
the chip, its profile, the mapper's options and this tool's own code. Files are written whole, so any
number of processes may share a folder and be stopped at any time. A file that cannot be read counts
as none: it costs the trials again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict
from functools import cache
from pathlib import Path

from drawloom.chip.text import chip_text
from drawloom.errors import InputError
from drawloom.files import write_whole
from drawloom.mapping.cut.sizes import Cut
from drawloom.tune.trial import Trial

FORMAT = "drawloom-trials-1"
_ROOMS = ("bound", "chip", "graph", "mapping", "program", "timing", "tune")
Results = dict[
    str, int | None
]  # picoseconds by cut, as ``word`` writes it; None where it does not do


def folder() -> Path:
    """Return where trials are kept: $DRAWLOOM_CACHE, or the user's cache folder."""
    if given := os.environ.get("DRAWLOOM_CACHE"):
        return Path(given) / "tune"
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "drawloom" / "tune"


def word(cut: Cut) -> str:
    """Return a cut as a word that says everything but its price."""
    return (
        f"grid={'x'.join(map(str, cut.grid))} chunk={'x'.join(map(str, cut.chunk))} {cut.order} "
        f"copies={cut.a_copies},{cut.b_copies} share={int(cut.share_a)},{int(cut.share_b)}"
        + (f" {cut.panel}" if cut.panel else "")
    )


def path_of(trial: Trial) -> Path:
    """Return the file of a piece's trials."""
    bench = trial.bench
    said = [
        FORMAT,
        _code(),
        trial.graph.text(),
        repr(trial.work),
        chip_text(bench.chip),
        bench.profile,
        json.dumps(asdict(bench.options)),
    ]
    return folder() / f"{hashlib.sha256(json.dumps(said).encode()).hexdigest()}.json"


def recall(path: Path) -> Results:
    """Return the results in a file; none where it is not there or makes no sense."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        held = json.loads(path.read_bytes())
        if isinstance(held, dict) and held.get("format") == FORMAT:  # pyright: ignore[reportUnknownMemberType]
            return _sound(held.get("ps"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return {}


def _sound(held: object) -> Results:
    """Return results of the right types, or none."""
    if not isinstance(held, dict):
        return {}
    found: Results = {}
    for key, value in held.items():  # pyright: ignore[reportUnknownVariableType]
        is_time = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not isinstance(key, str) or not (is_time or value is None):
            return {}
        found[key] = value
    return found


def remember(path: Path, results: Results) -> None:
    """Write results; where that cannot be done they are lost, and only time with them."""
    text = json.dumps({"format": FORMAT, "ps": results}, indent=1, sort_keys=True)
    with contextlib.suppress(OSError, InputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f"{text}\n".encode())


@cache
def _code() -> str:
    """Return a hash of the code that trials go through: another version gives other times."""
    home = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted((home / room).rglob("*.py")):
            digest.update(file.relative_to(home).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
