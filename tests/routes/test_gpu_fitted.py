"""Fitted numbers are data: each says on which rows, and stays within what is possible."""

from __future__ import annotations

import json

from drawloom.routes.gpu.fitted import FILE, behaviour, numbers

SHARES = ("dram_share", "store_share", "evened", "overlap")


def test_every_group_says_what_it_was_fitted_on() -> None:
    for name, group in json.loads(FILE.read_text()).items():
        assert set(group) >= {"rows", "values", "fitted"}, name
        assert group["rows"], name


def test_no_share_is_more_than_the_whole() -> None:
    for name, group in json.loads(FILE.read_text()).items():
        shares = {key: each for key, each in group["values"].items() if key in SHARES}
        assert all(0 <= each <= 1 for each in shares.values()), (name, shares)


def test_times_are_positive_and_below_a_second() -> None:
    cublas = behaviour("cublas")
    assert 1e-6 < cublas.launch < 5e-6
    assert 3e-7 < cublas.load_latency < 2e-6
    assert 0 < numbers("serving_vllm")["step"] < 5e-3
