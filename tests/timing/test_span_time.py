"""Programs of several chips on one clock."""

from __future__ import annotations

import numpy as np
import pytest

from drawloom.chip.files import load_chip
from drawloom.chip.system_files import load_system, parse_system
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph
from drawloom.graph.tensor import TensorType
from drawloom.plans.span import Spread, compile_span
from drawloom.program.parse import parse
from drawloom.program.span import Span
from drawloom.timing import Hang, time
from drawloom.timing.span import PARTS, time_span

TX81 = load_chip("tx81")
HEAD = """drawloom program 1
program name={name} chip=tx81 scratchpad_bytes=1048576 dram_bytes=4096
blocking block=64 block_8bit=128 min_tail=4 align=256
"""


def pair(sender: str, receiver: str, system: str = "rex1032", *, at: int = 1) -> Span:
    programs = [parse(HEAD.format(name=n) + text) for n, text in (("a", sender), ("b", receiver))]
    return Span("pair", load_system(system), (0, at), tuple(programs))


SENDS = "tile 0:\n  wait flag=1\n  send src=0x0 dst=0x0 inner=65536 targets=0 flag=3 chip=1\n"
TAKES = "tile 0:\n  arm flag=3\n  signal target=0 flag=1 chip=0\n  wait flag=3\n"


def test_a_message_takes_overhead_bytes_and_hops() -> None:
    system = load_system("rex1032")
    trace = time_span(pair(SENDS, TAKES), TX81)
    (use,) = trace.links()
    assert (use.source, use.target, use.bytes) == (0, 1, 65536)
    level = system.levels[0]
    sent = next(
        int(end)
        for row, end in zip(trace.chips[0].command, trace.chips[0].end_ps, strict=True)
        if row in trace.chips[0].table.routes
    )
    begin = int(trace.chips[0].start_ps[trace.chips[0].command == 1][0])
    assert sent - begin == system.overhead + 65536 * 10**12 // level.rate
    # One hop more, one delay more, and what the receiver pays to see its flag.
    far = time_span(pair(SENDS, TAKES, at=2), TX81)
    assert far.total_ps - trace.total_ps == 2 * level.latency  # its signal and the message


def test_store_and_forward_passes_the_bytes_once_more_a_hop() -> None:
    text = (
        "name: row\ntitle: row\nchip: tx81\noverhead: 1 us\nswitching: {0}\n"
        "levels: [{{shape: mesh, sizes: [4], rate: 25 GB/s, latency: 500 ns}}]\n"
    )
    took = [
        time_span(
            Span("p", parse_system(text.format(way)), (0, 3), pair(SENDS, TAKES).programs), TX81
        ).total_ps
        for way in ("cut-through", "store-and-forward")
    ]
    assert took[1] - took[0] == 2 * (65536 * 10**12 // 25_000_000_000)


def test_two_messages_share_a_link_one_after_the_other() -> None:
    sends = "".join(
        f"tile {t}:\n  wait flag=1\n  send src=0x0 dst=0x0 inner=65536 targets={t} flag=3 chip=1\n"
        for t in (0, 1)
    )
    takes = "".join(
        f"tile {t}:\n  arm flag=3\n  signal target={t} flag=1 chip=0\n  wait flag=3\n"
        for t in (0, 1)
    )
    one = time_span(pair(SENDS, TAKES), TX81).total_ps
    both = time_span(pair(sends, takes), TX81).total_ps
    assert both - one == 65536 * 10**12 // 25_000_000_000


def test_a_chip_that_never_arms_hangs() -> None:
    with pytest.raises(Hang) as error:
        time_span(pair(SENDS.replace("  wait flag=1\n", ""), "tile 0:\n  wait flag=3\n"), TX81)
    assert "tile 0 of chip 0 sends to a flag that is not armed" in str(error.value)


def product() -> Graph:
    b = GraphBuilder("product")
    x = b.input("x", TensorType(DType.F16, (64, 512)))
    up = b.constant("up", np.zeros((512, 4096), np.float16))
    down = b.constant("down", np.zeros((4096, 512), np.float16))
    inner = b.add("Relu", (b.add("MatMul", (x, up), name="wide"),), name="act")
    narrow = b.add("MatMul", (inner, down), name="narrow")
    last = b.constant("last", np.zeros((512, 4096), np.float16))
    return b.finish([b.add("MatMul", (narrow, last), name="y")])


def test_a_span_of_one_program_takes_what_the_program_takes() -> None:
    span = compile_span(product(), "rex1032", Spread(1))
    alone = time(span.programs[0], TX81)
    trace = time_span(span, TX81)
    assert trace.total_ps == alone.total_ps
    assert np.array_equal(trace.chips[0].end_ps, alone.end_ps)


def test_two_chips_are_quicker_than_one_and_their_time_adds_up() -> None:
    graph = product()
    one = time_span(compile_span(graph, "rex1032", Spread(1)), TX81)
    two = time_span(compile_span(graph, "rex1032", Spread(2)), TX81)
    assert two.total_ps < one.total_ps
    for index in range(2):
        parts = two.split(index)
        assert tuple(parts) == PARTS
        assert sum(parts.values()) == two.total_ps
    assert one.links() == []


def test_weights_are_read_while_an_exchange_is_on_its_way() -> None:
    trace = time_span(compile_span(product(), "rex1032", Spread(2)), TX81).chips[0]
    sends = [row for row in trace.table.routes if trace.table.commands[row].chip >= 0]  # pyright: ignore[reportAttributeAccessIssue]
    away = np.isin(trace.command, sends)
    first, last = trace.start_ps[away].min(), trace.end_ps[away].max()
    moved = (trace.table.dram_read[trace.command] > 4096) & (trace.start_ps < last)
    assert (trace.end_ps[moved] > first).any()
