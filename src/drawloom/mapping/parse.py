"""A mapping's text back to a mapping; ``drawloom.mapping.text`` says what a text looks like."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError, nearest
from drawloom.files import refuse_head
from drawloom.graph.ir import Array, Graph, TensorType
from drawloom.graph.lazy import Held, values
from drawloom.graph.text import hash_of
from drawloom.mapping.body import Body, Slot, Step
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.lines import Bad, Line, Values, made
from drawloom.mapping.mapping import Mapping as ChipMapping
from drawloom.mapping.mapping import Repeat
from drawloom.mapping.pieces import Piece
from drawloom.mapping.text import (
    HEAD,
    PIECES,
    SLOT_LINE,
    STEP_LINE,
    STORAGE_LINE,
    chip_hash,
    fields_of,
    known_contents,
)

KINDS = ("input", "output", "constant", "temporary", "resident")
LAYOUTS = (
    "dense", "rows", "heads", "turned", "image", "weights", "depthwise", "channel", "codes",
)  # fmt: skip


def parse_mapping(
    text: str,
    graph: Graph,
    chip: Chip,
    constants: Mapping[str, Array] | None = None,
    file: str = "text",
) -> ChipMapping:
    """Return the mapping that a text describes.

    Args:
        text: what ``mapping_text(mapping)`` gives.
        graph: the graph that was mapped (``mapping.graph``).
        chip: the chip it was mapped onto.
        constants: contents of the constant storages that have a hash, by the storage's name.
        file: how messages call the text.

    Raises:
        InputError: ``mapping.text``, with every fault and its line.
    """
    head, *rest = text.split("\n")
    if head != HEAD:
        raise refuse_head("mapping.text", "a mapping", file, head, HEAD)
    reader = _Reader(graph, chip, constants or {})
    lines = [Line(number, line) for number, line in enumerate(rest, start=2) if line.strip()]
    reader.read(lines)
    if reader.faults:
        count = "1 fault" if len(reader.faults) == 1 else f"{len(reader.faults)} faults"
        faults = sorted(reader.faults, key=lambda fault: int(fault.path.split()[-1]))
        raise InputError("mapping.text", f"{count} in {file}", faults)
    return reader.mapping()


def hashed_storages(text: str) -> dict[str, TensorType]:
    """Return name and type of each storage whose contents a text gives by hash, skipping bad lines."""
    found: dict[str, TensorType] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        it = Line(number, line)
        if it.accept("storage"):
            try:
                name, _, _, kind = it.word(), it.word(), it.word(), it.type()
            except Bad:
                continue  # parse_mapping names the fault
            if "sha256" in it.tokens:
                found[name] = kind
    return found


class _Reader:
    """A mapping in the making from lines; each faulty line adds a fault, once."""

    def __init__(self, graph: Graph, chip: Chip, constants: Mapping[str, Array]) -> None:
        self.graph, self.chip, self.given = graph, chip, constants
        self.values = Values()
        self.faults: list[Fault] = []
        self.pieces: list[Piece] = []
        self.contents: dict[int, Held] = {}
        self.notes: dict[str, str] = {}
        self.repeats: list[Repeat] = []
        self.once: dict[str, int] = {}

    def mapping(self) -> ChipMapping:
        """Return what was read."""
        return ChipMapping(
            graph=self.graph,
            chip=self.chip,
            pieces=tuple(self.pieces),
            storages=tuple(self.values.storages.values()),
            constants=self.contents,
            dram_bytes=self.once["dram"],
            repeats=tuple(self.repeats),
            notes=self.notes,
        )

    def read(self, lines: list[Line]) -> None:
        """Read all lines; a line and the deeper ones below it are one item."""
        at = 0
        while at < len(lines):
            end = at + 1
            while end < len(lines) and lines[end].indent > 0:
                end += 1
            self._try(lines[at], lambda line, below=lines[at + 1 : end]: self._item(line, below))
            at = end
        for word in ("graph", "chip", "dram"):
            if word not in self.once and not self.faults:
                self.faults.append(Fault("line 1", "", f"no line '{word} ...' below"))
        last = self.repeats[-1].end if self.repeats else 0
        if last > len(self.pieces) and not self.faults:
            self.faults.append(Fault("line 1", f"repeat to {last}", f"{len(self.pieces)} pieces"))

    def _try(self, line: Line, read: Callable[[Line], Any]) -> Any:
        """Return what ``read`` makes of a line; None with its fault noted where it cannot."""
        try:
            return read(line)
        except Bad as bad:
            self.faults.append(Fault(f"line {line.number}", bad.value, bad.allowed))
            return None

    def _item(self, line: Line, below: list[Line]) -> None:
        ways: dict[str, Callable[[Line], None]] = {
            "graph": self._graph,
            "chip": self._chip,
            "dram": self._dram,
            "note": self._note,
            "repeat": self._repeat,
            "storage": self._storage,
        }
        word = line.one_of((*ways, *PIECES))
        if word in PIECES:
            self._piece(PIECES[word], line, below)
            return
        for extra in below:
            self.faults.append(Fault(f"line {extra.number}", extra.peek(), "no indented line here"))
        ways[word](line)
        line.end()

    # Before the pieces.

    def _first(self, word: str, value: int = 0) -> None:
        if word in self.once:
            raise Bad(word, "one such line")
        self.once[word] = value

    def _graph(self, line: Line) -> None:
        self._first("graph")
        name, digest = line.word(), line.hash()
        if digest != hashlib.sha256(self.graph.text().encode()).hexdigest():
            raise Bad(name, f"the graph given, '{self.graph.name}', has another hash")

    def _chip(self, line: Line) -> None:
        from drawloom.chip.text import chip_text  # slow to import

        self._first("chip")
        name, digest = line.word(), line.hash()
        if digest != chip_hash(chip_text(self.chip)):
            raise Bad(name, f"the chip given, '{self.chip.name}', has another hash")

    def _dram(self, line: Line) -> None:
        self._first("dram", line.whole())

    def _note(self, line: Line) -> None:
        key = line.word()
        if key in self.notes:
            raise Bad(key, "a note not there before")
        self.notes[key] = line.word()

    def _repeat(self, line: Line) -> None:
        first, end, count = line.whole(), line.whole(), line.whole()
        done = self.repeats[-1].end if self.repeats else 0
        if not done <= first < end or count < 1:
            raise Bad(f"{first} {end} {count}", f"from piece {done} on, at least one, and a count")
        self.repeats.append(Repeat(first, end, count))

    def _storage(self, line: Line) -> None:
        name = line.word()
        if name in self.values.storages:
            raise Bad(name, "a storage name not used before")
        kind, layout, type_of = line.one_of(KINDS), line.one_of(LAYOUTS), line.type()
        line.expect("at")
        address = line.whole()
        value = line.word() if line.accept("of") else name
        digest = line.hash() if line.peek() == "sha256" else ""
        fixed = (value, type_of.dtype, type_of.shape, layout, self.chip.blocking, address, kind)
        more = self.values.pairs(line, Storage)
        storage = made(Storage, more | dict(zip(STORAGE_LINE, fixed, strict=True)))
        self.values.storages[name] = storage
        if kind == "constant":
            self.contents[address] = self._contents(name, value, type_of, digest)

    def _contents(self, name: str, value: str, kind: TensorType, digest: str) -> Held:
        array = self.given.get(name) if digest else known_contents(self.graph, value, kind)
        if array is None and digest:
            raise Bad(name, "its contents were not given")
        if array is None:
            raise Bad(
                value, f"no such constant in the graph; {nearest(value, self.graph.constants)}"
            )
        if digest and (array.dtype != kind.dtype.numpy or array.shape != kind.shape):
            raise Bad(name, f"its contents are not {kind.text()}")
        if digest and hash_of(values(array)) != digest:
            raise Bad(name, "its contents have another hash")
        return array

    # Pieces.

    def _piece(self, kind: type[Piece], line: Line, below: list[Line]) -> None:
        before = len(self.faults)
        given: dict[str, Any] = {"name": line.word()}
        line.end()
        inside: list[Line] = []
        for field_line in below:
            if field_line.indent > 2:
                inside.append(field_line)
            else:
                self._try(field_line, lambda it: self._field(kind, it, given))
        self._bodies(kind, inside, given)
        if len(self.faults) == before:
            self.pieces.append(made(kind, given))

    def _field(self, kind: type[Piece], line: Line, given: dict[str, Any]) -> None:
        known = fields_of(kind)
        if line.peek(1) == "=" or line.peek() not in known:
            pairs = self.values.pairs(line, kind)
            _no_repeat(pairs, given)
            given.update(pairs)
            return
        field = known[line.take()]
        match field.form:
            case "part":
                _no_repeat((field.name,), given)
                given[field.name] = made(field.hint, self.values.pairs(line, field.hint))
            case "list":
                item = made(field.hint, self.values.pairs(line, field.hint))
                given[field.name] = (*given.get(field.name, ()), item)
            case "table":
                key = line.word()
                table = given.setdefault(field.name, {})
                _no_repeat((key,), table)
                table[key] = self._entry(field.hint, key, line)
            case "body":
                _no_repeat((field.name,), given)
                given[field.name] = Body()
            case _:
                raise Bad(field.name, f"'{field.name}=...'")
        line.end()

    def _entry(self, hint: Any, key: str, line: Line) -> Any:
        if hint in _PLAIN or not isinstance(hint, type) or hint is Storage:
            return self.values.value(line, hint)
        name = {"name": key} if "name" in fields_of(hint) else {}
        return made(hint, self.values.pairs(line, hint) | name)

    def _bodies(self, kind: type[Piece], inside: list[Line], given: dict[str, Any]) -> None:
        name = next((f.name for f in fields_of(kind).values() if f.form == "body"), "")
        if name not in given:
            for line in inside:
                self.faults.append(Fault(f"line {line.number}", line.peek(), "'body' before it"))
            return
        heads = [line for line in inside if line.peek() == "slots" and line.peek(1) != "="]
        slots = [slot for line in heads for slot in self._try(line, self._slots) or ()]
        body = _BodyReader(self.values, {slot.name for slot in slots})
        for line in inside:
            if line not in heads:
                self._try(line, body.read)
        given[name] = Body(tuple(slots), tuple(body.steps), tuple(body.loads), tuple(body.stores))

    def _slots(self, line: Line) -> list[Slot]:
        line.expect("slots")
        kind, fmt = line.word(), line.word()
        names = line.items("[", "]", line.word)
        more = self.values.pairs(line, Slot)
        fixed = dict.fromkeys(SLOT_LINE, "")
        return [made(Slot, fixed | more | {"name": n, "kind": kind, "fmt": fmt}) for n in names]


_PLAIN = (str, int, float, bool)


def _no_repeat(keys: Any, given: Mapping[str, Any]) -> None:
    for key in keys:
        if key in given:
            raise Bad(key, "a key not used before")


class _BodyReader:
    """The steps, loads and stores of a body."""

    def __init__(self, values: Values, slots: set[str]) -> None:
        self.values, self.slots = values, slots
        self.steps: list[Step] = []
        self.loads: list[tuple[str, str]] = []
        self.stores: list[tuple[str, str]] = []

    def read(self, line: Line) -> None:
        """Read one line."""
        word = line.peek()
        if line.peek(1) != "=" and word in ("load", "store"):
            line.take()
            slot = line.one_of(self.slots)
            line.expect("<-" if word == "load" else "->")
            (self.loads if word == "load" else self.stores).append((slot, line.word()))
            line.end()
            return
        self.steps.append(self._step(line))

    def _step(self, line: Line) -> Step:
        dst = line.one_of(self.slots)
        line.expect("=")
        op = line.word()
        operands: list[str] = []
        scalar: float | None = None
        line.expect("(")
        while not line.accept(")"):
            if line.is_number() and scalar is None:
                scalar = line.real()
            else:
                operands.append(line.one_of(self.slots))
            if line.peek() != ")":
                line.expect(",")
        if not 1 <= len(operands) <= 2:
            raise Bad(f"{len(operands)} slots", "one or two")
        node = line.word() if line.accept("for") else ""
        fixed = (op, dst, operands[0], operands[1] if len(operands) > 1 else "", scalar, node)
        return made(Step, self.values.pairs(line, Step) | dict(zip(STEP_LINE, fixed, strict=True)))
