"""Programs as text: what it looks like, and what is said of faults in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from tests.program.sample import ONE_OF_EACH, sample

from drawloom.errors import InputError
from drawloom.program.commands import Affine, Command, Fill, Loop, Read, Wait
from drawloom.program.fields import COMMANDS, slots
from drawloom.program.lines import MOST_FAULTS
from drawloom.program.parse import blob_sizes, parse
from drawloom.program.program import Program
from drawloom.program.text import blobs, command_text, text

HEAD = """\
drawloom program 1
program name=n chip=c scratchpad_bytes=1024 dram_bytes=4096
blocking block=64 block_8bit=128 min_tail=4 align=256
"""

WRONG = """\
fill dst=0 fmt=f32 count=1 value=0x
arm flag=-1
arm flag=1.5
join engines=read,matrxi
join engines=read,read
send src=0 dst=0 inner=8 targets=() flag=0
send src=0 dst=0 inner=8 targets=0,1 flag=0
read dram=0-8 spm=0 inner=8
read dram=-8 spm=0 inner=8
read dram=0+8*i0 spm=0 inner=8
read dram=0 spm=0 inner=8 dims=4
move src=0 dst=0 inner=8 dims=4@8
reduce op=mean src=0 dst=0 h=1 w=1 c=1 axis=x fmt=f32 out_fmt=f32
matmul a=0 b=0 dst=0 m=0 k=1 n=1 fmt=f16 out_fmt=f16 trans_a=1
matmul a=0 b=0 dst=0 m=0 k=1 n=1 fmt=f16 out_fmt=f16
vector op=add a=0 dst=0 count=1 fmt=f16 out_fmt=f16
vector op=exp a=0 dst=0 count=1 fmt=f16 out_fmt=f16 b=0
vector op=exp a=0 dst=0 count=1 fmt=f16 out_fmt=f16 unit=2
pool op=max src=0 dst=0 h=2 w=2 c=1 kh=3 kw=1 strides=1,1 pads=0,0,0,0 dilations=1,1 fmt=f16
pool op=max src=0 dst=0 h=2 w=2 c=1 kh=1 kw=1 strides=0,1 pads=0,0,0 dilations=1,1 fmt=f16
conv src=0 weights=0 dst=0 h=2 w=2 c=3 oc=4 kh=1 kw=1 strides=1,1 pads=0,0,0,0 \
dilations=1,1 fmt=f16 out_fmt=f16 depthwise=true
cpu op=X ins=spm:f32[2]@q outs=()
cpu op=X ins=smp:f33[2]@0 outs=()
cpu op=X ins=() outs=() attrs={"a":{"b":1}}
cpu op=X ins=() outs=() attrs={"a":1,"a":2}
wait flag=1 #0
"""

Golden = Callable[[str, str], None]


def numbered(source: str) -> str:
    """Return a text with the numbers of its lines."""
    return "\n".join(f"{n:3}  {line}".rstrip() for n, line in enumerate(source.split("\n"), 1))


def complaint(source: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(source)
    return caught.value.text()


def first_command(line: str) -> Command | Loop:
    return parse(f"{HEAD}tile 0:\n  {line}\n").streams[0][0]


def test_a_program_reads_well(golden: Golden) -> None:
    golden("program.prog.txt", text(sample()))


def test_every_command_has_a_word() -> None:
    assert set(COMMANDS.values()) == set(get_args(Command))


def test_the_sample_has_one_of_every_command() -> None:
    assert {type(command) for command in ONE_OF_EACH} == set(COMMANDS.values())


@pytest.mark.parametrize("kind", COMMANDS.values())
def test_every_field_has_a_kind(kind: type) -> None:
    assert slots(kind)


def test_fields_with_their_default_are_left_out() -> None:
    assert command_text(Wait(3)) == "wait flag=3"
    assert command_text(Wait(3, 2)) == "wait flag=3 count=2"


def test_an_address_shows_the_loops_that_move_it() -> None:
    read = Read(Affine(0x1000, (128, 0, -64)), Affine(0, (0,)), 8)
    assert command_text(read) == "read dram=0x1000+128*i0-64*i2 spm=0x0+0*i0 inner=8"


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1e-300, 1e22, math.inf, -math.inf])
def test_floats_come_back_to_the_last_bit(value: float) -> None:
    fill = Fill(0, "f32", 1, value)
    assert repr(first_command(command_text(fill))) == repr(fill)


def test_a_program_may_be_written_by_hand() -> None:
    source = f"""{HEAD}
; what a person may do: decimal addresses, any order, comments, blank lines
tile 0..1:
  loop 4:   ; four times

    read spm=0+64*i0 inner=64 dram=256
"""
    program = parse(source)
    loop = Loop(4, (Read(256, Affine(0, (64,)), 64),))
    assert program.streams == ((loop,), (loop,))


def test_data_that_are_not_in_the_text_are_named_and_checked() -> None:
    program = sample()
    written = text(program)
    (digest, raw), *rest = blobs(program).items()
    assert not rest
    assert blob_sizes(written) == [(digest, raw.size)]
    line = written.split("\n").index(f"data address=0x3001 bytes=91 sha256={digest}") + 1
    shown = f"{digest[:60]}..."
    assert complaint(written) == (
        "error[program.text]: 1 fault in text\n"
        f"  line {line}, data: {shown} (its bytes were not given)"
    )
    with pytest.raises(InputError) as caught:
        parse(written, {digest: np.zeros(91, np.uint8)}, "a.prog.txt")
    assert caught.value.text() == (
        "error[program.text]: 1 fault in a.prog.txt\n"
        f"  line {line}, data: {shown} (its bytes have another hash)"
    )


def test_equal_data_travel_once() -> None:
    raw = np.ones(100, np.uint8)
    program = replace(sample(), data=((0, raw), (200, raw.copy())))
    assert len(blobs(program)) == 1
    assert len(parse(text(program), blobs(program)).data) == 2


def test_what_is_no_program_is_said() -> None:
    assert complaint("drawloom graph 1\n") == (
        "error[program.text]: text is not the text of a program\n"
        "  line 1: drawloom graph 1 ('drawloom program 1')"
    )
    assert complaint("drawloom program 1\n") == (
        "error[program.text]: 1 fault in text\n"
        "  line 1, drawloom program 1 (needs a 'program' line)"
    )


def test_an_input_has_a_format() -> None:
    """Else nobody could say what to give."""
    said = complaint(f"{HEAD}\nregion name=x kind=input address=0 bytes=64\n")
    assert ", fmt: absent (one of bf16, " in said


def test_all_faults_are_said_at_once_each_with_its_line(golden: Golden) -> None:
    source = """\
drawloom program 1
program name=x chip=y scratchpad_bytes=1 dram_bytes=4096
regoin name=x
region name=x kind=inptu address=0x0 bytes=3 shape=2x2 fmt=f32
note key=a text=b
note key=a text=c
note key=1 text=a
blocking block=64 block_8bit=1 min_tail=4
data address=4090 bytes=7 hex=00112233445566
data address=0 bytes=3 hex=0011
wait flag=1
tile 0..1:
  raed dram=0
  read drma=0x0 spm=q inner=-1 dims=1@2@3 inner=3 5
  read dram=0 spm=0 inner=-1 dims=1@1,1@1,1@1,1@1
  loop x:
      read dram=0+5*i1-1*i0 spm=0+4*i4 inner=3
    signal target=5 flag=64 #2
    vector op=addd a=0 dst=0x0 count=1 fmt=f61 out_fmt=f16
  vector op=exp a=0-1*i0 dst=0 count=1 fmt=f16 out_fmt=f16 scalar=1 #1 #2
 loop 3:
    fill dst=0-8*i0 fmt=f32 count=1 value=x
    wait flag=1 count=99999999999999999999
    barrier tiles=0,0
tile 3,1:
tile:
origin #1 piece=a node=b layer="c
"""
    golden("program-faults-at-once.txt", f"{numbered(source)}\n\n{complaint(source)}\n")


def test_a_text_full_of_faults_is_not_read_to_its_end() -> None:
    said = complaint("drawloom program 1\n" + "nonsense\n" * 100_000).split("\n")
    assert len(said) == MOST_FAULTS + 2
    assert said[0] == f"error[program.text]: {MOST_FAULTS + 1} faults in text"
    assert said[-1] == f"  and more (the first {MOST_FAULTS} found are listed)"


def test_a_fault_in_a_field_says_what_is_allowed(golden: Golden) -> None:
    said: list[str] = []
    for line in WRONG.splitlines():
        _, *faults = complaint(f"{HEAD}tile 0:\n  {line}\n").split("\n")
        said += [line, *faults]
    golden("program-faults.txt", "\n".join(said) + "\n")


def test_loops_nest_only_so_deep() -> None:
    lines = [f"{'  ' * depth}loop 1:" for depth in range(1, 34)]
    assert complaint(f"{HEAD}tile 0:\n" + "\n".join(lines)) == (
        "error[program.text]: 1 fault in text\n  line 37, loop: 32 loops around it (at most 31)"
    )


def test_a_tile_without_commands_is_a_tile() -> None:
    program: Program = parse(f"{HEAD}tile 0..2:\n")
    assert program.streams == ((), (), ())
