"""Sound files with a few things altered, from a seed; a mutant can be made again from its name.

A mutation is a kind and a number; every choice in it is made by a generator of that number, so
that it means the same whatever the others are and can be left out to find the one that matters.
"""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message
from onnx import ModelProto

EDGES = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WIDE = (*EDGES, 1 << 40, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
PATHS = (
    "../secret.bin",
    "/etc/passwd",
    "link.bin",
    "",
    ".",
    "x/../../secret.bin",
    "data.bin\0",
    "a" * 3000,
    ".." * 99,
)
# How many of the mutants are of each format.
SHARES = {".onnx": 6, ".safetensors": 3, ".gguf": 1}
# What lies in ``data.bin`` beside each mutant.
DATA = bytes(range(48))
WORDS = ("", "x", "y", "w", "Relu", "ai.onnx", "com.acme", "\x00", "é" * 40, "a" * 3000)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One alteration: a kind of ``KINDS`` and the number that decides the rest."""

    kind: str
    number: int

    def text(self) -> str:
        """Return ``flip:17``."""
        return f"{self.kind}:{self.number}"

    @staticmethod
    def parse(word: str) -> Mutation:
        """Return the mutation that ``text`` prints."""
        kind, number = word.split(":")
        return Mutation(kind, int(number))


@dataclass(frozen=True, slots=True)
class Mutant:
    """A seed file by its name, and what is altered in it, in order."""

    seed: str
    mutations: tuple[Mutation, ...]

    def text(self) -> str:
        """Return the mutant's name: ``digits flip:17 cut:3``."""
        return " ".join([self.seed, *(m.text() for m in self.mutations)])

    @staticmethod
    def parse(line: str) -> Mutant:
        """Return the mutant of a name."""
        seed, *words = line.split()
        return Mutant(seed, tuple(Mutation.parse(word) for word in words))

    def bytes(self, seeds: Mapping[str, bytes]) -> bytes:
        """Return the altered file; ``seeds`` are all files, of which one may borrow."""
        raw = seeds[self.seed]
        donors = [seeds[name] for name in sorted(seeds)]
        for mutation in self.mutations:
            rng = random.Random(mutation.number)
            raw = KINDS[mutation.kind](raw, rng, donors)
        return raw

    def without(self) -> list[Mutant]:
        """Return the mutants with one mutation fewer."""
        n = len(self.mutations)
        rest = (self.mutations[:i] + self.mutations[i + 1 :] for i in range(n))
        return [Mutant(self.seed, left) for left in rest]


def draw(seed: int, number: int, kinds_of: Mapping[str, Sequence[str]]) -> Mutant:
    """Return mutant ``number`` of a run.

    Args:
        seed: of the run.
        number: which mutant.
        kinds_of: the kinds of mutation that suit each seed file.
    """
    rng = random.Random(f"{seed}/{number}")
    (ending,) = rng.choices(list(SHARES), list(SHARES.values()))
    name = rng.choice([name for name in sorted(kinds_of) if name.endswith(ending)])
    count = rng.choice((1, 1, 1, 2, 2, 3, 5))
    chosen = [rng.choice(kinds_of[name]) for _ in range(count)]
    return Mutant(name, tuple(Mutation(kind, rng.randrange(1 << 32)) for kind in chosen))


# --- any bytes ----------------------------------------------------------------


def _flip(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    out = bytearray(raw)
    for _i in range(rng.choice((1, 1, 2, 8)) if raw else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _set(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    if not raw:
        return raw
    at = rng.randrange(min(len(raw), rng.choice((16, 256, len(raw)))))
    return raw[:at] + bytes([rng.choice((*EDGES[:7], 0x7B, 0x22))]) + raw[at + 1 :]


def _cut(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _insert(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.randbytes(rng.choice((1, 2, 8, 64))) + raw[at:]


def _delete(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + raw[at + rng.choice((1, 2, 4, 8, 32)) :]


def _double(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    at, to = rng.randrange(len(raw) + 1), rng.randrange(len(raw) + 1)
    return raw[:to] + raw[at : at + rng.choice((1, 4, 16, 200))] + raw[to:]


def _splice(raw: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    other = rng.choice(donors)
    at, of = rng.randrange(len(raw) + 1), rng.randrange(len(other) + 1)
    size = rng.choice((4, 16, 64, 512))
    return raw[:at] + other[of : of + size] + raw[at + size * rng.randrange(2) :]


def _number(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Write a 4- or 8-byte number somewhere, such as a length or an offset."""
    size = rng.choice((4, 8))
    if len(raw) < size:
        return raw
    at = rng.randrange(min(len(raw) - size + 1, rng.choice((16, 400, len(raw)))))
    value = rng.choice((*WIDE, len(raw), len(raw) - 8, len(raw) + 1, rng.randrange(1 << 64)))
    return raw[:at] + (value % (1 << 8 * size)).to_bytes(size, "little") + raw[at + size :]


# --- protobuf: a field of some message in the model ---------------------------


def _messages(message: Message) -> list[Message]:
    found, todo = [], [message]
    while todo:
        found.append(one := todo.pop())
        for field, value in one.ListFields():
            if field.type == field.TYPE_MESSAGE:
                todo += [value] if isinstance(value, Message) else list(value)
    return found


def _field(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Alter, double or drop one field of one message, lengths put right."""
    model = ModelProto()
    try:
        model.ParseFromString(raw)
    except (DecodeError, ValueError):
        return raw
    messages = [m for m in _messages(model) if m.ListFields()]
    if not messages:
        return raw
    message = rng.choice(messages)
    field, value = rng.choice(message.ListFields())
    try:
        _alter(message, field, value, rng)
        return model.SerializeToString()
    except (ValueError, TypeError, OverflowError):
        return raw


def _alter(message: Message, field: Any, value: Any, rng: random.Random) -> None:
    if isinstance(value, (int, float, str, bytes, Message)):
        _alter_one(message, field, value, rng)
    elif rng.random() < 0.2:
        del value[rng.randrange(len(value))]
    elif field.type == field.TYPE_MESSAGE:
        if rng.random() < 0.5:
            value.add().CopyFrom(value[rng.randrange(len(value))])
        else:
            value[rng.randrange(len(value))].CopyFrom(value[rng.randrange(len(value))])
    elif rng.random() < 0.3:
        value.append(value[0])
    else:
        value[rng.randrange(len(value))] = _other(field, value[0], rng)


def _alter_one(message: Message, field: Any, value: Any, rng: random.Random) -> None:
    if isinstance(value, Message) or rng.random() < 0.15:
        message.ClearField(field.name)
    elif type(message).__name__ == "StringStringEntryProto" and rng.random() < 0.7:
        places = (*PATHS, "9" * 30, "1" * 5000, "-1", "0x10", "4", "1e9")
        setattr(message, field.name, rng.choice(places))
    else:
        setattr(message, field.name, _other(field, value, rng))


def _other(field: Any, value: Any, rng: random.Random) -> Any:
    if isinstance(value, (bytes, str)):
        text = value if isinstance(value, bytes) else value.encode()
        made = rng.choice((text[:-1], text * 2, rng.choice(WORDS).encode(), rng.randbytes(4)))
        return made if isinstance(value, bytes) else made.decode(errors="replace")
    if isinstance(value, float):
        return rng.choice((0.0, -1.0, 1e38, float("nan"), float("inf"), 1e-40, value * 2))
    small = (value - 1, value + 1, -value, -1, 0, 1, 2, 3, 7, 10, 16, rng.randrange(30))
    if field.type in (field.TYPE_ENUM, field.TYPE_INT32):
        return rng.choice((*small, 1 << 30, -(1 << 31)))
    return rng.choice((*small, *small, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63)))


# --- JSON: the header of a safetensors file -----------------------------------

_JSON_NUMBER = re.compile(rb"-?\d+")
_VALUES = (-1, 0, 1, 3, 2.0, 1 << 31, 1 << 62, 1 << 64, 10**400, None, True, "4", [], {}, [[1]])
_DTYPES = ("F32", "F16", "BF16", "F64", "U8", "BOOL", "I64", "F8_E4M3", "F4", "f32", "", "C64")


def _header(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Alter the header's table, its size put right."""
    if len(raw) < 8:
        return raw
    size = struct.unpack("<Q", raw[:8])[0]
    try:
        table = json.loads(raw[8 : 8 + size])
        _alter_table(table, rng)
        made = json.dumps(table).encode()
    except (ValueError, RecursionError, AttributeError, TypeError, LookupError):
        return raw
    return struct.pack("<Q", len(made)) + made + raw[8 + size :]


def _alter_table(table: dict[str, Any], rng: random.Random) -> None:
    name = rng.choice(list(table))
    entry = table[name]
    change = rng.randrange(5)
    if change == 0:
        del table[name]
    elif change == 1:
        table[rng.choice(WORDS)] = entry
    elif change == 2:
        entry["dtype"] = rng.choice(_DTYPES)
    elif change == 3:
        entry[rng.choice(list(entry))] = rng.choice(_VALUES)
    else:
        numbers = entry[rng.choice(("shape", "data_offsets"))]
        numbers[rng.randrange(len(numbers))] = rng.choice((*_VALUES, rng.randrange(64)))


def _digits(raw: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Put another number where digits stand, the header's size left as it is."""
    found = list(_JSON_NUMBER.finditer(raw, 0, 4096))
    if not found:
        return raw
    match = rng.choice(found)
    word = rng.choice(("0", "-1", "1e3", "1e999", "18446744073709551616", "NaN", "5", "00"))
    return raw[: match.start()] + word.encode() + raw[match.end() :]


Change = Callable[[bytes, random.Random, Sequence[bytes]], bytes]
KINDS: dict[str, Change] = {
    "flip": _flip,
    "set": _set,
    "cut": _cut,
    "insert": _insert,
    "delete": _delete,
    "double": _double,
    "splice": _splice,
    "number": _number,
    "field": _field,
    "header": _header,
    "digits": _digits,
}
BYTES = ("flip", "set", "cut", "insert", "delete", "double", "splice", "number")
"""Kinds that suit any file."""
