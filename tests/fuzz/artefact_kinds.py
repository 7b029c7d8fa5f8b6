"""How artefacts of drawloom are altered so that they still look whole: hashes and sizes put right."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from tests.fuzz.mutants import BYTES, KINDS, WIDE, Mutant, Mutation

from drawloom.errors import InputError
from drawloom.program.addresses import address_fields
from drawloom.program.binary import HASH_BYTES, MAGIC, encode
from drawloom.program.commands import Affine, Command, Loop, Stream
from drawloom.program.decode import decode
from drawloom.program.vector_ops import VECTOR_OPS

Donors = Sequence[bytes]
_NUMBER = re.compile(rb"-?\b(?:0x[0-9a-f]+|\d+)\b")
_WORD = re.compile(rb"[A-Za-z_][A-Za-z_0-9.]*")
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    RuntimeError,
    ValueError,
    EOFError,
    OSError,
    IndexError,
)
NUMBERS = (*WIDE, -1, -(1 << 63), 3, 63, 64, 65, 100, 4096, 1 << 20, 1 << 28, 1 << 52)
FORMATS = ("f16", "f32", "bf16", "i8", "i32", "i64", "bool", "u8", "f64", "tf32", "f8e4m3fn", "i4")
TEXTS = (
    b"(" * 3000,
    b"\x00",
    "\N{SNOWMAN}".encode(),
    b'"',
    b"#",
    b";",
    b"let a=a",
    b"tile 0:",
    b"  ",
)


# --- text ---------------------------------------------------------------------


def _numeral(raw: bytes, rng: random.Random, _: Donors) -> bytes:
    """Put another number where one stands."""
    found = list(_NUMBER.finditer(raw, 0, 60_000))
    if not found:
        return raw
    match = rng.choice(found)
    number = rng.choice((*NUMBERS, rng.randrange(300), rng.randrange(1 << 62)))
    word = rng.choice((str(number), hex(number), f"{number}.5", f"{number}*{number}"))
    return raw[: match.start()] + word.encode() + raw[match.end() :]


def _word(raw: bytes, rng: random.Random, _: Donors) -> bytes:
    """Put another word of the text, or something else, where one stands."""
    found = list(_WORD.finditer(raw, 0, 60_000))
    if not found:
        return raw
    match, other = rng.choice(found), rng.choice(found)
    made = rng.choice((other[0], other[0], rng.choice(TEXTS), b"", match[0][:-1]))
    return raw[: match.start()] + made + raw[match.end() :]


def _line(raw: bytes, rng: random.Random, _: Donors) -> bytes:
    """Leave a line out, double or move it, or indent it otherwise."""
    lines = raw.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines) + 1)
    kind = rng.randrange(4)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(to, lines[at])
    elif kind == 2:
        lines.insert(min(to, len(lines) - 1), lines.pop(at))
    else:
        lines[at] = rng.choice((b"  " + lines[at], lines[at].strip(), lines[at] * 2))
    return b"\n".join(lines)


# --- program binaries ---------------------------------------------------------


def _sealed(raw: bytes, rng: random.Random, donors: Donors) -> bytes:
    """Alter bytes of the body, and put the hash right."""
    body = raw[len(MAGIC) : -HASH_BYTES]
    body = KINDS[rng.choice(BYTES)](body, rng, donors)
    whole = MAGIC + body
    return whole + hashlib.sha256(whole).digest()


def _command(raw: bytes, rng: random.Random, _: Donors) -> bytes:
    """Alter a field of a command, a loop, or the head of the program, all else left whole."""
    with contextlib.suppress(InputError, AssertionError, AttributeError, TypeError, ValueError):
        program = decode(raw)
        if rng.random() < 0.15:
            name = rng.choice(("scratchpad_bytes", "dram_bytes"))
            made = replace(program, **{name: rng.choice(NUMBERS)})
        elif rng.random() < 0.1:
            times = min(rng.choice((2, 17, 300)), 6000 // max(1, len(program.streams)))
            made = replace(program, streams=program.streams * times)
        else:
            at = rng.randrange(len(program.streams))
            streams = list(program.streams)
            streams[at] = _stream(streams[at], rng)
            made = replace(program, streams=tuple(streams))
        return b"".join(encode(made))
    return raw


def _stream(stream: Stream, rng: random.Random) -> Stream:
    if not stream:
        return stream
    items = list(stream)
    at, kind = rng.randrange(len(items)), rng.randrange(10)
    item = items[at]
    if kind == 0:
        del items[at]
    elif kind == 1:
        items.insert(rng.randrange(len(items) + 1), item)
    elif kind == 2:
        items[at] = Loop(_whole(rng) % (1 << 64), (item,))
    elif isinstance(item, Loop):
        count = _whole(rng) % (1 << 64) if kind < 5 else item.count
        items[at] = Loop(count, _stream(item.body, rng) if kind > 3 else item.body)
    else:
        items[at] = _altered(item, rng)
    return tuple(items)


def _whole(rng: random.Random) -> int:
    number = rng.choice((*NUMBERS, rng.randrange(100), rng.randrange(1 << 40)))
    return max(-(1 << 63), min((1 << 63) - 1, number))


def _altered(command: Command, rng: random.Random) -> Command:
    each = rng.choice(fields(command))
    value = getattr(command, each.name)
    if each.name in address_fields(type(command)) and rng.random() < 0.4:
        return replace(command, **{each.name: Affine(_whole(rng) >> 4, (_whole(rng),) * 2)})
    return replace(command, **{each.name: _other(value, rng)})


def _other(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, Affine)):
        return _whole(rng)
    if isinstance(value, float):
        return rng.choice((0.0, -1.0, 1e38, 1e308, float("nan"), float("inf"), 1e-40))
    if isinstance(value, str):
        return rng.choice((*FORMATS, *sorted(VECTOR_OPS), "sum", "Conv", "Expand", "", "\x00"))
    if isinstance(value, tuple) and value:
        items = list(value)
        at = rng.randrange(len(items))
        items[at] = _other(items[at], rng)
        return tuple(
            items[: rng.choice((at, len(items), len(items)))]
            + items[at : at + 1] * rng.randrange(3)
        )
    if value is None:
        return rng.choice((0, 0.5, 1 << 40))
    return value


# --- zips -----------------------------------------------------------------------


def _member(raw: bytes, rng: random.Random, donors: Donors) -> bytes:
    """Alter one member, whatever it is, and write the zip anew."""
    with contextlib.suppress(*UNREADABLE):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            held = {info.filename: archive.read(info) for info in archive.infolist()}
        if held:
            name = rng.choice(sorted(held))
            held[name] = _inner(held[name], rng, donors)
            return _zipped(held, rng)
    return raw


def _inner(raw: bytes, rng: random.Random, donors: Donors) -> bytes:
    if raw.startswith(b"PK"):
        kinds = ("member", "member", "member", "entry", "claim")
    elif raw.startswith(MAGIC):
        kinds = ("command", "command", "sealed")
    elif raw.startswith(b"\x93NUMPY"):
        kinds = ("numeral", *BYTES)
    else:
        kinds = ("numeral", "word", "line", *BYTES[:3])
    return KINDS[rng.choice(kinds)](raw, rng, donors)


def _zipped(held: dict[str, bytes], rng: random.Random) -> bytes:
    out = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if rng.random() < 0.15 else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, raw in held.items():
            archive.writestr(zipfile.ZipInfo(name), raw, how)
    return out.getvalue()


def _entry(raw: bytes, rng: random.Random, _: Donors) -> bytes:
    """Rename, leave out, double or pack a member."""
    with contextlib.suppress(*UNREADABLE):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            held = [(info.filename, archive.read(info)) for info in archive.infolist()]
        at = rng.randrange(len(held))
        name, content = held[at]
        kind = rng.randrange(5)
        if kind == 0:
            del held[at]
        elif kind == 1:
            held[at] = (
                rng.choice(("../../out.txt", "/tmp/out.txt", "", "a" * 3000, "x\x00")),
                content,
            )
        elif kind == 2:
            held.append((name, rng.choice(held)[1]))
        elif kind == 3:
            held[at] = (name, bytes(1 << 24))
        else:
            held += [(f"more/{i}", b"") for i in range(2000)]
        out = io.BytesIO()
        how = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in held:
                archive.writestr(zipfile.ZipInfo(name), content, how)
        return out.getvalue()
    return raw


def _claim(raw: bytes, rng: random.Random, _: Donors) -> bytes:
    """Let the directory claim another size, place, packing or flag for a member."""
    places = [match.start() for match in re.finditer(rb"PK\x01\x02", raw)]
    if not places:
        return raw
    at = rng.choice(places) + rng.choice((8, 10, 16, 20, 24, 28, 30, 42))
    value = rng.choice((*WIDE, rng.randrange(1 << 32))) % (1 << 32)
    out = bytearray(raw)
    with contextlib.suppress(struct.error):
        struct.pack_into("<I", out, at, value)
    return bytes(out)


KINDS.update(
    numeral=_numeral,
    word=_word,
    line=_line,
    sealed=_sealed,
    command=_command,
    member=_member,
    entry=_entry,
    claim=_claim,
)
TEXT_KINDS = ("numeral", "numeral", "numeral", "word", "word", "line", "line", *BYTES)
BINARY_KINDS = ("command",) * 12 + ("sealed",) * 6 + BYTES[:3]
ZIP_KINDS = ("member",) * 10 + ("entry", "entry", "claim", "claim", *BYTES)


def kinds_of(name: str) -> Sequence[str]:
    """Return the kinds of mutation that suit an artefact."""
    if name.endswith((".prog.txt", ".yaml")):
        return TEXT_KINDS
    return BINARY_KINDS if name.endswith(".prog") else ZIP_KINDS


def draw_artefact(seed: int, number: int, names: Sequence[str]) -> Mutant:
    """Return mutant ``number`` of a run over artefacts of these names."""
    rng = random.Random(f"artefact/{seed}/{number}")
    name = rng.choice(sorted(names))
    count = rng.choice((1, 1, 1, 1, 2, 3))
    chosen = [rng.choice(kinds_of(name)) for _ in range(count)]
    return Mutant(name, tuple(Mutation(kind, rng.randrange(1 << 32)) for kind in chosen))
