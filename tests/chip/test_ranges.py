"""A chip at the ends of its ranges."""

from __future__ import annotations

import pytest

from drawloom.chip.files import load_chip
from drawloom.chip.model import Range
from drawloom.chip.ranges import at, uncertain
from drawloom.errors import InputError

TX81 = load_chip("tx81")


def message(ends: dict[str, str]) -> str:
    with pytest.raises(InputError) as caught:
        at(TX81, ends)
    return caught.value.text()


def test_uncertain_lists_what_has_a_range_in_base_units() -> None:
    known = uncertain(TX81)
    assert known["clock"] == Range(0.68e9, 1e9, 1.36e9)
    assert known["energy.matrix_per_mac.f16"] == Range(0.0873, 0.52, 3.12)
    assert "rows" not in known


def test_every_number_lies_inside_its_range() -> None:
    assert [p for p, r in uncertain(TX81).items() if not r.low <= r.default <= r.high] == []


def test_a_number_moves_to_an_end_and_the_rest_stays() -> None:
    chip = at(TX81, {"clock": "low", "profiles.lean.issue": "high"})
    assert (chip.clock, chip.profiles["lean"].issue) == (680_000_000, 1200)
    assert isinstance(chip.clock, int)
    assert (chip.matrix, chip.sources) == (TX81.matrix, TX81.sources)
    assert chip.profiles["vendor"] == TX81.profiles["vendor"]
    assert TX81.clock == 10**9


def test_an_energy_moves_inside_its_range() -> None:
    assert at(TX81, {"energy.idle_watts": "high"}).energy.idle_watts == Range(30.0, 62.0, 62.0)


def test_a_star_stands_for_many_and_the_later_counts() -> None:
    chip = at(TX81, {"vector.rates.*": "high", "vector.rates.exp": "low"})
    assert (chip.vector.rates["exp"], chip.vector.rates["log"]) == (1, 16)
    assert chip.vector.rates["add"] == TX81.vector.rates["add"]


def test_all_at_one_end_is_a_chip() -> None:
    for end in ("low", "high"):
        chip = at(TX81, {"*": end})
        assert all(getattr(r, end) == r.default for r in uncertain(chip).values())


def test_what_cannot_move_is_told_at_once() -> None:
    assert message({"clok": "low", "rows": "high", "clock": "middle"}) == (
        "error[chip.range]: no such end of a range of chip 'tx81'\n"
        "  clok (did you mean 'clock'?)\n"
        "  rows (this number has no range)\n"
        "  clock: 'middle' (low or high)"
    )
