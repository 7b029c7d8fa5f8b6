"""A system as its datasheet has it: peaks, memories, links, power, prices, each with its source.

    name: h200_sxm
    title: NVIDIA H200 SXM 141GB
    vendor: NVIDIA
    kind: gpu                     # gpu, asic or dataflow, as the field calls it
    route: gpu                    # how it runs a graph: gpu, systolic, sram or grid
    model: h200_sxm               # the file that describes it in detail, where there is one
    numbers:
      memory_rate: {value: 4800 GB/s, grade: B, source: "..."}
      hour_price: {value: 3.5 USD/h, range: [3.5 USD/h, 10.6 USD/h], grade: B, source: "..."}
      peak_int8: {value: unknown, grade: none, source: "..."}

Grades: A the vendor's own document, a benchmark's submission or a stated measurement; B a vendor's
number as others tell it; C arithmetic or a page without a vendor's link; D an analyst's figure, or
sources that disagree; none where nobody says. A number may be unknown and still have a range.
This module imports pydantic and ruamel.yaml; import it where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator
from pydantic_core import PydanticCustomError

from drawloom.chip import quantity as q
from drawloom.chip.datasheets import DATASHEETS
from drawloom.chip.faults import faults_of
from drawloom.chip.schema import Of, Word
from drawloom.chip.tree import read
from drawloom.errors import Fault, InputError, nearest

_FOLDER = Path(__file__).parent / "datasheets"
UNKNOWN = "unknown"
ROUTES = ("gpu", "systolic", "sram", "grid")
# How far off a number may be whose source is no vendor and states no range. Assumed: copies of one
# figure in chips of the catalog differ by up to a tenth (C) and by up to a quarter (D).
SPREAD = {"C": 0.1, "D": 0.25}

_RATES = {f"{letter}B/s": 10**zeros for letter, zeros in zip("kMGTP", range(3, 16, 3), strict=True)}
_OPERATIONS = {f"{letter}{what}": 10**zeros for letter, zeros in (("G", 9), ("T", 12), ("P", 15))
               for what in ("FLOPS", "OPS")}  # fmt: skip


def _kind(what: str, example: str, units: Mapping[str, int], printed: tuple[str, ...]) -> q.Kind:
    exact = {unit: q.Fraction(factor) for unit, factor in units.items()}
    return q.Kind(what, example, exact, printed, whole=False, most=10**20)


FLOPS = _kind("operations a second", "989 TFLOPS", _OPERATIONS, ("TFLOPS", "GFLOPS"))
OPS = _kind("operations a second", "256 TOPS", _OPERATIONS, ("TOPS", "GOPS"))
RATE = _kind("a rate", "4800 GB/s", _RATES, ("PB/s", "TB/s", "GB/s", "MB/s", "kB/s"))
SIZE = q.Kind(
    "a size", "141 GB", q.SIZE.units, ("TiB", "GiB", "GB", "MiB", "MB", "KiB", "kB", "B"), above=True
)  # fmt: skip
PRICE = _kind("a price", "30678 USD", {"USD": 1}, ("USD",))
HOURLY = _kind("a price an hour", "3.5 USD/h", {"USD/h": 1}, ("USD/h",))
AREA = _kind("an area", "814 mm2", {"mm2": 1}, ("mm2",))
NUMBER = _kind("a number", "1333", {"": 1, "G": 10**9}, ("G", ""))
TEXT = None

FIELDS: Mapping[str, tuple[q.Kind | None, str]] = {
    "year": (q.POSITIVE, "first delivered"),
    "process": (TEXT, "manufacturing process"),
    "die_area": (AREA, "of all dies"),
    "transistors": (NUMBER, "of all dies"),
    "package": (TEXT, "dies of a chip"),
    "peak_fp32": (FLOPS, "dense peak"),
    "peak_tf32": (FLOPS, "dense peak"),
    "peak_bf16": (FLOPS, "dense peak"),
    "peak_fp16": (FLOPS, "dense peak"),
    "sparse_fp16": (FLOPS, "peak where half or more of the numbers are zero and left out"),
    "peak_fp8": (FLOPS, "dense peak"),
    "peak_bfp8": (FLOPS, "dense peak, numbers of a block sharing an exponent"),
    "peak_fp4": (FLOPS, "dense peak"),
    "peak_int16": (OPS, "dense peak"),
    "peak_int8": (OPS, "dense peak"),
    "peak_int4": (OPS, "dense peak"),
    "cores": (q.POSITIVE, "of the chip, by core_kind"),
    "core_kind": (TEXT, "what the vendor calls a core"),
    "matrix_unit": (TEXT, "in words"),
    "vector_unit": (TEXT, "in words"),
    "clock": (q.FREQUENCY, "of the matrix unit at its peak"),
    "arrays": (q.POSITIVE, "systolic arrays of the chip"),
    "array_rows": (q.POSITIVE, "of an array"),
    "array_columns": (q.POSITIVE, "of an array"),
    "vector_lanes": (
        q.POSITIVE,
        "16-bit elements that all vector units take in a cycle of the arrays",
    ),
    "noc": (TEXT, "network between the cores"),
    "core_sram": (SIZE, "of a core"),
    "cluster_sram": (SIZE, "of a cluster of cores"),
    "column_sram": (SIZE, "of a column of tiles"),
    "sram": (SIZE, "managed by software, of the chip"),
    "l2": (SIZE, "cache between cores and memory"),
    "sram_rate": (RATE, "of all SRAM together"),
    "memory_type": (TEXT, "in words"),
    "memory": (SIZE, "size"),
    "memory_rate": (RATE, "peak"),
    "memory_share": (NUMBER, "of the peak that is reached, by whoever says so"),
    "second_memory": (SIZE, "larger and slower memory beside"),
    "link_type": (TEXT, "in words"),
    "link_topology": (TEXT, "in words"),
    "link_rate": (RATE, "of all links of a chip together, one direction"),
    "each_link_rate": (RATE, "of one link, one direction"),
    "link_latency": (q.TIME, "of a hop or a message"),
    "scale_out_rate": (RATE, "to other servers, one direction"),
    "host_rate": (RATE, "to the host, one direction"),
    "power": (q.POWER, "limit of the board or chip"),
    "system_power": (q.POWER, "of the whole system, for one chip"),
    "hour_price": (HOURLY, "of a chip in a cloud, on demand"),
    "hour_cost": (HOURLY, "of owning a chip, all in"),
    "unit_price": (PRICE, "of a board"),
    "measured_bf16": (FLOPS, "best of many products"),
    "measured_fp16": (FLOPS, "best of many products"),
    "measured_fp8": (FLOPS, "best of many products"),
    "measured_int8": (OPS, "best of many products"),
    "measured_memory_rate": (RATE, "measured"),
    "measured_all_reduce_rate": (RATE, "measured"),
    "measured_tokens": (NUMBER, "tokens a second that somebody measured or claims"),
    "measured_tokens_of": (TEXT, "on which work"),
    "software": (TEXT, "state of what runs on it"),
}
COUNTS = ("year", "cores", "arrays", "array_rows", "array_columns")  # right or wrong, never about


@dataclass(frozen=True, slots=True)
class Known(Of):
    """Marks a number that may be unknown."""

    def read(self, raw: object) -> Any:
        """Return the number that a text means; None for ``unknown``."""
        return None if raw == UNKNOWN else Of.read(self, raw)


class EntryFile(BaseModel):
    """What every entry says beside its value."""

    model_config = ConfigDict(extra="forbid")
    grade: Literal["A", "B", "C", "D", "none"]
    source: str
    note: str | None = None


def _entry(name: str, kind: q.Kind | None) -> type[BaseModel]:
    value: Any = str if kind is None else Annotated[Any, Known(kind)]
    made: Any = {"value": (value, ...)}
    if kind is not None:
        end = Annotated[Any, Of(kind)]
        made["range"] = (tuple[end, end] | None, None)
    checks = {"ends": field_validator("range")(_in_order)} if kind is not None else {}
    return create_model(f"{name}_entry", __base__=EntryFile, __validators__=cast("Any", checks),
                        **made)  # fmt: skip


def _in_order(ends: tuple[float, float] | None, info: Any) -> object:
    value = info.data.get("value")
    if ends is not None and not ends[0] <= (ends[0] if value is None else value) <= ends[1]:
        raise PydanticCustomError("range", "the range must hold the value, low end first")
    return ends


def _numbers() -> Any:
    made = {name: (_entry(name, kind) | None, Field(None, description=what))
            for name, (kind, what) in FIELDS.items()}  # fmt: skip
    return create_model("Numbers", __config__=ConfigDict(extra="forbid"), **cast("Any", made))


if TYPE_CHECKING:
    Numbers = Any
else:
    Numbers = _numbers()


class DatasheetFile(BaseModel):
    """A whole datasheet."""

    model_config = ConfigDict(extra="forbid")
    name: Word
    title: str = Field(description="what people call it")
    vendor: str = Field(description="who makes it")
    kind: Literal["gpu", "asic", "dataflow"] = Field(description="gpu, asic or dataflow")
    route: Literal["gpu", "systolic", "sram", "grid"] = Field(description="how it runs a graph")
    model: Word | None = None
    notes: list[str] = []
    numbers: Numbers = Field(description="by name, each with value, grade and source")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number or text of a datasheet.

    Attributes:
        value: the number in the base unit, or a text; None where it is unknown.
        low: least that the sources leave open; None where nothing is known.
        high: most that they leave open.
        grade: A to D, or ``none``.
        source: who says so.
        note: what to know about it.
        kind: dimension; None for a text.
    """

    value: float | str | None
    low: float | None
    high: float | None
    grade: str
    source: str
    note: str
    kind: q.Kind | None

    @property
    def is_sure(self) -> bool:
        """Whether it rests on a vendor, a submission or a measurement, and no source disagrees."""
        return self.value is not None and self.grade in ("A", "B") and self.low == self.high

    def text(self) -> str:
        """Return the value with its unit; the range where grade or sources leave one open."""
        if self.kind is None:
            return str(self.value)
        if self.low is None or self.high is None:
            return UNKNOWN
        if self.low == self.high:
            return self.kind.text(self.low)
        said = self.low if self.value is None else self.value
        unit = self.kind.text(float(said)).partition(" ")[2]
        low, high = (f"{float(end / self.kind.units[unit]):.6g}" for end in (self.low, self.high))
        return f"{low}..{high} {unit}".strip()


@dataclass(frozen=True, slots=True, eq=False)
class Datasheet:
    """A system of the catalog.

    Attributes:
        name: of the file.
        title: for people.
        vendor: who makes it.
        kind: ``gpu``, ``asic`` or ``dataflow``, as the field calls it.
        route: how it runs a graph: one of ``ROUTES``.
        model: name of the file that describes it in detail: of a GPU or a chip; empty where
            there is none.
        notes: what to know about the whole.
        figures: by name; what nobody looked for is not there.
    """

    name: str
    title: str
    vendor: str
    kind: str
    route: str
    model: str
    notes: tuple[str, ...]
    figures: Mapping[str, Figure]

    def number(self, name: str) -> float | None:
        """Return a number in its base unit; None where it is unknown."""
        figure = self.figures.get(name)
        return figure.value if figure and isinstance(figure.value, (int, float)) else None

    def ends(self, name: str) -> tuple[float, float] | None:
        """Return the least and the most that a number may be; None where nothing is known."""
        figure = self.figures.get(name)
        if figure is None or figure.low is None or figure.high is None:
            return None
        return figure.low, figure.high

    def unsure(self) -> Iterator[tuple[str, Figure]]:
        """Yield the numbers that are a range."""
        for name, figure in self.figures.items():
            if figure.low is not None and figure.low != figure.high:
                yield name, figure


def datasheet_names() -> tuple[str, ...]:
    """Return the names of the systems of the catalog, in its order."""
    return tuple(DATASHEETS)


def load_datasheet(name: str) -> Datasheet:
    """Return a system of the catalog by its name or another one that it goes by.

    Raises InputError (``chip.datasheet``) for an unknown name.
    """
    word = name.lower()
    if word in DATASHEETS:
        return _from_catalog(word)
    others = {other: known for known, also in DATASHEETS.items() for other in also}
    if word not in others:
        fault = Fault(name, "", nearest(word, (*DATASHEETS, *others)))
        raise InputError("chip.datasheet", "there is no such system", [fault])
    return _from_catalog(others[word])


@cache
def _from_catalog(name: str) -> Datasheet:
    return parse_datasheet((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml")


def parse_datasheet(text: str, file: str = "text") -> Datasheet:
    """Return the system that a text describes; ``file`` is how messages call it.

    Raises InputError (``chip.datasheet``) with all faults at once.
    """
    tree, faults = read(text, file)
    try:
        said = DatasheetFile.model_validate(tree.plain())
    except ValidationError as error:
        faults = [*faults, *faults_of(error, tree, is_whole=True, root=DatasheetFile)]
        said = None
    if said is None or faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise InputError("chip.datasheet", f"{count} in {file}", faults)
    entries = {name: getattr(said.numbers, name) for name in FIELDS}
    return Datasheet(
        said.name, said.title, said.vendor, said.kind, said.route, said.model or "",
        tuple(said.notes),
        {name: _figure(name, entry) for name, entry in entries.items() if entry is not None},
    )  # fmt: skip


def _figure(name: str, entry: Any) -> Figure:
    kind = FIELDS[name][0]
    value = entry.value
    low = high = None if kind is None else value
    ends = getattr(entry, "range", None)
    if ends is not None:
        low, high = ends
    elif kind is not None and value is not None and name not in COUNTS:
        spread = SPREAD.get(entry.grade, 0.0)
        low, high = value * (1 - spread), value * (1 + spread)
    return Figure(value, low, high, entry.grade, entry.source, entry.note or "", kind)
