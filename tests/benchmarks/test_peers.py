"""The questions of benchmarks/peers.py can be asked; how quick they are is not tested here."""

from __future__ import annotations

import pytest
from benchmarks.measures import peers


def test_every_question_has_what_answers_it() -> None:
    assert {question.name for question in peers.QUESTIONS} == {
        name.removesuffix(peers.MORE) for name in peers.ASKED
    }


@pytest.mark.parametrize(
    ("name", "unit"), [("gpt3-layer", "layer_ms"), ("gpt3-6.7b-block", "block_ms")]
)
def test_a_question_without_a_model_file_is_answered(name: str, unit: str) -> None:
    answer = peers.ASKED[name]("")
    assert answer[unit] > 0


def test_a_layer_takes_at_least_its_products_at_the_peak() -> None:
    tokens, width, gpus = 8 * 2048, 12288, 4
    products = 2 * tokens * 12 * width**2 / gpus / 312e12
    assert peers.ASKED["gpt3-layer"]("")["layer_ms"] > 1e3 * products
