"""The checker on programs that send to other chips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawloom.check import check_span
from drawloom.chip.files import load_chip
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.tensor import TensorType
from drawloom.plans.span import Spread, compile_span
from drawloom.program.commands import Arm, Command, Send, Signal, Wait
from drawloom.program.span import Span, is_far

TX81 = load_chip("tx81")


@pytest.fixture(scope="module")
def span() -> Span:
    b = GraphBuilder("mlp")
    x = b.input("x", TensorType(DType.F16, (4, 128)))
    up = b.constant("up", np.ones((128, 256), np.float16))
    down = b.constant("down", np.ones((256, 128), np.float16))
    y = b.add("MatMul", (b.add("MatMul", (x, up)), down), name="y")
    z = b.add("Relu", (y,), name="z")
    return compile_span(b.finish([z]), "rex1032", Spread(4))


def without(span: Span, chip: int, kind: type[Command], *, far: bool = False) -> Span:
    """Return a span in which tile 0 of a chip lacks its first command of a kind that serves an exchange."""
    program = span.programs[chip]
    stream = list(program.streams[0])
    flags = {
        c.flag
        for p in span.programs
        for c in p.streams[0]
        if isinstance(c, Send | Signal) and is_far(c)
    }
    for at, command in enumerate(stream):
        if isinstance(command, kind) and getattr(command, "flag", None) in flags:
            if far and not is_far(command):
                continue
            del stream[at]
            break
    changed = replace(program, streams=(tuple(stream), *program.streams[1:]))
    programs = tuple(changed if i == chip else p for i, p in enumerate(span.programs))
    return replace(span, programs=programs)


def test_what_is_compiled_for_several_chips_has_no_faults(span: Span) -> None:
    assert check_span(span, TX81) == ()


def test_a_missing_arming_is_found(span: Span) -> None:
    rules = {finding.rule for finding in check_span(without(span, 1, Arm), TX81)}
    assert "unarmed" in rules


def test_a_missing_signal_stops_the_chip_that_waits_for_it(span: Span) -> None:
    found = check_span(without(span, 1, Signal, far=True), TX81)
    assert [finding.rule for finding in found] == ["starved"]
    assert "chip 0 tile 0" in found[0].text(*span.programs)


def test_a_missing_wait_is_a_race_between_chips(span: Span) -> None:
    found = check_span(without(span, 1, Wait), TX81)
    rules = {finding.rule for finding in found}
    assert rules & {"race", "unwritten", "unarmed"}
    assert any("chip 1" in finding.text(*span.programs) for finding in found)
