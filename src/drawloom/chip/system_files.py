"""Read a system file: how many chips of which kind, joined how.

    name: pod
    title: 16 chips in a torus
    chip: tx81
    levels:                 # the innermost first
      - {shape: torus, sizes: [4, 4], rate: 25 GB/s, latency: 553 ns}
    overhead: 1.5 us        # of a message
    switching: cut-through  # or store-and-forward

Numbers are entries as in chip files: alone, or with source, grade and range. This module imports
pydantic and ruamel.yaml; import it where it is used.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from drawloom.chip.faults import faults_of
from drawloom.chip.model import Source
from drawloom.chip.schema import Entry, HopEnergy, ListEntry, Positive, Rate, Time, Word
from drawloom.chip.system import MOST_LAYERS, MOST_REACH_MM, Level, System
from drawloom.chip.systems import SYSTEMS
from drawloom.chip.tree import Tree, read
from drawloom.errors import Fault, InputError, nearest
from drawloom.units import Picoseconds

_FOLDER = Path(__file__).parent / "systems"
_MOST = 65_536  # chips of a system: beyond, the tables of links no longer fit a machine


class LevelFile(BaseModel):
    """One level of a system file."""

    model_config = ConfigDict(extra="forbid")
    shape: Literal["mesh", "torus", "full", "switch"]
    sizes: ListEntry = Field(description="chips in each dimension, such as [4, 8]")
    rate: Rate = Field(description="bytes a second one way, of a link or of a port of a switch")
    latency: Time = Field(description="delay of a hop")
    blocks: ListEntry | None = Field(None, description="chips between two seams of a mesh")
    seam: Time | None = Field(None, description="delay of a hop over a seam")
    leaf: Positive | None = Field(None, description="chips under one switch of a fat tree")
    trunk: Rate | None = Field(None, description="bytes a second from such a switch to the top")
    pitch_mm: Positive | None = Field(None, description="millimetres between neighbours on a wafer")
    layers: Positive | None = Field(None, description="layers of wiring on the wafer")

    @model_validator(mode="after")
    def _fits_its_shape(self) -> LevelFile:
        flat = self.shape in ("full", "switch")
        if len(self.sizes.value) > (1 if flat else 3):
            raise _rule(f"a {self.shape} has at most {1 if flat else 3} sizes")
        if (self.blocks is None) != (self.seam is None):
            raise _rule("blocks and seam stand together")
        if self.blocks and (flat or len(self.blocks.value) != len(self.sizes.value)):
            raise _rule("blocks has a number for each size, of a mesh or torus")
        if (self.leaf is None) != (self.trunk is None) or (self.leaf and self.shape != "switch"):
            raise _rule("leaf and trunk stand together, in a switch")
        if (self.pitch_mm is None) != (self.layers is None):
            raise _rule("pitch_mm and layers stand together, on a wafer")
        if self.pitch_mm and self.layers:
            sizes = tuple(self.sizes.value)
            level = Level(self.shape, sizes, 1, Picoseconds(0), pitch_mm=self.pitch_mm.value)
            if level.reach_mm > MOST_REACH_MM:
                raise _rule(f"links of {level.reach_mm} mm: on a wafer at most {MOST_REACH_MM}")
            if self.layers.value > MOST_LAYERS:
                raise _rule(f"{self.layers.value} layers of wiring: at most {MOST_LAYERS}")
        return self


class SystemFile(BaseModel):
    """A whole system file."""

    model_config = ConfigDict(extra="forbid")
    name: Word
    title: str
    chip: str = Field(description="name of the chip, or a chip file")
    levels: list[LevelFile] = Field(description="ways of joining chips, the innermost first")
    overhead: Time = Field(description="time of a message at its sender")
    switching: Entry[Literal["cut-through", "store-and-forward"]]
    link_energy: HopEnergy | None = Field(None, description="energy of a byte over one link")
    link_usd: Positive | None = Field(None, description="price of a link in dollars, both ways")

    @model_validator(mode="after")
    def _is_not_too_large(self) -> SystemFile:
        chips = 1
        for level in self.levels:
            for size in level.sizes.value:
                chips *= size
        if not 1 <= chips <= _MOST or not self.levels:
            raise _rule(f"1 to {_MOST:,} chips")
        return self


def _rule(text: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{text}", {"text": text})


def systems() -> tuple[str, ...]:
    """Return the names of the systems that come with drawloom."""
    return tuple(sorted(SYSTEMS))


def load_system(name_or_path: str | Path) -> System:
    """Return a system of the catalog by name, or the one in a system file.

    Raises InputError (``chip.system``) with every fault of the file, each with its line, field,
    value and what is allowed; or, for an unknown system, with the nearest known one.
    """
    if isinstance(name_or_path, str) and name_or_path in SYSTEMS:
        return _from_catalog(name_or_path)
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        hint = f"{nearest(str(name_or_path), SYSTEMS)}; or the path of a system file"
        fault = Fault(str(name_or_path), "", hint)
        raise InputError("chip.system", f"there is no system '{name_or_path}'", [fault])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError("chip.system", f"cannot read '{path}': {reason.lower()}") from None
    return parse_system(text, path.name)


@cache
def _from_catalog(name: str) -> System:
    return parse_system((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml")


def parse_system(text: str, file: str = "text") -> System:
    """Return the system that a text describes; ``file`` is how messages and sources call it.

    Raises InputError (``chip.system``) with all faults at once.
    """
    tree, faults = read(text, file)
    parsed: SystemFile | None = None
    try:
        parsed = SystemFile.model_validate(tree.plain())
    except ValidationError as error:
        faults = [*faults, *faults_of(error, tree, is_whole=True, root=SystemFile)]
    if parsed is None or faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise InputError("chip.system", f"{count} in {file}", faults)
    sources: dict[str, Source] = {}
    levels = tuple(
        _level(level, f"levels.{i}", tree, sources) for i, level in enumerate(parsed.levels)
    )

    def given(entry: Any, path: str, default: Any) -> Any:
        return default if entry is None else _take(entry, path, tree, sources)

    return System(
        parsed.name, parsed.title, parsed.chip, levels,
        _take(parsed.overhead, "overhead", tree, sources),
        _take(parsed.switching, "switching", tree, sources) == "cut-through",
        sources=sources,
        link_pj_per_byte=given(parsed.link_energy, "link_energy", 0.0),
        link_usd=given(parsed.link_usd, "link_usd", 0),
    )  # fmt: skip


def _level(level: LevelFile, path: str, tree: Tree, sources: dict[str, Source]) -> Level:
    def take(name: str, default: Any) -> Any:
        entry = getattr(level, name)
        return default if entry is None else _take(entry, f"{path}.{name}", tree, sources)

    return Level(
        level.shape, tuple(take("sizes", ())), take("rate", 0), take("latency", 0),
        tuple(take("blocks", ())), take("seam", 0), take("leaf", 0), take("trunk", 0),
        take("pitch_mm", 0), take("layers", 0),
    )  # fmt: skip


def _take(entry: Any, path: str, tree: Tree, sources: dict[str, Source]) -> Any:
    """Return an entry's value and note its source; without one, the line says where it stands."""
    ends = getattr(entry, "range", None) or (None, None)
    low, high = (None if end is None or isinstance(end, str) else float(end) for end in ends)
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]
    text = entry.source or f"user file {tree.nearest(steps).place}"
    sources[path] = Source(text, entry.grade or "F", low, high)
    return entry.value
