"""A fused body: vector steps over the scratchpad buffers of one chunk.

    body  ::= slots, steps, loads: (slot <- value)*, stores: (slot -> value)*
    slot  ::= name, kind, fmt
    kind  ::= full      every element of the chunk
            | stat      one value a row (blocked, one channel)
            | wide      a stat spread over one channel block (and over the tail block)
            | channel   one value a channel, constant, loaded once
    step  ::= dst = op(a [, b | scalar])

``reduce.max`` and ``reduce.sum`` make a stat of a full slot, ``spread`` makes it wide,
``turn`` exchanges the halves of each row, ``select`` copies a over dst where the mask b is
not zero. All other ops are vector commands. A step between a full and a wide or channel slot runs block by block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.layout import Blocked
from drawloom.chip.model import Blocking

_FLOATS = frozenset(("f16", "bf16", "f32"))
_EXACT = frozenset(("relu", "abs", "neg"))  # of floats: what they were given, or its other sign
_WHOLE = frozenset(("copy", "convert", "select", "spread", "turn"))  # of one format in and out


@dataclass(frozen=True, slots=True)
class Slot:
    """A scratchpad buffer of a body."""

    name: str
    kind: str
    fmt: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step; ``b`` is a slot or empty, ``node`` the graph node it is for."""

    op: str
    dst: str
    a: str
    b: str = ""
    scalar: float | None = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class Body:
    """Steps with their slots, the values they load and the values they store."""

    slots: tuple[Slot, ...] = ()
    steps: tuple[Step, ...] = ()
    loads: tuple[tuple[str, str], ...] = ()  # (slot, value)
    stores: tuple[tuple[str, str], ...] = ()  # (slot, value)

    def slot(self, name: str) -> Slot:
        """Return a slot by name."""
        return next(slot for slot in self.slots if slot.name == name)

    @property
    def has_rows(self) -> bool:
        """Whether a step needs whole rows (reduces or spreads over channels)."""
        return any(
            step.op.startswith("reduce.") or step.op in ("spread", "turn") for step in self.steps
        )

    def text(self) -> str:
        """Return the steps, one a line."""
        lines = [f"load {slot} <- {value}" for slot, value in self.loads]
        for step in self.steps:
            more = "".join(f", {x}" for x in (step.b, step.scalar) if x not in ("", None))
            lines.append(f"{step.dst} = {step.op}({step.a}{more})")
        lines += [f"store {slot} -> {value}" for slot, value in self.stores]
        return "\n".join(lines)


def slot_elements(blocking: Blocking, slot: Slot, rows: int, channels: int, *, flat: bool) -> int:
    """Elements of a slot's buffer for a chunk, padding included."""
    element = FORMAT_BYTES[slot.fmt]
    shape = Blocked(blocking, 1, rows, channels, element)
    match slot.kind:
        case "full":
            return rows * channels if flat else rows * shape.width
        case "stat":
            return rows * blocking.min_tail
        case "wide":
            narrow = shape.tail if shape.tail != shape.block else 0
            return rows * (
                (shape.block if shape.full else shape.tail) + (narrow if shape.full else 0)
            )
        case _:
            return (shape.full + (1 if shape.tail else 0)) * shape.block


class BodyBuilder:
    """Collects slots and steps while rules lower nodes one after the other."""

    def __init__(self) -> None:
        """Start an empty body."""
        self.slots: dict[str, Slot] = {}
        self.steps: list[Step] = []
        self.loads: dict[str, str] = {}
        self.at: dict[str, str] = {}  # graph value -> slot
        self.node = ""

    def new(self, kind: str, fmt: str) -> str:
        """Make a fresh slot."""
        name = f"t{len(self.slots)}"
        self.slots[name] = Slot(name, kind, fmt)
        return name

    def load(self, value: str, kind: str, fmt: str) -> str:
        """Return the slot that holds a value from outside, loading it once."""
        key = f"{value}#{kind}"
        if key not in self.at:
            slot = self.new(kind, fmt)
            self.at[key] = slot
            self.loads[slot] = value
        return self.at[key]

    def op(
        self, op: str, a: str, b: str = "", *, scalar: float | None = None, fmt: str = ""
    ) -> str:
        """Add a vector step and return its result slot."""
        first = self.slots[a]
        kinds = [first.kind] + ([self.slots[b].kind] if b else [])
        dst = self.new(_result_kind(kinds), fmt or first.fmt)
        self.steps.append(Step(op, dst, a, b, scalar, self.node))
        return dst

    def convert(self, a: str, fmt: str) -> str:
        """Return ``a`` in another format."""
        return a if self.slots[a].fmt == fmt else self.op("convert", a, fmt=fmt)

    def reduce(self, op: str, a: str) -> str:
        """Reduce a full slot over its channels to a stat (``sum``, ``max`` or ``min``)."""
        dst = self.new("stat", self.slots[a].fmt)
        self.steps.append(Step(f"reduce.{op}", dst, a, node=self.node))
        return dst

    def spread(self, a: str) -> str:
        """Spread a stat over a channel block."""
        dst = self.new("wide", self.slots[a].fmt)
        self.steps.append(Step("spread", dst, a, node=self.node))
        return dst

    def turn(self, a: str) -> str:
        """Exchange the halves of each row of a full slot."""
        dst = self.new("full", self.slots[a].fmt)
        self.steps.append(Step("turn", dst, a, node=self.node))
        return dst

    def select(self, mask: str, yes: str, no: str) -> str:
        """Return ``yes`` where the byte mask is not zero, else ``no``."""
        dst = self.op("copy", no)
        self.steps.append(Step("select", dst, yes, mask, node=self.node))
        return dst

    def finish(self, stores: tuple[tuple[str, str], ...]) -> Body:
        """Return the body, with only the slots that are used."""
        self.steps = _narrowed(self.steps, self.slots, {slot for slot, _ in stores})
        used = {s for step in self.steps for s in (step.dst, step.a, step.b)} | {
            s for s, _ in stores
        }
        slots = tuple(slot for slot in self.slots.values() if slot.name in used)
        loads = tuple((slot, value) for slot, value in self.loads.items() if slot in used)
        return Body(slots, tuple(self.steps), loads, stores)


def _narrowed(steps: list[Step], slots: Mapping[str, Slot], kept: Container[str]) -> list[Step]:
    """Let a step give its result in the format to which only a conversion takes it.

    So does one in f32 whose result goes to fewer bits, and is rounded once where it was rounded to
    f32 before, and one that rounds nothing.
    """
    reads = Counter(name for step in steps for name in (step.a, step.b) if name)
    reads.update(step.dst for step in steps if step.op == "select")
    maker = {step.dst: at for at, step in enumerate(steps)}
    out: list[Step | None] = list(steps)
    for at, step in enumerate(steps):
        before = maker.get(step.a, -1)
        if step.op != "convert" or before < 0 or reads[step.a] > 1 or step.a in kept:
            continue
        given = out[before]
        if given is None or given.op[:6] == "reduce":
            continue
        fmt, narrow = slots[step.a].fmt, slots[step.dst].fmt
        # The other way a step would leave out what its format takes from a value.
        narrows = fmt == "f32" and narrow in _FLOATS and given.op not in _WHOLE
        # What is exact rounds once in any case.
        exact = fmt in _FLOATS and given.op in _EXACT and slots[given.a].fmt == fmt
        if narrows or exact:
            # It keeps its place: what it reads may be written over behind it.
            out[before], out[at] = replace(given, dst=step.dst), None
            maker[step.dst] = before
    return [step for step in out if step is not None]


def _result_kind(kinds: list[str]) -> str:
    order = ("full", "wide", "stat", "channel")
    return min(kinds, key=order.index)
