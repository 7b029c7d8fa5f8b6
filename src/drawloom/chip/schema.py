"""What a chip file may say: one pydantic model per part of ``Chip``, one kind of quantity a field.

The models check and describe; they hold no hardware. ``ChipFile`` is the whole
file with every ``extends`` already resolved. Each field's description is what
an editor shows (``chip_schema``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from drawloom.chip import model
from drawloom.chip import quantity as q

T = TypeVar("T")
Grade = Literal["A", "B", "C", "D", "E", "F"]
Format = Literal["f32", "tf32", "f16", "bf16", "f8", "i32", "i16", "u16", "i8", "u8", "i4"]
# The words of vector commands, and the two commands that are not elementwise.
Rated = Literal[
    "copy", "convert", "abs", "neg", "sqrt", "rsqrt", "reciprocal", "square", "exp", "exp2", "log",
    "log2", "sin", "cos", "tanh", "sigmoid", "relu", "softplus", "floor", "ceil", "round", "trunc",
    "sign", "isnan", "not", "add", "sub", "rsub", "mul", "div", "rdiv", "max", "min", "eq", "ne",
    "gt", "ge", "lt", "le", "and", "or", "xor", "reduce", "pool",
]  # fmt: skip
Word = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]


@dataclass(frozen=True, slots=True)
class Of:
    """Marks a field as a quantity of a kind, so that pydantic reads its text as one."""

    kind: q.Kind

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _core: Any, _handler: Any) -> dict[str, Any]:
        """Tell an editor what a quantity looks like: a text with a unit, or a plain number."""
        types = ["string"] if self.kind.printed[-1] else ["number", "string"]
        what = self.kind
        return {"type": types, "description": what.allowed, "examples": [what.example]}

    def read(self, raw: object) -> int | float:
        """Return the number that a text means."""
        try:
            return self.kind.parse(raw if isinstance(raw, str) else "")
        except q.QuantityError as error:
            raise PydanticCustomError("quantity", "{allowed}", {"allowed": str(error)}) from None


def _entry(raw: object) -> object:
    """Return a bare number as the entry that it stands for."""
    return cast("object", raw) if isinstance(raw, dict) else {"value": raw}


class Entry(BaseModel, Generic[T]):
    """One number: alone, or with where it came from, how sure it is and its range."""

    model_config = ConfigDict(extra="forbid")
    value: T
    source: str | None = None
    grade: Grade | None = None
    range: tuple[T, T] | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, raw: object) -> object:
        return _entry(raw)

    @field_validator("range")
    @classmethod
    def _holds_value(cls, ends: tuple[float, float] | None, info: ValidationInfo) -> object:
        value = info.data.get("value")
        if ends is not None and value is not None and not ends[0] <= value <= ends[1]:
            raise PydanticCustomError("range", "the range must hold the value, low end first")
        return ends


class ListEntry(BaseModel):
    """A list of whole numbers, alone or with where it came from."""

    model_config = ConfigDict(extra="forbid")
    KIND: ClassVar[q.Kind] = q.POSITIVE
    value: list[Annotated[int, Of(q.POSITIVE)]]
    source: str | None = None
    grade: Grade | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, raw: object) -> object:
        return _entry(raw)


Count = Entry[Annotated[int, Of(q.COUNT)]]
Positive = Entry[Annotated[int, Of(q.POSITIVE)]]
Size = Entry[Annotated[int, Of(q.SIZE)]]
PositiveSize = Entry[Annotated[int, Of(q.POSITIVE_SIZE)]]
CycleCount = Entry[Annotated[int, Of(q.CYCLES)]]
PositiveCycles = Entry[Annotated[int, Of(q.POSITIVE_CYCLES)]]
Frequency = Entry[Annotated[int, Of(q.FREQUENCY)]]
Time = Entry[Annotated[int, Of(q.TIME)]]
Rate = Entry[Annotated[int, Of(q.RATE)]]
Width = Entry[Annotated[int, Of(q.WIDTH)]]
Macs = Entry[Annotated[int, Of(q.MACS)]]
Lanes = Entry[Annotated[int, Of(q.LANES)]]
PerElement = Entry[Annotated[float, Of(q.PER_ELEMENT)]]
Share = Entry[Annotated[float, Of(q.SHARE)]]
Power = Entry[Annotated[float, Of(q.POWER)]]
PerMac = Entry[Annotated[float, Of(q.PER_MAC)]]
ElementEnergy = Entry[Annotated[float, Of(q.ENERGY_ELEMENT)]]
CycleEnergy = Entry[Annotated[float, Of(q.ENERGY_CYCLE)]]
ByteEnergy = Entry[Annotated[float, Of(q.PER_BYTE)]]
HopEnergy = Entry[Annotated[float, Of(q.PER_BYTE_HOP)]]


def about(text: str) -> Any:
    """Return a required field with its description."""
    return Field(description=text)


def _rule(text: str) -> PydanticCustomError:
    """Return the error of a rule that binds several fields."""
    return PydanticCustomError("rule", "{text}", {"text": text})


class Section(BaseModel):
    """A part of the file that becomes one part of ``Chip``."""

    model_config = ConfigDict(extra="forbid")
    MAKES: ClassVar[type] = object


class ScratchpadPart(Section):
    """A tile's software-managed memory."""

    MAKES: ClassVar[type] = model.Scratchpad
    bytes: PositiveSize = about("size of one tile's scratchpad")
    reserve_low: Size = about("bytes at the bottom that programs must leave alone")
    reserve_high: Size = about("bytes at the top that programs must leave alone")
    banks: Positive = about("number of banks")
    line: PositiveSize = about("bytes after which the next bank follows")

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.reserve_low.value + self.reserve_high.value >= self.bytes.value:
            raise _rule("bytes must be more than reserve_low and reserve_high together")
        return self


class MatrixPart(Section):
    """The engine for GEMM and convolution."""

    MAKES: ClassVar[type] = model.MatrixEngine
    macs_per_cycle: dict[Format, Macs] = about("multiply-adds a cycle on one tile, by format")
    block: Positive = about("M, N and K round up to this many elements")
    start: CycleCount = about("cycles before the first multiply-add of a command")
    bubble_every: PositiveCycles = about("one cycle is lost per this many working cycles")
    fixed: CycleCount = about("the most cycles that start and lost cycles come to")
    psum_fixed: CycleCount = about("further cycles when partial sums are read back")
    depthwise_rate: Macs = about("multiply-adds a cycle in depthwise convolution")
    depth: Positive = about("commands the queue holds")

    @model_validator(mode="after")
    def _has_f16(self) -> Self:
        if "f16" not in self.macs_per_cycle:
            raise _rule("macs_per_cycle must hold f16, by which peaks are stated")
        return self


class VectorPart(Section):
    """The engine for elementwise work, reductions, conversion and pooling."""

    MAKES: ClassVar[type] = model.VectorEngine
    lanes_16: Lanes = about("elements a cycle of formats of 16 bits and fewer")
    lanes_32: Lanes = about("elements a cycle of 32-bit formats")
    fixed: CycleCount = about("cycles of configuration, fill and drain of each command")
    rates: dict[Rated, Positive] = about("passes over the data by operation; absent means 1")
    depth: Positive = about("commands the queue holds")


class DmaPart(Section):
    """An engine between DRAM and scratchpad."""

    MAKES: ClassVar[type] = model.DmaEngine
    latency: CycleCount = about("cycles of a command before its bytes flow")
    depth: Positive = about("commands the queue holds")


class MovePart(Section):
    """The engine that moves inside one scratchpad."""

    MAKES: ClassVar[type] = model.MoveEngine
    fixed: CycleCount = about("cycles of each command before it moves anything")
    bytes_per_cycle: Width = about("bytes it copies in a cycle")
    inner_cycles: CycleCount = about("least cycles for each contiguous run")
    max_inner_moves: Positive = about("most contiguous runs in one command")
    max_bytes: PositiveSize = about("most bytes in one command")
    depth: Positive = about("commands the queue holds")


class SendPart(Section):
    """The engine from tile to tile."""

    MAKES: ClassVar[type] = model.SendEngine
    efficiency: Share = about("share of a link's rate that a transfer reaches")
    fanout: ListEntry = about("numbers of targets that one command may have")
    depth: Positive = about("commands the queue holds")


class CpuPart(Section):
    """The tile's own processor."""

    MAKES: ClassVar[type] = model.TileCpu
    cycles_per_element: dict[Word, PerElement] = about("by CPU operation; 'default' for the rest")
    start: CycleCount = about("cycles before the first element")

    @model_validator(mode="after")
    def _has_default(self) -> Self:
        if "default" not in self.cycles_per_element:
            raise _rule("cycles_per_element must hold default")
        return self


class NocPart(Section):
    """The mesh inside the chip."""

    MAKES: ClassVar[type] = model.Noc
    bytes_per_cycle: Width = about("bytes a cycle over one link in one direction")
    hop: CycleCount = about("cycles from one tile to its neighbour")


class DramPart(Section):
    """The chip's memory, shared by all tiles."""

    MAKES: ClassVar[type] = model.Dram
    bytes: PositiveSize = about("capacity of one chip")
    peak: Rate = about("rate that the vendor states")
    read: Rate = about("rate reached by reads of all tiles together")
    write: Rate = about("rate reached by writes of all tiles together")
    combined: Rate = about("ceiling of reads and writes together")
    port: Rate = about("ceiling of one tile, each direction")
    segment: Time = about("cost of each contiguous run")
    align: PositiveSize = about("alignment at which runs are efficient")

    @model_validator(mode="after")
    def _below_peak(self) -> Self:
        if max(self.read.value, self.write.value, self.combined.value) > self.peak.value:
            raise _rule("read, write and combined must not pass peak")
        return self


class ProfilePart(Section):
    """What the software on a tile costs."""

    MAKES: ClassVar[type] = model.Profile
    issue: CycleCount = about("cycles to hand one command to an engine")
    message: CycleCount = about("cycles of software for each tile-to-tile command")
    first_message: CycleCount = about("the same, for each tile's first")
    signal: CycleCount = about("cycles to raise a counter of another tile by one")
    wait: CycleCount = about("cycles to read a counter or a queue that is ready already")
    barrier: CycleCount = about("cycles of a barrier once all tiles are there")
    launch: Time = about("from the host's call to the first command")


class BlockingPart(Section):
    """The channel-blocked layout."""

    MAKES: ClassVar[type] = model.Blocking
    block: Positive = about("elements in a block")
    block_8bit: Positive = about("elements in a block of an 8-bit format")
    min_tail: Positive = about("fewest elements that a tail block is padded to")
    align: PositiveSize = about("alignment of blocked operands and of each batch")

    @model_validator(mode="after")
    def _tail_fits(self) -> Self:
        if self.min_tail.value > min(self.block.value, self.block_8bit.value):
            raise _rule("min_tail must not pass block or block_8bit")
        return self


class EnergyPart(Section):
    """Energy of each event, and idle power; a value without a range is taken as exact."""

    MAKES: ClassVar[type] = model.Energy
    matrix_per_mac: dict[Format, PerMac] = about("energy of one multiply-add, by format")
    vector_per_element: ElementEnergy = about("energy of one element in one pass")
    cpu_per_cycle: CycleEnergy = about("energy of one cycle of one tile's processor")
    scratchpad_per_byte: ByteEnergy = about("energy of one byte read or written")
    dram_per_byte: ByteEnergy = about("energy of one byte to or from DRAM")
    noc_per_byte_hop: HopEnergy = about("energy of one byte over one link")
    idle_watts: Power = about("power of the chip that does nothing")
    cap_watts: Power = about("power limit of the chip")


class LimitsPart(Section):
    """Largest sizes that one command may have."""

    MAKES: ClassVar[type] = model.Limits
    rows: Positive = about("N, H, W and batch")
    channels: Positive = about("C and K")
    pad: Count = about("padding on one side")
    kernel: Positive = about("kernel height or width")
    stride: Positive = about("stride or dilation")


class ChipFile(Section):
    """A whole chip."""

    MAKES: ClassVar[type] = model.Chip
    name: Word = about("word by which the chip is called")
    title: str = about("one line for tables and reports")
    rows: Positive = about("tiles in a column of the mesh")
    cols: Positive = about("tiles in a row of the mesh")
    clock: Frequency = about("clock of tiles and mesh")
    scratchpad: ScratchpadPart
    matrix: MatrixPart
    vector: VectorPart
    dram_read: DmaPart
    dram_write: DmaPart
    move: MovePart
    send: SendPart
    cpu: CpuPart
    noc: NocPart
    dram: DramPart
    profiles: dict[Word, ProfilePart] = about("software profiles; the first is the default")
    blocking: BlockingPart
    energy: EnergyPart
    limits: LimitsPart

    @model_validator(mode="after")
    def _prices_every_format(self) -> Self:
        without = [f for f in self.matrix.macs_per_cycle if f not in self.energy.matrix_per_mac]
        if without:
            raise _rule(f"energy.matrix_per_mac must hold {', '.join(without)}, as matrix does")
        if not self.profiles:
            raise _rule("profiles must hold at least one")
        return self


def kind_of(entry: type[BaseModel]) -> q.Kind:
    """Return the kind of quantity that an entry's model reads."""
    if entry is ListEntry:
        return ListEntry.KIND
    return next(m.kind for m in entry.model_fields["value"].metadata if isinstance(m, Of))


def _relax(schema: dict[str, Any]) -> None:
    """Let an editor accept a file that extends another: only an entry's value stays required."""
    if schema.get("required") != ["value"]:
        schema.pop("required", None)


def chip_schema() -> dict[str, Any]:
    """Return the JSON schema of chip files, for editors.

    A number may stand alone or as an entry. Nothing but an entry's value is required, since a
    file may extend another; what a file without ``extends`` lacks is found on loading.
    """
    schema = ChipFile.model_json_schema()
    for part in schema["$defs"].values():
        _relax(part)
        if "value" in part["properties"]:
            bare = dict(part["properties"]["value"])
            title = part.pop("title")
            part |= {"anyOf": [bare, {k: part.pop(k) for k in tuple(part)}], "title": title}
    _relax(schema)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "a chip of the catalog, or the path of a chip file, to start from",
    }
    schema["properties"]["format"] = {
        "enum": [1],
        "description": "version of the format of chip files; 1 where it is left out",
    }
    schema["patternProperties"] = {r"^[a-z_]+(\.\w+)+$": {"description": "a field by its path"}}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "drawloom chip"
    return schema
