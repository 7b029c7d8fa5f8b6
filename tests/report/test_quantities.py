from __future__ import annotations

import pytest

from drawloom.report import quantities as q


@pytest.mark.parametrize(
    ("ps", "text"),
    [
        (0, "0 ps"),
        (999, "999 ps"),
        (1500, "1.50 ns"),
        (999_960_000, "1.00 ms"),
        (310_063_277, "310 µs"),
        (27_000_000, "27.0 µs"),
        (5 * 10**12, "5.00 s"),
    ],
)
def test_a_time_has_three_digits_and_a_unit_that_suits_it(ps: int, text: str) -> None:
    assert q.time_text(ps) == text


def test_bytes_come_in_binary_units() -> None:
    assert [q.bytes_text(n) for n in (0, 1000, 1024, 8 << 20, 3 << 40)] == [
        "0 B", "1,000 B", "1.00 KiB", "8.00 MiB", "3.00 TiB",
    ]  # fmt: skip


def test_energies_rates_counts_and_shares() -> None:
    assert q.energy_text(1.24e-3) == "1.24 mJ"
    assert q.energy_text(0.0) == "0 pJ"
    assert q.power_text(51.04) == "51.0 W"
    assert q.rate_text(5.54e13, "FLOP/s") == "55.4 TFLOP/s"
    assert q.count_text(64) == "64"
    assert q.count_text(17_179_869_184) == "17.2 G"
    assert q.share_text(0.1234) == "12.3 %"
    assert q.ratio_text(1.236) == "1.24×"
    assert q.digits(0.0123) == "0.0123"
