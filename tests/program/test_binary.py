"""Programs as bytes: what is refused, and how."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.program.sample import sample

from drawloom.errors import InputError
from drawloom.graph.lazy import values
from drawloom.program.binary import MAGIC, encode, program_hash
from drawloom.program.commands import Affine, Arm, Loop, Read, Stream, Wait
from drawloom.program.decode import decode
from drawloom.program.packing import Broken, Packer, Unpacker
from drawloom.program.text import text

RAW = b"".join(encode(sample()))


def refusal(raw: bytes) -> str:
    with pytest.raises(InputError) as caught:
        decode(raw, "a.prog")
    return caught.value.text()


def sealed(raw: bytes) -> bytes:
    return raw + hashlib.sha256(raw).digest()


def test_a_program_comes_back() -> None:
    assert text(decode(RAW)) == text(sample())


def test_the_hash_of_a_program_stays_what_it_is(golden: Callable[[str, str], None]) -> None:
    golden("program.sha256", program_hash(sample()) + "\n")


def test_the_hash_sees_data_notes_and_the_sign_of_zero() -> None:
    program = sample()
    others = [
        replace(program, data=program.data[:1]),
        replace(program, notes={}),
        replace(program, streams=program.streams[:1]),
    ]
    assert len({program_hash(p) for p in [program, *others]}) == 4


def test_equal_streams_are_stored_once() -> None:
    program = sample()
    wide = replace(program, streams=program.streams[1:2] * 100)
    one = replace(program, streams=program.streams[1:2])
    grown = len(b"".join(encode(wide))) - len(b"".join(encode(one)))
    assert grown < 200


def test_data_are_read_without_a_copy_and_cannot_be_changed() -> None:
    (_, raw), _ = decode(RAW).data
    with pytest.raises(ValueError, match="read-only"):
        values(raw)[0] = 1


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "it does not begin as one"),
        (b"drawloom program 1\n", "it does not begin as one"),
        (MAGIC, "it ends too early"),
        (RAW[:-1], "it was cut short or altered: its bytes have another hash"),
        (RAW[:90] + b"x" + RAW[91:], "it was cut short or altered: its bytes have another hash"),
        (sealed(RAW[:90]), "it ends too early"),
        (sealed(RAW[:-32] + b"x"), "it goes on after its end"),
        (sealed(MAGIC + b"\x02"), "it has version 2, this drawloom reads version 1"),
        (sealed(MAGIC + b"\x01" + b"\xff" * 9 + b"\x01"), "it ends too early"),
        (sealed(MAGIC + b"\x01" + b"\xff" * 11), "a number has more than 64 bits"),
        (sealed(MAGIC + b"\x01\x01\x01\xff"), "a word is not UTF-8"),
        (sealed(MAGIC + b"\x01\x00\x00"), "a word is not in the table"),
    ],
)
def test_bytes_that_are_no_whole_program_are_refused(raw: bytes, why: str) -> None:
    assert refusal(raw) == f"error[program.binary]: a.prog is not a whole program\n  {why}"


def nested(depth: int) -> Stream:
    stream: Stream = (Arm(0),)
    for _ in range(depth):
        stream = (Loop(1, stream),)
    return stream


def test_loops_nest_only_so_deep() -> None:
    deepest = replace(sample(), streams=(nested(32),))
    assert decode(b"".join(encode(deepest))).streams == deepest.streams
    deeper = replace(sample(), streams=(nested(33),))
    assert refusal(b"".join(encode(deeper))).endswith("\n  more than 32 loops within loops")


def test_all_faults_in_the_fields_are_said_at_once() -> None:
    program = sample()
    stream: Stream = (Arm(64), Loop(3, (Read(0, Affine(64, (-64, 8)), 4), Wait(0, origin=3))))
    wrong = replace(
        program,
        blocking=replace(program.blocking, block=0),
        regions=(replace(program.regions[0], kind="in"),),
        streams=((), stream, stream),
    )
    assert refusal(b"".join(encode(wrong))) == (
        "error[program.binary]: 5 faults in a.prog\n"
        "  blocking, block: 0 (1 or more)\n"
        "  region 'x', kind: in (one of constant, input, output, temporary)\n"
        "  tile 1, 0, flag: 64 (0 to 63)\n"
        "  tile 1, 1.0, address: moves with i1 (1 loop around it)\n"
        "  tile 1, 1.1, origin: 3 (an origin: 0 to 2)"
    )


@pytest.mark.parametrize("value", [0, 1, -1, 127, 128, (1 << 63) - 1, -(1 << 63)])
def test_whole_numbers_come_back(value: int) -> None:
    out = Packer()
    out.int(value)
    raw = Unpacker(memoryview(bytes(out.out)))
    assert (raw.int(), raw.left) == (value, 0)


def test_a_count_larger_than_the_bytes_left_asks_for_no_memory() -> None:
    out = Packer()
    out.uint(1 << 40)
    with pytest.raises(Broken, match="it ends too early"):
        Unpacker(memoryview(bytes(out.out))).many(Unpacker.uint)


def test_nan_is_one_value() -> None:
    quiet = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    one, other = Packer(), Packer()
    one.float(float(quiet))
    other.float(float("nan"))
    assert one.out == other.out
