"""Programs built in Python."""

from __future__ import annotations

from dataclasses import fields
from inspect import currentframe, signature

import numpy as np
import pytest

from drawloom.errors import InputError
from drawloom.execute.machine import execute
from drawloom.program.builder import Kernel
from drawloom.program.commands import Affine, Loop, Read, Send
from drawloom.program.fields import COMMANDS
from drawloom.program.issue import Issue, tensor
from drawloom.program.parse import parse
from drawloom.program.places import Index
from drawloom.program.text import text

LOW = 65_536  # where buffers begin
ALL = """\
drawloom program 1
program name=all chip=tx81
note key=kind text=sample
region name=x kind=input fmt=f16 shape=4x64
region name=n kind=input fmt=i64 shape=1
region name=y kind=output fmt=f16 shape=4x64
buffer name=a fmt=f16 shape=4x70 blocked=true
buffer name=b fmt=f32 shape=4x64
buffer name=c bytes=512 address=b
buffer name=d bytes=100
tile 0,2:
  read dram=x+8 spm=a inner=16 dims=2@32 #in
  pick dram=x index=n spm=a inner=16 step=32 entries=2 #in
  loop 3 as i:
    loop 2 as j:
      move src=a+128*i-2*j dst=b+4*j inner=2 dims=4@2:4
      fill dst=c+64*i fmt=bf16 count=2 value=-0.5
  select mask=a src=b dst=c element=2 count=3 #mid
  matmul a=a b=b dst=c m=2 k=3 n=4 fmt=f16 out_fmt=f32 psum=d trans_b=true batch=2 a_step=256
  matmul a=a b=b dst=c m=2 k=3 n=4 fmt=f16
  conv src=a weights=b dst=c h=2 w=3 c=4 oc=5 kh=2 kw=1 strides=2,1 pads=0,1,0,0 dilations=1,2 fmt=i8 out_fmt=i32 psum=d
  conv src=a weights=b dst=c h=2 w=3 c=4 oc=4 kh=2 kw=1 fmt=f16 depthwise=true
  vector op=add a=a b=b dst=c count=4 fmt=f16 unit=2
  vector op=mul a=a dst=c count=4 fmt=f16 out_fmt=f32 scalar=0.1
  reduce op=max src=a dst=c h=1 w=2 c=3 axis=hw fmt=f16
  pool op=avg src=a dst=c h=4 w=4 c=3 kh=2 kw=2 strides=2,2 pads=1,0,0,0 fmt=f16 count_pad=true
  pool op=max src=a dst=c h=4 w=4 c=3 kh=2 kw=2 fmt=f16
  arm flag=3
  send src=a dst=b inner=8 targets=0..2 flag=3 dims=2@16 #out
  signal target=1 flag=4 chip=2
  wait flag=3 count=2
  join engines=read,vector keep=1
  barrier tiles=0..2
  cpu op=Concat ins=dram:f16[4x64]@x+8,- outs=spm:f16[8x64]@d attrs={"axis":0,"perm":[1,0]}
  write spm=a dram=y inner=16 #out
tile 1:
"""


def everything() -> Kernel:
    k = Kernel("all", "tx81")
    k.note("kind", "sample")
    x, n = k.input("x", "f16", (4, 64)), k.input("n", "i64", (1,))
    y = k.output("y", "f16", (4, 64))
    a, b = k.buffer("a", "f16", (4, 70), blocked=True), k.buffer("b", "f32", (4, 64))
    c, d = k.buffer("c", bytes=512, at=b), k.buffer("d", bytes=100)
    with k.tile(0, 2):
        k.step("in")
        k.read(x + 8, a, 16, ((32, 2),))
        k.pick(x, n, a, 16, 32, 2)
        k.step("")
        with k.loop(3) as i, k.loop(2) as j:
            k.move(a + 128 * i - j * 2, b + 4 * j, 2, ((2, 4, 4),))
            k.fill(c + 64 * i, "bf16", 2, -0.5)
        k.step("mid")
        k.select(a, b, c, 2, 3)
        k.step("")
        k.matmul(a, b, c, 2, 3, 4, "f16", "f32", psum=d, trans_b=True, batch=2, a_step=256)
        k.matmul(a, b, c, 2, 3, 4, "f16")
        shape = {"strides": (2, 1), "pads": (0, 1, 0, 0), "dilations": (1, 2)}
        k.conv(a, b, c, (2, 3, 4), 5, (2, 1), "i8", "i32", **shape, psum=d)
        k.conv(a, b, c, (2, 3, 4), 4, (2, 1), "f16", depthwise=True)
        k.vector("add", a, c, 4, "f16", b=b, unit=2)
        k.vector("mul", a, c, 4, "f16", "f32", scalar=0.1)
        k.reduce("max", a, c, (1, 2, 3), "hw", "f16")
        k.pool(
            "avg", a, c, (4, 4, 3), (2, 2), "f16", strides=(2, 2), pads=(1, 0, 0, 0), count_pad=True
        )
        k.pool("max", a, c, (4, 4, 3), (2, 2), "f16")
        k.arm(3)
        k.step("out")
        k.send(a, b, 8, range(3), 3, ((16, 2),))
        k.step("")
        k.signal(1, 4, chip=2)
        k.wait(3, 2)
        k.join("read", "vector", keep=1)
        k.barrier(range(3))
        k.cpu(
            "Concat",
            [tensor(x + 8, "f16", (4, 64)), None],
            [tensor(d, "f16", (8, 64))],
            axis=0,
            perm=(1, 0),
        )
        k.step("out")
        k.write(a, y, 16)
    with k.tile(1):
        pass
    return k


def test_the_builder_and_the_text_give_one_program() -> None:
    assert text(everything().program()) == text(parse(ALL))


def test_every_command_has_a_method_with_its_fields() -> None:
    grouped = {"h", "w", "c", "kh", "kw", "dilations"}
    for word, kind in COMMANDS.items():
        taken = set(signature(getattr(Issue, word)).parameters)
        missing = {each.name for each in fields(kind)} - taken - {"origin"}
        if word == "conv" or word in ("reduce", "pool"):
            missing -= grouped
        elif word == "cpu":
            missing -= {"attrs"}
        assert missing == set(), word


def test_a_kernel_runs() -> None:
    k = Kernel("axpy")
    x, y = k.input("x", "f16", (8,)), k.output("y", "f16", (8,))
    b = k.constant("b", np.arange(8, dtype=np.float16))
    xs, bs = k.buffer("xs", "f16", (8,)), k.buffer("bs", "f16", (8,))
    with k.tile(0):
        k.read(x, xs, x.bytes)
        k.read(b, bs, b.bytes)
        k.vector("add", xs, xs, xs.count, "f16", b=bs)
        k.write(xs, y, y.bytes)
    ones = np.ones(8, np.float16)
    np.testing.assert_array_equal(execute(k.program(), {"x": ones})["y"], 1 + np.arange(8))


def test_indices_add_up() -> None:
    i, j = Index(((0, 1),)), Index(((1, 1),))
    assert 4 * i + j * 2 + i == Index(((0, 5), (1, 2)))


def test_every_fault_is_said_at_once_with_its_line() -> None:
    k = Kernel("wrong")
    frame = currentframe()
    assert frame
    x = k.input("x", "f61", (4,))
    first = frame.f_lineno - 1
    b = k.buffer("b")
    k.arm(1)
    with k.tile(0), k.loop(-1) as i:
        k.read(x + 8 * i - 16, b, -1)
        k.arm(64)
        with k.tile(1):
            k.send(b, b, 4, (5,), 0)
    with k.tile(3), k.loop(2):
        k.wait(0)
    with k.loop(2):
        pass
    with pytest.raises(InputError) as caught:
        k.program()
    at = [f"test_builder.py line {first + n}" for n in range(18)]
    assert caught.value.text().splitlines() == [
        "error[program.builder]: 11 faults in kernel 'wrong'",
        f"  {at[0]}, region 'x', fmt: f61 (did you mean 'f64'?)",
        f"  {at[2]}, buffer 'b' (a buffer needs bytes, or fmt and shape)",
        f"  {at[3]}, arm (within a tile)",
        f"  {at[4]}, loop: -1 (0 or more)",
        f"  {at[7]}, tile 1 (not within a tile or a loop)",
        f"  {at[11]}, loop (within a tile)",
        "  tile 3 (0 to 2, none left out)",
        f"  {at[5]}, inner: -1 (0 or more)",
        f"  {at[5]}, address: reaches -16 (0 or more)",
        f"  {at[6]}, flag: 64 (0 to 63)",
        f"  {at[8]}, targets: 5 (tiles out of 0 to 2)",
    ]


def test_commands_are_kept_apart_by_tile() -> None:
    k = Kernel("apart")
    x, b = k.input("x", "f16", (4,)), k.buffer("b", "f16", (4,))
    for t in range(2):
        with k.tile(t), k.loop(2) as i:
            k.read(x + 4 * t + 2 * i, b + 2 * i, 2)
            k.send(b, b, 2, (1 - t,), t)
    one, two = k.program().streams
    moves, lies = (2,), Affine(LOW, (2,))
    assert one == (Loop(2, (Read(Affine(0, moves), lies, 2), Send(LOW, LOW, 2, (1,), 0))),)
    assert two == (Loop(2, (Read(Affine(4, moves), lies, 2), Send(LOW, LOW, 2, (0,), 1))),)
