"""Programs written by hand: names, expressions, what may be left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawloom.chip.files import load_chip
from drawloom.errors import InputError
from drawloom.program.commands import (
    Affine,
    Arm,
    Conv,
    Cpu,
    Fill,
    Loop,
    MatMul,
    Operand,
    Read,
    Send,
    Signal,
    Vector,
)
from drawloom.program.names import Names, Value
from drawloom.program.parse import parse
from drawloom.program.program import Origin, Program, Region
from drawloom.program.text import text

LOW = 65_536  # the first bytes of a scratchpad are not a program's own
HEAD = "drawloom program 1\nprogram name=n chip=tx81\n"


def stream_of(lines: str, before: str = "") -> tuple[object, ...]:
    body = "".join(f"  {line}\n" for line in lines.splitlines())
    return parse(f"{HEAD}{before}tile 0:\n{body}").streams[0]


def complaint(source: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(source)
    return caught.value.text().splitlines()[1:]


def again(program: Program) -> str:
    return text(parse(text(program)))


def test_what_the_chip_says_may_be_left_out() -> None:
    program, chip = parse(f"{HEAD}tile 0:\n"), load_chip("tx81")
    assert program.blocking == chip.blocking
    assert (program.scratchpad_bytes, program.dram_bytes) == (
        chip.scratchpad.bytes,
        chip.dram.bytes,
    )
    assert again(program) == text(program)


def test_a_chip_may_be_given_beside_the_text() -> None:
    source = "drawloom program 1\nprogram name=n\ntile 0:\n"
    assert parse(source, chip=load_chip("tx81")).chip == "tx81"
    assert complaint(source) == ["  line 2, program (needs chip, scratchpad_bytes, dram_bytes)"]


def test_a_chip_that_is_not_known_is_said() -> None:
    assert complaint("drawloom program 1\nprogram name=n chip=tx18\n") == [
        "  line 2, program (no chip of the catalog: did you mean 'tx81'?; "
        "else give scratchpad_bytes and dram_bytes)"
    ]


def test_a_chip_is_never_read_from_a_file_that_a_program_names() -> None:
    (line,) = complaint("drawloom program 1\nprogram name=n chip=/etc/passwd\n")
    assert "no chip of the catalog" in line


def test_regions_follow_one_another_and_their_bytes_follow_from_their_shape() -> None:
    source = (
        "region name=x kind=input fmt=f16 shape=3x5\nregion name=y kind=output fmt=i8 shape=7\n"
    )
    assert parse(f"{HEAD}{source}tile 0:\n").regions == (
        Region("x", "input", 0, 30, "f16", (3, 5)),
        Region("y", "output", 256, 7, "i8", (7,)),
    )


def test_names_stand_for_addresses_sizes_and_counts() -> None:
    before = (
        "let rows=4 cols=6\nlet row=cols*2\n"
        "region name=x kind=input fmt=f16 shape=rows,cols\n"
        "buffer name=xs fmt=f16 shape=rows,cols\nbuffer name=ys fmt=f32 shape=rows,cols\n"
    )
    lines = (
        "read dram=x+row spm=xs+row inner=x.bytes-row dims=rows@row,2@8*(rows+1)\n"
        "loop rows-1 as r:\n"
        "  vector op=mul a=xs+row*r dst=ys+2*row*r count=cols fmt=f16 out_fmt=f32 scalar=1/cols\n"
    )
    assert stream_of(lines, before) == (
        Read(12, LOW + 12, 36, ((12, 4), (40, 2))),
        Loop(
            3,
            (
                Vector(
                    "mul",
                    Affine(LOW, (12,)),
                    Affine(LOW + 256, (24,)),
                    6,
                    "f16",
                    "f32",
                    scalar=1 / 6,
                ),
            ),
        ),
    )


def test_blocked_buffers_hold_their_padding() -> None:
    before = "buffer name=a fmt=f16 shape=3x70 blocked=true\nbuffer name=b bytes=1\nbuffer name=c bytes=1\n"
    assert stream_of("fill dst=b fmt=i8 count=a.bytes value=0", before) == (
        Fill(LOW + 512, "i8", 3 * (64 + 8) * 2, 0.0),
    )


def test_buffers_may_share_bytes() -> None:
    before = "buffer name=a bytes=512\nbuffer name=b bytes=8 address=a+256\nbuffer name=c bytes=8\n"
    assert stream_of(
        "fill dst=b fmt=i8 count=1 value=0\nfill dst=c fmt=i8 count=1 value=0", before
    ) == (
        Fill(LOW + 256, "i8", 1, 0.0),
        Fill(LOW + 512, "i8", 1, 0.0),
    )


def test_operands_targets_and_tiles_may_be_named() -> None:
    source = (
        f"{HEAD}let n=3 k=2\nregion name=x kind=input fmt=f32 shape=4,n\nbuffer name=s bytes=64\n"
        "tile 0..n-1:\n"
        "  cpu op=Neg ins=dram:f32[4,n]@x,- outs=spm:f32[4x3]@s+4\n"
        "  send src=s dst=s inner=8 targets=0,k flag=k\n"
    )
    program = parse(source)
    assert len(program.streams) == 3
    assert program.streams[0] == (
        Cpu(
            "Neg",
            (Operand("dram", 0, "f32", (4, 3)), None),
            (Operand("spm", LOW + 4, "f32", (4, 3)),),
        ),
        Send(LOW, LOW, 8, (0, 2), 2),
    )
    assert again(program) == text(program)


def test_tiles_that_differ_in_their_number_share_their_lines() -> None:
    program = parse(
        f"{HEAD}tile 0..2 as t:\n  loop 2:\n    read dram=64*t+8*i0 spm=0 inner=8\n  signal target=2-t flag=t #put\n"
    )
    assert [stream[0] for stream in program.streams] == [
        Loop(2, (Read(Affine(64 * tile, (8,)), 0, 8),)) for tile in range(3)
    ]
    assert [stream[1] for stream in program.streams] == [Signal(2 - t, t, 0) for t in range(3)]
    assert again(program) == text(program)


def test_faults_in_shared_lines_are_said_once() -> None:
    assert complaint(
        f"{HEAD}tile 0..2 as t:\n  arm flga=t\n  arm flag=t+62\ntile 3:\n  arm flag=t\n"
    ) == [
        "  line 4, arm: flga (did you mean 'flag'?)",
        "  line 4, arm (needs flag)",
        "  line 7, flag: t (a whole number of at most 64 bits)",
    ]
    assert complaint(f"{HEAD}tile 0..2 as t:\n  arm flag=t+62\n") == [
        "  line 4, flag: 64 (0 to 63)"
    ]


def test_a_short_text_cannot_ask_for_many_lines() -> None:
    lines = "  arm flag=0\n" * 100
    (line,) = complaint(f"{HEAD}tile 0..4095 as t:\n{lines}")
    assert line == "  line 3: 409,500 lines for each of its tiles (at most 131,072 in all)"


def test_formats_strides_and_pads_have_defaults() -> None:
    assert stream_of(
        "matmul a=0 b=0 dst=0 m=1 k=2 n=3 fmt=f16\n"
        "conv src=0 weights=0 dst=0 h=2 w=2 c=1 oc=4 kh=2 kw=1 fmt=i8 out_fmt=i32"
    ) == (
        MatMul(0, 0, 0, 1, 2, 3, "f16", "f16"),
        Conv(0, 0, 0, 2, 2, 1, 4, 2, 1, (1, 1), (0, 0, 0, 0), (1, 1), "i8", "i32"),
    )


def test_an_origin_may_be_a_name() -> None:
    program = parse(
        f"{HEAD}origin #store piece=put node=out layer=head\n"
        "tile 0:\n  arm flag=1 #load\n  arm flag=2 #store\n  arm flag=3 #load\n"
    )
    assert program.origins == (Origin("put", "out", "head"), Origin("load", "load", ""))
    assert program.streams == ((Arm(1, 1), Arm(2, 0), Arm(3, 1)),)
    assert again(program) == text(program)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("read dram=xs spm=xs inner=4", "dram: xs (an address of DRAM; this one is of the scratchpad)"),
        ("read dram=x spm=x inner=4", "spm: x (an address of the scratchpad; this one is of DRAM)"),
        ("read dram=x spm=xss inner=4", "spm: xss (there is no 'xss': did you mean 'xs'?)"),
        ("read dram=x spm=xs inner=x.byte", "inner: x.byte (x has x.bytes and x.count, if it is in memory)"),
        ("read dram=x spm=xs inner=xs", "inner: xs (a number, not an address of the scratchpad)"),
        ("read dram=x spm=xs inner=cols/4", "inner: cols/4 (a whole number; 6/4 is none)"),
        ("read dram=x spm=xs inner=cols/(cols-6)", "inner: cols/(cols-6) (no division by 0)"),
        ("read dram=x+y spm=xs inner=4", "dram: x+y (one address, and what is added to it)"),
        ("read dram=x*2 spm=xs inner=4", "dram: x*2 (an address or an index times a number)"),
        ("read dram=x+big*big spm=xs inner=4", "dram: x+big*big (a whole number of at most 64 bits)"),
        ("read dram=x spm=xs+4*r inner=4", "spm: xs+4*r (there is no 'r': one of big, cols, xs)"),
        ("read dram=x+4*i0 spm=xs inner=4", "address: moves with i0 (0 loops around it)"),
        ("read dram=x+( spm=xs inner=4", "dram: x+( (an address like 0x1000 or 0x1000+128*i0, i0 the outermost loop)"),
        ("loop cols as cols:", "cols as cols: (each name once)"),
        ("loop cols as i1:", "cols as i1: (a name of letters, digits and _, other than i0, i1, ... of the loops)"),
        ("loop cols/4:", "cols/4: (a whole number; 6/4 is none)"),
        ("buffer name=z bytes=4", "buffer (not indented, above the tiles)"),
    ],
)  # fmt: skip
def test_what_names_cannot_mean_is_said(line: str, said: str) -> None:
    before = (
        "let cols=6 big=1000000000000\nregion name=x kind=input fmt=f16 shape=cols\n"
        "region name=y kind=input fmt=f16 shape=cols\nbuffer name=xs bytes=12\n"
    )
    (found,) = complaint(f"{HEAD}{before}tile 0:\n  {line}\n")
    mark = (
        ", "
        if said.split(" (")[0].partition(":")[0] in ("dram", "spm", "inner", "address")
        else ": "
    )
    assert found == f"  line 8{mark}{said}"


def test_faults_of_names_are_said_at_once_and_once_each() -> None:
    source = (
        f"{HEAD}let a=1 a=2 b c=nope i0=3\nregion name=x kind=input fmt=f17 shape=c\n"
        "buffer name=s\nbuffer name=t bytes=5000000\nbuffer name=u fmt=f16 shape=-2\nbuffer name=a bytes=4\n"
        "tile 0:\n  read dram=x spm=s inner=c\n"
    )
    assert complaint(source) == [
        "  line 3, let: a (each name once)",
        "  line 3, let: b (name=value)",
        "  line 3, c: nope (there is no 'nope': one of a)",
        "  line 3, let: i0 (a name of letters, digits and _, other than i0, i1, ... of the loops)",
        "  line 5, buffer: s (a buffer needs bytes, or fmt and shape)",
        "  line 6, buffer: t (ends at byte 5,065,536; what may be used, at 3,080,192)",
        "  line 7, buffer: u (a buffer needs bytes, or fmt and shape)",
        "  line 8, buffer: a (each name once)",
    ]  # and nothing of what follows from them


def test_parentheses_nest_only_so_deep() -> None:
    (line,) = complaint(f"{HEAD}tile 0:\n  arm flag={'(' * 5000}1\n")
    assert line.endswith("(a whole number of at most 64 bits)")


@given(
    st.recursive(
        st.integers(0, 50).map(str),
        lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
            lambda t: f"({''.join(t)})"
        ),
        max_leaves=8,
    )
)
def test_expressions_mean_what_they_mean_elsewhere(written: str) -> None:
    names = Names(values={"seven": Value(7)})
    wanted = eval(written)
    assert names.whole(written) == wanted
    assert names.whole(written + "*seven-1") == wanted * 7 - 1
