from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from tests.report import hand

from drawloom.chip.files import catalog, load_chip
from drawloom.chip.ranges import uncertain
from drawloom.report.figures import figures
from drawloom.report.page import page
from drawloom.report.record import record
from drawloom.report.spread import OTHER, SLOW, ends, latency_range
from drawloom.report.summary import headline


@pytest.mark.parametrize("name", catalog())
def test_every_number_with_a_range_has_a_slow_end_or_says_nothing_about_speed(name: str) -> None:
    patterns = (*SLOW, *OTHER)
    for path in uncertain(load_chip(name)):
        assert sum(fnmatchcase(path, pattern) for pattern in patterns) == 1, path


def test_slow_ends_are_slow_and_quick_ends_quick() -> None:
    chip = load_chip("tx81")
    slow, quick = ends(chip, slow=True), ends(chip, slow=False)
    assert slow.clock < chip.clock < quick.clock
    assert slow.dram.combined < quick.dram.combined
    assert slow.dram_read.latency > chip.dram_read.latency > quick.dram_read.latency
    assert slow.profiles == quick.profiles == chip.profiles


def test_the_latency_lies_within_its_error_bars() -> None:
    found = latency_range(hand.trace())
    assert found.low < found.default == hand.trace().latency_ps < found.high


def test_error_bars_stand_beside_the_latency_everywhere() -> None:
    shown = figures(hand.trace(), error_bars=True)
    lines = headline(shown)
    assert lines[1][2].startswith("between ")
    assert lines[1][2].endswith(": the hardware's numbers at the ends of their ranges")
    kept = record(shown)["latency_range_ps"]
    assert isinstance(kept, dict)
    assert list(kept) == ["low", "value", "high"]  # pyright: ignore[reportUnknownArgumentType]
    assert 'aria-label="Latency: ' in page(shown)
    assert record(figures(hand.trace()))["latency_range_ps"] is None
