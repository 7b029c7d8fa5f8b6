"""A small program written by hand, with something for every engine, and its trace."""

from __future__ import annotations

from functools import cache

from drawloom.chip.files import load_chip
from drawloom.program.commands import (
    Arm,
    Barrier,
    Command,
    Cpu,
    Engine,
    Fill,
    Join,
    Loop,
    MatMul,
    Operand,
    Read,
    Send,
    Vector,
    Wait,
    Write,
)
from drawloom.program.program import Origin, Program, Region
from drawloom.timing import Trace, time

EVERYONE = tuple(range(16))
LOAD, PRODUCT, RELU, SHARE, TAIL = range(5)
ORIGINS = (
    Origin("p0", "conv1.load", "/model/conv1/<Conv> & co"),
    Origin("p0", "conv1", "/model/conv1/<Conv> & co"),
    Origin("p1", "relu1", "/model/relu1"),
    Origin("p2", "share", ""),
    Origin("p3", "softmax", "/model/softmax"),
)


def program(rounds: int = 4) -> Program:
    """Every tile multiplies and rectifies; tile 0 sends to all others first."""
    chip = load_chip("tx81")
    return Program(
        name="</script> hand & made",
        chip=chip.name,
        blocking=chip.blocking,
        scratchpad_bytes=chip.scratchpad.bytes,
        dram_bytes=1 << 24,
        regions=(
            Region("x", "input", 0x1000, 65536, "f16", (256, 128)),
            Region("y", "output", 0x200000, 16 * 32768, "f16", (16, 16384)),
        ),
        data=(),
        streams=tuple((*_share(tile), Loop(rounds, _work(tile)), _tail()) for tile in EVERYONE),
        origins=ORIGINS,
        notes={"chip": chip.name, "precision": "fp16"},
    )


def _share(tile: int) -> tuple[Command, ...]:
    meet = Barrier(EVERYONE, origin=SHARE)
    if tile:
        return Arm(0, origin=SHARE), meet, Wait(0, 1, origin=SHARE)
    send = Send(0x10000, 0x20000, 4096, EVERYONE[1:], 0, origin=SHARE)
    return meet, Fill(0x10000, "f16", 2048, 0.0, SHARE), Join((Engine.MOVE,), 0, SHARE), send


def _work(tile: int) -> tuple[Command, ...]:
    return (
        Read(0x1000, 0x10000, 65536, origin=LOAD),
        Read(0x1000, 0x40000, 65536, origin=LOAD),
        MatMul(0x10000, 0x40000, 0x80000, 128, 256, 128, "f16", "f16", origin=PRODUCT),
        Vector("relu", 0x80000, 0xA0000, 128 * 128, "f16", "f16", origin=RELU),
        Write(0xA0000, 0x200000 + tile * 32768, 32768, origin=RELU),
    )


def _tail() -> Command:
    source = Operand("dram", 0x200000, "f16", (1000,))
    return Cpu("Softmax", (source,), (Operand("dram", 0x400000, "f16", (1000,)),), (), TAIL)


@cache
def trace(rounds: int = 4) -> Trace:
    """The trace of the program on a tx81."""
    return time(program(rounds), load_chip("tx81"))
