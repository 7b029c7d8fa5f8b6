"""Nothing is found in programs that nobody changed, of the conformance suite and of the benchmarks' models."""

from __future__ import annotations

import pytest
from benchmarks.measures.checker_sweep import figures, names, sweep


@pytest.mark.slow
def test_nothing_is_found_in_a_sample_of_the_conformance_suite() -> None:
    found = list(sweep(names(100)))
    assert {one.name: one.found for one in found if one.found} == {}
    made = {figure.name: figure for figure in figures(found)}
    assert made["sweep.found"].holds
    assert made["sweep.checked"].value > 80
