"""The checker: nothing on compiled programs, and each planted fault by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from benchmarks.measures.limits import (
    DIT,
    FORWARD,
    LLAMA,
    MIXTRAL,
    PROMPT,
    STEP,
    VIT,
    attention,
    filled,
    product,
)
from examples.models.resnet import resnet18
from hypothesis import given, settings
from tests.mapping.drawing import graphs

from drawloom.check import RULES, check, memory, state
from drawloom.chip.files import load_chip
from drawloom.cli.arrays import random_inputs
from drawloom.errors import InputError
from drawloom.execute.orders import execute_orders
from drawloom.flow import compile
from drawloom.frontends.onnx import read_onnx
from drawloom.graph.ir import Graph
from drawloom.graph.text import parse as parse_graph
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.program.commands import Arm, Barrier, Command, Loop, Pool, Send, Stream, Wait
from drawloom.program.parse import parse
from drawloom.program.program import Program
from drawloom.program.roll import unroll

TX81 = load_chip("tx81")
Route = tuple[int, ...]


def networks() -> dict[str, Graph]:
    return {
        "gemm": product(256, 512, 320),
        "attention": attention(8, 2, 200, 64),
        "decode": filled(LLAMA, STEP),
        "prefill": filled(LLAMA, PROMPT),
        "experts": filled(MIXTRAL, STEP),
        "vit": filled(VIT, FORWARD),
        "dit": filled(DIT, FORWARD),
        "resnet": read_onnx(resnet18(image=64, width=16).SerializeToString()),
    }


@cache
def compiled(name: str) -> Program:
    return compile(networks()[name]).program


@pytest.mark.parametrize("name", networks())
def test_nothing_is_found_in_a_compiled_program(name: str) -> None:
    program = compiled(name)
    assert [one.text(program) for one in check(program, TX81)] == []


def test_long_windows_are_cut_to_what_one_command_may_have() -> None:
    graph = parse_graph(
        "drawloom graph 1\nname long\ninput x f16[1,1,80000]\nnode pool MaxPool(x) dilations=[10] "
        "kernel_shape=[200] pads=[100, 100] strides=[10] -> y f16[1,1,7821]\noutput y\n",
        {},
    )
    program = compile(graph).program
    pools = [c for stream in program.streams for c in unroll(stream) if isinstance(c, Pool)]
    assert max(c.h for c in pools) <= TX81.limits.rows
    assert check(program, TX81) == ()


@settings(max_examples=25)
@given(graphs())
def test_nothing_is_found_in_programs_of_random_graphs(graph: Graph) -> None:
    program = assemble(map_graph(graph, TX81))
    assert [one.text(program) for one in check(program, TX81)] == []


def places(stream: Stream, kind: type[Command], path: Route = ()) -> Iterator[Route]:
    for i, item in enumerate(stream):
        if isinstance(item, Loop):
            yield from places(item.body, kind, (*path, i))
        elif isinstance(item, kind):
            yield (*path, i)


def without(stream: Stream, path: Route) -> Stream:
    i, *rest = path
    item = stream[i]
    if not rest:
        return stream[:i] + stream[i + 1 :]
    assert isinstance(item, Loop)
    return (*stream[:i], replace(item, body=without(item.body, tuple(rest))), *stream[i + 1 :])


@pytest.mark.parametrize("kind", [Arm, Barrier, Send, Wait])
@pytest.mark.parametrize("name", ["gemm", "prefill", "resnet"])
def test_every_command_between_tiles_that_is_left_out_is_found(
    name: str, kind: type[Command]
) -> None:
    program = compiled(name)
    all_places = [(t, p) for t, s in enumerate(program.streams) for p in places(s, kind)]
    assert all_places
    for tile, path in all_places[:: max(1, len(all_places) // 5)]:
        streams = list(program.streams)
        streams[tile] = without(streams[tile], path)
        found = check(replace(program, streams=tuple(streams)), TX81)
        if kind is Wait and not found:
            # Of small images every tile is sent all, and some compute nothing of what is made of them.
            mutant = replace(program, streams=tuple(streams))
            tried = execute_orders(mutant, random_inputs(program, None, 1), 4, seed=1, chip=TX81)
            assert not tried.partings, (tile, path)
            continue
        assert found, (tile, path)
        assert {one.rule for one in found} & {"race", "unarmed", "deadlock", "barrier", "starved"}


BY_HAND = """drawloom program 1
program name=hand chip=tx81 scratchpad_bytes=3145728 dram_bytes=4096
blocking block=64 block_8bit=128 min_tail=4 align=256
region name=x kind=input address=0x0 bytes=16 fmt=f16 shape=2x4
region name=y kind=output address=0x100 bytes=16 fmt=f16 shape=2x4
origin #0 piece=double.0 node=double layer=net.double

tile 0:
  read dram=0x0 spm=0x0 inner=16 #0
  vector op=mul a=0x0 dst=0x100 count=8 fmt=f16 out_fmt=f16 scalar=2.0 #0
  join engines=vector
  barrier tiles=0..1
  send src=0x100 dst=0x0 inner=16 targets=1 flag=3 #0

tile 1:
  arm flag=3
  barrier tiles=0..1
  wait flag=3
  write spm=0x0 dram=0x100 inner=16 #0
"""
# What is done to the text, and the rule that it breaks.
FAULTS = {
    "race: the send does not wait for the engine": ("  join engines=vector\n", "", "race"),
    "unarmed: nothing tells that the flag is armed": ("  barrier tiles=0..1\n", "", "unarmed"),
    "starved: nobody sends": ("  send src=0x100 dst=0x0 inner=16 targets=1 flag=3 #0\n", "", "starved"),
    "race: the write does not wait for the send": ("  wait flag=3\n", "", "race"),
    "unwritten: another place is read": ("a=0x0 dst", "a=0x400 dst", "unwritten"),
    "output: half of it is written": ("dram=0x100 inner=16", "dram=0x100 inner=8", "output"),
    "bounds: behind the end of DRAM": ("dram=0x100 inner=16", "dram=0xff8 inner=16", "bounds"),
    "deadlock: one tile does not come to the barrier": (
        "  arm flag=3\n  barrier tiles=0..1\n",
        "  arm flag=3\n",
        "deadlock",
    ),
    "align: a product off its line": (
        "  join engines=vector\n",
        "  matmul a=0x100 b=0x100 dst=0x1008 m=1 k=4 n=1 fmt=f16 out_fmt=f16\n  join engines=vector\n",
        "align",
    ),
    "limits: more rows than a command may have": (
        "  join engines=vector\n",
        "  matmul a=0x100 b=0x100 dst=0x1000 m=5000 k=4 n=1 fmt=f16 out_fmt=f16\n  join engines=vector\n",
        "limits",
    ),
    "limits: an image whose pads make it too wide": (
        "  join engines=vector\n",
        "  pool op=max src=0x100 dst=0x1000 h=1 w=4000 c=4 kh=1 kw=1 strides=1,1 pads=0,0,90,90 dilations=1,1 fmt=f16\n"
        "  join engines=vector\n",
        "limits",
    ),
    "unit: 3 elements that are repeated": (
        "scalar=2.0", "b=0x200 unit=3", "unit"
    ),
    "long: more elements become one than is safe": (
        "  join engines=vector\n",
        "  reduce op=sum src=0x100 dst=0x10000 h=400 w=100 c=4 axis=hw fmt=f16 out_fmt=f16\n  join engines=vector\n",
        "long",
    ),
    "engine: a format that the matrix engine does not take": (
        "  join engines=vector\n",
        "  matmul a=0x100 b=0x100 dst=0x1000 m=1 k=4 n=1 fmt=f32 out_fmt=f32\n  join engines=vector\n",
        "engine",
    ),
    "format: halves taken for bfloats": ("fmt=f16 out_fmt=f16 scalar", "fmt=bf16 out_fmt=f16 scalar", "format"),
    "format: an output in another format": ("out_fmt=f16 scalar", "out_fmt=bf16 scalar", "format"),
    "overlap: a product over its own operand": (
        "  join engines=vector\n",
        "  matmul a=0x100 b=0x100 dst=0x100 m=1 k=4 n=1 fmt=f16 out_fmt=f16\n  join engines=vector\n",
        "overlap",
    ),
    "lost: a load that is loaded over": (
        "  vector op", "  read dram=0x0 spm=0x0 inner=16 #0\n  vector op", "lost"
    ),
    "straddle: a part of one load and one of another": (
        "  read dram=0x0 spm=0x0 inner=16 #0\n",
        "  read dram=0x0 spm=0x0 inner=8 #0\n  read dram=0x0 spm=0x8 inner=16 #0\n"
        "  move src=0x0 dst=0x800 inner=16\n  move src=0x10 dst=0x900 inner=8\n",
        "straddle",
    ),
    "remains: a buffer that was given away too early": (
        "  read dram=0x0 spm=0x0 inner=16 #0\n",
        "  read dram=0x0 spm=0x0 inner=16 #0\n  move src=0x0 dst=0x800 inner=16\n"
        "  read dram=0x0 spm=0x8 inner=16 #0\n  move src=0x0 dst=0x900 inner=24\n",
        "remains",
    ),
    "unwritten: a mask over what is not there": (
        "  join engines=vector\n",
        "  join engines=vector\n  select mask=0x100 src=0x100 dst=0x2000 element=2 count=8\n",
        "unwritten",
    ),
    "format: a mask over numbers of another format": (
        "  join engines=vector\n",
        "  fill dst=0x2000 fmt=bf16 count=8 value=0.0\n"
        "  select mask=0x100 src=0x100 dst=0x2000 element=2 count=8\n  join engines=vector\n",
        "format",
    ),
    "unread: a load of half an input": ("spm=0x0 inner=16 #0", "spm=0x0 inner=8 #0", "unread"),
    "uneven: some of an input is loaded again": (
        "  vector op", "  read dram=0x0 spm=0x800 inner=8 #0\n  vector op", "uneven"
    ),
    "across: a load that starts before its input": (
        "read dram=0x0 spm=0x0 inner=16", "read dram=0x8 spm=0x0 inner=16", "across"
    ),
    "twice: two writes meet": (
        "  write spm=0x0", "  write spm=0x0 dram=0x100 inner=8 #0\n  write spm=0x0", "twice"
    ),
    "wasted: what is written to DRAM and not read": (
        "  write spm=0x0", "  write spm=0x0 dram=0x200 inner=16 #0\n  write spm=0x0", "wasted"
    ),
    "watchdog: a gather of too many runs": (
        "  join engines=vector\n",
        "  join engines=vector\n  move src=0x0 dst=0x10000 inner=4 dims=20000@4:4\n",
        "watchdog",
    ),
}  # fmt: skip


def test_a_sound_program_by_hand_is_left_alone() -> None:
    assert check(parse(BY_HAND), TX81, strict=True) == ()


def test_what_silicon_need_not_take_is_looked_at_strictly_only() -> None:
    for name in (
        "unit: 3 elements that are repeated",
        "long: more elements become one than is safe",
    ):
        before, after, rule = FAULTS[name]
        assert rule not in {one.rule for one in check(parse(BY_HAND.replace(before, after)), TX81)}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_by_its_name(name: str) -> None:
    before, after, rule = FAULTS[name]
    assert before in BY_HAND
    program = parse(BY_HAND.replace(before, after))
    assert rule in {one.rule for one in check(program, TX81, strict=True)}


def test_a_race_shows_both_commands_with_what_they_are_for() -> None:
    program = parse(BY_HAND.replace("  join engines=vector\n", ""))
    (found,) = check(program, TX81)
    assert found.text(program) == (
        "race: two commands touch the same bytes, one of them writes, and nothing orders them\n"
        "  bytes 256 to 272 of the scratchpad of tile 0\n"
        "  tile 0: vector op=mul a=0x0 dst=0x100 count=8 fmt=f16 out_fmt=f16 scalar=2.0"
        "   (node 'double', layer 'net.double')\n"
        "  tile 0: send src=0x100 dst=0x0 inner=16 targets=1 flag=3"
        "   (node 'double', layer 'net.double')\n"
        f"  try  {RULES['race'].fix}"
    )


SHARED = """drawloom program 1
program name=hand chip=tx81 scratchpad_bytes=3145728 dram_bytes=4096
blocking block=64 block_8bit=128 min_tail=4 align=256
region name=x kind=input address=0x0 bytes=32 fmt=f16 shape=2x8
region name=y kind=output address=0x100 bytes=32 fmt=f16 shape=2x8
tile 0:
  read dram=0x0 spm=0x0 inner=16
  arm flag=3
  barrier tiles=0..1
  join engines=read
  send src=0x0 dst=0x100 inner=16 targets=0..1 flag=3
  wait flag=3
  join engines=send
  read dram=0x10 spm=0x0 inner=16
  write spm=0x0 dram=0x110 inner=16
tile 1:
  arm flag=3
  barrier tiles=0..1
  wait flag=3
  write spm=0x100 dram=0x100 inner=16
"""


@pytest.mark.parametrize(
    "place", ["0x100", "0x0"]
)  # at the sender: beside what is sent, or over it
def test_what_came_to_one_target_is_not_the_end_of_a_send(place: str) -> None:
    text = SHARED.replace("dst=0x100", f"dst={place}").replace("spm=0x100", f"spm={place}")
    assert check(parse(text), TX81) == ()
    (found,) = check(parse(text.replace("  join engines=send\n", "")), TX81)
    assert found.rule == "race"
    assert found.other is not None
    assert isinstance(found.other.command, Send)


def test_every_rule_stands_in_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "checker.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert rows == set(RULES)


def test_a_program_that_runs_too_long_is_refused() -> None:
    with pytest.raises(InputError, match="program 'hand' is too long to check"):
        check(parse(BY_HAND), TX81, most=5)


def test_room_for_pieces_of_memory_grows_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "ROOM", 1)
    program = parse(BY_HAND)
    assert check(program, TX81) == ()
    monkeypatch.setattr(state, "MOST_CELLS", 0)
    with pytest.raises(InputError, match="program 'hand' is too large to check"):
        check(program, TX81)
