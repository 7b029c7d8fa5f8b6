"""Numbers with units: exact in, exact out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawloom.chip import quantity as q

KINDS = [kind for kind in vars(q).values() if isinstance(kind, q.Kind)]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (q.SIZE, "3 MiB", 3 * 2**20),
        (q.SIZE, "2.875MiB", 3_014_656),
        (q.SIZE, "0 B", 0),
        (q.RATE, "155.8 GB/s", 155_800_000_000),
        (q.RATE, "1 KiB/s", 1024),
        (q.FREQUENCY, "1.36 GHz", 1_360_000_000),
        (q.CYCLES, "46 cycles", 46),
        (q.CYCLES, "1 cycle", 1),
        (q.TIME, "0.9 ms", 900_000_000),
        (q.TIME, "18 µs", 18_000_000),
        (q.COUNT, "16_384", 16_384),
        (q.COUNT, "4e3", 4000),
        (q.SHARE, "0.91", 0.91),
        (q.MACS, "4096 MACs/cycle", 4096),
        (q.PER_ELEMENT, "2.5 cycles/element", 2.5),
        (q.PER_BYTE, "10.5 pJ/bit", 84.0),
        (q.PER_BYTE, "84 pJ/B", 84.0),
        (q.PER_BYTE_HOP, "0.4 pJ/bit/hop", 3.2),
        (q.PER_MAC, "52 fJ/MAC", 0.052),
        (q.POWER, "500 mW", 0.5),
    ],
)
def test_a_quantity_means_its_number_in_the_base_unit(
    kind: q.Kind, text: str, value: float
) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "allowed"),
    [
        (q.TIME, "3 MB", "a time such as 18 us; units ps, ns, us, ms, s"),
        (q.CYCLES, "46", "a number of cycles such as 46 cycles"),
        (q.COUNT, "4 B", "a whole number such as 16, without a unit"),
        (q.COUNT, "many", "a whole number such as 16, without a unit"),
        (q.COUNT, "", "a whole number such as 16, without a unit"),
        (q.COUNT, "nan", "a whole number such as 16, without a unit"),
        (q.COUNT, "-1", "at least 0"),
        (q.POSITIVE, "0", "more than 0"),
        (q.POSITIVE, "0.5", "a whole number"),
        (q.CYCLES, "0.5 cycles", "a whole number of cycles"),
        (q.SIZE, "0.3 B", "a whole number of B"),
        (q.SHARE, "1.5", "at most 1"),
        (q.FREQUENCY, "2000 GHz", "at most 1,000,000,000,000 Hz"),
        (q.COUNT, "1e300", "at most 9,007,199,254,740,992"),
    ],
)
def test_what_is_no_quantity_is_told_what_is(kind: q.Kind, text: str, allowed: str) -> None:
    with pytest.raises(q.QuantityError) as caught:
        kind.parse(text)
    assert str(caught.value) == allowed


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (q.SIZE, 3 * 2**20, "3 MiB"),
        (q.SIZE, 3_014_656, "2.875 MiB"),
        (q.SIZE, 1000, "1000 B"),
        (q.SIZE, 0, "0 B"),
        (q.RATE, 155_800_000_000, "155.8 GB/s"),
        (q.RATE, 1_234_567_891, "1234.567891 MB/s"),
        (q.FREQUENCY, 680_000_000, "680 MHz"),
        (q.CYCLES, 1, "1 cycle"),
        (q.CYCLES, 0, "0 cycles"),
        (q.TIME, 18_000_000, "18 us"),
        (q.PER_BYTE, 84.0, "84 pJ/B"),
        (q.SHARE, 0.91, "0.91"),
    ],
)
def test_a_number_prints_short(kind: q.Kind, value: float, text: str) -> None:
    assert kind.text(value) == text


@given(st.sampled_from(KINDS), st.data())
def test_what_is_printed_parses_back(kind: q.Kind, data: st.DataObject) -> None:
    value = data.draw(
        st.integers(1, kind.most)
        if kind.whole
        else st.floats(0, min(kind.most, 1e30), exclude_min=True)
    )
    assert kind.parse(kind.text(value)) == value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.example)
def test_every_example_is_of_its_kind(kind: q.Kind) -> None:
    kind.parse(kind.example)
