"""A chip's network of two one-way tori as data (``kind: noc``), every number with source and grade.

Network 0 goes along x to higher columns and then along y to higher rows, network 1 along y to lower
rows and then along x to lower columns; both go round at the edges. Files lie in ``nocs/``. This
module imports ruamel.yaml; import it where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from drawloom.chip.entries import Entries
from drawloom.chip.model import Source
from drawloom.chip.nocs import NOCS
from drawloom.chip.quantity import CYCLES, POSITIVE, POSITIVE_SIZE, WIDTH, Kind
from drawloom.errors import Fault, InputError, nearest

_FOLDER = Path(__file__).parent / "nocs"
_PART_WIDTH = replace(WIDTH, whole=False)
_FIELDS: Mapping[str, Kind] = {
    "columns": POSITIVE,
    "rows": POSITIVE,
    "flit": POSITIVE_SIZE,
    "most": POSITIVE_SIZE,
    "port_rate": _PART_WIDTH,
    "hop": CYCLES,
    "port": CYCLES,
    "lanes": POSITIVE,
    "answers": POSITIVE,
    "memory_answers": POSITIVE,
    "answer": CYCLES,
    "memory_answer": CYCLES,
    "poll": CYCLES,
}
Tile = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class TorusNoc:
    """Two one-way tori over one grid of tiles; bytes and cycles.

    Attributes:
        name: of the file.
        title: for people.
        columns: of tiles, x from 0.
        rows: of tiles, y from 0.
        flit: bytes of a flit, of which a link passes one a cycle; a packet has one more in front.
        most: bytes of data in a packet at most.
        port_rate: bytes a cycle that a tile puts into a network, or takes from it.
        hop: from router to router.
        port: between a tile and its router.
        lanes: packets of one class that a link has under way at a time, on each side of the dateline.
        answers: requests that a tile answers at a time.
        memory_answers: those that a tile with DRAM answers at a time.
        answer: from a request's arrival to the answer's first flit, and until whoever asked knows.
        memory_answer: what DRAM adds to it.
        poll: of a barrier that has nothing to wait for.
        memory_tiles: those with DRAM behind them.
        sources: source and grade of each number, by path.
    """

    name: str
    title: str
    columns: int
    rows: int
    flit: int
    most: int
    port_rate: float
    hop: int
    port: int
    lanes: int
    answers: int
    memory_answers: int
    answer: int
    memory_answer: int
    poll: int
    memory_tiles: frozenset[Tile]
    sources: Mapping[str, Source]


@cache
def load_noc(name: str) -> TorusNoc:
    """Return a network of the catalog.

    Raises:
        InputError: ``chip.noc``, for an unknown name or a file with faults, all at once.
    """
    if name not in NOCS:
        raise InputError("chip.noc", "no such network", [Fault(name, "", nearest(name, NOCS))])
    file = f"{name}.yaml"
    return parse_noc((_FOLDER / file).read_text(encoding="utf-8"), file)


def parse_noc(text: str, file: str) -> TorusNoc:
    """Return the network that a text describes; raises InputError (``chip.noc``)."""
    entries = Entries.of(text, file)
    values = entries.numbers(_FIELDS)
    words = {path: entries.word(path) for path in ("name", "title")}
    tiles = _tiles(entries, values)
    entries.finish("chip.noc", file, ("memory_tiles", *_FIELDS))
    return TorusNoc(
        name=words["name"],
        title=words["title"],
        columns=int(values["columns"]),
        rows=int(values["rows"]),
        flit=int(values["flit"]),
        most=int(values["most"]),
        port_rate=values["port_rate"],
        hop=int(values["hop"]),
        port=int(values["port"]),
        lanes=int(values["lanes"]),
        answers=int(values["answers"]),
        memory_answers=int(values["memory_answers"]),
        answer=int(values["answer"]),
        memory_answer=int(values["memory_answer"]),
        poll=int(values["poll"]),
        memory_tiles=tiles,
        sources=entries.sources,
    )


def _tiles(entries: Entries, values: Mapping[str, float]) -> frozenset[Tile]:
    """Return the tiles that ``memory_tiles`` lists; a fault for each that is none."""
    found: set[Tile] = set()
    # A size that is faulty itself bounds nothing.
    columns, rows = (values[name] or float("inf") for name in ("columns", "rows"))
    for word in entries.word("memory_tiles").split():
        parts = word.split(",")
        at = tuple(int(part) for part in parts if part.isdigit())
        if len(parts) == len(at) == 2 and at[0] < columns and at[1] < rows:
            found.add((at[0], at[1]))
        else:
            entries.faults.append(Fault("memory_tiles", word, "tiles of the grid, such as 0,11"))
    return frozenset(found)
