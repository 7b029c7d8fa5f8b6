"""Laws of a program's forms: text and binary lose nothing; whatever else is read is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.programs import commands, programs

from drawloom.errors import InputError
from drawloom.graph.lazy import values
from drawloom.program.binary import MAGIC, encode, program_hash
from drawloom.program.decode import decode
from drawloom.program.parse import parse
from drawloom.program.program import Program
from drawloom.program.roll import roll, unroll
from drawloom.program.text import blobs, text

ROOT = Path(__file__).parents[2]


def same(one: Program, other: Program) -> bool:
    """Compare by what stands in the fields (NaN equals itself, -0.0 is not 0.0)."""
    plain = ("name", "chip", "blocking", "scratchpad_bytes", "dram_bytes", "regions", "origins")
    return (
        all(getattr(one, name) == getattr(other, name) for name in plain)
        and list(one.notes.items()) == list(other.notes.items())
        and [address for address, _ in one.data] == [address for address, _ in other.data]
        and all(
            np.array_equal(values(a), values(b))
            for (_, a), (_, b) in zip(one.data, other.data, strict=True)
        )
        and repr(one.streams) == repr(other.streams)
    )


@given(programs())
def test_parsing_what_was_printed_gives_the_same_program(program: Program) -> None:
    written = text(program)
    read = parse(written, blobs(program))
    assert same(read, program)
    assert text(read) == written


@given(programs())
def test_decoding_what_was_encoded_gives_the_same_program(program: Program) -> None:
    raw = b"".join(encode(program))
    read = decode(raw)
    assert same(read, program)
    assert b"".join(encode(read)) == raw


@given(programs())
def test_the_hash_is_that_of_the_program_in_any_form(program: Program) -> None:
    name = program_hash(program)
    assert b"".join(encode(program)).endswith(bytes.fromhex(name))
    assert program_hash(parse(text(program), blobs(program))) == name


@given(programs(), programs())
def test_programs_with_equal_hashes_are_the_same(one: Program, other: Program) -> None:
    assert (program_hash(one) == program_hash(other)) == same(one, other)


@given(programs())
def test_unrolled_streams_roll_into_streams_that_run_the_same_commands(program: Program) -> None:
    for stream in program.streams:
        flat = list(unroll(stream))
        assert repr(list(unroll(roll(flat)))) == repr(flat)


@given(st.lists(commands(), max_size=6), st.integers(1, 5))
def test_any_commands_over_and_over_roll_and_unroll(once: list, turns: int) -> None:
    flat = once * turns
    assert repr(list(unroll(roll(flat)))) == repr(flat)


def refused(read: Callable[[], Program]) -> InputError | None:
    """Return what a reader says against its input; any other error passes through."""
    try:
        read()
    except InputError as error:
        return error
    return None


@given(programs(), st.data())
def test_altered_text_is_read_or_refused(program: Program, data: st.DataObject) -> None:
    lines = text(program).split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        cut = data.draw(st.integers(0, len(line)))
        end = data.draw(st.integers(cut, min(len(line), cut + 3)))
        lines[at] = line[:cut] + data.draw(st.text(max_size=3)) + line[end:]
    refusal = refused(lambda: parse("\n".join(lines), blobs(program)))
    assert refusal is None or (refusal.kind == "program.text" and refusal.faults)


@given(st.text())
def test_any_text_is_refused(written: str) -> None:
    for source in (written, f"drawloom program 1\n{written}"):
        refusal = refused(lambda source=source: parse(source))
        assert refusal is not None
        assert refusal.kind == "program.text"


def sealed(raw: bytes) -> bytes:
    """Give altered bytes the hash of whole ones, so that the reader looks inside."""
    return raw + hashlib.sha256(raw).digest()


def read_or_refuse(raw: bytes) -> None:
    refusal = refused(lambda: decode(raw))
    assert refusal is None or (refusal.kind == "program.binary" and refusal.faults)


@given(programs(), st.data())
def test_bytes_cut_short_are_refused(program: Program, data: st.DataObject) -> None:
    raw = b"".join(encode(program))
    end = data.draw(st.integers(0, len(raw) - 1))
    read_or_refuse(raw[:end])
    read_or_refuse(sealed(raw[:end]))


@given(programs(), st.data())
def test_altered_bytes_are_read_or_refused(program: Program, data: st.DataObject) -> None:
    raw = bytearray(b"".join(encode(program))[:-32])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(len(MAGIC), len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    read_or_refuse(sealed(bytes(raw)))


@given(st.binary())
def test_any_bytes_are_refused(raw: bytes) -> None:
    read_or_refuse(raw)
    read_or_refuse(sealed(MAGIC + raw))
    read_or_refuse(sealed(MAGIC + b"\x01" + raw))


def test_the_hash_is_the_same_under_any_hash_seed() -> None:
    code = (
        "from tests.program.sample import sample;"
        "from drawloom.program.binary import program_hash;"
        "print(program_hash(sample()))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(found) == 1
