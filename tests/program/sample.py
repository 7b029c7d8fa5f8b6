"""A small program with one of everything, for the tests of its forms."""

from __future__ import annotations

import numpy as np

from drawloom.chip.model import Blocking
from drawloom.program.commands import (
    Affine,
    Arm,
    Barrier,
    Command,
    Conv,
    Cpu,
    Engine,
    Fill,
    Join,
    Loop,
    MatMul,
    Move,
    Operand,
    Pick,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Signal,
    Stream,
    Vector,
    Wait,
    Write,
)
from drawloom.program.program import Origin, Program, Region
from drawloom.units import Bytes

ONE_OF_EACH: tuple[Command, ...] = (
    Read(0x1000, 0x0, 130, ((4096, 3), (130, 5)), origin=0),
    Pick(0x1000, 0x9000, 0x0, 130, 0x1000, 5, ((4096, 3),), origin=0),
    Write(0x400, 0x8000, 96, origin=0),
    Move(0x0, 0x800, 26, ((260, 128, 7),), origin=0),
    Fill(0xC00, "bf16", 77, -0.0, origin=0),
    Select(0x0, 0x100, 0x200, 2, 51, origin=0),
    MatMul(0x0, 0x4000, 0x8000, 13, 70, 9, "f16", "f16", 0x9000, trans_b=True, batch=3, origin=1),
    Conv(0x0, 0x4000, 0x8000, 7, 5, 3, 10, 3, 3, (2, 1), (1, 1, 0, 1), (1, 1), "i8", "i32"),
    Vector("add", 0x0, 0x200, 51, "f16", "f32", b=0x100, unit=17, origin=2),
    Vector("mul", 0x0, 0x200, 51, "f16", "f16", scalar=0.1, origin=2),
    Reduce("sum", 0x0, 0x800, 7, 5, 3, "hw", "f16", "f32"),
    Pool("avg", 0x0, 0x800, 7, 5, 3, 2, 2, (2, 2), (0, 0, 0, 1), (1, 1), "f16", count_pad=True),
    Arm(5),
    Send(0x0, 0x2000, 640, (0, 1, 2), 5, ((1280, 2),), origin=1),
    Signal(2, 7),
    Wait(7, 3),
    Join((Engine.READ, Engine.MATRIX), 1),
    Barrier((0, 1, 2)),
    Cpu(
        "TopK",
        (Operand("dram", 0x1000, "f32", (3, 17)), None),
        (Operand("spm", 0x40, "i64", (3, 2)), Operand("spm", 0x80, "f32", ())),
        (("axis", -1), ("mode", "largest first"), ("share", 0.5), ("perm", (1, 0))),
        origin=2,
    ),
)

LOOPED: Stream = (
    Read(0x1000, 0x0, 130, origin=1),
    Loop(
        7,
        (
            Read(Affine(0x1082, (130,)), Affine(0x200, (-64,)), 130, origin=1),
            Loop(
                3,
                (
                    Vector(
                        "relu",
                        Affine(0x0, (0, 26)),
                        Affine(0x4000, (130, 26)),
                        13,
                        "f16",
                        "f16",
                        origin=2,
                    ),
                ),
            ),
            Join((Engine.VECTOR,), 2),
        ),
    ),
    Write(0x4000, 0x8000, 910, origin=2),
)


def sample() -> Program:
    """Return the program."""
    return Program(
        name="sample net",
        chip="tx81",
        blocking=Blocking(block=64, block_8bit=128, min_tail=4, align=Bytes(256)),
        scratchpad_bytes=3 << 20,
        dram_bytes=1 << 20,
        regions=(
            Region("x", "input", 0x1000, 1040, "f16", (1, 4, 130)),
            Region("y", "output", 0x8000, 910, "f16", (7, 65)),
        ),
        data=(
            (0x2000, np.arange(13, dtype=np.uint8)),
            (0x3001, np.arange(91, dtype=np.uint8)),
        ),
        streams=(LOOPED, ONE_OF_EACH, LOOPED, ()),
        origins=(
            Origin("load", "reshape_1", "encoder.0.attn"),
            Origin("fc.0", "fc", ""),
            Origin("act", "", 'what a user calls it; 5\N{PRIME} "x"'),
        ),
        notes={"precision": "f16; sums in f32"},
    )
