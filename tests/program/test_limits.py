"""What a command or a program may ask for, whatever the chip: no more than a host can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.program.sample import sample

from drawloom.errors import InputError
from drawloom.program.binary import encode
from drawloom.program.check_fields import turns
from drawloom.program.commands import Arm, Loop
from drawloom.program.decode import decode
from drawloom.program.parse import parse

HEAD = "drawloom program 1\nprogram name=n chip=tx81\ntile 0:\n"
HUGE = 1 << 60
LARGE = """\
read dram=0 spm=0 inner=268435457
read dram=0 spm=0 inner=2 dims=65536@0,4096@0
read dram=0 spm=0 inner=2 dims=2@2251799813685248
read dram=4503599627370496 spm=0 inner=2
pick dram=0 index=0 spm=0 inner=2 step=1125899906842624 entries=4
move src=0 dst=0 inner=2 dims=65536@0:0,4096@0:0
select mask=0 src=0 dst=0 element=268435456 count=2
matmul a=0 b=0 dst=0 m=32768 k=32768 n=1 fmt=f16
matmul a=0 b=0 dst=0 m=16384 k=16384 n=16384 fmt=f16
matmul a=0 b=0 dst=0 m=1 k=1 n=1 batch=268435457 fmt=f16
matmul a=0 b=0 dst=0 m=1 k=1 n=1 batch=4 a_step=1125899906842624 fmt=f16
reduce op=sum src=0 dst=0 h=65536 w=65536 c=1 axis=c fmt=f16
pool op=max src=0 dst=0 h=1 w=1 c=1 kh=1 kw=1 pads=99999,0,99999,0 fmt=f16
pool op=max src=0 dst=0 h=9999 w=9999 c=1 kh=5000 kw=5000 fmt=f16
conv src=0 weights=0 dst=0 h=1 w=1 c=65536 oc=65536 kh=1 kw=1 fmt=f16
cpu op=Neg ins=dram:f32[65536x65536x65536]@0 outs=()
loop 1152921504606846976:
"""


def complaints_of(line: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(f"{HEAD}  {line}\n")
    return caught.value.text().splitlines()[1:]


def test_a_command_asks_for_no_more_than_a_host_can_hold(
    golden: Callable[[str, str], None],
) -> None:
    said: list[str] = []
    for line in LARGE.splitlines():
        said += [line, *complaints_of(line)]
    golden("program-limits.txt", "\n".join(said) + "\n")


def test_the_binary_has_the_same_limits() -> None:
    inner = Loop(1 << 20, (Loop(1 << 20, (Arm(0),)),))
    program = replace(sample(), streams=((inner,), ()), scratchpad_bytes=HUGE)
    with pytest.raises(InputError) as caught:
        decode(b"".join(encode(program)), "a.prog")
    assert caught.value.text() == (
        "error[program.binary]: 2 faults in a.prog\n"
        f"  program, scratchpad_bytes: {HUGE} (at most 4503599627370496)\n"
        "  program, commands: a tile runs 2199024304128 (at most 100000000)"
    )


def test_tiles_are_so_many_at_most() -> None:
    program = replace(sample(), streams=((),) * 4097)
    with pytest.raises(InputError, match="tiles: 4097"):
        decode(b"".join(encode(program)))
    with pytest.raises(InputError, match="at most 4096 numbers"):
        parse(HEAD.replace("tile 0:", "tile 0..4000,0..4000:"))


def test_turns_count_loops_too() -> None:
    assert turns((Loop(3, (Arm(0), Loop(2, ()))), Arm(0))) == 3 * (1 + 1 + 2) + 1
