"""Rates that others measured on chips of which no table ships: figures lie near, or bars hold them.

Qwen3 32B, prompts of 128 tokens, answers of 1,024, at 1, 4, 16 and 64 sequences. Source: a benchmark of
the serving software Chitu, adg.csdn.net/696f3c8b; nothing was fitted on them.
"""

from __future__ import annotations

import pytest

from drawloom.compare.answer import Answer
from drawloom.compare.run import Load, compare
from drawloom.compare.span import Span

LOAD = Load(prompt=128, answer=1024, batches=(1, 4, 16, 64))
H20 = (44.8, 167.8, 585.0, 1333.0)
ASCEND_2 = (24.4, 84.5, 265.0, 805.0)


def rates(found: tuple[Answer, ...]) -> list[Span]:
    return [each.rate for each in found if each.rate]


@pytest.mark.slow
def test_a_gpu_known_by_its_datasheet_is_near_what_was_measured() -> None:
    predicted = [each.best for each in rates(compare("qwen3-32b", "h20", LOAD))]
    assert predicted == pytest.approx(H20, rel=0.2)


def test_bars_hold_what_was_measured_where_arrays_are_assumed_in_part() -> None:
    for span, measured in zip(rates(compare("qwen3-32b", "ascend_910bx2", LOAD)), ASCEND_2, strict=True):  # fmt: skip
        assert span.low < measured < span.high
