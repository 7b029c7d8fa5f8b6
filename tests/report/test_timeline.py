from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report import hand

from drawloom.report.layers import by_layer
from drawloom.report.timeline import Timeline, timeline, varints
from drawloom.timing.table import ENGINES


def unpacked(raw: bytes) -> list[int]:
    values: list[int] = []
    value, scale = 0, 1
    for byte in raw:
        value += (byte & 127) * scale
        scale *= 128
        if byte < 128:
            values.append(value)
            value, scale = 0, 1
    return values


def spans(drawn: Timeline) -> list[tuple[int, ...]]:
    """(tile, engine, start, end, caption, layer, commands, idle, bytes) as the page reads them."""
    left = iter(unpacked(base64.b64decode(drawn.packed)))
    out: list[tuple[int, ...]] = []
    for tile, engine, n in drawn.lanes:
        clock = 0
        for _ in range(n):
            gap, length, caption, layer, more, idle, moved = (next(left) for _ in range(7))
            start, clock = clock + gap, clock + gap + length
            out.append((tile, engine, start, clock, caption, layer, more + 1, idle, moved))
    assert next(left, None) is None
    return out


@given(st.lists(st.integers(0, 2**62 - 1)))
def test_varints_read_back(values: list[int]) -> None:
    assert unpacked(varints(np.array(values, np.int64))) == values


def test_every_span_is_drawn_where_there_are_few() -> None:
    trace = hand.trace()
    split = by_layer(trace)
    drawn = timeline(trace, split)
    assert drawn.bin_ps == 0
    assert drawn.n_spans == len(trace)
    tick = trace.chip.period
    wanted = sorted(
        (int(trace.tile[i]), int(trace.engine[i]), int(s) // tick, int(e) // tick)
        for i, (s, e) in enumerate(zip(trace.start_ps, trace.end_ps, strict=True))
    )
    assert sorted(span[:4] for span in spans(drawn)) == wanted


def test_a_span_carries_its_caption_and_layer() -> None:
    trace = hand.trace()
    split = by_layer(trace)
    drawn = timeline(trace, split)
    found = {
        (drawn.captions[caption], split.layers[layer].name)
        for _, engine, _, _, caption, layer, *_ in spans(drawn)
        if ENGINES[engine].value == "vector"
    }
    assert found == {("Vector relu 16,384 f16", "/model/relu1")}


@pytest.mark.parametrize("limit", [3000, 800, 300])
def test_long_runs_are_binned_without_losing_anything(limit: int) -> None:
    trace = hand.trace(60)
    split = by_layer(trace)
    whole, drawn = timeline(trace, split, 10**9), timeline(trace, split, limit)
    assert whole.n_spans == len(trace) > limit >= drawn.n_spans
    assert drawn.bin_ps > 0
    before, after = spans(whole), spans(drawn)
    assert sum(span[6] for span in after) == len(trace)
    assert sum(span[8] for span in after) == sum(span[8] for span in before)

    def busy(all_spans: list[tuple[int, ...]]) -> int:
        return sum(end - start - idle for _, _, start, end, _, _, _, idle, _ in all_spans)

    assert busy(after) == pytest.approx(busy(before), rel=0.02)


def test_a_waiting_processor_is_drawn_as_idle() -> None:
    drawn = timeline(hand.trace(), by_layer(hand.trace()))
    waits = [s for s in spans(drawn) if drawn.captions[s[4]] == "Wait flag 0 ≥ 1"]
    assert len(waits) == 15
    assert all(idle > (end - start) // 2 for _, _, start, end, _, _, _, idle, _ in waits)
